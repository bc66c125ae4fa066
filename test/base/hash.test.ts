import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  areWordsOf,
  avalanche,
  hashBytes,
  hashNumbers,
  hashStep,
  hashText,
  hashWords,
  isSameText,
  putWords,
  secondHashStep,
  spreadHash,
} from '../../src/base/hash.ts'

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })

test('bytes have the same hash whether they are read as bytes or as words, wherever they lie and whatever follows', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 40 }),
      fc.nat(9),
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      (text, before, after) => {
        const memory = Uint8Array.from([...new Uint8Array(before), ...text, ...after])
        const end = before + text.length
        const hash = hashBytes(text, 0, text.length)
        assert.equal(hashBytes(memory, before, end), hash)
        assert.equal(hashWords(new DataView(memory.buffer), before, end), hash)
      },
    ),
  )
})

test('hashes are whole numbers of 32 bits', () => {
  fc.assert(
    fc.property(int32, int32, int32, fc.string(), (a, b, c, text) => {
      const all = [
        hashStep(a, b),
        secondHashStep(a, b),
        hashNumbers(a, b, c),
        spreadHash(a),
        avalanche(a),
        hashText(text),
      ]
      for (const hash of all) assert.equal(hash, hash | 0)
    }),
  )
})

test('digests that the state file keeps stay what they are', () => {
  assert.equal(hashStep(0x2545f491, 0x1000006), -479_478_349)
  assert.equal(secondHashStep(0x6c8e9cf5, 0x1000006), 27_210_624)
  assert.equal(hashText('rsvp'), 1_532_612_513)
  assert.equal(hashBytes(Buffer.from('100.64.0.1'), 0, 10), -1_919_022_082)
})

test('neighbouring numbers spread over the places of a table as random ones do', () => {
  const places = 1024
  const keys: readonly ((n: number) => number)[] = [
    (n) => n,
    (n) => n << 8,
    (n) => n << 20,
    (n) => hashNumbers(n & 31, n >> 5, 6),
    (n) => hashNumbers(1, n, 443 << 12),
  ]
  for (const key of keys) {
    const taken = new Set<number>()
    for (let n = 0; n < places; n++) taken.add(spreadHash(key(n)) & (places - 1))
    // Random keys take 1 - 1/e of as many places.
    assert.ok(taken.size > places * 0.5, `${taken.size} of ${places} places: ${key}`)
  }
})

test('one bit of a number changes half of the bits of its avalanche', () => {
  const bits = (word: number) => (word >>> 0).toString(2).replaceAll('0', '').length
  for (let bit = 0; bit < 32; bit++) {
    let changed = 0
    for (let n = 0; n < 256; n++) changed += bits(avalanche(n * 7919) ^ avalanche((n * 7919) ^ (1 << bit)))
    assert.ok(Math.abs(changed / 256 - 16) < 2, `bit ${bit}: ${changed / 256} bits`)
  }
})

const bytes = fc.uint8Array({ maxLength: 14 })
const spare = fc.uint8Array({ minLength: 4, maxLength: 4 })
/** Texts of few letters are often equal. */
const text = fc.oneof(
  bytes,
  fc.array(fc.constantFrom(97, 98), { maxLength: 9 }).map((letters) => Uint8Array.from(letters)),
)

function viewOf(before: number, letters: Uint8Array, after: Uint8Array): DataView {
  return new DataView(Uint8Array.from([...new Uint8Array(before), ...letters, ...after]).buffer)
}

test('texts are equal when their bytes are, wherever they lie and whatever follows', () => {
  fc.assert(
    fc.property(text, text, fc.nat(5), spare, spare, (one, other, before, afterOne, afterOther) => {
      const length = Math.min(one.length, other.length)
      const isEqual = Buffer.compare(one.subarray(0, length), other.subarray(0, length)) === 0
      const [oneView, otherView] = [viewOf(before, one, afterOne), viewOf(2, other, afterOther)]
      assert.equal(isSameText(oneView, before, otherView, 2, length), isEqual)
      assert.ok(isSameText(oneView, before, viewOf(0, one, afterOther), 0, one.length))
    }),
  )
})

test('a text that was put as words is found by its bytes, and no other one of its length', () => {
  fc.assert(
    fc.property(text, text, fc.nat(5), spare, (one, other, at, after) => {
      const words = new Int32Array(16).fill(-1)
      putWords(words, at, viewOf(3, one, after), 3, one.length)
      assert.ok(areWordsOf(words, at, viewOf(1, one, spareOf(after)), 1, one.length))
      assert.deepEqual(
        [...words.subarray(0, at), ...words.subarray(at + (one.length >> 2) + 1)].filter((word) => word !== -1),
        [],
      )
      if (one.length === other.length)
        assert.equal(areWordsOf(words, at, viewOf(1, other, after), 1, other.length), Buffer.compare(one, other) === 0)
    }),
  )
})

function spareOf(after: Uint8Array): Uint8Array {
  return after.map((byte) => byte ^ 0xff)
}
