/** What the service costs when nothing happens. It runs beside the other measurements, which do not need all of the machine at all times; its
 * own CPU time is counted, and that is next to nothing. */
import { setTimeout as sleep } from 'node:timers/promises'
import { startAnswers } from './answers.ts'
import { startDiscard } from './discard.ts'
import { FROM_NS, tailnetOf } from './inputs.ts'
import type { Measured, Progress } from './report.ts'
import { startService } from './service.ts'

/** Starting up is no idling. */
const SETTLE_MS = 20_000
const TEN_MINUTES_MS = 600_000

export interface Idling {
  /** Backoff for the rest of the ten minutes. */
  finish(progress: Progress): Promise<Measured>
}

export function startIdling(): Idling {
  const measured = idle()
  // Reported by `finish`.
  measured.catch(() => undefined)
  return {
    async finish(progress) {
      progress('idle: the rest of ten minutes')
      return await measured
    },
  }
}

async function idle(): Promise<Measured> {
  await using answers = await startAnswers(tailnetOf('small'), FROM_NS)
  await using database = await startDiscard()
  answers.answerEmpty()
  await using service = await startService({
    TAILSCALE_API_URL: answers.url,
    TAILFLUX_POLL_LOOKBACK: '1h',
    INFLUX_URL: database.url,
    INFLUX_API: 'v1',
    INFLUX_DB: 'bench',
  })
  await sleep(SETTLE_MS)
  const beganMs = performance.now()
  const cpuBefore = service.cpuSeconds()
  await sleep(TEN_MINUTES_MS)
  const seconds = (performance.now() - beganMs) / 1000
  const cpuSeconds = service.cpuSeconds() - cpuBefore
  const inTenMinutes = (cpuSeconds / seconds) * 600
  const rssBytes = service.rssBytes()
  const remark = `${inTenMinutes.toFixed(2)} CPU s in 10 min, ${(rssBytes / 1e6).toFixed(0)} MB resident`
  return {
    rows: [{ measurement: 'idle', input: 'a silent tailnet', route: 'service', remark }],
    goalResults: [{ goal: 'idle: CPU seconds in ten minutes', figure: inTenMinutes, unit: ' s' }],
    figures: { seconds, cpuSeconds, rssBytes },
  }
}
