import { createFlattener } from '../src/flatten/flatten.ts'
import { createHeldMinutes } from '../src/rollup/held-minutes.ts'
import { makeMinute } from '../src/rollup/make-minute.ts'
import { createBudget } from '../src/rollup/budget.ts'
import { createMessageReader } from '../src/source/parse/message-reader.ts'
import { tailscaleSchema } from '../src/source/config.ts'
import { createLineWriter } from '../src/sink/line-protocol/line-writer.ts'
import { inputOf } from './inputs.ts'
import { readFileSync } from 'node:fs'
import { tableLines } from '../src/rollup/make-minute.ts'

const input = inputOf('medium', { bytes: 100e6 })
const body = readFileSync(input.path)
const source = { ...tailscaleSchema.parse({}), answerBytesMax: 16 * 2 ** 30 }
const view = { nodeOf: () => undefined, device: () => undefined, networkOf: () => undefined }
for (let round = 0; round < 4; round++) {
  const flattener = createFlattener({ tailnetAt: () => '-', portsAt: () => 'service' })
  const lines = createLineWriter({ batchLinesMax: 10000, batchBytesMax: 4e6 })
  const held = createHeldMinutes()
  const reader = createMessageReader(source)
  let entries = 0, points = 0, intake = 0n
  const window = {}
  const began = process.hrtime.bigint()
  for (let at = 0; at < body.length; at += 65536)
    for (const message of reader.push(body.subarray(at, at + 65536))) {
      if (message.entryCount === 0) continue
      const p = flattener.flatten(message)
      lines.append(p)
      for (let b = lines.full(); b; b = lines.full()) lines.release(b)
      entries += message.entryCount; points += p.count
      const t = process.hrtime.bigint()
      held.add(window, p)
      intake += process.hrtime.bigint() - t
    }
  const whole = process.hrtime.bigint() - began
  let t = process.hrtime.bigint()
  held.done(window)
  const doneNs = process.hrtime.bigint() - t
  let makeNs = 0n, textNs = 0n, rows = 0, n = 0
  const budget = createBudget('t')
  const before = { hasReported: () => true, wasUsedByOther: () => false }
  for (const m of held.all()) {
    if (m.points.count < 1000) continue
    t = process.hrtime.bigint()
    const made = makeMinute(m, { tailnet: 't', directory: view, before, budget, limits: { edgesPerEndpoint: 2000, edgesPerDay: 100000 } })
    makeNs += process.hrtime.bigint() - t
    t = process.hrtime.bigint()
    tableLines(made, '', m.startNs)
    textNs += process.hrtime.bigint() - t
    rows += made.edges.size + made.nodes.size; n++
  }
  const per = (ns: bigint) => (Number(ns) / entries).toFixed(0)
  console.log({ entries, points, minutes: n, rows, bytes: held.bytes >> 20, line: per(whole - intake), intake: per(intake), done: per(doneNs), make: per(makeNs), text: per(textNs) }, 'ns per entry')
}
