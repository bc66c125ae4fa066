/** What alerts cost beside the line: 5,000 nodes and 200 rules. A minute of a simulated tailnet is read, flattened and written as lines (what ingestion is),
 * and made into rows by the function of the rollup (which is not counted). Those rows are told to alerts minute by minute, as if every minute had the same
 * traffic. CPU is that of the whole process; memory is what is left after a collection of garbage.
 *
 *   node --expose-gc test/alerts/cost.ts [mix] [minutes]      a mix: nodes, mixed (default), pairs, scans; minutes that are told (130) */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAlerts } from '../../src/alerts/alerts.ts'
import { alertsSchema } from '../../src/alerts/config.ts'
import type { AlertsMetrics } from '../../src/alerts/metrics.ts'
import type { DirectoryView } from '../../src/directory/view.ts'
import { createLedger } from '../../src/ledger/sqlite/sqlite-ledger.ts'
import { openStateFile } from '../../src/ledger/sqlite/state-file.ts'
import { rowsOfMinute } from '../../src/rollup/make/rows.ts'
import { createHeldMinutes } from '../../src/rollup/points/held-minutes.ts'
import type { MinuteRows } from '../../src/rollup/rows/row.ts'
import { createMinuteFacts } from '../../src/rollup/settle/minute-facts.ts'
import { createSecretRegistry } from '../../src/secrets/redactor.ts'
import { createLineWriter } from '../../src/sink/line-protocol/line-writer.ts'
import { createMessageReader } from '../../src/source/parse/message-reader.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { flattenerOf } from '../helpers/flattener.ts'
import { silentLog } from '../helpers/silent.ts'
import { namesOf, ownersOf } from '../simulator/names.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { costRules, MIXES } from './cost-rules.ts'
import { MIN, T0 } from './world.ts'

const mix = MIXES.find((name) => name === process.argv[2]) ?? 'mixed'
const MINUTES = Number(process.argv[3] ?? 130)
/** Minutes at the end of which CPU is counted. */
const COUNTED = 20
const NODES = 5_000
const WINDOW_BYTES = 8 * 2 ** 20

const tailnet = createTailnet({ seed: 3, nodes: NODES, activity: 3 })
const flattener = flattenerOf()
const writer = createLineWriter({ batchLinesMax: 20_000, batchBytesMax: 4_000_000 })

function cpuMs(since?: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since)
  return (user + system) / 1000
}

/** CPU of reading, flattening and writing the lines of a minute, three times; the last counts. And its rows. */
function readMinute(): { rows: MinuteRows; lineMs: number; entries: number; messages: number } {
  const bodies: Buffer[] = []
  let [texts, bytes]: [string[], number] = [[], 0]
  for (const text of tailnet.messages(T0, T0 + MIN)) {
    texts.push(text)
    bytes += text.length
    if (bytes < WINDOW_BYTES) continue
    bodies.push(Buffer.from(`{"logs":[${texts.join()}]}`))
    ;[texts, bytes] = [[], 0]
  }
  bodies.push(Buffer.from(`{"logs":[${texts.join()}]}`))
  let [lineMs, entries, messages] = [0, 0, 0]
  for (let walk = 0; walk < 3; walk++) {
    globalThis.gc?.()
    ;[entries, messages] = [0, 0]
    const before = process.cpuUsage()
    for (const body of bodies) {
      const reader = createMessageReader({ answerBytesMax: 2 ** 40, messageBytesMax: 1 << 24, depthMax: 16 })
      for (const message of reader.push(body)) {
        if (message.entryCount === 0) continue
        writer.append(flattener.flatten(message))
        for (let batch = writer.full(); batch; batch = writer.full()) writer.release(batch)
        messages += 1
        entries += message.entryCount
      }
      for (const batch of writer.rest()) writer.release(batch)
    }
    lineMs = cpuMs(before)
  }
  const held = createHeldMinutes()
  const window = {}
  for (const body of bodies) {
    const reader = createMessageReader({ answerBytesMax: 2 ** 40, messageBytesMax: 1 << 24, depthMax: 16 })
    for (const message of reader.push(body)) if (message.entryCount > 0) held.add(window, flattener.flatten(message))
  }
  held.done(window)
  const names = namesOf(tailnet)
  const owners = ownersOf(tailnet)
  const directory: DirectoryView = {
    nodeOf: names.nodeOf,
    device: (node) => ({ name: names.nameOf(node) ?? node, owner: owners.get(node) ?? 'none', os: 'none' }),
    networkOf: () => undefined,
  }
  const { points, texts: ids } = held.find(T0)!
  const rows = rowsOfMinute(points, ids, directory, createMinuteFacts().before(Number(T0 / MIN)))
  return { rows, lineMs, entries, messages }
}

const { rows, lineMs, entries, messages } = readMinute()
// What reading needed is garbage by now.
for (let i = 0; i < 5; i++) await new Promise((go) => setTimeout(go, globalThis.gc?.() ?? 20))

function heldMB(): number {
  globalThis.gc?.()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return (heapUsed + arrayBuffers) / 1e6
}

const dir = mkdtempSync(join(tmpdir(), 'tailflux-cost-'))
const config = alertsSchema.parse({ rules: costRules(mix), seriesMax: 100_000 })
let passedMs = 0
const clock = { ...createFakeClock(T0), monotonicMs: () => performance.now() + passedMs }
const stateFile = openStateFile({ path: join(dir, 'state.db') }, { clock, log: silentLog })
const ledger = createLedger(stateFile, 'default')
ledger.setOrigin(T0)
const nothing = () => undefined
const metrics: AlertsMetrics = {
  ...{ rules: nothing, rule: nothing, evaluated: nothing, position: nothing, ignored: nothing, attempt: nothing },
  ...{ notified: nothing, kept: nothing, stateWriteFailed: nothing },
}
const beforeMB = heldMB()
const alerts = createAlerts(
  config,
  { tailnet: 'default', tailnetId: 'default', networks: [], normalLagMs: 90_000 },
  {
    ...{ stateFile, ledger, clock, metrics, log: silentLog, secrets: createSecretRegistry(), random: Math.random },
    rows: { reads: async () => 'nothing', rows: async () => undefined, summed: async () => new Map() },
    isNode: () => true,
    health: { set: nothing },
    sink: { write: async (batch) => ({ written: batch.lineCount, rejected: 0, expired: 0, sentMs: 0 }) },
    onBroken(error) {
      throw error
    },
  },
)
await alerts.start()
alerts.finalTo(T0)
while (alerts.status().waiting) await new Promise(setImmediate)

const round = (value: number) => Math.round(value * 10) / 10
let [toldMs, lateMs, longestMs] = [0, 0, 0]
for (let minute = 0; minute < MINUTES; minute++) {
  const startNs = T0 + BigInt(minute) * MIN
  const tell = (ns: bigint, share: number) =>
    alerts.minute({
      startNs: ns,
      hasGap: false,
      eachEdge: (visit) => rows.edges.forEach((row, i) => void (i % 1000 < share && visit(row))),
      eachNode: (visit) => rows.nodes.forEach((row, i) => void (i % 1000 < share && visit(row))),
    })
  ledger.done(
    { fromNs: startNs, toNs: startNs + MIN + MIN / 2n },
    { pass: 1, digest: '', messages: 0, entries: 0, points: 0, atNs: startNs },
  )
  const before = process.cpuUsage()
  const beganMs = performance.now()
  tell(startNs, 1000)
  longestMs = Math.max(longestMs, performance.now() - beganMs)
  alerts.finalTo(startNs + MIN)
  await alerts.evaluate()
  await alerts.evaluate()
  if (minute >= MINUTES - COUNTED) toldMs += cpuMs(before) / COUNTED
  // A late pass that changes a hundredth of a minute of a quarter of an hour ago, and one that changes it back.
  const beforeLate = process.cpuUsage()
  if (minute > 20) {
    tell(startNs - 15n * MIN, minute % 2 === 0 ? 990 : 1000)
    await alerts.evaluate()
  }
  if (minute >= MINUTES - COUNTED) lateMs += cpuMs(beforeLate) / COUNTED
  passedMs += 60_000
}
const memoryMB = heldMB() - beforeMB
const status = alerts.status()
console.log({
  mix,
  rules: status.rules.length,
  nodes: NODES,
  ...{ messages, entries, edgeRows: rows.edges.length, nodeRows: rows.nodes.length },
  lineMsPerMinute: round(lineMs),
  alertsMsPerMinute: round(toldMs),
  shareOfIngestion: `${round((100 * toldMs) / lineMs)} %`,
  shareOfOneCore: `${round((100 * toldMs) / 60_000)} %`,
  lateMinuteMs: round(lateMs),
  longestToldMs: round(longestMs),
  heldMB: round(memoryMB),
  estimatedMB: round(status.memoryBytes / 1e6),
  groups: Math.max(...status.rules.map(({ series }) => series)),
  overflowed: status.rules.reduce((sum, { overflowed }) => sum + overflowed, 0),
})
await alerts.stop()
stateFile.close()
rmSync(dir, { recursive: true })
