/** From the moment when the API shows a record to the moment when its points can be queried, at 1,000 nodes, with the default settings. */
import { setTimeout as sleep } from 'node:timers/promises'
import { settingsSchema } from '../src/config/settings.ts'
import { pollTimes } from '../src/schedule/config.ts'
import { iteratePoints } from '../test/services/influx-read.ts'
import { type Influxd, startInfluxd } from '../test/services/influxd.ts'
import { API_CREDENTIALS } from '../test/simulator/credentials.ts'
import { startChild } from './child.ts'
import { tailnetOf } from './inputs.ts'
import type { Measured, Progress } from './report.ts'
import { startService } from './service.ts'
import { quantile } from './stats.ts'

const TAILNET = 'medium'
/** Records that are logged so long are followed. */
const FOLLOWED_MS = 90_000
/** How often is looked: the figures are too high by half of it. */
const LOOK_MS = 200
const START_MS = 5_000
const PATIENCE_MS = 30_000
/** One node in so many is looked at: a look must not take long. */
const SAMPLED = 10
/** Records that were held back while their node was offline started hours before. */
const STARTED_BEFORE_MS = 86_400_000n

export async function measureFreshness(progress: Progress): Promise<Measured> {
  const { poll } = settingsSchema.parse({})
  const { gapMs } = pollTimes(poll)
  const slowestMs = poll.lag + gapMs
  progress(`freshness: 1,000 nodes, ${Math.round((FOLLOWED_MS + slowestMs) / 1000)} s`)
  const api = await startChild('demo-child.ts', { args: [TAILNET] })
  await using server = await startInfluxd(undefined, { databases: ['bench'] })
  try {
    await using _service = await startService({
      TAILSCALE_API_URL: await api.ask<string>('url'),
      TAILSCALE_API_KEY: API_CREDENTIALS.apiKeys[0],
      TAILFLUX_POLL_LOOKBACK: '0s',
      INFLUX_URL: server.url,
      INFLUX_API: 'v1',
      INFLUX_DB: 'bench',
    })
    const fromMs = Date.now() + START_MS
    const toMs = fromMs + FOLLOWED_MS
    const seenMs = await follow(server, toMs + slowestMs + PATIENCE_MS, fromMs, toMs)
    const delays: number[] = []
    let missing = 0
    for (const { node, startNs, loggedNs, copy } of recordsOf(fromMs, toMs)) {
      const seen = seenMs.get(key(node.nodeId, startNs))
      // A second upload overwrites what is there.
      if (copy) continue
      if (seen === undefined) missing += 1
      else delays.push(seen / 1000 - Number(loggedNs / 1_000_000n) / 1000)
    }
    if (missing > 0) throw new Error(`${missing} of ${missing + delays.length} records did not appear`)
    delays.sort((a, b) => a - b)
    const [p50, p99] = [quantile(delays, 0.5), quantile(delays, 0.99)]
    return {
      rows: [
        {
          measurement: 'freshness',
          input: '1,000 nodes',
          route: 'service into InfluxDB 1.6.7',
          remark: `p50 ${p50.toFixed(1)} s, p99 ${p99.toFixed(1)} s, of ${delays.length} records; lag ${poll.lag / 1000} s, interval ${gapMs / 1000} s`,
        },
      ],
      goalResults: [{ goal: 'freshness: p99 at 1,000 nodes', figure: p99, atMost: slowestMs / 1000 + 2, unit: ' s' }],
      figures: { p50, p99, max: delays.at(-1), records: delays.length, lagMs: poll.lag, intervalMs: gapMs },
    }
  } finally {
    await api.stop()
  }
}

/** Of the sampled nodes; those without an entry have no points. */
function recordsOf(fromMs: number, toMs: number) {
  const tailnet = tailnetOf(TAILNET)
  const all = [...tailnet.records(BigInt(fromMs) * 1_000_000n, BigInt(toMs) * 1_000_000n - 1n)]
  return all.filter(({ node, entries }) => node.index % SAMPLED === 0 && entries.some((list) => list.length > 0))
}

/** When a point of each record was there for the first time, wall clock, by `<node> <start>`. Ends when all records of the range were seen. */
async function follow(server: Influxd, untilMs: number, fromMs: number, toMs: number): Promise<Map<string, number>> {
  const seenMs = new Map<string, number>()
  let pointCount = 0
  const sampled = [
    ...new Set(
      tailnetOf(TAILNET)
        .nodes.filter(({ index }) => index % SAMPLED === 0)
        .map(({ nodeId }) => nodeId),
    ),
  ]
  const ofSampled = `(${sampled.map((id) => `node = '${id}'`).join(' OR ')})`
  let expected: Set<string> | undefined
  while (Date.now() < untilMs) {
    await sleep(LOOK_MS)
    const [counted] = await server.query(`SELECT count(tx_bytes) FROM tailnet_flow WHERE ${ofSampled}`, 'bench')
    const lookedMs = Date.now()
    const count = Number(counted?.series?.[0]?.values[0]?.[1] ?? 0)
    if (count > pointCount) {
      pointCount = count
      const where = `${ofSampled} AND time >= ${(BigInt(fromMs) - STARTED_BEFORE_MS) * 1_000_000n}`
      for await (const { tags, timestampNs } of iteratePoints(
        { url: server.url, db: 'bench' },
        'tailnet_flow',
        where,
      )) {
        const one = key(tags['node'] ?? '', timestampNs)
        if (!seenMs.has(one)) seenMs.set(one, lookedMs)
      }
    }
    if (Date.now() < toMs + 1000) continue
    expected ??= new Set(Array.from(recordsOf(fromMs, toMs), ({ node, startNs }) => key(node.nodeId, startNs)))
    for (const one of expected) if (seenMs.has(one)) expected.delete(one)
    if (expected.size === 0) break
  }
  return seenMs
}

function key(node: string, startNs: bigint): string {
  return `${node} ${startNs}`
}
