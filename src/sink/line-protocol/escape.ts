/** Escaping of line protocol as bytes: in keys and values of tags a comma, a space and `=` get a backslash before them. */

/** 1 where a byte needs a backslash. */
export const NEEDS_ESCAPE = new Uint8Array(256)
for (const c of ', =') NEEDS_ESCAPE[c.charCodeAt(0)] = 1

export function escapeTag(text: string): string {
  return text.replace(/[, =]/g, '\\$&')
}

export function unescapeTag(text: string): string {
  return text.replace(/\\([, =])/g, '$1')
}

/** For a measurement, where `=` needs no backslash. */
export function escapeMeasurement(text: string): string {
  return text.replace(/[, ]/g, '\\$&')
}
