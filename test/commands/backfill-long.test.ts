/** A week of a tailnet of 200 nodes, read beside a live service that is killed five times. Takes minutes: `TAILFLUX_TEST_LONG=1` asks for it. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { StatusAnswer } from '../../src/observe/status.ts'
import { runCli, startCli } from '../helpers/cli.ts'
import { MEASUREMENTS, type StoredPoint } from '../line/truth-in.ts'
import { iteratePoints } from '../services/influx-read.ts'
import { startInfluxd } from '../services/influxd.ts'
import { freePort } from '../services/server-process.ts'
import { missing } from '../services/servers.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { truthKey } from '../simulator/truth.ts'
import { startSimulated } from './simulated.ts'

const HOUR_NS = 3_600_000_000_000n
const DAYS = Number(process.env['TAILFLUX_TEST_LONG_DAYS'] ?? 7)
const NODES = 200
const ACTIVITY = 0.1
/** Uploads come so late at most. */
const LATE_NS = 6n * HOUR_NS
const KILLS = [0.1, 0.3, 0.5, 0.7, 0.9]
const skip = process.env['TAILFLUX_TEST_LONG'] ? await missing('influxd') : 'asked for by TAILFLUX_TEST_LONG=1'

/** Number and sum of hashes: equal for equal sets, whatever the order. */
function createSum() {
  let count = 0
  let sum = 0n
  return {
    add(point: StoredPoint): void {
      const fields = Object.entries(point.fields).toSorted(([one], [other]) => (one < other ? -1 : 1))
      const text = `${truthKey(point)}\t${fields.map(([name, value]) => `${name}=${value}`).join()}`
      sum = (sum + createHash('md5').update(text).digest().readBigUInt64LE()) & ((1n << 64n) - 1n)
      count += 1
    },
    value: () => ({ count, sum: sum.toString(16) }),
  }
}

test('a week of 200 nodes, killed five times, is the truth, and the present does not wait', {
  skip,
  timeout: 3_600_000,
}, async (t) => {
  const tailnet = createTailnet({ nodes: NODES, seed: 77, activity: ACTIVITY })
  const [{ api, env: place }, influxd, port] = await Promise.all([
    startSimulated(t, tailnet),
    startInfluxd(t, { databases: ['flows'], index: 'tsi1' }),
    freePort(),
  ])
  const env = {
    ...place,
    TAILFLUX_HTTP_PORT: String(port),
    INFLUX_URL: influxd.url,
    INFLUX_API: 'v1',
    INFLUX_DB: 'flows',
    TAILFLUX_POLL_LOOKBACK: '5m',
    TAILFLUX_POLL_INTERVAL: '5s',
    TAILFLUX_POLL_LAG: '15s',
    TAILFLUX_POLL_LATE_PASSES: '[]',
  }
  const toNs = BigInt(Math.floor(Date.now() / 1000)) * 1_000_000_000n - HOUR_NS
  const fromNs = toNs - BigInt(DAYS) * 24n * HOUR_NS
  const iso = (ns: bigint) => new Date(Number(ns / 1_000_000n)).toISOString()
  const status = async () => {
    try {
      return (await (await fetch(`http://127.0.0.1:${port}/api/status`)).json()) as StatusAnswer
    } catch {
      // It is being killed or started.
      return undefined
    }
  }
  async function caughtUp(): Promise<void> {
    for (let now = await status(); (now?.lagSeconds ?? 1e9) > 40; now = await status()) await sleep(200)
  }
  let service = startCli(t, ['run'], env)
  await caughtUp()
  const lags = { before: [] as number[], during: [] as number[] }
  for (let second = 0; second < 20; second += 1) {
    lags.before.push((await status())?.lagSeconds ?? 0)
    await sleep(1_000)
  }
  const asked = await runCli(t, ['backfill', '--from', iso(fromNs), '--to', iso(toNs), '--detach'], env)
  assert.equal(asked.code, 0, asked.stderr)
  const beganMs = performance.now()
  let away = 0
  for (const at of [...KILLS, 1]) {
    for (let now = await status(); (now?.backfill?.share ?? 0) < at; now = await status()) {
      if (now?.lagSeconds != null) lags.during.push(now.lagSeconds)
      await sleep(500)
    }
    if (at === 1) break
    const killedMs = performance.now()
    service.child.kill('SIGKILL')
    await service.ended
    service = startCli(t, ['run'], env)
    await caughtUp()
    away += performance.now() - killedMs
  }
  const seconds = (performance.now() - beganMs) / 1000
  service.child.kill('SIGTERM')
  assert.equal(await service.ended, 0)

  const [first, last] = [fromNs, toNs - LATE_NS]
  const truth = createSum()
  for (const point of tailnet.truth(fromNs, toNs)) {
    if (point.timestampNs >= first && point.timestampNs < last) truth.add(point)
  }
  const stored = createSum()
  for (const measurement of MEASUREMENTS) {
    const range = `time >= ${first} AND time < ${last}`
    for await (const point of iteratePoints({ url: influxd.url, db: 'flows' }, measurement, range)) stored.add(point)
  }
  assert.deepEqual(stored.value(), truth.value())
  const bytes = api.requests.reduce((sum, request) => sum + request.bytes, 0)
  const { count } = stored.value()
  const of = (list: number[], share: number) =>
    list.toSorted((a, b) => a - b)[Math.floor((list.length - 1) * share)]?.toFixed(1)
  t.diagnostic(
    `${DAYS} days of ${NODES} nodes: ${count} points equal, ${(bytes / 1e9).toFixed(2)} GB read, in ${seconds.toFixed(0)} s (${(away / 1000).toFixed(0)} s of it killed and catching up), ${(count / seconds).toFixed(0)} points/s`,
  )
  t.diagnostic(
    `lag of the present: before ${of(lags.before, 0.5)} s (most ${of(lags.before, 1)}), meanwhile ${of(lags.during, 0.5)} s (95 %: ${of(lags.during, 0.95)}, most ${of(lags.during, 1)})`,
  )
})
