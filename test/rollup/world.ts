/** One small tailnet through time, with its API, database and state file; processes come and go. For tests of the rollup. */
import assert from 'node:assert/strict'
import pino from 'pino'
import type { DirectoryView } from '../../src/directory/view.ts'
import { merge, subtract } from '../../src/ledger/intervals.ts'
import type { Interval } from '../../src/ledger/ledger.ts'
import { createEngine, type Engine } from '../../src/rollup/engine.ts'
import type { RollupMetrics, SkipReason } from '../../src/rollup/metrics.ts'
import type { MinuteReader } from '../../src/rollup/minute-reader.ts'
import type { RawPoint } from '../../src/rollup/points/raw-points.ts'
import { addTo, exists, type RowTable, shapeOf } from '../../src/rollup/rows/row-table.ts'
import { createUnwritten } from '../../src/rollup/unwritten.ts'
import type { Batch } from '../../src/sink/sink.ts'
import { createFakeClock, type FakeClock } from '../helpers/fake-clock.ts'
import { createMemoryUnsettled } from '../helpers/memory-unsettled.ts'
import { createMemoryDatabase, databaseAway, identityOf, type MemoryDatabase } from './memory-database.ts'
import { oracleMinute } from './oracle.ts'
import { pointsOf } from './points-of.ts'
import { rowTexts } from './row-texts.ts'

export const MINUTE = 60_000_000_000n
export const BEGIN_NS = 1_793_577_600_000_000_000n // 2026-11-02T00:00:00Z
export const MINUTES = 200
const NODES = ['nA', 'nB', 'nC', 'nD']
const ADDRESSES = new Map(NODES.map((node, i) => [`100.64.0.${i + 1}`, node]))
const DEVICES = new Map(NODES.slice(0, 3).map((node) => [node, { name: `name-${node}`, owner: 'tag:x', os: 'linux' }]))

const VIEW: DirectoryView = {
  nodeOf: (address) => ADDRESSES.get(address),
  device: (node) => DEVICES.get(node),
  networkOf: () => undefined,
}

interface Random {
  /** 0 to n - 1. */
  int(n: number): number
  chance(share: number): boolean
  pick<T>(from: readonly T[]): T
}

/** The numbers of a seed. */
function createRandom(seed: number): Random {
  let state = seed * 7919
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    int: (n) => Math.floor(next() * n),
    chance: (share) => next() < share,
    pick: (from) => from[Math.floor(next() * from.length)]!,
  }
}

interface Message {
  readonly loggedNs: bigint
  readonly points: readonly RawPoint[]
}

/** Nodes speak rarely, so that what the hour before says matters; some messages are logged later, up to so many seconds. */
function messagesOf(random: Random, lateSeconds: number): Message[] {
  const messages: Message[] = []
  for (let at = 0; at < MINUTES * 2; at++) {
    // One of them is heard of all the time and speaks about once in two hours.
    const node = random.chance(0.005) ? NODES.at(-1)! : random.pick(NODES.slice(0, -1))
    const startNs = BEGIN_NS + BigInt(random.int(MINUTES * 60)) * 1_000_000_000n
    const late = random.chance(0.1) ? random.int(lateSeconds) : 5 + random.int(40)
    const points = new Map<string, RawPoint>()
    for (let i = 0; i <= random.int(3); i++) {
      const kind = random.chance(0.8) ? 'virtual' : random.pick(['subnet', 'exit', 'physical'] as const)
      const point: RawPoint = {
        ...{
          node,
          kind,
          proto: 'tcp',
          startNs,
          path: kind === 'physical' ? random.pick(['direct', 'derp-3']) : 'none',
        },
        src: random.chance(0.1) ? '100.64.0.99' : random.pick([...ADDRESSES.keys()]),
        dst: random.chance(0.1) ? '10.0.0.5' : random.pick([...ADDRESSES.keys()]),
        ...{ srcPort: -1, dstPort: random.pick([22, 443]) },
        ...{ txBytes: BigInt(random.int(1000)), txPkts: 1n, rxBytes: BigInt(random.int(1000)), rxPkts: 1n, flows: 1 },
      }
      points.set(identityOf(point), point)
    }
    messages.push({ loggedNs: startNs + BigInt(late) * 1_000_000_000n, points: [...points.values()] })
  }
  return messages
}

/** What a reader keeps of a minute. */
interface ToldMinute {
  edges: number
  nodes: number
  txBytes: bigint
}

/** One tailnet with its API, database and state file; processes come and go. */
export function createTailnet(
  seed: number,
  isAnswering: boolean | 'numbers' = true,
  originNs = BEGIN_NS - MINUTE,
  lateSeconds = 7200,
) {
  const random = createRandom(seed)
  const messages = messagesOf(random, lateSeconds)
  const clock: FakeClock = createFakeClock(BEGIN_NS, 0)
  const memory = createMemoryDatabase()
  const database = isAnswering === 'numbers' ? numbersOnly(memory) : isAnswering ? memory : writeOnly(memory)
  let unsettled = createMemoryUnsettled()
  let done: Interval[] = []
  let gaps: Interval[] = []
  let engine: Engine
  let writer = 1
  /** What a reader knows: edges and nodes by minute, how far all was told, and what it knew of a minute when it was told an hour more. */
  const told = { minutes: new Map<bigint, ToldMinute>(), toNs: 0n, taken: new Map<bigint, ToldMinute | undefined>() }
  const reader: MinuteReader = {
    minute({ startNs, eachEdge, eachNode }) {
      const sum = { edges: 0, nodes: 0, txBytes: 0n }
      eachEdge((edge) => {
        sum.edges += 1
        sum.txBytes += BigInt(edge.txBytes)
      })
      eachNode(() => {
        sum.nodes += 1
      })
      told.minutes.set(startNs, sum)
    },
    finalTo(ns) {
      if (ns < told.toNs && !isNewProcess) throw new Error('the end of what was told went back')
      isNewProcess = false
      for (let atNs = told.toNs; told.toNs > 0n && atNs < ns; atNs += MINUTE)
        told.taken.set(atNs - 60n * MINUTE, told.minutes.get(atNs - 60n * MINUTE))
      told.toNs = ns
    },
  }
  let isNewProcess = true
  let unwritten = createUnwritten()
  const skipped = new Map<SkipReason, number>()
  const metrics: RollupMetrics = {
    ...{ made: () => undefined, unchanged: () => undefined, waiting: () => undefined },
    ...{ held: () => undefined, edges: () => undefined },
    skipped: (reason) => void skipped.set(reason, (skipped.get(reason) ?? 0) + 1),
  }

  async function begin(): Promise<void> {
    database.onRequest = () => undefined
    isNewProcess = true
    unwritten = createUnwritten()
    // A reader that starts reads what stands.
    told.minutes.clear()
    for (const name of ['tailnet_edge', 'tailnet_node'])
      for (const startNs of memory.tables.get(name)?.keys() ?? []) told.minutes.set(startNs, sumsOf(memory, startNs))
    engine = createEngine(
      { tailnetAt: () => 't', minutesKeptMs: undefined, restKeptMs: undefined },
      {
        store: database,
        sink: database,
        ledger: {
          unsettled,
          originNs: () => originNs,
          settled: () => done,
          gaps: () => gaps as never,
          writer: `writer${writer}`,
        },
        directory: {
          ready: async () => undefined,
          refresh: async () => undefined,
          load: async () => VIEW,
          connected: () => new Set(NODES),
        },
        limitsAt: () => ({ edgesPerEndpoint: 1000, edgesPerDay: 1000 }),
        from: (measurement) => `"${measurement}"`,
        ...{ readers: [reader], unwritten },
        ...{ metrics, clock, log: pino({ level: 'silent' }), signal: new AbortController().signal },
      },
    )
    await engine.begin()
  }

  function read(window: Interval, pass: number, mayFail = true): void {
    const observed = { ...window, pass }
    const inside = messages.filter(({ loggedNs }) => loggedNs >= window.fromNs && loggedNs <= window.toNs)
    for (const { points, loggedNs } of inside) {
      for (const point of points) database.putRaw(point)
      engine.observer.points(observed, pointsOf(points, loggedNs), undefined as never)
    }
    if (mayFail && random.chance(0.05)) return engine.observer.failed(observed)
    const starts = new Set(inside.flatMap(({ points }) => points.map(({ startNs }) => startNs - (startNs % MINUTE))))
    unsettled.read([...starts], clock.now())
    done = merge([...done, window])
    gaps = subtract(gaps, [window])
    engine.observer.done(observed, { doneToNs: window.toNs, bytes: 0, messages: inside.length, points: 0 })
  }

  /** Steps; a request in between may fail or be the last one of the process. */
  async function work(): Promise<void> {
    const fate = random.chance(0.3) ? random.pick(['fails', 'dies'] as const) : undefined
    let left = random.int(12)
    database.onRequest = () => {
      if (fate !== undefined && left-- <= 0) throw databaseAway()
    }
    try {
      await engine.step()
    } catch (error) {
      if (fate === undefined) throw error
      if (fate === 'dies') await begin()
    }
    database.onRequest = () => undefined
  }

  return {
    ...{ random, messages, clock, database, begin, read, work, told, skipped },
    /** What a reader that begins now reads. */
    readRows: () => unwritten.over(database),
    readSurely: (window: Interval, pass: number) => read(window, pass, false),
    /** A range that cannot be read, until it is read. */
    openGap(range: Interval) {
      gaps = merge([...gaps, range])
    },
    /** The database lost what it had: it is missing again. */
    forget(range: Interval) {
      done = subtract(done, [range])
    },
    /** Minutes that have raw points. */
    rawMinutes: () => new Set([...memory.raw.values()].map(({ startNs }) => startNs - (startNs % MINUTE))),
    /** A node tells in a message of its own, logged in a moment, that it sent something in this minute. */
    addLate(minuteNs: bigint) {
      const point: RawPoint = {
        ...{ node: 'nA', kind: 'virtual', proto: 'tcp', startNs: minuteNs + 1n, path: 'none' },
        ...{ src: '100.64.0.1', dst: '100.64.0.2', srcPort: -1, dstPort: 22 },
        ...{ txBytes: 5_000n, txPkts: 1n, rxBytes: 5_000n, rxPkts: 1n, flows: 1 },
      }
      const loggedNs = done.at(-1)?.toNs ?? minuteNs
      messages.push({ loggedNs, points: [point] })
      read({ fromNs: loggedNs, toNs: loggedNs }, 0, false)
    },
    /** Every minute must be made again. */
    mustAll(fromNs: bigint, count: number) {
      const minutes = Array.from({ length: count }, (_, i) => ({
        tier: 'minute' as const,
        startNs: fromNs + BigInt(i) * MINUTE,
      }))
      unsettled.must(minutes, clock.now())
    },
    step: () => engine.step(),
    newest: () => engine.newest,
    left: () => unsettled.all('minute').length + unsettled.all('hour').length + unsettled.all('day').length,
    isDone: (window: Interval) => done.some((one) => one.fromNs <= window.fromNs && one.toNs >= window.toNs),
    /** The state file is lost: a new one begins with every minute that may be unsettled, and all is read again from there. */
    async loseState(fromNs: bigint) {
      unsettled = createMemoryUnsettled()
      // As far as anything is read in the end.
      const count = MINUTES + 147
      const minutes = Array.from({ length: count }, (_, i) => ({
        tier: 'minute' as const,
        startNs: fromNs + BigInt(i) * MINUTE,
      }))
      unsettled.must(minutes, clock.now())
      writer += 1
      await begin()
    },
  }
}

/** What stands of a minute, as a reader would sum it up. */
export function sumsOf(database: MemoryDatabase, minuteNs: bigint): ToldMinute {
  const rows = (name: string) => standing(database.tables.get(name)?.get(minuteNs))
  const edges = rows('tailnet_edge')
  const txBytes = [...edges.values()].reduce((sum, [bytes = 0n]) => sum + bytes, 0n)
  return { edges: edges.size, nodes: rows('tailnet_node').size, txBytes }
}

function expectedRows(database: MemoryDatabase, minuteNs: bigint): { edges: string[]; nodes: string[] } {
  const all = [...database.raw.values()]
  const between = (fromNs: bigint, toNs: bigint) => all.filter(({ startNs }) => startNs >= fromNs && startNs < toNs)
  const directory = { addresses: ADDRESSES, devices: DEVICES, networks: new Map() }
  return oracleMinute(between(minuteNs, minuteNs + MINUTE), between(minuteNs - 60n * MINUTE, minuteNs), directory)
}

export function sumOf(database: MemoryDatabase, measurement: string, fromNs: bigint, toNs: bigint): RowTable {
  const sum: RowTable = new Map()
  for (const [timeNs, table] of database.tables.get(measurement) ?? [])
    if (timeNs >= fromNs && timeNs < toNs) addTo(sum, table, shapeOf(measurement))
  return sum
}

export const standing = (table: RowTable | undefined) =>
  new Map([...(table ?? [])].filter(([, fields]) => exists(fields)))

/** A database that takes everything and answers nothing. */
function writeOnly(database: MemoryDatabase): MemoryDatabase {
  const refuse = () => Promise.reject(new Error('it has no queries'))
  const asked = [
    'rawPoints',
    'standing',
    'rows',
    'summed',
    'reporting',
    'usersOf',
    'minutes',
    'devices',
    'newestDevices',
  ] as const
  return Object.assign(database, Object.fromEntries(asked.map((name) => [name, refuse])), {
    canQuery: async () => false,
    reads: async () => 'nothing' as const,
  })
}

/** A database without texts that need not replace a row that stands: it takes no other values for it. */
function numbersOnly(database: MemoryDatabase): MemoryDatabase {
  const { write, minutes } = database
  const stands = (line: string) => {
    const [, measurement = '', key = '', timeNs = ''] = /^(\w+),((?:\\.|[^\\ ])+) .* (\d+)$/.exec(line) ?? []
    return database.tables.get(measurement)?.get(BigInt(timeNs))?.get(key)
  }
  return Object.assign(database, {
    canQuery: async () => false,
    reads: async () => 'numbers' as const,
    async write(batch: Batch) {
      const lines = new TextDecoder().decode(batch.bytes).split('\n').filter(Boolean)
      if (lines.some((line) => line.includes('"'))) throw new Error('a text')
      const before = lines.map(stands)
      const receipt = await write(batch)
      for (const [i, line] of lines.entries())
        if (before[i] !== undefined && String(before[i]) !== String(stands(line))) throw new Error(`replaced: ${line}`)
      return receipt
    },
    minutes: async (fromNs: bigint, toNs: bigint, signal: AbortSignal) =>
      (await minutes(fromNs, toNs, signal)).map((one) => ({ ...one, digest: '', writer: '' })),
  })
}

/** The rows of a minute that stand, as texts. */
export function rowsAt(database: MemoryDatabase, minuteNs: bigint) {
  const stands = (name: string) => standing(database.tables.get(name)?.get(minuteNs))
  return rowTexts(stands('tailnet_edge'), stands('tailnet_node'))
}

/** These minutes, counted from the begin, have the rows of the oracle. Returns how many rows of nodes they have. */
export function assertMinutes(
  database: MemoryDatabase,
  { from = 0, to = MINUTES, step = 1, what = '' }: { from?: number; to?: number; step?: number; what?: string } = {},
): number {
  let rows = 0
  for (let at = from; at < to; at += step) {
    const minuteNs = BEGIN_NS + BigInt(at) * MINUTE
    const found = rowsAt(database, minuteNs)
    assert.deepEqual(found, expectedRows(database, minuteNs), `${what}, minute ${at}`)
    rows += found.nodes.length
  }
  return rows
}

/** These hours are the sums of their minutes. */
export function assertHours(
  database: MemoryDatabase,
  { from = 0, to, what = '' }: { from?: number; to: number; what?: string },
): void {
  for (const name of ['tailnet_edge', 'tailnet_node'])
    for (let hour = from; hour < to; hour++) {
      const fromNs = BEGIN_NS + BigInt(hour * 60) * MINUTE
      const stands = standing(database.tables.get(`${name}_1h`)?.get(fromNs))
      assert.deepEqual(stands, sumOf(database, name, fromNs, fromNs + 60n * MINUTE), `${what}, ${name} of hour ${hour}`)
    }
}

/** The day is the sum of its minutes. */
export function assertDay(database: MemoryDatabase, minutes: number, what = ''): void {
  for (const name of ['tailnet_edge', 'tailnet_node']) {
    const day = standing(database.tables.get(`${name}_1d`)?.get(BEGIN_NS))
    assert.deepEqual(
      day,
      sumOf(database, name, BEGIN_NS, BEGIN_NS + BigInt(minutes) * MINUTE),
      `${what}, ${name} of the day`,
    )
  }
}
