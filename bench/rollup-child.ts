/** The line over an answer, alone or with the rollup beside it: `line`; `intake`, points are kept and given up; `rows`, the whole engine makes minutes and
 * hours as windows are read. Its database is empty at the start, keeps how minutes were made, and takes everything else without looking. */
import { readFileSync } from 'node:fs'
import pino from 'pino'
import { createFlattener } from '../src/flatten/flatten.ts'
import { createEngine, type Engine } from '../src/rollup/engine.ts'
import type { MinuteRecord } from '../src/rollup/rows/row-store.ts'
import { influxSchema } from '../src/sink/config.ts'
import { splitLine } from '../src/sink/line-protocol/line-parts.ts'
import { createLineWriter } from '../src/sink/line-protocol/line-writer.ts'
import type { Batch } from '../src/sink/sink.ts'
import { tailscaleSchema } from '../src/source/config.ts'
import { createMessageReader } from '../src/source/parse/message-reader.ts'
import { createFakeClock } from '../test/helpers/fake-clock.ts'
import { createMemoryUnsettled } from '../test/helpers/memory-unsettled.ts'
import { serve } from './child.ts'
import { FROM_NS } from './inputs.ts'

export type RollupMode = 'line' | 'intake' | 'rows'
export interface RollupRun {
  readonly entries: number
  readonly cpuSeconds: number
  /** Lines of raw points; minutes that were made from memory, and from the database, each time counted; lines and bytes of rows that were written, and of
   * them those of hours. */
  readonly points: number
  readonly minutes: number
  readonly again: number
  readonly rows: number
  readonly rowBytes: number
  readonly hourRows: number
}

const MINUTE = 60_000_000_000n
/** A window is as long as the service waits between two of them. */
const WINDOW_NS = 30_000_000_000n
const CHUNK_BYTES = 64 * 1024
const [path, mode] = process.argv.slice(2) as [string, RollupMode]
const body = readFileSync(path)
const source = { ...tailscaleSchema.parse({}), answerBytesMax: 16 * 2 ** 30 }
const { batchLinesMax, batchBytesMax } = influxSchema.parse({})
const flattener = createFlattener({ tailnetAt: () => 'default', portsAt: () => 'service' })
const lines = createLineWriter({ batchLinesMax, batchBytesMax })
/** Whose each address is: what the directory knows of a tailnet whose devices are listed. */
const nodes = new Map<string, string>()
const view = {
  nodeOf: (address: string) => nodes.get(address),
  device: (node: string) => ({ name: node, owner: 'none', os: 'none' }),
  networkOf: () => undefined,
}

function createRollup() {
  const clock = createFakeClock(FROM_NS)
  const unsettled = createMemoryUnsettled()
  const records = new Map<bigint, MinuteRecord>()
  const counts = { minutes: 0, again: 0, rows: 0, rowBytes: 0, hourRows: 0 }
  let toNs = FROM_NS
  const none = async () => new Map()
  async function write({ bytes, lineCount, target }: Pick<Batch, 'bytes' | 'lineCount' | 'target'>) {
    counts.rows += lineCount
    counts.rowBytes += bytes.length
    if (target !== 'minutes') keepRecords(bytes, lineCount)
    return { written: lineCount, rejected: 0, expired: 0, sentMs: 0 }
  }
  function keepRecords(bytes: Uint8Array, lineCount: number): void {
    if (lineCount > 10) counts.hourRows += lineCount
    else
      for (const line of new TextDecoder().decode(bytes).split('\n')) {
        if (!line.startsWith('tailflux_minute')) continue
        const { fields, timestamp } = splitLine(line)
        const digest = /digest="(\w+)"/.exec(fields)?.[1] ?? ''
        const [startNs, rows] = [BigInt(timestamp), 0]
        records.set(startNs, { startNs, digest, points: 0, rows, writer: 'w', isGap: false })
      }
  }
  const store = {
    ...{
      canQuery: async () => true,
      reads: async () => 'all' as const,
      kinds: unexpected,
      rows: unexpected,
      devices: unexpected,
      newestDevices: unexpected,
    },
    // Of records that come hours late nothing is there.
    ...{ rawPoints: async () => undefined, standing: none, summed: none, reporting: none, usersOf: none },
    minutes: async (fromNs: bigint, to: bigint) =>
      [...records.values()].filter(({ startNs }) => startNs >= fromNs && startNs < to),
  }
  const nothing = () => undefined
  const engine: Engine = createEngine(
    { tailnetAt: () => 'default', minutesKeptMs: undefined, restKeptMs: undefined },
    {
      ...{ store, sink: { label: 'none', write: write as never }, clock, log: pino({ level: 'silent' }), readers: [] },
      ledger: {
        ...{ unsettled, originNs: () => FROM_NS - 120n * MINUTE, gaps: () => [], writer: 'w' },
        settled: () => [{ fromNs: FROM_NS - 120n * MINUTE, toNs }],
      },
      directory: {
        ...{ ready: async () => nothing(), refresh: async () => nothing(), load: async () => view },
        connected: () => new Set(nodes.values()),
      },
      limitsAt: () => ({ edgesPerEndpoint: 2_000, edgesPerDay: 100_000 }),
      from: (measurement) => measurement,
      unwritten: { keep: nothing, tidy: nothing },
      metrics: {
        ...{ unchanged: nothing, skipped: nothing, waiting: nothing, held: nothing, edges: nothing },
        made: (from) => void (counts[from === 'memory' ? 'minutes' : 'again'] += 1),
      },
      signal: new AbortController().signal,
    },
  )
  const result = (to: bigint) => ({ doneToNs: to, bytes: 0, messages: 0, points: 0 })
  return {
    counts,
    observer: engine.observer,
    async begin() {
      await engine.begin()
      // As if it had run for two hours.
      const window = { fromNs: FROM_NS - 120n * MINUTE, toNs: FROM_NS, pass: 1 }
      engine.observer.done(window, result(window.toNs))
    },
    async done(window: { fromNs: bigint; toNs: bigint; pass: number }, minutes: ReadonlySet<bigint>) {
      unsettled.read([...minutes], clock.now())
      toNs = window.toNs
      engine.observer.done(window, result(toNs))
      await clock.advance(Number(WINDOW_NS / 1_000_000n))
      if (mode === 'rows') await engine.step()
    },
  }
}

function unexpected(): Promise<never> {
  throw new Error('nothing of this is read back')
}

serve(async (): Promise<RollupRun> => {
  const rollup = createRollup()
  await rollup.begin()
  const reader = createMessageReader(source)
  let window = { fromNs: FROM_NS, toNs: FROM_NS + WINDOW_NS, pass: 1 }
  let minutes = new Set<bigint>()
  const cpu = process.cpuUsage()
  let [entries, points] = [0, 0]
  for (let at = 0; at < body.length; at += CHUNK_BYTES) {
    for (const message of reader.push(body.subarray(at, at + CHUNK_BYTES))) {
      if (message.entryCount === 0) continue
      const made = flattener.flatten(message)
      lines.append(made)
      for (let batch = lines.full(); batch; batch = lines.full()) lines.release(batch)
      entries += message.entryCount
      points += made.count
      if (mode === 'line') continue
      while (made.loggedNs > window.toNs) {
        await rollup.done(window, minutes)
        window = { fromNs: window.toNs, toNs: window.toNs + WINDOW_NS, pass: 1 }
        minutes = new Set()
      }
      rollup.observer.points(window, made, message)
      minutes.add(made.startNs - (made.startNs % MINUTE))
    }
  }
  for (const batch of lines.rest()) lines.release(batch)
  const { user, system } = process.cpuUsage(cpu)
  if (nodes.size === 0) learn()
  return { entries, points, ...rollup.counts, cpuSeconds: (user + system) / 1e6 }
})

/** The first run is a warm-up, and shows whose addresses are whose. */
function learn(): void {
  const reader = createMessageReader(source)
  for (const message of reader.push(body)) {
    if (message.entryCount === 0) continue
    const points = flattener.flatten(message)
    for (let i = 0; i < points.count; i++) {
      const { kind, src } = points.flow(i)
      if (kind === 'virtual') nodes.set(src, points.node)
    }
  }
}
