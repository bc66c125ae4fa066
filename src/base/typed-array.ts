/** The same values in twice the memory. */
export function doubled<T extends Int32Array | Float64Array | Uint8Array | BigInt64Array | BigUint64Array>(
  old: T,
  Kind: new (length: number) => T,
): T {
  const grown = new Kind(old.length * 2)
  grown.set(old as never)
  return grown
}
