/** What maps of Node 24 do not do by themselves. */

interface AnyMap<K, V> {
  get(key: K): V | undefined
  set(key: K, value: V): unknown
}

/** The value of the key; without one, what `make` returns, which is kept. Values are never undefined. */
export function getOrInsert<K, V>(map: AnyMap<K, V>, key: K, make: () => V): V {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}
