/** The line over an answer, alone or with what the rollup does beside it: `line`; `intake`, its points are kept too; `rows`, each minute is made once as
 * well. Without a database. */
import { readFileSync } from 'node:fs'
import { createFlattener } from '../src/flatten/flatten.ts'
import { createBudget } from '../src/rollup/budget.ts'
import { createHeldMinutes } from '../src/rollup/held-minutes.ts'
import { makeMinute } from '../src/rollup/make-minute.ts'
import { createRowLines } from '../src/rollup/row-series.ts'
import { createTextIds } from '../src/rollup/text-ids.ts'
import { influxSchema } from '../src/sink/config.ts'
import { createLineWriter } from '../src/sink/line-protocol/line-writer.ts'
import { tailscaleSchema } from '../src/source/config.ts'
import { createMessageReader } from '../src/source/parse/message-reader.ts'
import { serve } from './child.ts'

export type RollupMode = 'line' | 'intake' | 'rows'
export interface RollupRun {
  readonly entries: number
  readonly cpuSeconds: number
  /** Lines of raw points, and of derived rows. */
  readonly points: number
  readonly rows: number
}

const CHUNK_BYTES = 64 * 1024
const [path, mode] = process.argv.slice(2) as [string, RollupMode]
const body = readFileSync(path)
const source = { ...tailscaleSchema.parse({}), answerBytesMax: 16 * 2 ** 30 }
const { batchLinesMax, batchBytesMax } = influxSchema.parse({})
const flattener = createFlattener({ tailnetAt: () => 'default', portsAt: () => 'service' })
const lines = createLineWriter({ batchLinesMax, batchBytesMax })
/** Whose each address is: what the directory knows of a tailnet whose devices are listed. */
const nodes = new Map<string, string>()
const directory = {
  nodeOf: (address: string) => nodes.get(address),
  device: (node: string) => ({ name: node, owner: 'none', os: 'none' }),
  networkOf: () => undefined,
}
const before = { hasReported: () => true, wasUsedByOther: () => false }
const limits = { edgesPerEndpoint: 2_000, edgesPerDay: 100_000 }

const tags = createTextIds()
const linesOf = createRowLines()
serve((): RollupRun => {
  const held = createHeldMinutes()
  const reader = createMessageReader(source)
  const window = {}
  const cpu = process.cpuUsage()
  let [entries, points, rows] = [0, 0, 0]
  for (let at = 0; at < body.length; at += CHUNK_BYTES) {
    for (const message of reader.push(body.subarray(at, at + CHUNK_BYTES))) {
      if (message.entryCount === 0) continue
      const made = flattener.flatten(message)
      lines.append(made)
      for (let batch = lines.full(); batch; batch = lines.full()) lines.release(batch)
      entries += message.entryCount
      points += made.count
      if (mode !== 'line') held.add(window, made)
    }
  }
  for (const batch of lines.rest()) lines.release(batch)
  if (mode !== 'line') held.done(window)
  if (mode === 'rows') {
    const budget = createBudget()
    for (const minute of held.all()) {
      const made = makeMinute(minute, { tailnet: 'default', directory, before, budget, limits, tags })
      for (const _ of linesOf('tailnet_edge', made.edges, new Uint8Array(made.edges.count).fill(1), minute.startNs));
      for (const _ of linesOf('tailnet_node', made.nodes, new Uint8Array(made.nodes.count).fill(1), minute.startNs));
      rows += made.edges.count + made.nodes.count
    }
  }
  const { user, system } = process.cpuUsage(cpu)
  if (nodes.size === 0) learn()
  return { entries, points, rows, cpuSeconds: (user + system) / 1e6 }
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
