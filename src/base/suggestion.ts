/** The name that was probably meant. */

/** `; did you mean …?` when a name is near enough. */
export function suggestion(name: string, names: readonly string[]): string {
  const near = names.map((one) => ({ one, distance: distance(name.toLowerCase(), one.toLowerCase()) }))
  const best = near.toSorted((a, b) => a.distance - b.distance)[0]
  return best !== undefined && best.distance <= Math.max(2, name.length / 4) ? `; did you mean ${best.one}?` : ''
}

/** Levenshtein's: how many letters must change. */
export function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= other.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, change))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
