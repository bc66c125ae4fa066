/** `init` against servers that answer as InfluxDB 2.9.1 and 3.10.1 did: what is made, twice, with too few rights, and where something differs. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { CollectorError } from '../../src/base/errors.ts'
import { init } from '../../src/commands/init.ts'
import { loadSettings } from '../../src/config/load.ts'
import { TAG_ORDER } from '../../src/provision/influx3.ts'
import { EDGE, NODE } from '../../src/rollup/rows/row-table.ts'
import { type ScriptedInflux, type ScriptedServer, startScriptedInflux } from '../doctor/scripted-influx.ts'
import { startHttpServer } from '../helpers/http-server.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'

const TOKEN = 'canary-token-0123456789'
const PLACES = { TAILFLUX_RETENTION_RAW: '7d', TAILFLUX_RETENTION_MINUTES: '30d', TAILFLUX_RETENTION_REST: '730d' }
const DAY = 86_400

interface Run {
  readonly isDry?: boolean
  readonly mayShorten?: boolean
  readonly tokenFile?: string
}

async function initWith(env: Record<string, string>, { isDry = false, mayShorten = false, tokenFile }: Run = {}) {
  return await init(loadSettings({ env }), { isDry, mayShorten, tokenFile })
}

async function stage(t: TestContext, script: Partial<ScriptedInflux> & { readonly version: string }) {
  const server = await startScriptedInflux(t, { token: TOKEN, ...script })
  const env = { INFLUX_URL: server.url, INFLUX_TOKEN: TOKEN, INFLUX_BUCKET: 'flows', ...PLACES }
  const run = async (more: Record<string, string> = {}, how: Run = {}) => {
    const result = await initWith({ ...env, ...more }, how)
    assert.doesNotMatch(result.text, /canary-token|made-/, 'no token is shown')
    return result
  }
  return { server, run }
}

const kept = ({ buckets }: ScriptedServer) =>
  Object.fromEntries(
    [...buckets.values()].map(({ name, everySeconds, shardSeconds }) => [
      name,
      [everySeconds / DAY, shardSeconds / DAY],
    ]),
  )

async function faultOf(promise: Promise<unknown>): Promise<CollectorError> {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  )
  assert.ok(error instanceof CollectorError, `no CollectorError: ${error}`)
  return error
}

test('2.x: an empty server gets everything, and the second run changes nothing', async (t) => {
  const { server, run } = await stage(t, { version: '2.9.1' })
  const org = { INFLUX_ORG: 'home' }
  const dry = await run(org, { isDry: true })
  assert.ok(dry.isGood)
  assert.match(dry.text, /\+ bucket flows, which keeps points for 730d, in shards of 90d/)
  assert.match(dry.text, /influx bucket create --org home --name flows\/raw --retention 7d --shard-group-duration 1d/)
  assert.match(dry.text, /3 changes would be made/)
  assert.deepEqual(server.changes, [], 'a dry run changes nothing')
  const first = await run(org)
  assert.match(first.text, /3 changes made/)
  assert.deepEqual(kept(server), { flows: [730, 90], 'flows/raw': [7, 1], 'flows/minutes': [30, 1] })
  const count = server.changes.length
  const second = await run(org)
  assert.match(second.text, /✓ bucket flows\/raw keeps points for 7d, in shards of 1d/)
  assert.match(second.text, /✓ InfluxQL reads bucket flows\/raw as "flows"\."raw"/)
  assert.match(second.text, /nothing to do/)
  assert.equal(server.changes.length, count)
})

test('2.x: servers that map no bucket by themselves get the mappings', async (t) => {
  const { server, run } = await stage(t, { version: '2.0.9', hasMapping: false })
  assert.ok((await run({ INFLUX_ORG: 'home' })).isGood)
  assert.deepEqual(
    server.mappings.map(({ database, retention_policy, default: isDefault, bucketID }) => [
      database,
      retention_policy,
      isDefault,
      [...server.buckets.values()].find(({ id }) => id === bucketID)?.name,
    ]),
    [
      ['flows', 'autogen', true, 'flows'],
      ['flows', 'raw', false, 'flows/raw'],
      ['flows', 'minutes', false, 'flows/minutes'],
    ],
  )
  assert.match((await run({ INFLUX_ORG: 'home' })).text, /nothing to do/)
})

test('2.x: the organisation by its id, or not set', async (t) => {
  const { server, run } = await stage(t, { version: '2.9.1' })
  assert.ok((await run({ INFLUX_ORG: '550b1aeff24e231f' })).isGood)
  assert.equal(server.buckets.size, 3)
  const unset = await run()
  assert.ok(!unset.isGood)
  assert.match(unset.text, /✗ INFLUX_ORG is not set, and writes need it.\n +→ Set INFLUX_ORG=home\./)
  assert.match((await faultOf(run({ INFLUX_ORG: 'nowhere' }))).message, /organisation nowhere is not there.*INFLUX_ORG/)
})

test('2.x: the bucket by its id is told, and nothing is made beside it', async (t) => {
  const { server, run } = await stage(t, { version: '2.9.1', bucket: 'flows' })
  const result = await run({ INFLUX_ORG: 'home', INFLUX_BUCKET: server.buckets.get('flows')?.id ?? '' })
  assert.ok(!result.isGood)
  assert.match(result.text, /INFLUX_BUCKET is the id of bucket flows.*\n +→ Set INFLUX_BUCKET=flows\./)
  assert.deepEqual(server.changes, [])
})

test('2.x: a mapping that leads elsewhere is told, not changed', async (t) => {
  const { server, run } = await stage(t, { version: '2.9.1', bucket: 'flows', others: { old: 0 } })
  const [flows, old] = [...server.buckets.values()]
  assert.ok(flows && old)
  server.mappings.push({
    ...{ id: 'abc', database: 'flows', retention_policy: 'autogen', default: true, virtual: false },
    bucketID: old.id,
  })
  const result = await run({ INFLUX_ORG: 'home' })
  assert.ok(!result.isGood)
  assert.match(
    result.text,
    /reads another bucket as "flows"\."autogen".*\n +→ Remove that mapping: influx v1 dbrp delete --id abc/,
  )
})

test('2.x: a shorter retention is set only when that is said, a longer one at once', async (t) => {
  const others = { 'flows/raw': 30 * DAY, 'flows/minutes': 10 * DAY }
  const { server, run } = await stage(t, { version: '2.9.1', bucket: 'flows', others })
  const careful = await run({ INFLUX_ORG: 'home' })
  assert.match(
    careful.text,
    /! bucket flows keeps points forever, .*retention\.rest is 730d.*not changed.*\n +→ .*--shorten/,
  )
  assert.deepEqual(kept(server), { flows: [0, 7], 'flows/raw': [30, 7], 'flows/minutes': [30, 1] })
  assert.ok((await run({ INFLUX_ORG: 'home' }, { mayShorten: true })).isGood)
  assert.deepEqual(kept(server), { flows: [730, 90], 'flows/raw': [7, 1], 'flows/minutes': [30, 1] })
})

test('2.x: without retention.rest the main bucket stays as it is', async (t) => {
  const { server, run } = await stage(t, { version: '2.9.1', bucket: 'flows', retentionSeconds: 5 * DAY })
  const none = { TAILFLUX_RETENTION_RAW: '', TAILFLUX_RETENTION_MINUTES: '', TAILFLUX_RETENTION_REST: '' }
  assert.match((await run({ INFLUX_ORG: 'home', ...none })).text, /✓ bucket flows keeps points for 5d.*nothing to do/s)
  assert.deepEqual(server.changes, [])
})

test('2.x: a token that may not is told what to use, and what to do by hand', async (t) => {
  const { run } = await stage(t, { version: '2.9.1', isOperator: false })
  const result = await run({ INFLUX_ORG: 'home' })
  assert.ok(!result.isGood)
  assert.match(
    result.text,
    /does not allow this user or token to create bucket flows \(401: write:orgs.*all-access token/,
  )
  assert.match(
    result.text,
    /By hand, as someone who may:\n +influx bucket create .*flows .*\n.*flows\/raw.*\n.*flows\/minutes/,
  )
  const writer = await stage(t, { version: '2.9.1', bucket: 'flows', isWriteOnly: true })
  assert.match((await faultOf(writer.run({ INFLUX_ORG: 'home' }))).message, /may not see it.*all-access token/)
  const stranger = await faultOf(writer.run({ INFLUX_ORG: 'home', INFLUX_TOKEN: 'another' }))
  assert.equal(stranger.code, 'db_unauthorized')
  assert.match(stranger.message, /rejected the credentials \(401: unauthorized access\)/)
})

test('2.x: a token for Grafana is made once, kept in a file, and made again when the file or the right is gone', async (t) => {
  const { server, run } = await stage(t, { version: '2.9.1' })
  const tokenFile = join(temporaryFolder(t), 'grafana-token')
  const again = () => run({ INFLUX_ORG: 'home' }, { tokenFile })
  assert.match(
    (await again()).text,
    /\+ token for Grafana in .*grafana-token, which reads bucket flows, bucket flows\/raw/,
  )
  const [made] = server.authorizations
  assert.equal(readFileSync(tokenFile, 'utf8'), `${made?.token}\n`)
  assert.equal(statSync(tokenFile).mode & 0o777, 0o644)
  assert.deepEqual(
    new Set(
      ((made?.permissions ?? []) as { action: string; resource: { id: string } }[]).map(
        ({ action, resource }) => `${action} ${resource.id}`,
      ),
    ),
    new Set([...server.buckets.values()].map(({ id }) => `read ${id}`)),
  )
  assert.match((await again()).text, /✓ Grafana's token in .* reads flows.*nothing to do/s)
  assert.equal(server.authorizations.length, 1)
  writeFileSync(tokenFile, 'something-else\n')
  assert.match((await again()).text, /1 change made/)
  assert.equal(server.authorizations.length, 1, 'the old one is removed')
  assert.equal(readFileSync(tokenFile, 'utf8'), `${server.authorizations[0]?.token}\n`)
  // The token of something else: it is known, and reads other buckets.
  server.authorizations.push({
    ...{ id: 'x', token: 'made-other', status: 'active', description: 'other' },
    permissions: [],
  })
  writeFileSync(tokenFile, 'made-other\n')
  assert.match((await again()).text, /1 change made/)
  server.authorizations.length = 0
  assert.match((await again()).text, /1 change made/)
  const nowhere = await run({ INFLUX_ORG: 'home' }, { tokenFile: join(tokenFile, 'below') }).catch((error) => error)
  assert.match(nowhere.text ?? nowhere.message, /token for Grafana does not get into .*below/)
})

test('2.x: a token that the server does not show, or that cannot be kept, fails and leaves no file', async (t) => {
  const dir = temporaryFolder(t)
  const org = { INFLUX_ORG: 'home' }
  const hidden = await stage(t, { version: '2.9.1', hidesTokens: true })
  const unseen = await hidden.run(org, { tokenFile: join(dir, 'token') })
  assert.ok(!unseen.isGood)
  assert.match(
    unseen.text,
    /does not get into .*: the server did not show it\. Check that INFLUX_URL .* run tailflux init/,
  )
  const { run } = await stage(t, { version: '2.9.1' })
  const lost = await run(org, { tokenFile: join(dir, 'missing', 'token') })
  assert.ok(!lost.isGood)
  assert.match(lost.text, /does not get into .*: it cannot be written\. Check the folder and its rights\./)
  assert.deepEqual(readdirSync(dir), [])
})

test('3.x: databases with their retention, and tables with their order of tags', async (t) => {
  const { server, run } = await stage(t, { version: '3.12.2' })
  const dry = await run({}, { isDry: true })
  assert.match(dry.text, /influxdb3 create database --retention-period 7d flows\/raw/)
  assert.match(dry.text, /influxdb3 create table --database flows\/raw --tags tailnet,kind,.* tailnet_flow/)
  assert.deepEqual(server.changes, [])
  assert.ok((await run()).isGood)
  assert.deepEqual(
    [...server.buckets.values()].map(({ name, everySeconds }) => [name, everySeconds / DAY]),
    [
      ['flows', 730],
      ['flows/raw', 7],
      ['flows/minutes', 30],
    ],
  )
  assert.deepEqual([...server.tables.keys()].toSorted(), [
    'flows tailnet_edge_1d',
    'flows tailnet_edge_1h',
    'flows tailnet_node_1d',
    'flows tailnet_node_1h',
    'flows/minutes tailnet_edge',
    'flows/minutes tailnet_node',
    'flows/raw tailnet_flow',
  ])
  const count = server.changes.length
  assert.match((await run()).text, /nothing to do/)
  assert.equal(server.changes.length, count)
  const longer = await run({ TAILFLUX_RETENTION_RAW: '14d' })
  assert.match(longer.text, /\+ database flows\/raw: it keeps points for 7d, and then it keeps points for 14d/)
  assert.match((await run()).text, /! database flows\/raw keeps points for 14d, and retention\.raw is 7d.*--shorten/s)
})

test('3 Core: no room for another database', async (t) => {
  const others = { a: 0, b: 0, c: 0, d: 0 }
  const { server, run } = await stage(t, { version: '3.12.2', bucket: 'e', others })
  const result = await run()
  assert.ok(!result.isGood)
  assert.match(
    result.text,
    /allows 5 databases\. It has 5 \(e, a, b, c, d\), so none of flows, flows\/raw, flows\/minutes can be made/,
  )
  assert.match(result.text, /→ Set INFLUX_BUCKET to one that is there, delete one/)
  assert.deepEqual(server.changes, [])
})

test('3.x: a token that may not', async (t) => {
  const { run } = await stage(t, { version: '3.12.2', isOperator: false })
  const result = await run()
  assert.match(
    result.text,
    /does not allow this user or token to create database flows \(403: forbidden\).*admin token of 3\.x/,
  )
  assert.ok(!result.isGood)
})

test('the order of tags has every tag of the rows', () => {
  for (const suffix of ['', '_1h', '_1d']) {
    assert.deepEqual(TAG_ORDER[`tailnet_edge${suffix}`]?.toSorted(), [...EDGE.tags])
    assert.deepEqual(TAG_ORDER[`tailnet_node${suffix}`]?.toSorted(), [...NODE.tags])
  }
  const flow = ['tailnet', 'node', 'kind', 'proto', 'src', 'dst', 'src_port', 'dst_port', 'path']
  assert.deepEqual(TAG_ORDER['tailnet_flow']?.toSorted(), flow.toSorted())
})

test('something that is no database, the wrong API, no database at all', async (t) => {
  const page = await startHttpServer(t, (_request, response) => void response.end('<html>hello</html>'))
  const env = { INFLUX_BUCKET: 'flows', INFLUX_URL: page.url }
  assert.match(
    (await faultOf(initWith(env))).message,
    /does not say which InfluxDB it is \(it answered 200 with a web page\)/,
  )
  const { run } = await stage(t, { version: '2.9.1' })
  assert.match(
    (await faultOf(run({ INFLUX_API: 'v3' }))).message,
    /is InfluxDB 2\.9\.1, and INFLUX_API is v3\. Set INFLUX_API=v2/,
  )
  assert.match((await initWith({})).text, /embedded store, which makes everything it needs/)
  await page.close()
  assert.equal((await faultOf(initWith(env))).code, 'db_unreachable')
})
