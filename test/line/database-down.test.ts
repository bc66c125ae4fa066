import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inTime } from '../helpers/eventually.ts'
import { startInfluxd } from '../services/influxd.ts'
import { assertTruth, storedIn } from './truth-in.ts'
import { LAG_NS, originOf, startWorld } from './world.ts'

const MINUTE_NS = 60_000_000_000n
const PARALLEL = 2

test('InfluxDB killed while it is written to and away for a while: no fetching meanwhile, nothing lost afterwards', async (t) => {
  const database = await startInfluxd(t, { databases: ['flows'] })
  const { tailnet, service, api, clock } = await startWorld(t, { tailnet: { nodes: 12 }, speed: 120 })
  const { service: running, until } = service({
    'influx.url': database.url,
    'influx.api': 'v1',
    'influx.db': 'flows',
    'influx.giveUp': '10s',
    'influx.batchLinesMax': 200,
    'poll.interval': '1m',
    'poll.parallel': PARALLEL,
  })
  const url = await running.start()
  const sink = () => running.health.state().components.find(({ component }) => component === 'sink')
  const watermarkNs = () => BigInt(running.pipeline.status().watermarkNs ?? 0)
  // The device list goes on in the background, every five minutes.
  const asked = () => api.count('logs')

  // In the middle of catching up.
  await until(() => running.pipeline.status().totals.windows >= 4)
  assert.ok(running.pipeline.status().backlogSeconds > 0)
  const atKillNs = clock.now()
  const askedAtKill = asked()
  await database.kill()
  await until(() => sink()?.code === 'db_unreachable')
  const askedAtNotice = asked()
  const listsAtNotice = api.count('devices')
  assert.ok(
    askedAtNotice - askedAtKill <= 2 * PARALLEL + 1,
    `${askedAtNotice - askedAtKill} requests until it was noticed`,
  )
  const stoodAtNs = watermarkNs()

  // Some minutes, in which only the database is asked for, again and again.
  await until(() => clock.now() > atKillNs + 6n * MINUTE_NS)
  assert.equal(asked(), askedAtNotice, 'nothing is fetched that cannot be written')
  assert.ok(api.count('devices') - listsAtNotice <= 2)
  assert.equal(watermarkNs(), stoodAtNs)
  const answer = await fetch(`${url}/health`)
  const reported = (await answer.json()) as { components: { component: string; status: string; text?: string }[] }
  assert.match(
    reported.components.find(({ component }) => component === 'sink')?.text ?? '',
    /InfluxDB .*(INFLUX_URL|running|reach)/,
  )
  assert.equal((await fetch(`${url}/livez`)).status, 200, 'no reason to restart the service')
  assert.equal((await fetch(`${url}/readyz`)).status, 200)
  assert.equal((await fetch(`${url}/readyz?strict=1`)).status, 503)

  await database.start()
  await until(() => sink()?.status === 'ok')
  // Once more, at rest.
  await until((result) => result === 'caught_up')
  const quietFromNs = clock.now()
  await database.kill('SIGTERM')
  await until(() => clock.now() > quietFromNs + 3n * MINUTE_NS && sink()?.code === 'db_unreachable')
  const askedMeanwhile = asked()
  await until(() => clock.now() > quietFromNs + 6n * MINUTE_NS)
  assert.equal(asked(), askedMeanwhile)
  await database.start()

  await until((result) => result === 'caught_up')
  const nowNs = clock.freeze()
  await until(() => watermarkNs() === nowNs - LAG_NS)
  await inTime('an orderly end', running.stop())
  const fromNs = originOf(api)
  const points = await assertTruth(storedIn({ url: database.url, db: 'flows' }), tailnet.truth(fromNs, nowNs - LAG_NS))
  t.diagnostic(
    `${points} points over ${Number((nowNs - LAG_NS - fromNs) / MINUTE_NS)} minutes, ${api.count('logs')} requests`,
  )
})
