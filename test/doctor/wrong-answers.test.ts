/** Wrong settings and missing rights that people meet on InfluxDB 2.x and 3.x: each is named for what it is. The servers answer as 2.9.1 and 3.10.1 did. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { startHttpServer } from '../helpers/http-server.ts'
import { ORG_ID, type ScriptedInflux, startScriptedInflux } from './scripted-influx.ts'
import { apiOf, checked, demo } from './world.ts'

const TOKEN = 'canary-token-0123456789'
const PLACES = { TAILFLUX_RETENTION_RAW: '7d', TAILFLUX_RETENTION_MINUTES: '30d' }
const DAY = 86_400
const OTHERS = { 'flows/raw': 7 * DAY, 'flows/minutes': 30 * DAY }

async function stage(t: TestContext, script: Partial<ScriptedInflux> & { readonly version: string }) {
  const api = await demo(t)
  const server = await startScriptedInflux(t, { token: TOKEN, bucket: 'flows', ...script })
  const is2 = script.version.startsWith('2')
  const base = {
    INFLUX_URL: server.url,
    INFLUX_TOKEN: TOKEN,
    INFLUX_BUCKET: 'flows',
    ...(is2 ? { INFLUX_ORG: 'home' } : {}),
  }
  const check = async (env: Record<string, string> = {}) => {
    const result = await checked(t, { ...apiOf(api), ...base, ...env })
    assert.doesNotMatch(JSON.stringify(result.findings), /canary-token/)
    return result
  }
  return { server, check }
}

test('without INFLUX_API the version is found by asking', async (t) => {
  const two = await (await stage(t, { version: '2.9.1' })).check()
  assert.deepEqual(two.faults, [])
  assert.match(two.of('write api').text, /INFLUX_API is not set; by its version the server is InfluxDB 2\.9\.1/)
  const three = await (await stage(t, { version: '3.12.2' })).check()
  assert.deepEqual(three.faults, [])
  assert.match(three.of('write api').text, /the server is InfluxDB 3\.12\.2/)
  const misfit = await (await stage(t, { version: '3.12.2' })).check({
    INFLUX_USER: 'u',
    INFLUX_PASSWORD: 'p',
    INFLUX_TOKEN: '',
  })
  assert.deepEqual(misfit.faults, ['✗ write api'])
  assert.match(misfit.of('write api').text, /influx\.user belongs to api v1: for v3 set INFLUX_TOKEN/)
})

test('2.x: a token that may only write: dashboards do not find their data', async (t) => {
  const { check } = await stage(t, { version: '2.9.1', isWriteOnly: true })
  const { faults, of } = await check()
  assert.deepEqual(faults, ['✗ influxql'])
  assert.match(
    of('influxql').text,
    /does not let these credentials read bucket flows \(database not found: flows\)\. The dashboards stay empty/,
  )
  assert.match(of('influxql').remedy ?? '', /Give the token or user of tailflux read access to bucket flows as well/)
  assert.match(of('retention').text, /these credentials may not read it/)
})

test('2.x: the organisation by its id', async (t) => {
  const { check } = await stage(t, { version: '2.9.1', retentionSeconds: 90 * DAY })
  const { faults, of } = await check({ INFLUX_ORG: ORG_ID })
  assert.deepEqual(faults, [])
  assert.match(of('retention').text, /flows keeps points for 90d/)
})

test('2.x: the bucket by its id: writes work, and dashboards do not find it', async (t) => {
  const { server, check } = await stage(t, { version: '2.9.1' })
  const { faults, of } = await check({ INFLUX_BUCKET: server.buckets.get('flows')?.id ?? '' })
  assert.deepEqual(faults, ['✗ influxql', '✗ retention'])
  assert.match(of('influxql').remedy ?? '', /INFLUX_BUCKET is the id of bucket flows, .*Set INFLUX_BUCKET=flows\./)
  assert.equal(of('place').status, 'ok')
})

test('2.x: no organisation', async (t) => {
  const { check } = await stage(t, { version: '2.9.1' })
  const { faults, of } = await check({ INFLUX_ORG: '' })
  assert.deepEqual(faults, ['✗ place'])
  assert.match(of('place').text, /Please provide either orgID or org.*INFLUX_ORG/)
})

test('a token without the second place: that place is named, not the first', async (t) => {
  const { check } = await stage(t, { version: '2.9.1', others: OTHERS, only: ['flows', 'flows/minutes'] })
  const { faults, of } = await check(PLACES)
  assert.deepEqual(faults, ['✗ place of raw'])
  assert.match(of('place of raw').text, /\(bucket flows\/raw\) does not allow this user or token to write \(403/)
  assert.equal(of('place').status, 'ok')
  assert.equal(of('sample point of raw').status, 'skipped')
})

test('3.x: a database that is not there is not made by the check', async (t) => {
  const { server, check } = await stage(t, { version: '3.12.2', bucket: undefined, others: { telemetry: 0 } })
  const { faults, of } = await check()
  assert.deepEqual(faults, ['! place'])
  assert.match(of('place').text, /There is no database flows \(there is: telemetry\)\. The first write would make it/)
  assert.match(of('place').remedy ?? '', /tailflux init.*INFLUX_BUCKET/)
  assert.deepEqual([...server.buckets.keys()], ['telemetry'])
  assert.equal(of('sample point').status, 'skipped')
})

test('3.x: the retention is told, and a missing place with a retention is an error', async (t) => {
  const { check } = await stage(t, { version: '3.12.2', retentionSeconds: 30 * DAY, others: { 'flows/raw': 9 * DAY } })
  const { faults, of } = await check(PLACES)
  assert.deepEqual(faults, ['✗ place of minutes', '! retention of raw'])
  assert.match(of('retention').text, /flows keeps points for 30d/)
  assert.match(of('retention of raw').text, /flows\/raw keeps points for 9d, and retention\.raw is 7d/)
})

test('3.x: a token that may not read the tables of the server: the retention is told all the same', async (t) => {
  const { server, check } = await stage(t, { version: '3.12.2', hasSystemTables: false, retentionSeconds: 30 * DAY })
  const { faults, of } = await check()
  assert.deepEqual(faults, [])
  assert.match(of('retention').text, /flows keeps points for 30d/)
  const missing = await check({ INFLUX_BUCKET: 'nowhere' })
  assert.deepEqual(missing.faults, ['! place'])
  assert.deepEqual([...server.buckets.keys()], ['flows'], 'nothing was made')
})

test('3 Core: a sixth database', async (t) => {
  const { check } = await stage(t, { version: '3.12.2', bucket: 'a', others: { b: 0, c: 0, d: 0, e: 0 } })
  const { faults, of } = await check({ INFLUX_BUCKET: 'sixth' })
  assert.deepEqual(faults, ['✗ place'])
  assert.match(
    of('place').text,
    /There is no database sixth\. InfluxDB 3 Core allows 5 databases\. It has 5 \(a, b, c, d, e\)/,
  )
  assert.match(of('place').remedy ?? '', /Set INFLUX_BUCKET to one that is there, delete one/)
})

test('3.x: reading that is refused is told as reading', async (t) => {
  const { check } = await stage(t, { version: '3.12.2', isWriteOnly: true })
  const { faults, of } = await check()
  assert.deepEqual(faults, ['✗ influxql'])
  assert.match(of('influxql').text, /does not let these credentials read database flows \(403: forbidden\)/)
  assert.doesNotMatch(of('influxql').text, /to write/)
  assert.match(of('influxql').remedy ?? '', /read access to database flows/)
})

test('3.x: without a good token its version is not known, and no fault of a version is told', async (t) => {
  const { check } = await stage(t, { version: '3.10.1' })
  const { faults, of } = await check({ INFLUX_TOKEN: 'another' })
  assert.deepEqual(faults, ['✗ place'])
  assert.match(of('database').text, /^InfluxDB answers at/)
  assert.equal(of('version').status, 'skipped')
})

test('a web page in place of the database is no ✓', async (t) => {
  const api = await demo(t)
  for (const [status, answered] of [
    [200, /it answered 200 with a web page/],
    [404, /it answered 404 with a web page/],
  ] as const) {
    const { url } = await startHttpServer(t, (_request, response) => {
      response.writeHead(status, { 'content-type': 'text/html' }).end('<html><body>Grafana</body></html>')
    })
    for (const set of [{}, { INFLUX_API: 'v2', INFLUX_ORG: 'home' }]) {
      const { faults, of } = await checked(t, { ...apiOf(api), INFLUX_URL: url, INFLUX_BUCKET: 'flows', ...set })
      assert.deepEqual(faults, ['✗ database'])
      assert.match(of('database').text, answered)
      assert.match(of('database').remedy ?? '', /Check that INFLUX_URL is the address of the database itself/)
    }
  }
})

test('a server out of order is told as that', async (t) => {
  const api = await demo(t)
  const { url } = await startHttpServer(t, (_request, response) => void response.writeHead(502).end('bad gateway'))
  const { faults, of } = await checked(t, { ...apiOf(api), INFLUX_URL: url, INFLUX_BUCKET: 'flows' })
  assert.deepEqual(faults, ['✗ database'])
  assert.match(of('database').text, /failed \(502: bad gateway\)/)
})

test('a server that does not say what it is, but takes writes, is taken for one with the write API of 2.x', async (t) => {
  const api = await demo(t)
  const { url } = await startHttpServer(t, (request, response) => {
    const isPing = request.url === '/ping' || request.url?.startsWith('/api/v2/write')
    response.writeHead(isPing ? 204 : 404).end()
  })
  const { of } = await checked(t, { ...apiOf(api), INFLUX_URL: url, INFLUX_BUCKET: 'flows', INFLUX_ORG: 'home' })
  assert.equal(of('database').status, 'ok')
  assert.match(of('write api').text, /taken for one with the write API of 2\.x/)
})
