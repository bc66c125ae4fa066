import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { areWordsOf, isSameText, putWords } from '../../src/base/text-words.ts'

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
