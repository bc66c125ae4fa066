import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deadLettersSchema, influxSchema, storeSchema } from '../../src/sink/config.ts'

type Input = Record<string, unknown>
const url = 'http://influxdb:8086'
const faults = (input: Input) => {
  const parsed = influxSchema.safeParse(input)
  return parsed.success ? [] : parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
}

test('defaults', () => {
  assert.deepEqual(influxSchema.parse({}), {
    api: 'v2',
    createDatabase: false,
    gzip: 'auto',
    batchLinesMax: 10_000,
    batchBytesMax: 4_000_000,
    inFlight: 2,
    timeout: 30_000,
    giveUp: 300_000,
  })
  assert.deepEqual(storeSchema.parse({}), { retention: 7 * 86_400_000 })
  assert.deepEqual(deadLettersSchema.parse({}), { maxBytes: 256 << 20 })
})

test('every setting has a sentence', () => {
  for (const schema of [influxSchema, storeSchema, deadLettersSchema]) {
    for (const [name, part] of Object.entries(schema.shape)) assert.match(part.description ?? '', /\.$/, name)
  }
})

test('a place to write to is complete, and belongs to its API', () => {
  const good: Input[] = [
    {},
    { url, bucket: 'b' },
    { url, bucket: 'b', org: 'o', token: 't' },
    { url, api: 'v1', db: 'd' },
    { url, api: 'v1', db: 'd', rp: 'r', user: 'u', password: 'p', createDatabase: true, nodesBucket: 'long' },
    { url, api: 'v1', db: 'd', token: 'u:p' },
    { url, api: 'v3', bucket: 'b', token: 't' },
    { url, api: 'v3', db: 'd' },
    { url: 'https://host/prefix/', bucket: 'b' },
  ]
  for (const input of good) assert.deepEqual(faults(input), [], JSON.stringify(input))
  const bad: [Input, RegExp][] = [
    [{ url }, /^bucket: is required for api v2: set INFLUX_BUCKET/],
    [{ url, api: 'v1', bucket: 'b' }, /^db: is required for api v1/],
    [{ url, api: 'v3' }, /^bucket: is required for api v3/],
    [{ url, bucket: 'b', user: 'u', password: 'p' }, /^user: belongs to api v1/],
    [{ url, bucket: 'b', rp: 'r' }, /^rp: belongs to api v1/],
    [{ url, bucket: 'b', createDatabase: true }, /^createDatabase: belongs to api v1/],
    [{ url, api: 'v1', db: 'd', user: 'u' }, /^password: user and password belong together/],
    [{ url, api: 'v1', db: 'd', password: 'p' }, /^password: user and password belong together/],
    [{ url, api: 'v1', db: 'd', user: 'a:b', password: 'p' }, /^user: must not contain a colon/],
    [{ url, api: 'v4', bucket: 'b' }, /^api: /],
    [{ url, bucket: 'b', tokne: 't' }, /Unrecognized key/],
    [{ batchBytesMax: '1GB' }, /^batchBytesMax: /],
    [{ timeout: 30 }, /^timeout: /],
    [{ inFlight: 0 }, /^inFlight: /],
  ]
  for (const [input, fault] of bad) {
    assert.equal(faults(input).length, 1, JSON.stringify(input))
    assert.match(faults(input)[0] ?? '', fault)
  }
})

test('a URL holds nothing but the place', () => {
  for (const bad of ['influxdb:8086', 'ftp://h', 'http://u:p@h', 'http://h?db=x', 'http://h#x', 'nonsense', '']) {
    assert.match(faults({ url: bad, bucket: 'b' })[0] ?? '', /^url: must be a URL such as http:\/\/influxdb:8086/, bad)
  }
})

test('secrets do not show', () => {
  const shown = JSON.stringify(influxSchema.parse({ url, bucket: 'b', token: 'very-secret' }))
  assert.ok(!shown.includes('very-secret'))
})
