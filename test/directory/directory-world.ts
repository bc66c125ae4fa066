/** A directory with a database in memory that takes and returns its lines, an API, and messages as the parser reads them. */
import { MINUTE } from '../../src/base/clock.ts'
import type { NameMask } from '../../src/directory/device-entry.ts'
import type { DeviceStore } from '../../src/directory/device-store.ts'
import type { DeviceSource, DeviceVersion } from '../../src/directory/device-version.ts'
import { createDirectory } from '../../src/directory/directory.ts'
import type { NetworksConfig } from '../../src/directory/networks.ts'
import { openStateFile, type StateFile } from '../../src/ledger/sqlite/state-file.ts'
import type { Batch, Receipt } from '../../src/sink/sink.ts'
import { createMessageReader } from '../../src/source/parse/message-reader.ts'
import type { Device } from '../../src/source/source.ts'
import { createFakeClock, type FakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { countingMetrics, keptLog } from '../helpers/silent.ts'

export { NOON_NS } from '../helpers/fake-clock.ts'

/** Minute of noon. */
export const NOON = Number(NOON_NS / MINUTE)
export const minuteNs = (minute: number) => BigInt(minute) * MINUTE

export interface FakeDatabase extends DeviceStore {
  /** By node and time. */
  readonly points: Map<string, DeviceVersion>
  write(batch: Batch): Promise<Receipt>
  lineCount: number
  /** The next calls of each fail with this. */
  writeFault: Error | undefined
  readFault: Error | undefined
  isWriteOnly: boolean
  /** Queries: measure of what a load costs. */
  queryCount: number
}

export function createFakeDatabase(): FakeDatabase {
  const points = new Map<string, DeviceVersion>()
  const sorted = () => [...points.values()].toSorted((one, other) => one.from - other.from)
  const database: FakeDatabase = {
    points,
    lineCount: 0,
    writeFault: undefined,
    readFault: undefined,
    isWriteOnly: false,
    queryCount: 0,
    async write({ bytes, lineCount }) {
      if (database.writeFault) throw database.writeFault
      const lines = Buffer.from(bytes).toString().trimEnd().split('\n')
      for (const line of lines) {
        const version = versionOf(line)
        points.set(`${version.node} ${version.from}`, version)
      }
      database.lineCount += lineCount
      return { written: lineCount, rejected: 0, expired: 0, sentMs: 0 }
    },
    canQuery: async () => !database.isWriteOnly,
    async devices(fromNs, toNs) {
      database.queryCount += 1
      if (database.readFault) throw database.readFault
      return sorted().filter(({ from }) => minuteNs(from) >= fromNs && minuteNs(from) < toNs)
    },
    async newestDevices(beforeNs) {
      database.queryCount += 1
      if (database.readFault) throw database.readFault
      const before = sorted().filter(({ from }) => minuteNs(from) < beforeNs)
      return [...new Map(before.map((version) => [version.node, version])).values()]
    },
  }
  return database
}

const LINE =
  /^tailnet_device,node=([^, ]+),tailnet=home addresses="(.*)",logged=(\d+)i,name="(.*)",os="(.*)",owner="(.*)",source="(.*)" (\d+)$/

function versionOf(line: string): DeviceVersion {
  const [, node = '', addresses = '', logged = '', name = '', os = '', owner = '', source = '', time = ''] =
    LINE.exec(line) ?? []
  return {
    ...{ node, name, os, owner, source: source as DeviceSource, loggedNs: BigInt(logged) },
    addresses: addresses.split(' ').filter(Boolean),
    from: Number(BigInt(time) / MINUTE),
  }
}

export const KEEP: NameMask = { name: (text) => text, owner: (text) => text }
const NO_NETWORKS: NetworksConfig = []

export interface Given {
  readonly clock?: FakeClock
  readonly database?: FakeDatabase
  readonly state?: StateFile
  /** In place of the database in memory. */
  readonly store?: DeviceStore
  readonly write?: (batch: Batch) => Promise<Receipt>
  readonly devices?: (signal: AbortSignal) => Promise<readonly Device[]>
  readonly namesAt?: (minuteNs: bigint) => NameMask
  readonly networksAt?: (minuteNs: bigint) => NetworksConfig
}

export function createDirectoryWorld(given: Given = {}) {
  const clock = given.clock ?? createFakeClock()
  const database = given.database ?? createFakeDatabase()
  const { log, entries } = keptLog()
  const state = given.state ?? openStateFile({ path: ':memory:' }, { clock, log })
  const health = new Map<string, string>()
  const directory = createDirectory(
    { tailnetId: 'x', tailnet: 'home', devicesIntervalMs: 300_000 },
    {
      source: { devices: given.devices ?? (() => new Promise(() => undefined)) },
      sink: given.write === undefined ? database : { write: given.write },
      store: given.store ?? database,
      state,
      nowNs: clock.now,
      namesAt: given.namesAt ?? (() => KEEP),
      networksAt: given.networksAt ?? (() => NO_NETWORKS),
      metrics: countingMetrics<{ devicesKnown(count: number): void }>(),
      health: {
        set: (_component, status, code, text, condition = '') =>
          void health.set(condition, [status, code, text].filter(Boolean).join(' ')),
      },
      clock,
      log,
    },
  )
  const reader = createMessageReader({ answerBytesMax: 2 ** 40, messageBytesMax: 1 << 24, depthMax: 16 })
  let hasBegun = false

  /** What a node's message says, logged now. */
  function say(nodeId: string, srcNode: object | undefined, dstNodes: readonly object[] = []): void {
    const time = new Date(Number(clock.now() / 1_000_000n)).toISOString()
    const entry = { proto: 6, src: '100.64.0.1:1', dst: '100.64.0.2:2', txPkts: 1, txBytes: 1 }
    const message = { nodeId, start: time, end: time, logged: time, srcNode, dstNodes, virtualTraffic: [entry] }
    const text = `${hasBegun ? ',' : '{"logs":['}${JSON.stringify(message)}`
    hasBegun = true
    for (const one of reader.push(Buffer.from(text))) directory.observer.points({}, {}, one)
  }
  return { clock, database, state, directory, health, entries, say }
}

/** A node as messages describe it. */
export function nodeInfo(number: number | string, more: object = {}): object {
  return {
    nodeId: `n${number}CNTRL`,
    name: `host-${number}.tail1234.ts.net`,
    addresses: [`100.64.0.${number}`, `fd7a:115c:a1e0::${number}`],
    user: `user${number}@example.com`,
    ...more,
  }
}
