/** The response reader against JSON.parse, cut into chunks at every place. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type AnswerSeries, createAnswerReader } from '../../src/query/influx-answer.ts'
import type { Cell } from '../../src/sink/influxdb/influxql.ts'

interface Row {
  readonly series: AnswerSeries
  readonly cells: readonly Cell[]
}

function read(text: string, chunkBytes = 1 << 20) {
  const rows: Row[] = []
  const reader = createAnswerReader((cells, series) => rows.push({ series, cells: [...cells] }))
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += chunkBytes) reader.push(bytes.subarray(at, at + chunkBytes))
  return { rows, ...reader.end() }
}

const SERIES = { name: 'm', tags: {}, columns: ['time', 'a'] }

test('one document, several, with and without a newline between them, in chunks of every size', () => {
  const first =
    '{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","a"],"values":[[1795913224939071177,"x"]],"partial":true}],"partial":true}]}'
  const second =
    '{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","a"],"values":[[9223372036854775807,null],[-1,true]]}]}]}'
  const expected = [
    { series: SERIES, cells: [1795913224939071177n, 'x'] },
    { series: SERIES, cells: [9223372036854775807n, null] },
    { series: SERIES, cells: [-1n, true] },
  ]
  for (const between of ['', '\n', '\r\n'])
    for (let size = 1; size < 80; size++)
      assert.deepEqual(read(first + between + second + between, size), {
        rows: expected,
        error: undefined,
        isPartial: false,
      })
  assert.deepEqual(read(first), { rows: expected.slice(0, 1), error: undefined, isPartial: true })
})

test('nothing found, errors before and after rows, limits of rows', () => {
  assert.deepEqual(read('{"results":[{"statement_id":0}]}\n'), { rows: [], error: undefined, isPartial: false })
  assert.equal(
    read('{"error":"unable to parse authentication credentials"}').error,
    'unable to parse authentication credentials',
  )
  assert.equal(
    read('{"results":[{"statement_id":0,"error":"database not found: flows"}]}').error,
    'database not found: flows',
  )
  const rows =
    '{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","a"],"values":[[1,2]]}],"partial":true}]}'
  assert.deepEqual(read(`${rows}\n{"results":[{"statement_id":0,"error":"timeout"}]}\n`), {
    rows: [{ series: SERIES, cells: [1n, 2n] }],
    error: 'timeout',
    isPartial: false,
  })
  // InfluxDB 1.x with max-row-limit, not in chunks.
  assert.equal(
    read(
      '{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","a"],"values":[[1,2]],"partial":true}]}]}',
    ).isPartial,
    true,
  )
})

test('a response that breaks off or is no response throws', () => {
  const whole =
    '{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","a"],"values":[[1,"x"],[2,"y"]]}]}]}'
  for (let length = 0; length < whole.length; length++)
    assert.throws(() => read(whole.slice(0, length)), SyntaxError, whole.slice(0, length))
  // After documents that are whole, as well.
  for (let length = 1; length < whole.length; length++)
    assert.throws(() => read(`${whole}\n${whole.slice(0, length)}`), SyntaxError, whole.slice(0, length))
  for (const other of ['<html></html>', 'name,tags,time\n', '[[1]]x', '{"values":[{"a":1}]}', '{"values":[[[1]]]}'])
    assert.throws(() => read(other), SyntaxError, other)
})

const cell = fc.oneof(
  fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('","', '\\', '"values":[', ']}', '{', '\u2028', ''),
  fc.constant(null),
  fc.boolean(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Number.isInteger(value)),
)
const seriesOf = fc.record({
  name: fc.string(),
  tags: fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.constant('"values":[["x"]]'))),
  columns: fc.array(fc.string(), { minLength: 1, maxLength: 4 }),
  values: fc.array(fc.array(cell, { minLength: 1, maxLength: 4 }), { maxLength: 4 }),
})
/** JSON with integers of any size. */
const json = (value: unknown): string =>
  typeof value === 'bigint'
    ? String(value)
    : Array.isArray(value)
      ? `[${value.map(json).join()}]`
      : typeof value === 'object' && value !== null
        ? `{${Object.entries(value)
            .map(([key, one]) => `${JSON.stringify(key)}:${json(one)}`)
            .join()}}`
        : JSON.stringify(value)

test('any rows, tags and texts', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(seriesOf, { maxLength: 3 }), { minLength: 1, maxLength: 3 }),
      fc.integer({ min: 1, max: 60 }),
      (documents, size) => {
        const text = documents.map((series) => json({ results: [{ statement_id: 0, series }] })).join('\n')
        const expected = documents.flat().flatMap(({ values, ...series }) => values.map((cells) => ({ series, cells })))
        const { rows } = read(text, size)
        assert.equal(json(rows), json(expected))
      },
    ),
    { numRuns: 500 },
  )
})
