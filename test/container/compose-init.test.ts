/** The service `init` of the compose files against real servers, set up as their images set themselves up: 1.x always, 2.x and 3 Core where TEST_INFLUXD2 and
 * TEST_INFLUXD3 name them. A retention of .env counts, also when it changes; the service and Grafana get what they need. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { init } from '../../src/commands/init.ts'
import { loadSettings } from '../../src/config/load.ts'
import { checked } from '../doctor/world.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { startInfluxd } from '../services/influxd.ts'
import { noInfluxd2, startInfluxd2 } from '../services/influxd2.ts'
import { noInfluxd3, startInfluxd3 } from '../services/influxd3.ts'
import { missing } from '../services/servers.ts'
import { BASE, merged, OVERRIDES } from './compose.ts'
import { ROOT } from './dockerfile.ts'

const CONFIG = resolve(ROOT, 'config/compose/tailflux.yaml')

/** Runs `init` as compose does, with this .env, on the server at `url`, and then `check` with the environment of the service. */
async function composed(
  t: TestContext,
  files: readonly string[],
  { url, env = {}, changed = {} }: { url: string; env?: Record<string, string>; changed?: Record<string, string> },
) {
  const { services } = merged(files, env)
  const place = { ...changed, INFLUX_URL: url, TAILFLUX_CONFIG: CONFIG }
  const { command = [], environment } = services['init']!
  const tokenFile = join(temporaryFolder(t), 'grafana')
  const { text, isGood } = await init(loadSettings({ env: { ...environment, ...place } }), {
    isDry: false,
    mayShorten: command.includes('--shorten'),
    tokenFile: command.includes('--grafana-token') ? tokenFile : undefined,
  })
  assert.ok(isGood, text)
  const { findings } = await checked(t, { ...services['tailflux']!.environment, ...place })
  const faults = findings.filter(({ component, status }) => component === 'database' && status === 'error')
  assert.deepEqual(faults, [], text)
  const kept = findings.flatMap(({ check, text }) =>
    check.startsWith('retention') ? [/keeps points [^;.]*/.exec(text)?.[0]] : [],
  )
  return {
    text,
    kept,
    tokenFile,
    grafana: services['grafana']!.environment,
    influxdb: services['influxdb']!.environment,
  }
}

test('InfluxDB 1.x', { skip: await missing('influxd') }, async (t) => {
  const influxd = await startInfluxd(t, { auth: true })
  const files = [BASE, OVERRIDES[0]]
  // What the entry point of the image does with its variables.
  const { environment: image } = merged(files).services['influxdb']!
  await influxd.query(`CREATE DATABASE "${image['INFLUXDB_DB']}"`)
  await influxd.query(`CREATE USER "${image['INFLUXDB_USER']}" WITH PASSWORD '${image['INFLUXDB_USER_PASSWORD']}'`)
  await influxd.query(`GRANT ALL ON "${image['INFLUXDB_DB']}" TO "${image['INFLUXDB_USER']}"`)
  await influxd.query(
    `CREATE USER "${image['INFLUXDB_READ_USER']}" WITH PASSWORD '${image['INFLUXDB_READ_USER_PASSWORD']}'`,
  )
  await influxd.query(`GRANT READ ON "${image['INFLUXDB_DB']}" TO "${image['INFLUXDB_READ_USER']}"`)
  const run = { url: influxd.url, env: { DATABASE_ADMIN_PASSWORD: 'admin' } }
  const first = await composed(t, files, run)
  assert.deepEqual(first.kept, ['keeps points for 365d', 'keeps points for 7d', 'keeps points for 30d'])
  assert.match((await composed(t, files, run)).text, /nothing to do/)
  const shorter = { ...run.env, TAILFLUX_RETENTION_RAW: '4d', TAILFLUX_RETENTION_REST: '400d' }
  const second = await composed(t, files, { ...run, env: shorter })
  assert.deepEqual(second.kept, ['keeps points for 400d', 'keeps points for 4d', 'keeps points for 30d'])
  const reader = `${first.grafana['INFLUX_USER']}:${first.grafana['INFLUX_PASSWORD']}`
  const asked = new URLSearchParams({
    db: 'tailflux',
    q: 'SELECT count("nonce") FROM "tailflux"."raw"."tailflux_check"',
  })
  const answer = await fetch(`${influxd.url}/query?${asked}`, {
    headers: { authorization: `Basic ${Buffer.from(reader).toString('base64')}` },
  })
  assert.match(await answer.text(), /"values"/, 'Grafana reads what the check wrote there')
})

test('InfluxDB 2.x', { skip: noInfluxd2 }, async (t) => {
  const server = await startInfluxd2(t, { bucket: 'tailflux' })
  // The organisation of the tests has another name than that of compose.
  const run = { url: server.url, env: { INFLUX_TOKEN: server.token }, changed: { INFLUX_ORG: server.orgId } }
  const first = await composed(t, [BASE], run)
  assert.deepEqual(first.kept, ['keeps points for 365d', 'keeps points for 7d', 'keeps points for 30d'])
  const asked = new URLSearchParams({
    db: first.grafana['INFLUX_DB']!,
    q: 'SELECT count("nonce") FROM "tailflux"."raw"."tailflux_check"',
  })
  const headers = { authorization: `Token ${readFileSync(first.tokenFile, 'utf8').trim()}` }
  const answer = await fetch(`${server.url}/query?${asked}`, { headers })
  assert.match(await answer.text(), /"values"/, 'Grafana reads by its own token')
  const path = `/api/v2/write?org=${server.orgId}&bucket=tailflux`
  assert.equal((await fetch(server.url + path, { method: 'POST', headers, body: 'm v=1' })).status, 403)
  const env = { ...run.env, TAILFLUX_RETENTION_RAW: '4d' }
  assert.deepEqual((await composed(t, [BASE], { ...run, env })).kept[1], 'keeps points for 4d')
})

test('InfluxDB 3 Core', { skip: noInfluxd3 }, async (t) => {
  const server = await startInfluxd3(t)
  const files = [BASE, OVERRIDES[1]]
  const run = { url: server.url, env: { INFLUX_TOKEN: server.token } }
  const first = await composed(t, files, run)
  assert.deepEqual(first.kept, ['keeps points for 365d', 'keeps points for 7d', 'keeps points for 30d'])
  const env = { ...run.env, TAILFLUX_RETENTION_RAW: '4d' }
  assert.deepEqual((await composed(t, files, { ...run, env })).kept[1], 'keeps points for 4d')
})
