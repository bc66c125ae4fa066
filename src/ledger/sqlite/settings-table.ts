/** Changes of settings in the state file: table `ledger_settings` (tailnet, from_ns, settings as JSON). Few rows, kept in memory beside the file; memory changes
 * only after the commit. */
import { prepareExact } from '../../base/sqlite.ts'
import {
  changesText,
  readChanges,
  type SettingsChange,
  type SettingsHistory,
  settingsAt,
  withSettings,
} from '../settings-history.ts'
import type { StateFile } from './state-file.ts'

export interface SettingsShape<T> {
  /** The settings of this process. */
  readonly current: T
  /** Undefined for data that are no such settings; what is left out is as in `current`. */
  parse(data: unknown): T | undefined
  /** Members that may be missing in the database, if they are too long for one field. */
  readonly optional: readonly (keyof T)[]
}

/** Opens the settings history of one tailnet. Throws a CollectorError (stage `ledger`). */
export function createSettingsHistory<T extends object>(
  { db, transaction }: StateFile,
  tailnet: string,
  { current, parse, optional }: SettingsShape<T>,
): SettingsHistory<T> {
  transaction(() =>
    db.exec(
      'CREATE TABLE IF NOT EXISTS ledger_settings (tailnet TEXT, from_ns INTEGER, settings TEXT NOT NULL, PRIMARY KEY (tailnet, from_ns)) STRICT',
    ),
  )
  const put = prepareExact(db, 'INSERT INTO ledger_settings VALUES (?, ?, ?)')
  const clear = prepareExact(db, 'DELETE FROM ledger_settings WHERE tailnet = ?')
  const find = prepareExact(
    db,
    'SELECT from_ns AS fromNs, settings FROM ledger_settings WHERE tailnet = ? ORDER BY from_ns',
  )
  const rows = find.all(tailnet) as unknown as { readonly fromNs: bigint; readonly settings: string }[]
  let changes: readonly SettingsChange<T>[] = rows.flatMap(({ fromNs, settings }) => {
    const parsed = parse(JSON.parse(settings))
    return parsed === undefined ? [] : [{ fromNs, settings: parsed }]
  })

  function keep(next: readonly SettingsChange<T>[]): void {
    if (next === changes) return
    transaction(() => {
      clear.run(tailnet)
      for (const { fromNs, settings } of next) put.run(tailnet, fromNs, JSON.stringify(settings))
    })
    changes = next
  }

  return {
    at: (startNs) => settingsAt(changes, startNs) ?? current,
    changes: () => changes,
    settle: (nowNs) => keep(withSettings(changes, current, nowNs)),
    text: () => changesText(changes, optional),
    restore(text) {
      const found = readChanges(text, parse)
      if (found !== undefined) keep(found)
      return found !== undefined
    },
  }
}
