/** Hashes of 32 bits, for tables and sketches in memory and for digests of messages. They resist accidents, not attackers. */

/** What the hash of a text in bytes begins with. */
export const HASH_SEED = 0x811c9dc5 | 0

/** Masks of the first n bytes of a word, which are its lowest. */
export const TAILS = Int32Array.of(0, 0xff, 0xffff, 0xffffff)

/** The hash with one more word of 32 bits in it. */
export function hashStep(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1)
  return mixed ^ (mixed >>> 15)
}

/** A second hash of the same words, independent of `hashStep`: both together are 64 bits. */
export function secondHashStep(hash: number, word: number): number {
  const mixed = Math.imul((hash << 5) ^ (hash >>> 27) ^ word, 0x85ebca6b)
  return mixed ^ (mixed >>> 13)
}

/** The hash of bytes: four at a step, the first one lowest, so that a parser can hash while it reads. The last step takes what is left, none to
 * three bytes. */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = HASH_SEED
  let i = start
  for (; i + 4 <= end; i += 4)
    hash = hashStep(hash, bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24))
  let rest = 0
  for (let shift = 0; i < end; i++, shift += 8) rest |= bytes[i]! << shift
  return hashStep(hash, rest)
}

/** The same hash, read as words. Up to three bytes after `end` are read. */
export function hashWords(view: DataView, start: number, end: number): number {
  let hash = HASH_SEED
  let i = start
  for (; i + 4 <= end; i += 4) hash = hashStep(hash, view.getInt32(i, true))
  return hashStep(hash, view.getInt32(i, true) & TAILS[end - i]!)
}

/** The hash of a string (FNV-1a over UTF-16 code units). */
export function hashText(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash
}

/** The hash of three numbers. Not spread yet. Three products that the processor can compute at the same time. */
export function hashNumbers(a: number, b: number, c: number): number {
  return Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b) ^ Math.imul(c, 0xc2b2ae35)
}

/** Spreads a hash so that its lowest bits depend on the others: a place in a table of 2^n places. */
export function spreadHash(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return mixed ^ (mixed >>> 13)
}

/** Spreads a hash so that each bit depends on every other one, as sketches need it (the last step of MurmurHash3). */
export function avalanche(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}

/** Texts as words of four bytes: compared and copied a word at a time. Up to three bytes after the end of a text are read, whatever they hold. */

/** True when two texts of the same length are equal. */
export function isSameText(one: DataView, oneStart: number, other: DataView, start: number, length: number): boolean {
  let i = 0
  while (i + 4 <= length && one.getInt32(oneStart + i, true) === other.getInt32(start + i, true)) i += 4
  const rest = length - i
  if (rest >= 4) return false
  return ((one.getInt32(oneStart + i, true) ^ other.getInt32(start + i, true)) & TAILS[rest]!) === 0
}

/** True when the words from `at` on are those of the text, put there by `putWords`. Their lengths must be equal. */
export function areWordsOf(words: Int32Array, at: number, view: DataView, start: number, length: number): boolean {
  let i = 0
  while (i + 4 <= length && view.getInt32(start + i, true) === words[at]) {
    i += 4
    at += 1
  }
  return length - i < 4 && (view.getInt32(start + i, true) & TAILS[length - i]!) === words[at]
}

/** Writes a text as words, the last one filled up with zeros. It takes `(length >> 2) + 1` of them. */
export function putWords(words: Int32Array, at: number, view: DataView, start: number, length: number): void {
  let i = 0
  for (; i + 4 <= length; i += 4) words[at++] = view.getInt32(start + i, true)
  words[at] = view.getInt32(start + i, true) & TAILS[length - i]!
}
