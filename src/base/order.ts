/** Order of two values for `toSorted`, ascending. Numbers are subtracted instead. */
export function compare<T extends bigint | string>(one: T, other: T): -1 | 0 | 1 {
  return one < other ? -1 : one > other ? 1 : 0
}
