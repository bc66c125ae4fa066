/** Members of nested objects, by the path of a key. */

/** Undefined where the path leads nowhere. */
export function get(from: unknown, path: readonly string[]): unknown {
  let value = from
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<string, unknown>)[part]
  }
  return value
}

/** Makes the objects on the way; `undefined` removes the member. */
export function set(into: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let parent = into
  for (const part of path.slice(0, -1)) {
    const member = parent[part]
    if (typeof member !== 'object' || member === null) parent[part] = {}
    parent = parent[part] as Record<string, unknown>
  }
  const name = path.at(-1) ?? ''
  if (value === undefined) delete parent[name]
  else parent[name] = value
}
