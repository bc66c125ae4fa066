/** Catching up after an outage: the history of a tailnet of 1,000 nodes, read as fast as it goes into InfluxDB; and the rate of the embedded
 * store. A quarter of an hour of history per run; the whole day is that times 96. */
import { startInfluxd } from '../test/services/influxd.ts'
import { startAnswers } from './answers.ts'
import { startChild } from './child.ts'
import { FROM_NS, type Input, inputOf, tailnetOf } from './inputs.ts'
import { type Measured, type Progress, RUNS } from './report.ts'
import type { RouteRun } from './routes/routes.ts'
import { startService } from './service.ts'
import { summarize } from './stats.ts'

const TAILNET = 'medium'
/** What one window is meant to bring (`poll.windowBytesTarget`). */
const ANSWER_BYTES = 8 << 20
const ANSWERS = 20
const DAY_SECONDS = 86_400
const STORE_ANSWERS = 2

export async function measureCatchUp(progress: Progress): Promise<Measured> {
  progress('catch-up: history of 1,000 nodes into InfluxDB')
  const rounds: Input[][] = []
  let fromNs = FROM_NS
  for (let round = 0; round <= RUNS; round++) {
    rounds.push(
      Array.from({ length: ANSWERS }, () => {
        const input = inputOf(TAILNET, { bytes: ANSWER_BYTES }, fromNs)
        fromNs = input.endNs
        return input
      }),
    )
  }
  const rates: number[] = []
  const cpus: number[] = []
  const days: number[] = []
  {
    await using server = await startInfluxd(undefined, { settings: { coordinator: { 'write-timeout': '1m' } } })
    await using answers = await startAnswers(tailnetOf(TAILNET), FROM_NS)
    await using service = await startService({
      TAILSCALE_API_URL: answers.url,
      TAILFLUX_TAILSCALE_HEAD_TIMEOUT: '1h',
      TAILFLUX_TAILSCALE_TOTAL_TIMEOUT: '1h',
      TAILFLUX_POLL_LATE_PASSES: '[]',
      TAILFLUX_POLL_LOOKBACK: '30d',
      INFLUX_URL: server.url,
      INFLUX_API: 'v1',
      INFLUX_DB: 'bench',
      TAILFLUX_INFLUX_CREATE_DATABASE: 'true',
    })
    for (const [index, inputs] of rounds.entries()) {
      const entries = inputs.reduce((sum, input) => sum + input.entries, 0)
      const done = service.entriesDone(entries)
      const cpuBefore = service.cpuSeconds()
      const beganMs = performance.now()
      answers.release(inputs.map(({ path }) => path))
      await done
      const seconds = (performance.now() - beganMs) / 1000
      if (index === 0) continue
      const span = Number(inputs.at(-1)!.endNs - rounds[index - 1]!.at(-1)!.endNs) / 1e9
      rates.push(entries / seconds)
      cpus.push(((service.cpuSeconds() - cpuBefore) / entries) * 1e6)
      days.push((seconds / span) * DAY_SECONDS)
    }
  }
  const day = summarize(days)

  progress('catch-up: the embedded store')
  const storeRuns: RouteRun[] = []
  const child = await startChild('store-child.ts', { args: [TAILNET] })
  try {
    for (const [index, inputs] of rounds.entries()) {
      const run = await child.ask<RouteRun>(inputs.slice(0, STORE_ANSWERS).map(({ path }) => path))
      if (index > 0) storeRuns.push(run)
    }
  } finally {
    await child.stop()
  }
  return {
    rows: [
      {
        measurement: 'catch-up',
        input: '1,000 nodes into InfluxDB 1.6.7',
        route: 'service, 3 windows at once',
        rate: summarize(rates),
        cpu: summarize(cpus),
        remark: `24 h of history in ${(day.median / 60).toFixed(1)} min, at this hour's traffic`,
      },
      {
        measurement: 'catch-up',
        input: '1,000 nodes into the embedded store',
        route: 'writing of finished batches',
        rate: summarize(storeRuns.map(({ entries, seconds }) => entries / seconds)),
        cpu: summarize(storeRuns.map(({ entries, cpuSeconds }) => (cpuSeconds / entries) * 1e6)),
      },
    ],
    goalResults: [{ goal: 'catch-up: 24 h of 1,000 nodes', figure: day.median / 60, unit: ' min' }],
    figures: { rates, cpus, days, storeRuns },
  }
}
