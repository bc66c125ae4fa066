/** `check` on real InfluxDB 2.x and 3 Core, where TEST_INFLUXD2 and TEST_INFLUXD3 name them: every wrong setting and right that people meet. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { init } from '../../src/commands/init.ts'
import { loadSettings } from '../../src/config/load.ts'
import { noInfluxd2, ORG, startInfluxd2 } from '../services/influxd2.ts'
import { noInfluxd3, startInfluxd3 } from '../services/influxd3.ts'
import { apiOf, checked, demo } from './world.ts'

const PLACES = { TAILFLUX_RETENTION_RAW: '7d', TAILFLUX_RETENTION_MINUTES: '30d', TAILFLUX_RETENTION_REST: '730d' }
const SAFE = { isDry: false, mayShorten: false, tokenFile: undefined }

test('InfluxDB 2.x', { skip: noInfluxd2 }, async (t) => {
  const api = await demo(t)
  const server = await startInfluxd2(t)
  const base = { INFLUX_URL: server.url, INFLUX_TOKEN: server.token, INFLUX_ORG: ORG, INFLUX_BUCKET: 'flows' }
  const check = (more: Record<string, string> = {}) => checked(t, { ...apiOf(api), ...base, ...more })
  assert.deepEqual((await check()).faults, [])

  const places = await check(PLACES)
  assert.deepEqual(places.faults, ['✗ place of raw', '✗ place of minutes', '! retention'])
  const made = await init(loadSettings({ env: { ...base, ...PLACES } }), { ...SAFE, mayShorten: true })
  assert.ok(made.isGood, made.text)
  const good = await check(PLACES)
  assert.deepEqual(good.faults, [])
  assert.match(good.of('retention').text, /flows keeps points for 730d/)
  assert.match(good.of('retention of raw').text, /flows\/raw keeps points for 7d/)
  assert.match((await init(loadSettings({ env: { ...base, ...PLACES } }), SAFE)).text, /nothing to do/)

  const writeOnly = await check({ INFLUX_TOKEN: await server.newToken(['write'], [server.bucketId]) })
  assert.deepEqual(writeOnly.faults, ['✗ influxql'])
  assert.match(writeOnly.of('influxql').remedy ?? '', /read access to bucket flows/)
  const readOnly = await check({ INFLUX_TOKEN: await server.newToken(['read'], [server.bucketId]) })
  assert.deepEqual(readOnly.faults, ['✗ place'])
  assert.match(readOnly.of('place').text, /does not allow this user or token to write \(403.*write access/)

  // A token that knows the main place only.
  const onlyMain = await check({ ...PLACES, INFLUX_TOKEN: await server.newToken(['read', 'write'], [server.bucketId]) })
  assert.deepEqual(onlyMain.faults, ['✗ place of raw', '✗ place of minutes'])
  assert.match(onlyMain.of('place of raw').text, /\(bucket flows\/raw\) does not allow/)

  const orgById = await check({ ...PLACES, INFLUX_ORG: server.orgId })
  assert.deepEqual(orgById.faults, [])
  assert.match(orgById.of('retention').text, /730d/)
  const bucketById = await check({ INFLUX_BUCKET: server.bucketId })
  assert.deepEqual(bucketById.faults, ['✗ influxql', '✗ retention'])
  assert.match(
    bucketById.of('influxql').remedy ?? '',
    /INFLUX_BUCKET is the id of bucket flows.*Set INFLUX_BUCKET=flows/,
  )

  const noOrg = await check({ INFLUX_ORG: '' })
  assert.deepEqual(noOrg.faults, ['✗ place'])
  assert.match(noOrg.of('place').text, /INFLUX_ORG/)
  const wrongToken = await check({ INFLUX_TOKEN: 'another' })
  assert.deepEqual(wrongToken.faults, ['✗ place'])
  assert.match(wrongToken.of('place').text, /rejected the credentials \(401/)
  assert.deepEqual((await check({ INFLUX_API: 'v3' })).faults, ['✗ write api', '✗ place'])
})

test('InfluxDB 3 Core', { skip: noInfluxd3 }, async (t) => {
  const api = await demo(t)
  const server = await startInfluxd3(t)
  const base = { INFLUX_URL: server.url, INFLUX_TOKEN: server.token, INFLUX_BUCKET: 'flows' }
  const check = (more: Record<string, string> = {}) => checked(t, { ...apiOf(api), ...base, ...more })
  const databases = () => server.request('GET', '/api/v3/configure/database?format=json')
  /** Known bugs of this version are told each time. */
  const faultsOf = ({ faults }: { readonly faults: readonly string[] }) => faults.filter((one) => one !== '! version')

  const missing = await check()
  assert.deepEqual(faultsOf(missing), ['! place'])
  assert.match(missing.of('place').text, /There is no database flows.*The first write would make it/)
  assert.doesNotMatch(await databases(), /flows/, 'the check has made nothing')

  const made = await init(loadSettings({ env: { ...base, ...PLACES } }), SAFE)
  assert.ok(made.isGood, made.text)
  assert.match((await init(loadSettings({ env: { ...base, ...PLACES } }), SAFE)).text, /nothing to do/)
  const good = await check(PLACES)
  assert.deepEqual(faultsOf(good), [])
  assert.match(good.of('retention').text, /flows keeps points for 730d/)
  assert.match(good.of('retention of minutes').text, /flows\/minutes keeps points for 30d/)
  for (const place of ['', ' of raw', ' of minutes'])
    assert.match(good.of(`sample point${place}`).text, /written and read back/)

  const longer = { ...PLACES, TAILFLUX_RETENTION_RAW: '14d' }
  assert.deepEqual(faultsOf(await check(longer)), ['! retention of raw'])
  assert.ok((await init(loadSettings({ env: { ...base, ...longer } }), SAFE)).isGood)
  assert.deepEqual(faultsOf(await check(longer)), [])

  for (const name of ['a', 'b']) await server.request('POST', '/api/v3/configure/database', { db: name })
  const sixth = await check({ INFLUX_BUCKET: 'sixth' })
  assert.deepEqual(faultsOf(sixth), ['✗ place'])
  assert.match(sixth.of('place').text, /no database sixth\. InfluxDB 3 Core allows 5 databases\. It has 5 \(/)
  assert.match(sixth.of('place').remedy ?? '', /one that is there, delete one/)

  const stranger = await check({ INFLUX_TOKEN: 'apiv3_another' })
  assert.deepEqual(stranger.faults, ['✗ place'])
  assert.match(stranger.of('place').text, /401/)
})
