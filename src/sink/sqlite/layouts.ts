/** The layout of the store file, and the step from older ones: up to layout 3 all measurements were in one table. */
import type { DatabaseSync } from 'node:sqlite'
import { measurementOf, measurementsIn, prepareMeasurement, tableNames } from './measurement-table.ts'
import { WINDOW, watermarkIn } from './window-points.ts'

export const LAYOUT = 4
/** Beside the tables of each measurement. `watermark`: the highest that a point of `tailflux_window` told. */
const TOTAL = `
CREATE TABLE total (points INTEGER NOT NULL, series INTEGER NOT NULL, watermark INTEGER) STRICT;
INSERT INTO total VALUES (0, 0, NULL);
`

/** Inside a transaction. `version`: of the file, 0 when it is new. */
export function bringToLayout(db: DatabaseSync, version: number): void {
  if (version > 0) db.exec('DROP TABLE total')
  db.exec(TOTAL)
  if (version > 0) {
    splitByMeasurement(db)
    // Of points that are in the tables of their measurement now.
    db.exec('DROP TABLE IF EXISTS mirror; DROP TABLE IF EXISTS checkpoint; DROP TABLE IF EXISTS checkpoint_state')
  }
  db.exec(`PRAGMA user_version = ${LAYOUT}`)
}

/** In SQL, which is several times faster than point by point. The file needs room for its points a second time until it is done. */
function splitByMeasurement(db: DatabaseSync): void {
  const counts = { points: 0, series: 0 }
  for (const measurement of oldMeasurements(db)) {
    prepareMeasurement(db, measurement)
    const { points, series } = tableNames(measurement)
    // What follows a measurement is a comma, or nothing; a minus is what follows a comma.
    const copySeries = db.prepare(
      `INSERT INTO ${series} SELECT id, key, day FROM series WHERE key = ?1 OR (key >= ?2 AND key < ?3)`,
    )
    counts.series += Number(copySeries.run(measurement, `${measurement},`, `${measurement}-`).changes)
    const copyPoints = `INSERT INTO ${points} SELECT ns, series, fields FROM point WHERE series IN (SELECT id FROM ${series}) ORDER BY ns, series`
    counts.points += Number(db.prepare(copyPoints).run().changes)
  }
  db.exec('DROP TABLE point; DROP TABLE series')
  const total = db.prepare('UPDATE total SET points = ?, series = ?, watermark = ?')
  total.run(counts.points, counts.series, highestWatermark(db) ?? null)
}

function oldMeasurements(db: DatabaseSync): ReadonlySet<string> {
  const found = new Set<string>()
  for (const { key } of db.prepare('SELECT key FROM series').iterate()) found.add(measurementOf(String(key)))
  return found
}

function highestWatermark(db: DatabaseSync): bigint | undefined {
  if (!measurementsIn(db).includes(WINDOW)) return undefined
  let highest: bigint | undefined
  for (const { fields } of db.prepare(`SELECT fields FROM ${tableNames(WINDOW).points}`).iterate()) {
    const watermark = watermarkIn(String(fields))
    if (watermark !== undefined && (highest === undefined || watermark > highest)) highest = watermark
  }
  return highest
}
