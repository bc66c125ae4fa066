/** Reads back by InfluxQL: raw points, rows that stand, and how they were made. Every query is bounded in time, because a query without bounds opens
 * everything there is, which InfluxDB 3 Core refuses. */
import { MINUTE, MS } from '../base/clock.ts'
import { getOrInsert } from '../base/maps.ts'
import { type DeviceVersion, minuteOf, SOURCES } from '../directory/device-version.ts'
import type { RawPoint } from '../rollup/points/raw-points.ts'
import type { MinuteRecord, RowMeasurement } from '../rollup/rows/row-store.ts'
import { addTo, exists, type RowTable, type Shape, seriesKey, shapeOf, tagOf } from '../rollup/rows/row-table.ts'
import type { InfluxApi } from '../sink/config.ts'
import { type Cell, equals, identifier } from '../sink/influxdb/influxql.ts'
import type { Kind } from '../source/parse/message.ts'
import { createInfluxReader, type InfluxReaderDeps, integerOf, NoInfluxql, textOf } from './influx-reader.ts'
import { portOf } from './raw-tags.ts'
import { conditionsOf } from './row-filter.ts'
import { DEVICES_REACH, type StoredRows, stepOf, TIERS, TIERS_REACH, type TierRecord } from './stored-rows.ts'

export interface InfluxRowStoreOptions {
  /** Undefined: the server is asked for its version. */
  readonly api: InfluxApi | undefined
  /** The value of tag `tailnet`. */
  readonly tailnet: string
}

const RAW_COLUMNS = [
  'time',
  'node',
  'kind',
  'proto',
  'src',
  'dst',
  'src_port',
  'dst_port',
  'path',
  'tx_bytes',
  'tx_pkts',
  'rx_bytes',
  'rx_pkts',
  'flows',
]
/** Points of version 0.1.0 have no such tag. */
const HAS_PORTS = `"src_port" != ''`
const MINUTE_COLUMNS = ['time', 'digest', 'points', 'rows', 'writer', 'gap']
const DEVICE_COLUMNS = ['time', 'node', 'name', 'owner', 'os', 'addresses', 'source', 'logged']
/** Addresses in one query: they stand in its URL. */
const ADDRESSES_MAX = 50
/** InfluxDB 3 Core reads at most 432 files in one query, each of ten minutes in which something was written. */
const CORE_FILES_MAX = 432n
const CORE_FILE = 10n * MINUTE
/** Of so few rows the database computes sums slower than it shows the rows: six sums of a series cost as much as 30 to 100 of its rows (1.6.7). */
const SUMMED_HERE_STEPS_MAX = 60n
/** Of one minute, at most; the series budget allows so many in a day. */
const EDGES_MAX = 100_000n
const INTEGER_MAX = (1n << 63n) - 1n

export function createInfluxRowStore({ api, tailnet }: InfluxRowStoreOptions, deps: InfluxReaderDeps): StoredRows {
  const reader = createInfluxReader({ api }, deps)

  function where(fromNs: bigint, toNs: bigint, ...conditions: readonly string[]): string {
    return ['', equals('tailnet', tailnet), `time >= ${fromNs}`, `time < ${toNs}`, ...conditions]
      .join(' AND ')
      .replace(/^ AND/, 'WHERE')
  }

  const names = (columns: readonly string[]) =>
    columns
      .filter((name) => name !== 'time')
      .map(identifier)
      .join(', ')
  const select = (columns: readonly string[], measurement: string, condition: string) =>
    `SELECT ${names(columns)} FROM ${reader.from(measurement)} ${condition}`

  /** Rows of a range as they stand, in the order of `shape.fields`. */
  async function eachRow(
    measurement: RowMeasurement,
    condition: string,
    each: (key: string, fields: readonly bigint[], timeNs: bigint) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const shape = shapeOf(measurement)
    const columns = [...shape.tags, ...shape.fields, 'time']
    await reader.rows(select(columns, measurement, condition), columns, splitRow(shape, each), signal)
  }

  /** A range in as many queries as this server needs, for points that are written every `step`. */
  async function* piecesOf(
    fromNs: bigint,
    toNs: bigint,
    step: bigint,
    signal: AbortSignal,
  ): AsyncIterable<readonly [fromNs: bigint, toNs: bigint]> {
    const longest =
      (await reader.api(signal)) === 'v3' ? CORE_FILES_MAX * (step > CORE_FILE ? step : CORE_FILE) : toNs - fromNs
    for (let at = fromNs; at < toNs; at += longest) yield [at, at + longest < toNs ? at + longest : toNs]
  }

  async function summedPiece(
    measurement: RowMeasurement,
    fromNs: bigint,
    toNs: bigint,
    conditions: readonly string[],
    signal: AbortSignal,
  ): Promise<RowTable> {
    const shape = shapeOf(measurement)
    const range = where(fromNs, toNs, ...conditions)
    const table: RowTable = new Map()
    const isShort = (toNs - fromNs) / stepOf(measurement) <= SUMMED_HERE_STEPS_MAX
    const rows = (toNs - fromNs) / stepOf(measurement) + 1n
    if (isShort || (await hasWide(measurement, fromNs, toNs, conditions, rows, signal))) {
      const add = (key: string, fields: readonly bigint[]) => addTo(table, new Map([[key, fields]]), shape)
      await eachRow(measurement, range, add, signal)
      return table
    }
    const totals = shape.fields.map((name) => {
      const field = identifier(name)
      return `${name === shape.largest ? 'max' : 'sum'}(${field}) AS ${field}`
    })
    const put = splitRow(shape, (key, fields) => {
      if (exists(fields)) table.set(key, fields)
    })
    await reader.rows(
      `SELECT ${totals.join(', ')} FROM ${reader.from(measurement)} ${range} GROUP BY ${names(shape.tags)}`,
      [...shape.tags, ...shape.fields],
      put,
      signal,
    )
    return table
  }

  /** True when sums of this many rows of the range may exceed what an integer of the database holds: there they would begin again from below. */
  async function hasWide(
    measurement: RowMeasurement,
    fromNs: bigint,
    toNs: bigint,
    conditions: readonly string[],
    rows: bigint,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { fields, largest } = shapeOf(measurement)
    const limit = INTEGER_MAX / rows
    const wide = fields.filter((name) => name !== largest).map((name) => `${identifier(name)} > ${limit}`)
    let found = false
    const condition = where(fromNs, toNs, ...conditions, `(${wide.join(' OR ')})`)
    await reader.rows(
      `${select([largest], measurement, condition)} LIMIT 1`,
      ['time'],
      () => {
        found = true
      },
      signal,
    )
    return found
  }

  async function canQuery(signal: AbortSignal): Promise<boolean> {
    const nowNs = deps.clock.now()
    const query = select(['points'], 'tailflux_minute', where(nowNs - MINUTE, nowNs))
    try {
      await reader.rows(query, ['points'], () => undefined, signal)
      return true
    } catch (error) {
      if (error instanceof NoInfluxql) return false
      throw error
    }
  }

  return {
    canQuery,
    reads: async (signal) => ((await canQuery(signal)) ? 'all' : 'nothing'),

    async rawPoints(minuteNs, each, signal) {
      const range = where(minuteNs, minuteNs + MINUTE, HAS_PORTS)
      const query = select(RAW_COLUMNS, 'tailnet_flow', range)
      await reader.rows(query, RAW_COLUMNS, (cells) => each(rawPointOf(cells)), signal)
    },

    async standing(measurement, timeNs, signal) {
      const table: RowTable = new Map()
      await eachRow(measurement, where(timeNs, timeNs + 1n), (key, fields) => table.set(key, fields), signal)
      return table
    },

    async rows(measurement, fromNs, toNs, each, signal, filter = []) {
      const conditions = conditionsOf(filter)
      const put = (key: string, fields: readonly bigint[], timeNs: bigint) => {
        if (exists(fields)) each(timeNs, key, fields)
      }
      for await (const [pieceFromNs, pieceToNs] of piecesOf(fromNs, toNs, stepOf(measurement), signal))
        await eachRow(measurement, where(pieceFromNs, pieceToNs, ...conditions), put, signal)
    },

    async kinds(fromNs, toNs, each, signal) {
      for await (const [pieceFromNs, pieceToNs] of piecesOf(fromNs, toNs, MINUTE, signal)) {
        const range = where(pieceFromNs, pieceToNs)
        if (await hasWide('tailnet_edge', pieceFromNs, pieceToNs, [], EDGES_MAX, signal)) {
          const put = (key: string, [tx, rx]: readonly bigint[], timeNs: bigint) =>
            each(timeNs, tagOf(key, 'kind'), Number(tx) + Number(rx))
          await eachRow('tailnet_edge', range, put, signal)
          continue
        }
        await reader.rows(
          `SELECT sum("tx_bytes") AS "tx", sum("rx_bytes") AS "rx" FROM ${reader.from('tailnet_edge')} ${range} GROUP BY time(1m), "kind" fill(none)`,
          ['time', 'kind', 'tx', 'rx'],
          ([time, kind, tx, rx]) => each(integerOf(time), textOf(kind), Number(integerOf(tx)) + Number(integerOf(rx))),
          signal,
        )
      }
    },

    async summed(measurement, fromNs, toNs, signal, filter = []) {
      const shape = shapeOf(measurement)
      const conditions = conditionsOf(filter)
      const table: RowTable = new Map()
      for await (const [pieceFromNs, pieceToNs] of piecesOf(fromNs, toNs, stepOf(measurement), signal)) {
        const piece = await summedPiece(measurement, pieceFromNs, pieceToNs, conditions, signal)
        if (table.size > 0) addTo(table, piece, shape)
        else for (const [key, fields] of piece) table.set(key, fields)
      }
      return table
    },

    async rawRange(fromNs, toNs, filter, each, signal) {
      for await (const [pieceFromNs, pieceToNs] of piecesOf(fromNs, toNs, MINUTE, signal)) {
        const range = where(pieceFromNs, pieceToNs, HAS_PORTS, ...conditionsOf(filter))
        const query = select(RAW_COLUMNS, 'tailnet_flow', range)
        await reader.rows(query, RAW_COLUMNS, (cells) => each(rawPointOf(cells)), signal)
      }
    },

    async tiers(nowNs, signal) {
      const records: TierRecord[] = []
      // A tier is written every hour, so that 3 Core has few enough files.
      const query = select(['max_ms', 'oldest_ms'], 'tailflux_tier', where(nowNs - TIERS_REACH, nowNs))
      await reader.rows(
        `${query} GROUP BY "tier" ORDER BY time DESC LIMIT 1`,
        ['tier', 'max_ms', 'oldest_ms'],
        ([name, maxMs, oldestMs]) => {
          const tier = TIERS.find((one) => one === name)
          if (tier === undefined) return
          records.push({ tier, rangeMaxNs: integerOf(maxMs) * MS, oldestNs: integerOf(oldestMs) * MS })
        },
        signal,
      )
      return records
    },

    async reporting(fromNs, toNs, signal) {
      const minutes = new Map<bigint, Set<string>>()
      const query = select(['flows'], 'tailnet_node', where(fromNs, toNs, '"flows" > 0'))
      await reader.rows(
        `${query} GROUP BY "node"`,
        ['time', 'node'],
        ([time, node]) => {
          getOrInsert(minutes, integerOf(time), () => new Set()).add(textOf(node))
        },
        signal,
      )
      return minutes
    },

    async usersOf(addresses, fromNs, toNs, signal) {
      const users = new Map(addresses.map((address) => [address, new Set<string>()]))
      for (let at = 0; at < addresses.length; at += ADDRESSES_MAX) {
        const any = addresses.slice(at, at + ADDRESSES_MAX).map((address) => equals('src', address))
        const range = where(fromNs, toNs, `"kind" = 'virtual'`, HAS_PORTS, `(${any.join(' OR ')})`)
        await reader.rows(
          `SELECT count("flows") FROM ${reader.from('tailnet_flow')} ${range} GROUP BY "src", "node"`,
          ['src', 'node', 'count'],
          ([src, node, count]) => {
            if (integerOf(count) > 0n) users.get(textOf(src))?.add(textOf(node))
          },
          signal,
        )
      }
      return users
    },

    async minutes(fromNs, toNs, signal) {
      const records: MinuteRecord[] = []
      await reader.rows(
        select(MINUTE_COLUMNS, 'tailflux_minute', where(fromNs, toNs)),
        MINUTE_COLUMNS,
        ([time, digest, points, rows, writer, gap]) =>
          records.push({
            startNs: integerOf(time),
            digest: textOf(digest),
            points: Number(integerOf(points)),
            rows: Number(integerOf(rows)),
            writer: textOf(writer),
            isGap: gap === true,
          }),
        signal,
      )
      return records.toSorted((one, other) => Number(one.startNs - other.startNs))
    },

    async devices(fromNs, toNs, signal) {
      const versions: DeviceVersion[] = []
      const query = select(DEVICE_COLUMNS, 'tailnet_device', where(fromNs, toNs))
      await reader.rows(query, DEVICE_COLUMNS, (cells) => versions.push(deviceOf(cells)), signal)
      return versions.toSorted((one, other) => one.from - other.from)
    },

    async newestDevices(beforeNs, signal) {
      const versions = new Map<string, DeviceVersion>()
      const oldestNs = beforeNs - DEVICES_REACH
      const step = (await reader.api(signal)) === 'v3' ? CORE_FILES_MAX * CORE_FILE : DEVICES_REACH
      for (let toNs = beforeNs; toNs > oldestNs; toNs -= step) {
        const fromNs = toNs - step > oldestNs ? toNs - step : oldestNs
        const query = select(
          DEVICE_COLUMNS.filter((name) => name !== 'node'),
          'tailnet_device',
          where(fromNs, toNs),
        )
        await reader.rows(
          `${query} GROUP BY "node" ORDER BY time DESC LIMIT 1`,
          DEVICE_COLUMNS,
          (cells) => {
            const version = deviceOf(cells)
            if (!versions.has(version.node)) versions.set(version.node, version)
          },
          signal,
        )
      }
      return [...versions.values()]
    },
  }
}

function rawPointOf(cells: readonly Cell[]): RawPoint {
  const [time, node, kind, proto, src, dst, srcPort, dstPort, path, txBytes, txPkts, rxBytes, rxPkts, flows] = cells
  return {
    node: textOf(node),
    kind: textOf(kind) as Kind,
    proto: textOf(proto),
    src: textOf(src),
    dst: textOf(dst),
    srcPort: portOf(textOf(srcPort)),
    dstPort: portOf(textOf(dstPort)),
    path: textOf(path),
    startNs: integerOf(time),
    txBytes: integerOf(txBytes),
    txPkts: integerOf(txPkts),
    rxBytes: integerOf(rxBytes),
    rxPkts: integerOf(rxPkts),
    flows: Number(integerOf(flows)),
  }
}

/** Cells of tags and fields, in the order of the shape, as a key and fields; then the time, if it was asked for. */
function splitRow(shape: Shape, each: (key: string, fields: readonly bigint[], timeNs: bigint) => void) {
  const tagCount = shape.tags.length
  const width = tagCount + shape.fields.length
  return (cells: readonly Cell[]) =>
    each(
      seriesKey(shape, cells.slice(0, tagCount).map(textOf)),
      cells.slice(tagCount, width).map(integerOf),
      width < cells.length ? integerOf(cells[width]) : 0n,
    )
}

function deviceOf([time, node, name, owner, os, addresses, source, logged]: readonly Cell[]): DeviceVersion {
  return {
    node: textOf(node),
    name: textOf(name),
    owner: textOf(owner),
    os: textOf(os),
    addresses: textOf(addresses)
      .split(' ')
      .filter((address) => address !== ''),
    source: SOURCES.find((one) => one === source) ?? 'peer',
    loggedNs: integerOf(logged),
    from: minuteOf(integerOf(time)),
  }
}
