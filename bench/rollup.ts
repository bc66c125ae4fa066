/** What derived rows cost beside the line: CPU per entry and memory, at 1,000 and 5,000 nodes. Each process holds the whole answer in memory, so only
 * differences of memory mean anything. */
import { startChild } from './child.ts'
import { inputOf, type TailnetName } from './inputs.ts'
import { type Measured, type Progress, RUNS } from './report.ts'
import type { RollupMode, RollupRun } from './rollup-child.ts'
import { START_FLAGS } from './start-flags.ts'
import { type Summary, summarize } from './stats.ts'

const MODES: readonly RollupMode[] = ['line', 'intake', 'rows']
const TAILNETS: readonly TailnetName[] = ['medium', 'large']
/** 24 minutes of 1,000 nodes, so that minutes are also made again and given up. */
const INPUT_BYTES = 250e6
/** Rows may take so much at 1,000 nodes. */
const MEMORY_MAX = 60e6

interface Figures {
  readonly tailnet: TailnetName
  readonly mode: RollupMode
  /** CPU seconds per million entries. */
  readonly cpu: Summary
  readonly peakBytes: number
  readonly run: RollupRun
}

export async function measureRollup(progress: Progress): Promise<Measured> {
  const figures: Figures[] = []
  for (const tailnet of TAILNETS) {
    const input = inputOf(tailnet, { bytes: INPUT_BYTES })
    const children = new Map<RollupMode, Awaited<ReturnType<typeof startChild>>>()
    const runs = new Map<RollupMode, RollupRun[]>(MODES.map((mode) => [mode, []]))
    progress(`rollup: the line alone and with rows, ${tailnet}`)
    try {
      for (const mode of MODES)
        children.set(mode, await startChild('rollup-child.ts', { args: [input.path, mode], flags: START_FLAGS }))
      for (const child of children.values()) await child.ask<RollupRun>(null)
      for (let run = 0; run < RUNS; run++)
        for (const [mode, child] of children) runs.get(mode)!.push(await child.ask<RollupRun>(null))
      for (const [mode, child] of children) {
        const mine = runs.get(mode)!
        const cpu = summarize(mine.map(({ cpuSeconds, entries }) => (cpuSeconds / entries) * 1e6))
        figures.push({ tailnet, mode, cpu, peakBytes: child.peakBytes(), run: mine.at(-1)! })
      }
    } finally {
      for (const child of children.values()) await child.stop()
    }
  }
  const of = (tailnet: TailnetName, mode: RollupMode) =>
    figures.find((one) => one.tailnet === tailnet && one.mode === mode)!
  return {
    rows: figures.map(({ tailnet, mode, cpu, peakBytes, run }) => ({
      measurement: 'rollup',
      input: tailnet,
      route: { line: 'the line alone', intake: 'its points are kept', rows: 'rows of minutes and hours' }[mode],
      cpu,
      peak: summarize([peakBytes]),
      ...(mode === 'rows' ? { remark: remarkOf(run) } : {}),
    })),
    goalResults: [
      {
        goal: 'rollup: CPU of the line with rows over the line alone, 1,000 nodes',
        figure: of('medium', 'rows').cpu.median / of('medium', 'line').cpu.median,
        atMost: 1.25,
      },
      {
        goal: 'rollup: memory of the line with rows beyond the line alone, 1,000 nodes',
        figure: (of('medium', 'rows').peakBytes - of('medium', 'line').peakBytes) / 1e6,
        atMost: MEMORY_MAX / 1e6,
        unit: ' MB',
      },
    ],
    figures,
  }
}

function remarkOf({ minutes, rows, rowBytes, hourRows, points, entries }: RollupRun): string {
  const lines = `${(rows / entries).toFixed(3)} lines and ${(rowBytes / entries).toFixed(0)} bytes of rows per entry`
  return `${minutes} minutes made, ${lines}, ${hourRows} rows of hours; ${(points / entries).toFixed(2)} raw points per entry`
}
