import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  deadLettersSchema,
  influxSchema,
  type Retention,
  retentionFaults,
  retentionSchema,
  storeRetention,
} from '../../src/sink/config.ts'

type Input = Record<string, unknown>
const url = 'http://influxdb:8086'
const faults = (input: Input) => {
  const parsed = influxSchema.safeParse(input)
  return parsed.success ? [] : parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
}

test('defaults', () => {
  assert.deepEqual(influxSchema.parse({}), {
    createDatabase: false,
    gzip: 'auto',
    batchLinesMax: 10_000,
    batchBytesMax: 4_000_000,
    inFlight: 2,
    timeout: 30_000,
    giveUp: 300_000,
  })
  assert.deepEqual(retentionSchema.parse({}), {})
  assert.deepEqual(deadLettersSchema.parse({}), { maxBytes: 256 << 20 })
})

test('every setting has a sentence', () => {
  for (const schema of [influxSchema, retentionSchema, deadLettersSchema]) {
    for (const [name, part] of Object.entries(schema.shape)) assert.match(part.description ?? '', /\.$/, name)
  }
})

test('a place to write to is complete, and belongs to its API', () => {
  const good: Input[] = [
    {},
    { url, bucket: 'b' },
    { url, bucket: 'b', org: 'o', token: 't' },
    { url, api: 'v1', db: 'd' },
    { url, api: 'v1', db: 'd', rp: 'r', user: 'u', password: 'p', createDatabase: true },
    { url, api: 'v1', db: 'd', token: 'u:p' },
    { url, api: 'v3', bucket: 'b', token: 't' },
    { url, api: 'v3', db: 'd' },
    // The server will be asked which API it has.
    { url, db: 'd', user: 'u', password: 'p', rp: 'r', createDatabase: true },
    { url: 'https://host/prefix/', bucket: 'b' },
  ]
  for (const input of good) assert.deepEqual(faults(input), [], JSON.stringify(input))
  const bad: [Input, RegExp][] = [
    [{ url }, /^bucket: is required: set INFLUX_BUCKET \(2.x, 3.x\) or INFLUX_DB \(1.x\)/],
    [{ url, api: 'v2', bucket: 'b', token: '\u043a\u043b' }, /^token: has characters that no token contains; copy it/],
    [{ url, api: 'v2' }, /^bucket: is required for api v2: set INFLUX_BUCKET/],
    [{ url, api: 'v1', bucket: 'b' }, /^db: is required for api v1/],
    [{ url, api: 'v3' }, /^bucket: is required for api v3/],
    [{ url, api: 'v2', bucket: 'b', user: 'u', password: 'p' }, /^user: belongs to api v1/],
    [{ url, api: 'v2', bucket: 'b', rp: 'r' }, /^rp: belongs to api v1/],
    [{ url, api: 'v2', bucket: 'b', createDatabase: true }, /^createDatabase: belongs to api v1/],
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

const DAY_MS = 86_400_000
const MAIN = { api: 'v2', bucket: 'flows' } as const

test('raw points and minutes are kept for as long as late records are written, and not longer than the rest', () => {
  const faultsOf = (retention: Retention, influx: Parameters<typeof retentionFaults>[1] = MAIN, passMs = DAY_MS) =>
    retentionFaults(retention, influx, passMs).map(({ path, text }) => `${path}: ${text}`)
  assert.deepEqual(faultsOf({}), [])
  assert.deepEqual(faultsOf({ rest: 2 * DAY_MS }), [])
  assert.deepEqual(faultsOf({ raw: 3 * DAY_MS, minutes: 3 * DAY_MS }), [])
  assert.deepEqual(faultsOf({ raw: 2 * DAY_MS }, MAIN, 0), [])
  const [short, alsoShort, ...others] = faultsOf({ raw: 3 * DAY_MS - 1, minutes: 2 * DAY_MS })
  assert.match(short ?? '', /^raw: must be at least 3d: .*poll\.latePasses \(1d\).* Raise it, or shorten/)
  assert.match(alsoShort ?? '', /^minutes: must be at least 3d/)
  assert.deepEqual(others, [])
  const longer = faultsOf({ minutes: 40 * DAY_MS, rest: 30 * DAY_MS })
  assert.match(longer.join(), /^minutes: must not be longer than retention\.rest \(30d\)\. Lower it/)
})

test('a place of its own is not the main place', () => {
  const faultOf = (influx: Parameters<typeof retentionFaults>[1]) =>
    retentionFaults({ raw: 7 * DAY_MS }, influx, DAY_MS)[0]?.text ?? ''
  assert.match(faultOf({ api: 'v1', db: 'flows', rp: 'raw' }), /is the main place already\. Set INFLUX_RP to another/)
  assert.match(faultOf({ api: 'v2', bucket: 'flows/raw' }), /is the main place already\. Set INFLUX_BUCKET/)
  assert.match(faultOf({ api: 'v3', db: 'flows/raw' }), /is the main place already/)
  for (const fine of [{ api: 'v1', db: 'raw' } as const, { api: 'v2', bucket: 'raw' } as const])
    assert.equal(faultOf(fine), '')
})

test('the embedded store has a retention of its own, never shorter than late records need', () => {
  assert.deepEqual(storeRetention({}, DAY_MS), { raw: 7 * DAY_MS, minutes: 30 * DAY_MS, main: 365 * DAY_MS })
  assert.deepEqual(storeRetention({}, 29 * DAY_MS), { raw: 31 * DAY_MS, minutes: 31 * DAY_MS, main: 365 * DAY_MS })
  const given = { raw: 3 * DAY_MS, minutes: 400 * DAY_MS }
  assert.deepEqual(storeRetention(given, DAY_MS), { ...given, main: 400 * DAY_MS })
  assert.equal(storeRetention({ rest: 50 * DAY_MS }, DAY_MS).main, 50 * DAY_MS)
})
