/** Reads back from the embedded store: raw points, rows that stand, and how they were made. It reads by a connection of its own, so it can run beside the
 * service that writes; what it sees is the state when a call begins. */
import { existsSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { MINUTE, MS } from '../base/clock.ts'
import { getOrInsert } from '../base/maps.ts'
import { type DeviceVersion, minuteOf, SOURCES } from '../directory/device-version.ts'
import type { RawPoint } from '../rollup/points/raw-points.ts'
import type { MinuteRecord, RowMeasurement } from '../rollup/rows/row-store.ts'
import { addTo, exists, type RowTable, shapeOf } from '../rollup/rows/row-table.ts'
import type { StoredPoint } from '../sink/sqlite/measurement-table.ts'
import { storedPoints } from '../sink/sqlite/stored-points.ts'
import { rawTagsOf } from './raw-tags.ts'
import { isWanted, type RowFilter } from './row-filter.ts'
import { fieldsOf, integerIn, tagsOf, textIn } from './stored-fields.ts'
import { DEVICES_REACH, type StoredRows, TIERS, TIERS_REACH, type TierRecord } from './stored-rows.ts'

export interface StoreRowStoreOptions {
  /** The file. */
  readonly path: string
  /** The value of tag `tailnet`. */
  readonly tailnet: string
}

type Tags = ReadonlyMap<string, string>

/** Reading holds up the process that does it: after so many points others have their turn. */
const POINTS_PER_TURN = 2_000

export function createStoreRowStore({ path, tailnet }: StoreRowStoreOptions): StoredRows {
  /** Points of one measurement and of this tailnet in [fromNs, toNs), ascending. */
  async function each(
    measurement: string,
    fromNs: bigint,
    toNs: bigint,
    take: (point: StoredPoint, tags: Tags) => void,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted()
    const known = new Map<string, Tags>()
    let count = 0
    for (const point of storedPoints(path, { measurement, fromNs, toNs: toNs - 1n })) {
      const tags = getOrInsert(known, point.key, () => tagsOf(point.key))
      if (tags.get('tailnet') === tailnet) take(point, tags)
      if (++count % POINTS_PER_TURN > 0) continue
      await nextTurn()
      signal.throwIfAborted()
    }
  }

  /** The same of what tells about earlier work: a service that is new has done none, and its file is made with the first points. */
  async function eachBefore(...given: Parameters<typeof each>): Promise<void> {
    if (existsSync(path)) await each(...given)
  }

  /** Calls `take` for points that this version wrote. */
  function eachRaw(
    fromNs: bigint,
    toNs: bigint,
    take: (point: StoredPoint, tags: Tags) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const takeOwn = (point: StoredPoint, tags: Tags) => {
      if (tags.has('src_port')) take(point, tags)
    }
    return each('tailnet_flow', fromNs, toNs, takeOwn, signal)
  }

  async function eachRow(
    measurement: RowMeasurement,
    fromNs: bigint,
    toNs: bigint,
    take: (key: string, fields: readonly bigint[], timeNs: bigint) => void,
    signal: AbortSignal,
    filter: RowFilter = [],
  ): Promise<void> {
    const { fields: names } = shapeOf(measurement)
    const begin = measurement.length + 1
    const split = ({ ns, key, fields }: StoredPoint, tags: Tags) => {
      if (!isWanted(filter, tags)) return
      const values = fieldsOf(fields)
      take(
        key.slice(begin),
        names.map((name) => integerIn(values, name)),
        ns,
      )
    }
    await each(measurement, fromNs, toNs, split, signal)
  }

  return {
    canQuery: async () => true,
    reads: async () => 'all',

    async rawPoints(minuteNs, take, signal) {
      await eachRaw(minuteNs, minuteNs + MINUTE, (point, tags) => take(rawPointOf(point, tags)), signal)
    },

    async standing(measurement, timeNs, signal) {
      const table: RowTable = new Map()
      await eachRow(measurement, timeNs, timeNs + 1n, (key, fields) => table.set(key, fields), signal)
      return table
    },

    async rows(measurement, fromNs, toNs, take, signal, filter) {
      const put = (key: string, fields: readonly bigint[], timeNs: bigint) => {
        if (exists(fields)) take(timeNs, key, fields)
      }
      await eachRow(measurement, fromNs, toNs, put, signal, filter)
    },

    async kinds(fromNs, toNs, take, signal) {
      const put = ({ ns, fields }: StoredPoint, tags: Tags) => {
        const values = fieldsOf(fields)
        take(ns, tags.get('kind') ?? '', Number(integerIn(values, 'tx_bytes')) + Number(integerIn(values, 'rx_bytes')))
      }
      await eachBefore('tailnet_edge', fromNs, toNs, put, signal)
    },

    async summed(measurement, fromNs, toNs, signal, filter) {
      const shape = shapeOf(measurement)
      const table: RowTable = new Map()
      const add = (key: string, fields: readonly bigint[]) => addTo(table, new Map([[key, fields]]), shape)
      await eachRow(measurement, fromNs, toNs, add, signal, filter)
      return table
    },

    async rawRange(fromNs, toNs, filter, take, signal) {
      const takeWanted = (point: StoredPoint, tags: Tags) => {
        if (isWanted(filter, tags)) take(rawPointOf(point, tags))
      }
      await eachRaw(fromNs, toNs, takeWanted, signal)
    },

    async tiers(nowNs, signal) {
      const records = new Map<string, TierRecord>()
      const take = ({ fields }: StoredPoint, tags: Tags) => {
        const tier = TIERS.find((one) => one === tags.get('tier'))
        if (tier === undefined) return
        const values = fieldsOf(fields)
        const inNs = (name: string) => integerIn(values, name) * MS
        records.set(tier, { tier, rangeMaxNs: inNs('max_ms'), oldestNs: inNs('oldest_ms') })
      }
      await each('tailflux_tier', nowNs - TIERS_REACH, nowNs, take, signal)
      return [...records.values()]
    },

    async reporting(fromNs, toNs, signal) {
      const minutes = new Map<bigint, Set<string>>()
      const take = ({ ns, fields }: StoredPoint, tags: Tags) => {
        if (integerIn(fieldsOf(fields), 'flows') === 0n) return
        getOrInsert(minutes, ns, () => new Set()).add(tags.get('node') ?? '')
      }
      await eachBefore('tailnet_node', fromNs, toNs, take, signal)
      return minutes
    },

    async usersOf(addresses, fromNs, toNs, signal) {
      const users = new Map(addresses.map((address) => [address, new Set<string>()]))
      const take = (_point: StoredPoint, tags: Tags) => {
        if (tags.get('kind') === 'virtual') users.get(tags.get('src') ?? '')?.add(tags.get('node') ?? '')
      }
      if (users.size > 0) await eachRaw(fromNs, toNs, take, signal)
      return users
    },

    async minutes(fromNs, toNs, signal) {
      const records: MinuteRecord[] = []
      const take = ({ ns, fields }: StoredPoint) => {
        const values = fieldsOf(fields)
        records.push({
          startNs: ns,
          digest: textIn(values, 'digest'),
          points: Number(integerIn(values, 'points')),
          rows: Number(integerIn(values, 'rows')),
          writer: textIn(values, 'writer'),
          isGap: values.get('gap') === true,
        })
      }
      await eachBefore('tailflux_minute', fromNs, toNs, take, signal)
      return records
    },

    async devices(fromNs, toNs, signal) {
      const versions: DeviceVersion[] = []
      const take = (point: StoredPoint, tags: Tags) => versions.push(deviceOf(point, tags))
      await eachBefore('tailnet_device', fromNs, toNs, take, signal)
      return versions
    },

    async newestDevices(beforeNs, signal) {
      const versions = new Map<string, DeviceVersion>()
      const take = (point: StoredPoint, tags: Tags) => versions.set(tags.get('node') ?? '', deviceOf(point, tags))
      await eachBefore('tailnet_device', beforeNs - DEVICES_REACH, beforeNs, take, signal)
      return [...versions.values()]
    },
  }
}

function rawPointOf({ ns, fields }: StoredPoint, tags: Tags): RawPoint {
  const values = fieldsOf(fields)
  return {
    ...rawTagsOf((name) => tags.get(name) ?? ''),
    startNs: ns,
    txBytes: integerIn(values, 'tx_bytes'),
    txPkts: integerIn(values, 'tx_pkts'),
    rxBytes: integerIn(values, 'rx_bytes'),
    rxPkts: integerIn(values, 'rx_pkts'),
    flows: Number(integerIn(values, 'flows')),
  }
}

function deviceOf({ ns, fields }: StoredPoint, tags: Tags): DeviceVersion {
  const values = fieldsOf(fields)
  return {
    node: tags.get('node') ?? '',
    name: textIn(values, 'name'),
    owner: textIn(values, 'owner'),
    os: textIn(values, 'os'),
    addresses: textIn(values, 'addresses')
      .split(' ')
      .filter((address) => address !== ''),
    source: SOURCES.find((one) => one === values.get('source')) ?? 'peer',
    loggedNs: integerIn(values, 'logged'),
    from: minuteOf(ns),
  }
}
