/** Checkpoints in the embedded store: the points of `tailflux_window` are stored again in a table of their own. Points are ordered by time, so without
 * this table all other points would be read to find them. */
import type { DatabaseSync } from 'node:sqlite'
import { DAY } from '../../base/clock.ts'
import { prepareExact } from '../../base/sqlite.ts'
import type { CheckpointPoint, CheckpointState, TimeRange } from '../sink.ts'

/** `tailnet`, `pass` and `writer` as in the line, escaped; `writer` is empty where the line has none. */
export const CHECKPOINT_SCHEMA = `
CREATE TABLE checkpoint (
  tailnet TEXT, ns INTEGER, pass TEXT, writer TEXT, acked INTEGER, watermark INTEGER, passed INTEGER,
  PRIMARY KEY (ns, tailnet, pass, writer)) STRICT, WITHOUT ROWID;
CREATE INDEX checkpoint_watermark ON checkpoint (watermark);
`
/** The newest checkpoint of each writer, with the texts that it carries. Files of layout 3 may lack this table. */
export const CHECKPOINT_STATE_SCHEMA = `
CREATE TABLE IF NOT EXISTS checkpoint_state (
  tailnet TEXT, writer TEXT, ns INTEGER NOT NULL, pass TEXT NOT NULL, acked INTEGER NOT NULL, unsettled TEXT, settings TEXT,
  PRIMARY KEY (tailnet, writer)) STRICT, WITHOUT ROWID;
`
export const CHECKPOINT_SERIES = 'tailflux_window,'
/** Only the newest checkpoints of a file of an older layout are copied: older ones are never compared. */
const COPIED_DAYS = 2n

export function prepareCheckpoint(db: DatabaseSync) {
  const put = db.prepare('INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?, ?, ?, ?)')
  const find = prepareExact(db, 'SELECT * FROM checkpoint WHERE ns BETWEEN ?2 AND ?3 AND tailnet = ?1')
  const drop = db.prepare('DELETE FROM checkpoint WHERE ns < ?')
  const putState = db.prepare(
    'INSERT INTO checkpoint_state VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET ns = excluded.ns, pass = excluded.pass, acked = excluded.acked, unsettled = excluded.unsettled, settings = excluded.settings WHERE excluded.acked >= acked',
  )
  const findStates = db.prepare(
    'SELECT pass, writer, unsettled, settings FROM checkpoint_state WHERE tailnet = ? AND ns = ?',
  )
  const dropStates = db.prepare('DELETE FROM checkpoint_state WHERE ns < ?')
  return {
    /** `key` and `fields` of a line of `tailflux_window` that tailflux wrote. */
    put(key: string, ns: bigint, fields: string): void {
      const tag = (name: string) => new RegExp(`,${name}=((?:[^\\\\,]|\\\\.)*)`).exec(key)?.[1] ?? ''
      // Texts come last, and may hold anything.
      const numbers = fields.split('"', 1)[0] ?? ''
      const field = (name: string) => {
        const found = new RegExp(`(?:^|,)${name}=(-?\\d+)i`).exec(numbers)?.[1]
        return found === undefined ? null : BigInt(found)
      }
      const text = (name: string) =>
        new RegExp(`,${name}="((?:[^"\\\\]|\\\\.)*)"`).exec(fields)?.[1]?.replaceAll('\\"', '"') ?? null
      const [tailnet, pass, writer, acked] = [tag('tailnet'), tag('pass'), tag('writer'), field('acked')]
      put.run(tailnet, ns, pass, writer, acked, field('watermark'), field('passed'))
      const texts = [text('unsettled'), text('settings')] as const
      if (acked !== null && texts.some((one) => one !== null)) putState.run(tailnet, writer, ns, pass, acked, ...texts)
    },
    states(tailnet: string, ns: bigint): CheckpointState[] {
      return (findStates.all(tailnet, ns) as unknown as StateRow[]).map((row) => ({
        pass: row.pass,
        writer: row.writer === '' ? undefined : row.writer,
        unsettled: row.unsettled ?? undefined,
        settings: row.settings ?? undefined,
      }))
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
      dropStates.run(beforeNs)
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

interface StateRow {
  readonly pass: string
  readonly writer: string
  readonly unsettled: string | null
  readonly settings: string | null
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
