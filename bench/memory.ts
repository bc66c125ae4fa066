/** Peak memory of the whole service for one answer of 10 MB, 100 MB and 1 GB; beside it the plain route. */
import { startAnswers } from './answers.ts'
import { startChild } from './child.ts'
import { startDiscard } from './discard.ts'
import { FROM_NS, type Input, inputOf, tailnetOf } from './inputs.ts'
import { type Measured, type Progress, type Row, RUNS } from './report.ts'
import { startService } from './service.ts'
import { type Summary, summarize } from './stats.ts'

const SIZES = { '10 MB': 10e6, '100 MB': 100e6, '1 GB': 1e9 } as const
/** JSON.parse takes no text beyond 2^29 characters. */
const PLAIN_BYTES_MAX = 512e6

export async function measureMemory(progress: Progress): Promise<Measured> {
  const figures: { size: string; route: string; entries: number; peak: Summary; seconds?: Summary }[] = []
  const rows: Row[] = []
  for (const [size, bytes] of Object.entries(SIZES)) {
    progress(`memory: ${size}`)
    const input = inputOf('large', { bytes })
    const peaks: number[] = []
    const rates: number[] = []
    const cpus: number[] = []
    for (let run = 0; run < RUNS; run++) {
      const { peakBytes, seconds, cpuSeconds } = await runService(input)
      peaks.push(peakBytes)
      rates.push(input.entries / seconds)
      cpus.push((cpuSeconds / input.entries) * 1e6)
    }
    const peak = summarize(peaks)
    figures.push({ size, route: 'service', entries: input.entries, peak })
    rows.push({
      measurement: 'memory',
      input: `large, ${size}`,
      route: 'service, answer to a database that discards',
      rate: summarize(rates),
      cpu: summarize(cpus),
      peak,
    })
    if (bytes > PLAIN_BYTES_MAX) {
      rows.push({
        measurement: 'memory',
        input: `large, ${size}`,
        route: 'plain',
        remark: 'impossible: no string is that long',
      })
      continue
    }
    const child = await startChild('plain-child.ts', { args: [input.path] })
    await child.ask('run')
    const plainPeak = summarize([child.peakBytes()])
    await child.stop()
    figures.push({ size, route: 'plain', entries: input.entries, peak: plainPeak })
    rows.push({ measurement: 'memory', input: `large, ${size}`, route: 'plain, to nowhere', peak: plainPeak })
  }
  const peak = (size: string) => figures.find((one) => one.size === size && one.route === 'service')!.peak.median
  return {
    rows,
    figures,
    goalResults: [
      { goal: 'peak memory at 1 GB over that at 100 MB', figure: peak('1 GB') / peak('100 MB'), atMost: 1.1 },
      { goal: 'peak memory at 1 GB', figure: peak('1 GB') / 1e6, atMost: 160, unit: ' MB' },
    ],
  }
}

async function runService(input: Input) {
  await using answers = await startAnswers(tailnetOf('large'), FROM_NS)
  await using database = await startDiscard()
  await using service = await startService({
    TAILSCALE_API_URL: answers.url,
    INFLUX_URL: database.url,
    INFLUX_API: 'v1',
    INFLUX_DB: 'bench',
  })
  const done = service.entriesDone(input.entries)
  const beganMs = performance.now()
  answers.release([input.path])
  answers.answerEmpty()
  await done
  const seconds = (performance.now() - beganMs) / 1000
  return { peakBytes: service.peakBytes(), cpuSeconds: service.cpuSeconds(), seconds }
}
