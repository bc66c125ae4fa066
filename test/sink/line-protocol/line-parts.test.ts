import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeLine } from '../../../src/sink/line-protocol/encode-line.ts'
import { partsOfLine, splitLine } from '../../../src/sink/line-protocol/line-parts.ts'

const tag = fc.stringMatching(/^[a-z ,=é]{1,12}$/)

test('a line that was encoded comes apart into the same tags, fields and time', () => {
  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
  const record = <T>(values: fc.Arbitrary<T>, least: number) =>
    fc.dictionary(fc.stringMatching(/^[a-z_]{1,8}$/), values, { minKeys: least, maxKeys: 4, noNullPrototype: true })
  fc.assert(
    fc.property(record(tag, 0), record(int64, 1), int64, (tags, fields, timestampNs) => {
      const line = Buffer.from(encodeLine('tailnet_flow', tags, fields, timestampNs)).toString()
      for (const text of [line, line.trimEnd()]) {
        const { key, ...parts } = partsOfLine(text)
        assert.deepEqual(parts, { tags, fields, timestampNs })
        const texts = splitLine(text)
        assert.equal(texts.key, key)
        assert.equal(`${key} ${texts.fields} ${texts.timestamp}\n`, line)
      }
    }),
  )
})
