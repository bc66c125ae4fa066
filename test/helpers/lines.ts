/** Lines of a text: of points, of a log, of a dead-letter file. */

/** Without their ends, and without empty ones. */
export function linesOf(text: string | Uint8Array): string[] {
  const whole = typeof text === 'string' ? text : Buffer.from(text).toString()
  return whole.split('\n').filter((line) => line !== '')
}

/** Each line as the JSON that it is. Throws for one that is none. */
export function jsonLinesOf<T = Record<string, unknown>>(text: string | Uint8Array): T[] {
  return linesOf(text).map((line) => JSON.parse(line) as T)
}
