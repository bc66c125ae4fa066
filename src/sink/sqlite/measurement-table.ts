/** The two tables of a measurement, made when its first point is written.
 *
 *   series_M   id; key: measurement and tags as in the line; day: of its newest point, in days since the epoch
 *   points_M   (ns, series) is the identity of a point, as in InfluxDB: writing again overwrites; fields as in the line
 *
 * So each line comes back byte for byte, and long tiers and devices are read without passing raw points. Points are ordered by time, because they are
 * written, read and removed in that order. A series is kept until its day is older than the retention. */
import type { DatabaseSync } from 'node:sqlite'
import { DAY } from '../../base/clock.ts'
import { prepareExact } from '../../base/sqlite.ts'

/** Maximum ids of series in memory, of one measurement; a port scan makes a new one per point. */
const SERIES_CACHED_MAX = 50_000

/** A point as it was written: measurement and tags, and fields, as they stand in its line. */
export interface StoredPoint {
  readonly key: string
  readonly fields: string
  readonly ns: bigint
}

export interface Counts {
  points: number
  series: number
}

export interface MeasurementTable {
  /** Writes a point; `counts` grows by what is new. */
  put(key: string, ns: bigint, fields: string, counts: Counts): void
  /** Removes points before `ns`, and series without points, at most `rowsMax` of each. False: more are left. `counts` shrinks. */
  removeBefore(ns: bigint, rowsMax: number, counts: Counts): boolean
}

/** The measurement of a key: up to its first comma without a backslash. */
export function measurementOf(key: string): string {
  let comma = key.indexOf(',')
  while (comma > 0 && key[comma - 1] === '\\') comma = key.indexOf(',', comma + 1)
  return comma < 0 ? key : key.slice(0, comma)
}

/** Measurements that have tables, in order of their names. */
export function measurementsIn(db: DatabaseSync): string[] {
  const rows = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'points_*' ORDER BY name")
  return rows.all().map(({ name }) => String(name).slice('points_'.length))
}

export function tableNames(measurement: string): { readonly points: string; readonly series: string } {
  const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`
  return { points: quoted(`points_${measurement}`), series: quoted(`series_${measurement}`) }
}

/** Must be called inside a transaction: it makes the tables if they are missing. */
export function prepareMeasurement(db: DatabaseSync, measurement: string): MeasurementTable {
  const names = tableNames(measurement)
  db.exec(`
    CREATE TABLE IF NOT EXISTS ${names.series} (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, day INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS ${names.points} (
      ns INTEGER, series INTEGER, fields TEXT NOT NULL, PRIMARY KEY (ns, series)) STRICT, WITHOUT ROWID;`)
  const find = db.prepare(`SELECT id, day FROM ${names.series} WHERE key = ?`)
  const add = db.prepare(`INSERT INTO ${names.series} (key, day) VALUES (?, ?) RETURNING id, day`)
  const use = db.prepare(`UPDATE ${names.series} SET day = ? WHERE id = ?`)
  const insert = db.prepare(`INSERT INTO ${names.points} VALUES (?, ?, ?) ON CONFLICT DO NOTHING`)
  const update = db.prepare(`UPDATE ${names.points} SET fields = ?3 WHERE ns = ?1 AND series = ?2`)
  const stepEnd = prepareExact(db, `SELECT ns FROM ${names.points} WHERE ns < ? ORDER BY ns LIMIT 1 OFFSET ?`)
  const remove = db.prepare(`DELETE FROM ${names.points} WHERE ns < ?`)
  const removeSeries = db.prepare(
    `DELETE FROM ${names.series} WHERE id IN (SELECT id FROM ${names.series} WHERE day < ? LIMIT ?)`,
  )
  const known = new Map<string, { readonly id: number; day: number }>()

  function seriesOf(key: string, day: number, counts: Counts): number {
    let series = known.get(key)
    if (series === undefined) {
      series = find.get(key) as { id: number; day: number } | undefined
      if (series === undefined) {
        series = add.get(key, day) as unknown as { id: number; day: number }
        counts.series += 1
      }
      if (known.size >= SERIES_CACHED_MAX) known.clear()
      known.set(key, series)
    }
    if (day > series.day) {
      use.run(day, series.id)
      series.day = day
    }
    return series.id
  }

  return {
    put(key, ns, fields, counts) {
      const id = seriesOf(key, Number(ns / DAY), counts)
      const { changes } = insert.run(ns, id, fields)
      if (changes === 0) update.run(ns, id, fields)
      else counts.points += 1
    },
    removeBefore(ns, rowsMax, counts) {
      const end = (stepEnd.get(ns, rowsMax) as { ns: bigint } | undefined)?.ns
      counts.points -= Number(remove.run(end ?? ns).changes)
      if (end !== undefined) return false
      const removed = Number(removeSeries.run(ns / DAY, rowsMax).changes)
      counts.series -= removed
      if (removed > 0) known.clear()
      return removed < rowsMax
    },
  }
}
