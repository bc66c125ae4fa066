/** Not a part of `npm test`, because it takes minutes: `node --test test/line/fifty-kills.ts` (KILLS and SEED as variables). An hour of fifty nodes, with all that the demo does,
 * is read into InfluxDB 1.6.7, while each process is killed at a random instant; then rows are compared with the oracle, minute by minute. */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../../src/base/clock.ts'
import { loadSettings } from '../../src/config/load.ts'
import { tailnetTag } from '../../src/config/settings.ts'
import { createDice } from '../../src/demo/random.ts'
import { openRows } from '../../src/query/open-rows.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { startInfluxd } from '../services/influxd.ts'
import { createSimulatedApi } from '../simulator/api.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { startChild } from './child.ts'
import { assertRows, isFinal, minuteBegin } from './rows-in.ts'
import { assertTruth, storedIn } from './truth-in.ts'
import { LAG_NS, originOf } from './world.ts'

const MINUTE_NS = 60_000_000_000n
const KILLS = Number(process.env['KILLS'] ?? 50)
const SEED = Number(process.env['SEED'] ?? 1)
/** A process lives at most this long after its start. */
const LIFE_MS = 4_000

test(`killed ${KILLS} times at random instants, seed ${SEED}`, async (t) => {
  const dice = createDice()
  dice.seed(SEED)
  const database = await startInfluxd(t, { databases: ['flows'] })
  const tailnet = createTailnet({ nodes: 50, seed: SEED })
  const nowNs = BigInt(Math.floor(Date.now() / 1000)) * 1_000_000_000n
  const api = createSimulatedApi(tailnet, { nowNs: () => nowNs })
  await api.start()
  t.after(() => api.stop())
  const env = {
    ...{ TAILSCALE_API_URL: api.url, TAILSCALE_API_KEY: 'tskey-api-demo' },
    ...{ INFLUX_URL: database.url, INFLUX_API: 'v1', INFLUX_DB: 'flows', TAILFLUX_DATA_DIR: temporaryFolder(t) },
    ...{ TAILFLUX_POLL_LOOKBACK: '1h', TAILFLUX_POLL_INTERVAL: '5s', TAILFLUX_POLL_WINDOW_MAX: '1m' },
    ...{ TAILFLUX_POLL_PARALLEL: '2', TAILFLUX_INFLUX_BATCH_LINES_MAX: '200', TAILFLUX_POLL_LATE_PASSES: '[15m]' },
  }
  const toNs = nowNs - LAG_NS
  for (let kill = 0; kill < KILLS; kill++) {
    const child = await startChild(t, env)
    await sleep(dice.below(LIFE_MS))
    assert.equal(await child.kill('SIGKILL'), 'SIGKILL')
    // Once the state file is lost, when half is done.
    if (kill === Math.floor(KILLS / 2)) {
      rmSync(join(env.TAILFLUX_DATA_DIR, 'state.db'))
    }
  }
  const originNs = originOf(api)
  const notFinal = new Set<bigint>()
  for (const { timestampNs } of tailnet.truth(originNs, toNs)) {
    const minuteNs = minuteBegin(timestampNs)
    if (!isFinal(minuteNs, toNs)) notFinal.add(minuteNs)
  }
  let isSettled = false
  for (let runs = 0; !isSettled; runs += 1) {
    assert.ok(runs < 30, 'the list does not end')
    const state = new DatabaseSync(join(env.TAILFLUX_DATA_DIR, 'state.db'))
    state.exec(`UPDATE ledger_unsettled SET since_ns = since_ns - ${10n * MINUTE_NS}`)
    state.close()
    const maker = await startChild(t, env)
    const endMs = performance.now() + 30_000
    let waiting = ''
    await maker.until(async ({ watermarkNs }) => {
      waiting = /^tailflux_rollup_waiting (\d+)$/m.exec((await maker.get('/metrics')).body)?.[1] ?? ''
      isSettled = watermarkNs === String(toNs) && waiting !== '' && Number(waiting) <= notFinal.size
      return isSettled || performance.now() > endMs
    })
    t.diagnostic(`run ${runs}: ${waiting} minutes wait, ${notFinal.size} are not final`)
    assert.equal(await maker.kill('SIGTERM'), 0)
  }
  const points = await assertTruth(storedIn({ url: database.url, db: 'flows' }), tailnet.truth(originNs, toNs))
  const { settings } = loadSettings({ env })
  const { rows, stop } = openRows({ ...settings, storePath: '', tailnet: tailnetTag(settings) }, { clock: systemClock })
  t.after(stop)
  const rowCount = await assertRows(rows, storedIn({ url: database.url, db: 'flows' }), toNs)
  t.diagnostic(`${KILLS} kills, one lost state file: ${points} points are the truth, ${rowCount} rows are the oracle's`)
})
