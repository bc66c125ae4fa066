/** What alerts cost beside the line: 5,000 nodes and 200 rules, CPU per window as a share of reading, flattening and writing lines, and memory.
 * `node test/alerts/cost.ts [minutes] [nodes]`; `nodes`: only rules that need no ends and ports. */
import { createAlerts } from '../../src/alerts/alerts.ts'
import { alertsSchema } from '../../src/alerts/config.ts'
import type { AlertsMetrics } from '../../src/alerts/metrics.ts'
import { createTailnet } from '../../src/demo/tailnet.ts'
import { createFlattener } from '../../src/flatten/flatten.ts'
import { createLedger } from '../../src/ledger/sqlite-ledger.ts'
import { openStateFile } from '../../src/ledger/state-file.ts'
import type { PlannedWindow } from '../../src/pipeline/planner.ts'
import type { WindowResult } from '../../src/pipeline/run-window.ts'
import { createLineWriter } from '../../src/sink/lines.ts'
import { createMessageReader } from '../../src/source/cut.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { countingMetrics, silentLog } from '../helpers/silent.ts'
import { MIN, SEC, T0 } from './world.ts'

const MINUTES = Number(process.argv[2] ?? 8)
const NODES_ONLY = process.argv[3] === 'nodes'
const NODES = 5_000

const FLOWS: object[] = [
  { name: 'exits', by: 'exitNode', above: '90GB', window: '15m' },
  { name: 'routers', by: 'subnetRouter', above: '90GB', window: '15m' },
  { name: 'pairs', by: 'pair', above: '90GB', window: '15m' },
  { name: 'ports', by: 'port', above: '900GB', window: '15m' },
  { name: 'owners', by: 'owner', above: '900GB', window: '15m' },
  { name: 'peers', distinctPeersAbove: 4000, window: '5m' },
  { name: 'scan', distinctPortsAbove: 1000, window: '5m' },
  { name: 'new', newFor: '7d' },
  { name: 'rejected', rejectedAbove: 100_000 },
  { name: 'total', by: 'total', above: '900TB', window: '15m' },
]

/** Two hundred rules as a large place may have them: per team the same questions about other nodes, and some about pairs and ports. */
function rules(): object[] {
  const teams = [
    'laptop-1*',
    'laptop-2*',
    'laptop-3*',
    'phone-*',
    'web-*',
    'db-*',
    'git-*',
    'files-*',
    'monitor-*',
    'backup-*',
  ]
  const perTeam = (team: string, index: number): object[] => [
    ...['5m', '15m', '1h'].flatMap((window, i) => [
      { name: `egress-${index}-${i}`, above: '50GB', window, where: { node: team } },
      { name: `ingress-${index}-${i}`, above: '50GB', measure: 'rx_bytes', window, where: { node: team } },
      { name: `both-${index}-${i}`, above: '90GB', measure: 'bytes', window, where: { node: team } },
    ]),
    { name: `rate-${index}`, above: '5Gbps', window: '5m', for: '10m', where: { node: team } },
    { name: `packets-${index}`, above: 100_000_000, window: '5m', where: { node: team } },
    { name: `silent-${index}`, silentFor: '30m', within: '2h', where: { node: team } },
    { name: `relay-${index}`, relayShareAbove: 90, atLeast: '1GB', where: { node: team } },
    { name: `ratio-${index}`, ratioToPreviousAbove: 100, previous: 'hour', where: { node: team } },
    { name: `quota-${index}`, quotaAbove: '5TB', per: 'day', where: { node: team } },
    { name: `physical-${index}`, kind: 'physical', above: '90GB', window: '15m', where: { node: team } },
    { name: `subnet-${index}`, kind: 'subnet', above: '90GB', window: '15m', where: { node: team } },
    ...(NODES_ONLY ? [] : [{ name: `ssh-${index}`, above: '90GB', window: '15m', where: { port: 22 }, by: ['node'] }]),
  ]
  return [...teams.flatMap(perTeam), ...(NODES_ONLY ? [] : FLOWS)].slice(0, 200)
}

const tailnet = createTailnet({ seed: 3, nodes: NODES, activity: 3 })
const config = alertsSchema.parse({ rules: rules(), seriesMax: 100_000 })
const clock = createFakeClock(T0)
const monotonic = { ...clock, monotonicMs: () => performance.now() }
const stateFile = openStateFile({ path: ':memory:' }, { clock, log: silentLog })
const ledger = createLedger(stateFile, 'default')
ledger.setOrigin(T0)
const alerts = createAlerts(
  config,
  { tailnet: 'default', normalLagMs: 90_000 },
  {
    stateFile,
    ledger,
    sink: { write: async (batch) => ({ written: batch.lineCount, rejected: 0, expired: 0 }) },
    clock: monotonic,
    log: silentLog,
    metrics: countingMetrics<AlertsMetrics>(),
    random: Math.random,
  },
)
await alerts.start()
const reader = () => createMessageReader({ answerBytesMax: 2 ** 40, messageBytesMax: 1 << 24, depthMax: 16 })
const flattener = createFlattener(
  { tailnet: 'default', ports: 'service' },
  { names: { nameOf: () => undefined, version: () => 0 } },
)
const writer = createLineWriter({ batchLinesMax: 20_000, batchBytesMax: 4_000_000, splitNodes: false })
const spent = { line: 0, tap: 0, judge: 0, save: 0 }
let messages = 0
let windows = 0

for (let fromNs = T0; fromNs < T0 + BigInt(MINUTES) * MIN; fromNs += 30n * SEC) {
  const toNs = fromNs + 30n * SEC
  const body = Buffer.from(`{"logs":[${[...tailnet.messages(fromNs, toNs)].join()}]}`)
  const window: PlannedWindow = { fromNs, toNs, lane: 'live', pass: 1 }
  let beganMs = performance.now()
  for (const message of reader().push(body)) {
    if (message.entryCount === 0) continue
    writer.append(flattener.flatten(message))
    for (let batch = writer.full(); batch; batch = writer.full()) writer.release(batch)
  }
  for (const batch of writer.rest()) writer.release(batch)
  spent.line += performance.now() - beganMs
  // Once more with the tap alone between: what it adds.
  for (const message of reader().push(body)) {
    if (message.entryCount === 0) continue
    messages += 1
    const points = flattener.flatten(message)
    beganMs = performance.now()
    alerts.tap.points(window, points)
    spent.tap += performance.now() - beganMs
  }
  beganMs = performance.now()
  ledger.done({ fromNs, toNs }, { pass: 1, digest: '', messages: 0, entries: 0, points: 0, atNs: toNs })
  alerts.tap.done(window, { doneToNs: toNs } as WindowResult)
  spent.tap += performance.now() - beganMs
  beganMs = performance.now()
  await alerts.evaluate()
  spent.judge += performance.now() - beganMs
  windows += 1
}
const status = alerts.status()
const alertsMs = spent.tap + spent.judge
console.log({
  rules: status.rules.length,
  nodes: NODES,
  windows,
  messagesPerWindow: Math.round(messages / windows),
  lineMsPerWindow: Math.round(spent.line / windows),
  tapMsPerWindow: Math.round(spent.tap / windows),
  judgeAndSaveMsPerWindow: Math.round(spent.judge / windows),
  shareOfIngestion: `${Math.round((100 * alertsMs) / spent.line)} %`,
  shareOfOneCore: `${((100 * alertsMs) / (windows * 30_000)).toFixed(2)} %`,
  memoryMB: Math.round(status.memoryBytes / 1e6),
  rssMB: Math.round(process.memoryUsage().rss / 1e6),
})
await alerts.stop()
stateFile.close()
