/** Checkpoints in the embedded store: the points of `tailflux_window` are stored again in a table of their own. Points are ordered by time, so without
 * this table all other points would be read to find them. */
import type { DatabaseSync } from 'node:sqlite'
import { DAY } from '../../base/clock.ts'
import { prepareExact } from '../../base/sqlite.ts'
import type { CheckpointPoint, TimeRange } from '../sink.ts'

/** `tailnet`, `pass` and `writer` as in the line, escaped; `writer` is empty where the line has none. */
export const CHECKPOINT_SCHEMA = `
CREATE TABLE checkpoint (
  tailnet TEXT, ns INTEGER, pass TEXT, writer TEXT, acked INTEGER, watermark INTEGER, passed INTEGER,
  PRIMARY KEY (ns, tailnet, pass, writer)) STRICT, WITHOUT ROWID;
CREATE INDEX checkpoint_watermark ON checkpoint (watermark);
`
export const CHECKPOINT_SERIES = 'tailflux_window,'
/** Only the newest checkpoints of a file of an older layout are copied: older ones are never compared. */
const COPIED_DAYS = 2n

export function prepareCheckpoint(db: DatabaseSync) {
  const put = db.prepare('INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?, ?, ?, ?)')
  const find = prepareExact(db, 'SELECT * FROM checkpoint WHERE ns BETWEEN ?2 AND ?3 AND tailnet = ?1')
  const drop = db.prepare('DELETE FROM checkpoint WHERE ns < ?')
  return {
    /** `key` and `fields` of a line of `tailflux_window` that tailflux wrote. */
    put(key: string, ns: bigint, fields: string): void {
      const tag = (name: string) => new RegExp(`,${name}=((?:[^\\\\,]|\\\\.)*)`).exec(key)?.[1] ?? ''
      const field = (name: string) => {
        const found = new RegExp(`(?:^|,)${name}=(-?\\d+)i`).exec(fields)?.[1]
        return found === undefined ? null : BigInt(found)
      }
      put.run(tag('tailnet'), ns, tag('pass'), tag('writer'), field('acked'), field('watermark'), field('passed'))
    },
    find(tailnet: string, { fromNs, toNs }: TimeRange): CheckpointPoint[] {
      return (find.all(tailnet, fromNs, toNs) as unknown as Row[]).map((row) => ({
        timeNs: row.ns,
        pass: row.pass,
        writer: row.writer === '' ? undefined : row.writer,
        ackedNs: row.acked ?? undefined,
        watermarkNs: row.watermark ?? undefined,
        passedNs: row.passed ?? undefined,
      }))
    },
    drop(beforeNs: bigint): void {
      drop.run(beforeNs)
    },
  }
}

interface Row {
  readonly ns: bigint
  readonly pass: string
  readonly writer: string
  readonly acked: bigint | null
  readonly watermark: bigint | null
  readonly passed: bigint | null
}

/** Fills the table from the points of a file that had none. */
export function copyCheckpoints(db: DatabaseSync): void {
  const named = db.prepare(
    "SELECT id, key, day FROM series WHERE key >= 'tailflux_window,' AND key < 'tailflux_window-'",
  )
  const series = new Map(
    (named.all() as unknown as { id: number; key: string; day: number }[]).map((one) => [one.id, one]),
  )
  const newestDay = [...series.values()].reduce((newest, { day }) => Math.max(newest, day), 0)
  const points = prepareExact(
    db,
    'SELECT ns, series, fields FROM point WHERE ns >= ? AND series IN (SELECT value FROM json_each(?))',
  )
  const checkpoint = prepareCheckpoint(db)
  const fromNs = (BigInt(newestDay) - COPIED_DAYS + 1n) * DAY
  const rows = points.iterate(fromNs, JSON.stringify([...series.keys()]))
  for (const { ns, series: id, fields } of rows as Iterable<{ ns: bigint; series: bigint; fields: string }>)
    checkpoint.put(series.get(Number(id))?.key ?? '', ns, fields)
}
