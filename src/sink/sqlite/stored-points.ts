/** Reads points of a store file, oldest first. Other modules read the store by this file alone. */
import type { DatabaseSync } from 'node:sqlite'
import { prepareExact } from '../../base/sqlite.ts'
import { measurementsIn, type StoredPoint, tableNames } from './measurement-table.ts'
import { isOldLayout, openStoreReader, storeError } from './store-file.ts'

export interface StoredRange {
  /** Inclusive. */
  readonly fromNs?: bigint | undefined
  /** Inclusive. */
  readonly toNs?: bigint | undefined
  /** Without it all measurements are read, together in order of time. */
  readonly measurement?: string | undefined
}

/** Points of a store file, also while the service runs: as they are when reading begins. With a measurement, nothing else is passed. Throws a
 * CollectorError when the file cannot be read. */
export function* storedPoints(path: string, range: StoredRange = {}): Iterable<StoredPoint> {
  const db = openStoreReader(path)
  try {
    yield* isOldLayout(db) ? oldPointsIn(db, range) : pointsIn(db, range)
  } catch (error) {
    throw storeError(path, error)
  } finally {
    db.close()
  }
}

/** The same of an open file. */
export function pointsIn(db: DatabaseSync, { measurement, ...range }: StoredRange): Iterable<StoredPoint> {
  const all = measurementsIn(db)
  const read = measurement === undefined ? all : all.filter((one) => one === measurement)
  if (read.length === 0) return []
  // CROSS JOIN: points first, in their order, so that nothing is sorted.
  const parts = read.map((one) => {
    const { points, series } = tableNames(one)
    return `SELECT key, fields, ns FROM ${points} CROSS JOIN ${series} ON id = series WHERE ns BETWEEN ?1 AND ?2`
  })
  return rowsOf(db, `${parts.join(' UNION ALL ')} ORDER BY ns`, range)
}

/** The time of the newest point. */
export function newestIn(db: DatabaseSync): bigint | undefined {
  const newest = measurementsIn(db).map(
    (one) => prepareExact(db, `SELECT max(ns) AS ns FROM ${tableNames(one).points}`).get() as { ns: bigint | null },
  )
  return newest.reduce<bigint | undefined>(
    (best, { ns }) => (ns !== null && (best === undefined || ns > best) ? ns : best),
    undefined,
  )
}

/** Layouts before 4 had one table for all measurements. */
function oldPointsIn(db: DatabaseSync, { measurement, ...range }: StoredRange): Iterable<StoredPoint> {
  // A measurement ends at a comma; a minus is what follows a comma.
  const [first, last] = measurement === undefined ? ['', '\u{10ffff}'] : [`${measurement},`, `${measurement}-`]
  const sql =
    'SELECT key, fields, ns FROM point JOIN series ON series.id = point.series WHERE ns BETWEEN ?1 AND ?2 AND key >= ?3 AND key < ?4 ORDER BY ns, point.series'
  return rowsOf(db, sql, range, first, last)
}

function* rowsOf(
  db: DatabaseSync,
  sql: string,
  { fromNs = -(1n << 63n), toNs = (1n << 63n) - 1n }: Omit<StoredRange, 'measurement'>,
  ...more: readonly string[]
): Iterable<StoredPoint> {
  const rows = prepareExact(db, sql)
  rows.setReturnArrays(true)
  for (const row of rows.iterate(fromNs, toNs, ...more)) {
    const [key, fields, ns] = row as unknown as [string, string, bigint]
    yield { key, fields, ns }
  }
}
