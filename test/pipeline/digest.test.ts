import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createWindowDigest } from '../../src/pipeline/deliver-window.ts'

const SEED = 20_260_805
const digestOf = (hashes: readonly bigint[]) => {
  const digest = createWindowDigest()
  for (const hash of hashes) digest.add(hash)
  return digest.text()
}

test('a window has the same digest in whatever order its messages come, and however often each', () => {
  const hash = fc.oneof(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.constantFrom(0n, 1n, 1024n, 2048n, 1n << 32n))
  fc.assert(
    fc.property(fc.array(hash, { maxLength: 3000 }), fc.array(fc.nat(), { maxLength: 100 }), (hashes, again) => {
      const copies = hashes.length === 0 ? [] : again.map((index) => hashes[index % hashes.length]!)
      const distinct = new Set(hashes)
      const sum = [...distinct].reduce((total, one) => total + one, 0n) & ((1n << 64n) - 1n)
      const expected = `${distinct.size}:${sum.toString(16).padStart(16, '0')}`
      assert.equal(digestOf([...hashes, ...copies]), expected)
      assert.equal(digestOf([...copies, ...hashes.toReversed()]), expected)
    }),
    { seed: SEED, numRuns: 100 },
  )
})

test('beyond its limit copies are told apart no more, and nothing is left out', () => {
  const many = Array.from({ length: 60_000 }, (_, index) => (BigInt(index) * 0x9e3779b97f4a7c15n) & ((1n << 64n) - 1n))
  assert.match(digestOf(many), /^60000:/)
  assert.match(digestOf([...many, many.at(-1)!]), /^60001:/)
  assert.match(digestOf([...many, many[0]!]), /^60000:/)
})
