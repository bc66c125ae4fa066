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
import { assertRows, isFinal } from './rows-in.ts'
import { assertTruth, storedIn } from './truth-in.ts'
import { LAG_NS, originOf } from './world.ts'

const MINUTE_NS = 60_000_000_000n
const KILLS = Number(process.env['KILLS'] ?? 50)
const SEED = Number(process.env['SEED'] ?? 1)
/** A process lives at most this long after its start. */
const LIFE_MS = 4_000
/** Afterwards each process makes rows for so long. */
const WORK_MS = 30_000

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
  const statePath = join(env.TAILFLUX_DATA_DIR, 'state.db')
  /** A new ledger lists an hour beyond what can be read: those minutes stay. */
  const waiting = () => {
    const state = new DatabaseSync(statePath, { readOnly: true })
    const rows = state
      .prepare("SELECT CAST(start_ns AS TEXT) AS start FROM ledger_unsettled WHERE tier = 'minute'")
      .all()
    state.close()
    return rows.filter(({ start }) => isFinal(BigInt(String(start)), toNs)).length
  }
  for (let runs = 0; runs === 0 || waiting() > 0; runs += 1) {
    assert.ok(runs < 30, 'the list does not end')
    const state = new DatabaseSync(statePath)
    state.exec(`UPDATE ledger_unsettled SET since_ns = since_ns - ${10n * MINUTE_NS}`)
    state.close()
    const maker = await startChild(t, env)
    // Its state file is open to nobody else.
    const endMs = performance.now() + WORK_MS
    await maker.until(() => performance.now() > endMs)
    assert.equal(await maker.kill('SIGTERM'), 0)
    t.diagnostic(`run ${runs}: ${waiting()} minutes wait`)
  }
  const points = await assertTruth(storedIn({ url: database.url, db: 'flows' }), tailnet.truth(originNs, toNs))
  const { settings } = loadSettings({ env })
  const { rows, stop } = openRows({ ...settings, storePath: '', tailnet: tailnetTag(settings) }, { clock: systemClock })
  t.after(stop)
  const rowCount = await assertRows(rows, storedIn({ url: database.url, db: 'flows' }), toNs)
  t.diagnostic(`${KILLS} kills, one lost state file: ${points} points are the truth, ${rowCount} rows are the oracle's`)
})
