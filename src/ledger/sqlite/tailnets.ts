/** Which ledger belongs to a tailnet: table `ledger_tailnet` (id, source, name). `id` is what the other tables call it and never changes; `name` is the tag
 * `tailnet` of now; `source` says where the API finds it. So a tailnet that gets another name keeps its ledger. */
import type { Logger } from 'pino'
import { prepareExact } from '../../base/sqlite.ts'
import type { StateFile } from './state-file.ts'

interface Known {
  readonly id: string
  readonly source: string
  readonly name: string
}

/** The id of the ledger: of the tailnet with this name, else of the one with this source, which has been renamed, else a new one. Throws a CollectorError
 * (stage `ledger`). */
export function findLedger(
  { db, transaction }: StateFile,
  { source, name }: Omit<Known, 'id'>,
  log: Pick<Logger, 'warn'>,
): string {
  return transaction(() => {
    db.exec(
      'CREATE TABLE IF NOT EXISTS ledger_tailnet (id TEXT PRIMARY KEY, source TEXT NOT NULL, name TEXT NOT NULL) STRICT',
    )
    const known = db.prepare('SELECT id, source, name FROM ledger_tailnet').all() as unknown as Known[]
    const found = known.find((one) => one.name === name) ?? known.find((one) => one.source === source)
    const id = found?.id ?? newId(known, name)
    if (found !== undefined && found.name !== name)
      log.warn(
        { from: found.name, to: name },
        'tailnet renamed, its ledger continues; if these are the credentials of another tailnet, give it a dataDir of its own',
      )
    prepareExact(db, 'INSERT OR REPLACE INTO ledger_tailnet VALUES (?, ?, ?)').run(id, source, name)
    return id
  })
}

/** Its first name, which is also what tables of version 0.1.0 have. */
function newId(known: readonly Known[], name: string): string {
  const isTaken = (id: string) => known.some((one) => one.id === id)
  let id = name
  for (let number = 2; isTaken(id); number += 1) id = `${name} ${number}`
  return id
}
