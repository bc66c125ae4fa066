import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { loadSettings } from '../../src/config/load.ts'
import { tailnetTag } from '../../src/config/settings.ts'
import { openRows } from '../../src/query/open-rows.ts'
import { eventually, inTime } from '../helpers/eventually.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { startInfluxd } from '../services/influxd.ts'
import { createSimulatedApi } from '../simulator/api.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { startChild } from './child.ts'
import { assertRows, isFinal, minuteBegin } from './rows-in.ts'
import { assertTruth, storedIn } from './truth-in.ts'
import { HOUR_NS, LAG_NS, originOf } from './world.ts'

const MINUTE_NS = 60_000_000_000n
/** Rows of one process, before it is killed. */
const ROWS_MS = 16_000

test('killed in mid-window it goes on where it was, and the database holds the truth', async (t) => {
  const database = await startInfluxd(t, { databases: ['flows'] })
  const tailnet = createTailnet({ nodes: 20 })
  // The clock of the API stands still, so that the last edge is known; the service has the real one.
  const nowNs = BigInt(Math.floor(Date.now() / 1000)) * 1_000_000_000n
  const api = createSimulatedApi(tailnet, { nowNs: () => nowNs })
  await api.start()
  t.after(() => api.stop())
  const env = {
    TAILSCALE_API_URL: api.url,
    TAILSCALE_API_KEY: 'tskey-api-demo',
    INFLUX_URL: database.url,
    INFLUX_API: 'v1',
    INFLUX_DB: 'flows',
    TAILFLUX_DATA_DIR: temporaryFolder(t),
    TAILFLUX_POLL_LOOKBACK: '1h',
    TAILFLUX_POLL_INTERVAL: '5s',
    TAILFLUX_POLL_WINDOW_MAX: '4m',
    TAILFLUX_POLL_PARALLEL: '2',
    // What is asked for again is then only what was not done.
    TAILFLUX_POLL_LATE_PASSES: '[]',
    TAILFLUX_INFLUX_BATCH_LINES_MAX: '200',
    // Whatever observes the line, a crash of it takes no receipt back.
    TAILFLUX_ALERTS_RULES: '[{ name: busy, by: node, above: 1kbps, window: 1m }]',
  }
  const fromNs = nowNs - HOUR_NS
  const toNs = nowNs - LAG_NS
  const place = { url: database.url, db: 'flows' }

  let doneNs = fromNs
  for (const minute of [20n, 35n, 50n]) {
    // The window that has this moment stops in the middle of its body, for as long as one waits.
    const atNs = fromNs + minute * MINUTE_NS
    const endFault = api.setFault({ kind: 'hang-body', afterBytes: 150_000, overlaps: { fromNs: atNs, toNs: atNs } })
    const hanging = api.nextRequest(
      (one) => one.window !== undefined && one.window.fromNs <= atNs && one.window.toNs >= atNs,
    )
    const child = await startChild(t, env)
    const { window } = await inTime(() => `the window; output: ${child.output()}`, hanging)
    const [first] = tailnet.records(window!.fromNs, window!.toNs)
    await eventually('points of the window that hangs', async () => {
      const [result] = await database.query(`SELECT * FROM tailnet_flow WHERE time = ${first!.startNs}`, 'flows')
      return result?.series !== undefined
    })
    await child.until(({ watermarkNs }) => watermarkNs === String(window!.fromNs))
    assert.equal(await child.kill('SIGKILL'), 'SIGKILL')
    doneNs = window!.fromNs
    endFault()
  }
  const asked = api.count('logs')
  const child = await startChild(t, env)
  await child.until(({ watermarkNs }) => watermarkNs === String(toNs))
  const again = api.requests.slice(-(api.count('logs') - asked)).flatMap(({ window }) => window ?? [])
  const earliest = again.reduce((least, { fromNs }) => (fromNs < least ? fromNs : least), toNs)
  assert.ok(earliest >= doneNs, 'what was done is not read again')
  assert.match(child.output(), /alerts ended without saving/)

  // While one has the data directory, no other process gets it.
  const second = await startChild(t, { ...env, TAILFLUX_HTTP_PORT: '0' })
  assert.equal(await inTime('the end of the second process', second.ended), 75)
  assert.match(second.output(), /another (process|tailflux)/i)
  assert.ok(second.output().includes(join(env.TAILFLUX_DATA_DIR, 'state.db')), second.output())
  assert.equal((await child.get('/readyz')).status, 200)

  // It began where it looked back to by its own idea of the API's clock.
  const originNs = originOf(api)
  assert.ok(originNs >= fromNs && originNs < fromNs + MINUTE_NS)
  assert.equal(await child.kill('SIGKILL'), 'SIGKILL')
  const points = await assertTruth(storedIn(place), tailnet.truth(originNs, toNs))

  // Minutes at the end are not final; all others are struck off the list in the end, also when each process is killed while it makes rows.
  const notFinal = new Set<bigint>()
  for (const { timestampNs } of tailnet.truth(originNs, toNs)) {
    const minuteNs = minuteBegin(timestampNs)
    if (!isFinal(minuteNs, toNs)) notFinal.add(minuteNs)
  }
  let kills = 0
  for (let isSettled = false; !isSettled; kills += 1) {
    assert.ok(kills < 20, 'the list does not end')
    // As ten minutes later: minutes before the origin, of which records came late, wait so long for the rest, each time that they are on the list.
    const state = new DatabaseSync(join(env.TAILFLUX_DATA_DIR, 'state.db'))
    state.exec(`UPDATE ledger_unsettled SET since_ns = since_ns - ${10n * MINUTE_NS}`)
    state.close()
    const maker = await startChild(t, env)
    const endMs = performance.now() + ROWS_MS
    await maker.until(async () => {
      const { body } = await maker.get('/metrics')
      isSettled = body.includes(`\ntailflux_rollup_waiting ${notFinal.size}\n`)
      return isSettled || performance.now() > endMs
    })
    if (isSettled) {
      assert.equal(await maker.kill('SIGTERM'), 0)
      assert.doesNotMatch(maker.output(), /derived rows wait/, 'a stop is no failure of the database')
    } else assert.equal(await maker.kill('SIGKILL'), 'SIGKILL')
  }
  const { settings } = loadSettings({ env })
  const { rows, stop } = openRows({ ...settings, storePath: '', tailnet: tailnetTag(settings) }, { clock: systemClock })
  t.after(stop)
  const rowCount = await assertRows(rows, storedIn(place), toNs)
  t.diagnostic(
    `${points} points after three kills, ${rowCount} rows after ${kills} more; second process: ${second.output().trim()}`,
  )
})
