/** What is read back from the database to make derived rows and to show them: raw points, rows that stand, and how they were made. This file is the
 * interface; query/ implements it by InfluxQL and for the embedded store. */
import type { DeviceStore } from '../../directory/device-store.ts'
import type { RawPoint } from '../points/raw-points.ts'
import type { RowTable } from './row-table.ts'

export type RowMeasurement = `tailnet_${'edge' | 'node'}${'' | '_1h' | '_1d'}`

/** A point of `tailflux_minute`: how the rows of a minute were made. */
export interface MinuteRecord {
  /** Begin of the minute, ns. */
  readonly startNs: bigint
  /** Empty where the database keeps no texts, and so is the writer. */
  readonly digest: string
  /** Number of raw points. */
  readonly points: number
  readonly rows: number
  readonly writer: string
  readonly isGap: boolean
}

/** Takes a row: its time, and its key and fields as row-table.ts makes them. */
export type TakeRow = (timeNs: bigint, key: string, fields: readonly bigint[]) => void

/** The rows of one tailnet. All ranges of time are [fromNs, toNs). Every call rejects with a CollectorError (stage `sink`) whose text ends with the fix,
 * or with the signal's reason. An answer that is not complete (row limits of the server) is an error, never a shorter answer. */
export interface RowStore extends DeviceStore {
  /** What this kind of database shows: all; `numbers` without texts, and then a row that stands is not replaced by a different one (VictoriaMetrics);
   * or nothing at all. */
  reads(signal: AbortSignal): Promise<'all' | 'numbers' | 'nothing'>
  /** Calls `each` for every raw point of this minute of `start`. Points without tag `src_port` (version 0.1.0) are passed over. */
  rawPoints(minuteNs: bigint, each: (point: RawPoint) => void, signal: AbortSignal): Promise<void>
  /** Rows that stand at exactly this time: keys and fields as row-table.ts makes them; rows of zeros included. */
  standing(measurement: RowMeasurement, timeNs: bigint, signal: AbortSignal): Promise<RowTable>
  /** Calls `each` for every row of a range that counts anything, in any order. */
  rows(measurement: RowMeasurement, fromNs: bigint, toNs: bigint, each: TakeRow, signal: AbortSignal): Promise<void>
  /** Rows of a range, summed by series (of `reporters` and `peers` the largest); rows of zeros left out. */
  summed(measurement: RowMeasurement, fromNs: bigint, toNs: bigint, signal: AbortSignal): Promise<RowTable>
  /** Bytes of `tailnet_edge` by minute and kind, both directions together: calls `each` once or more for each of them, in any order; they add up. */
  kinds(
    fromNs: bigint,
    toNs: bigint,
    each: (minuteNs: bigint, kind: string, bytes: number) => void,
    signal: AbortSignal,
  ): Promise<void>
  /** By minute (its begin, ns): the ids of nodes with a row of `tailnet_node` that counts anything. */
  reporting(fromNs: bigint, toNs: bigint, signal: AbortSignal): Promise<ReadonlyMap<bigint, ReadonlySet<string>>>
  /** For each of these addresses: the nodes that wrote it as `src` of a virtual raw point in the range. */
  usersOf(
    addresses: readonly string[],
    fromNs: bigint,
    toNs: bigint,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, ReadonlySet<string>>>
  /** Points of `tailflux_minute`, ascending. */
  minutes(fromNs: bigint, toNs: bigint, signal: AbortSignal): Promise<readonly MinuteRecord[]>
}
