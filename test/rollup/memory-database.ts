/** A database in memory for the rollup: it takes lines of derived rows and raw points, and answers as a RowStore. */
import { CollectorError } from '../../src/base/errors.ts'
import type { RawPoint } from '../../src/rollup/points/raw-points.ts'
import type { MinuteRecord, RowStore } from '../../src/rollup/rows/row-store.ts'
import { addTo, EDGE, exists, NODE, type RowTable, tagOf } from '../../src/rollup/rows/row-table.ts'
import { splitLine } from '../../src/sink/line-protocol/line-parts.ts'
import type { Batch, Receipt } from '../../src/sink/sink.ts'

const MINUTE = 60_000_000_000n

export interface MemoryDatabase extends RowStore {
  readonly raw: Map<string, RawPoint>
  putRaw(point: RawPoint): void
  /** By measurement and time. */
  readonly tables: Map<string, Map<bigint, RowTable>>
  readonly records: Map<bigint, MinuteRecord>
  readonly label: string
  write(batch: Batch): Promise<Receipt>
  /** Called before each request; it may throw. */
  onRequest: (what: string) => void
}

export function identityOf(point: RawPoint): string {
  const { node, kind, proto, src, dst, srcPort, dstPort, path, startNs } = point
  return [node, kind, proto, src, dst, srcPort, dstPort, path, startNs].join(' ')
}

export function createMemoryDatabase(): MemoryDatabase {
  const raw = new Map<string, RawPoint>()
  const tables = new Map<string, Map<bigint, RowTable>>()
  const records = new Map<bigint, MinuteRecord>()

  function put(line: string): void {
    const { key, fields, timestamp } = splitLine(line)
    const comma = key.indexOf(',')
    const [measurement, series] = [key.slice(0, comma), key.slice(comma + 1)]
    const timeNs = BigInt(timestamp)
    if (measurement === 'tailflux_minute') {
      const text = (name: string) => new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(fields)?.[1] ?? ''
      const number = (name: string) => Number(new RegExp(`(?:^|,)${name}=(\\d+)i`).exec(fields)?.[1])
      const record = {
        startNs: timeNs,
        digest: text('digest'),
        writer: text('writer'),
        isGap: fields.includes('gap=true'),
      }
      records.set(timeNs, { ...record, points: number('points'), rows: number('rows') })
      return
    }
    if (measurement === 'tailflux_tier') return
    const shape = measurement.startsWith('tailnet_edge') ? EDGE : NODE
    const values = new Map(fields.split(',').map((field) => field.split('=') as [string, string]))
    const times = tables.get(measurement) ?? new Map<bigint, RowTable>()
    tables.set(measurement, times)
    const table = times.get(timeNs) ?? new Map()
    times.set(timeNs, table)
    table.set(
      series,
      shape.fields.map((name) => BigInt((values.get(name) ?? '0i').slice(0, -1))),
    )
  }

  const rawIn = (fromNs: bigint, toNs: bigint) =>
    [...raw.values()].filter(({ startNs }) => startNs >= fromNs && startNs < toNs)

  const database: MemoryDatabase = {
    ...{ raw, tables, records, label: 'memory', onRequest: () => undefined },
    putRaw: (point) => void raw.set(identityOf(point), point),
    async write({ bytes, lineCount, target }) {
      const lines = new TextDecoder().decode(bytes).split('\n').filter(Boolean)
      if (lines.length !== lineCount) throw new Error(`${lines.length} lines, not ${lineCount}`)
      database.onRequest(`write ${target}`)
      // A process that dies may have written a part.
      for (const line of lines) put(line)
      database.onRequest(`written ${target}`)
      return { written: lineCount, rejected: 0, expired: 0, sentMs: 0 }
    },
    canQuery: async () => true,
    reads: async () => 'all',
    async rawPoints(minuteNs, each) {
      database.onRequest('rawPoints')
      for (const point of rawIn(minuteNs, minuteNs + MINUTE)) each(point)
    },
    async standing(measurement, timeNs) {
      database.onRequest('standing')
      return new Map(tables.get(measurement)?.get(timeNs) ?? [])
    },
    async rows(measurement, fromNs, toNs, each) {
      database.onRequest('rows')
      for (const [timeNs, table] of tables.get(measurement) ?? [])
        if (timeNs >= fromNs && timeNs < toNs)
          for (const [key, fields] of table) if (exists(fields)) each(timeNs, key, fields)
    },
    async kinds(fromNs, toNs, each) {
      database.onRequest('kinds')
      for (const [timeNs, table] of tables.get('tailnet_edge') ?? [])
        if (timeNs >= fromNs && timeNs < toNs)
          for (const [key, [tx, rx]] of table) each(timeNs, tagOf(key, 'kind'), Number(tx) + Number(rx))
    },
    async summed(measurement, fromNs, toNs) {
      database.onRequest('summed')
      const sum: RowTable = new Map()
      for (const [timeNs, table] of tables.get(measurement) ?? [])
        if (timeNs >= fromNs && timeNs < toNs) addTo(sum, table, measurement.startsWith('tailnet_edge') ? EDGE : NODE)
      return sum
    },
    async reporting(fromNs, toNs) {
      database.onRequest('reporting')
      const found = new Map<bigint, Set<string>>()
      for (const [timeNs, table] of tables.get('tailnet_node') ?? []) {
        if (timeNs < fromNs || timeNs >= toNs) continue
        const nodes = [...table].filter(([, fields]) => exists(fields)).map(([key]) => tagOf(key, 'node'))
        found.set(timeNs, new Set(nodes))
      }
      return found
    },
    async usersOf(addresses, fromNs, toNs) {
      const users = new Map<string, Set<string>>()
      for (const { kind, src, node } of rawIn(fromNs, toNs))
        if (kind === 'virtual' && addresses.includes(src)) users.set(src, (users.get(src) ?? new Set()).add(node))
      return users
    },
    async minutes(fromNs, toNs) {
      database.onRequest('minutes')
      return [...records.values()]
        .filter(({ startNs }) => startNs >= fromNs && startNs < toNs)
        .toSorted((one, other) => (one.startNs < other.startNs ? -1 : 1))
    },
    devices: async () => [],
    newestDevices: async () => [],
  }
  return database
}

/** What the rollup has to bear: the database does not answer. */
export function databaseAway(): CollectorError {
  return new CollectorError('The database is away. It is tried again.', {
    stage: 'sink',
    code: 'db_unavailable',
    reaction: 'retry',
  })
}
