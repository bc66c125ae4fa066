/** CPU per entry of one answer with 10^4 to 10^7 entries. */
import { startChild } from './child.ts'
import { inputOf } from './inputs.ts'
import { type Measured, type Progress, RUNS } from './report.ts'
import { type Summary, summarize } from './stats.ts'

const TAILNET = 'large, no node info'
const COUNTS = [1e4, 1e5, 1e6, 1e7] as const
/** Small ones are repeated, so that each figure has its share of garbage collection. */
const LEAST_ENTRIES = 1e6
const WARM_UP_ENTRIES = 2e6

export async function measureGrowth(progress: Progress): Promise<Measured> {
  progress('growth: 10,000 to 10,000,000 entries in one answer')
  const input = inputOf(TAILNET, { entries: COUNTS.at(-1)! })
  const child = await startChild('growth-child.ts', { args: [input.path, TAILNET], core: 1 })
  const runs = new Map<number, number[]>(COUNTS.map((count) => [count, []]))
  try {
    await child.ask(WARM_UP_ENTRIES)
    for (let run = 0; run < RUNS; run++) {
      for (const count of COUNTS) {
        const times = Math.max(1, Math.round(LEAST_ENTRIES / count))
        let sum = 0
        for (let i = 0; i < times; i++) sum += await child.ask<number>(count)
        runs.get(count)!.push(sum / times)
      }
    }
  } finally {
    await child.stop()
  }
  const figures: { count: number; cpu: Summary }[] = COUNTS.map((count) => ({
    count,
    cpu: summarize(runs.get(count)!),
  }))
  const flat = figures.slice(1).map(({ cpu }) => cpu.median)
  return {
    rows: figures.map(({ count, cpu }) => ({
      measurement: 'growth',
      input: `${TAILNET}, ${count.toLocaleString('en')} entries`,
      route: 'the line, one core, warm',
      cpu,
    })),
    goalResults: [
      {
        goal: 'growth: dearest over cheapest CPU per entry from 10^5 to 10^7 entries',
        figure: Math.max(...flat) / Math.min(...flat),
        atMost: 1.1,
      },
    ],
    figures,
  }
}
