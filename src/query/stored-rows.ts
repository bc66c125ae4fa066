/** What `flows` reads, beside what the rollup does. */
import { DAY, HOUR, MINUTE } from '../base/clock.ts'
import type { RawPoint } from '../rollup/points/raw-points.ts'
import type { RowMeasurement, RowStore, TakeRow } from '../rollup/rows/row-store.ts'
import type { RowTable } from '../rollup/rows/row-table.ts'
import type { RowFilter } from './row-filter.ts'

export const TIERS = ['minutes', 'hours', 'days'] as const
export type Tier = (typeof TIERS)[number]

/** What a tier holds, as the running service wrote it last. */
export interface TierRecord {
  readonly tier: Tier
  /** The longest range that should be read from it. */
  readonly rangeMaxNs: bigint
  readonly oldestNs: bigint
}

/** Ranges are [fromNs, toNs); errors are those of RowStore. */
export interface StoredRows extends RowStore {
  rows(
    measurement: RowMeasurement,
    fromNs: bigint,
    toNs: bigint,
    each: TakeRow,
    signal: AbortSignal,
    filter?: RowFilter,
  ): Promise<void>
  summed(
    measurement: RowMeasurement,
    fromNs: bigint,
    toNs: bigint,
    signal: AbortSignal,
    filter?: RowFilter,
  ): Promise<RowTable>
  /** Calls `each` for every raw point that is wanted. Points of version 0.1.0 are passed over. */
  rawRange(
    fromNs: bigint,
    toNs: bigint,
    filter: RowFilter,
    each: (point: RawPoint) => void,
    signal: AbortSignal,
  ): Promise<void>
  /** Of the ten days before. Empty where the service writes none: before its first hour, and on VictoriaMetrics. */
  tiers(nowNs: bigint, signal: AbortSignal): Promise<readonly TierRecord[]>
}

/** Each known device is written again every day, and a record comes at most 31 days late. */
export const DEVICES_REACH = 62n * DAY
/** The service writes each tier again every hour. */
export const TIERS_REACH = 10n * DAY

/** Between two rows of a series. */
export function stepOf(measurement: RowMeasurement): bigint {
  if (measurement.endsWith('_1d')) return DAY
  return measurement.endsWith('_1h') ? HOUR : MINUTE
}
