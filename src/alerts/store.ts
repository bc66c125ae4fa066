/** Alerts in the state file, in tables of their own.
 *
 *   alerts_meta       tailnet and ledger that the rest belongs to; whether the process ended in order
 *   alerts_rule       how far a rule was evaluated, since when, and a hash of what the rule was
 *   alerts_alert      alerts that are not quite inactive, and what notifiers were sent
 *   alerts_sighting   `newFor`: when groups were seen last, by rule
 *   alerts_event      lines that the database has not taken yet
 *
 * Sums are not among it: they are read from the rows in the database. Invariant: everything of one save is one transaction. What a crash takes is what
 * came after the last save; so after a crash everything within the allowed lateness is evaluated again. */
import type { StateFile } from '../ledger/sqlite/state-file.ts'
import type { RuleState } from './judge.ts'
import { hashOf, type Orphan, orphanOf, reviveAlert, type StoredAlert } from './store-alerts.ts'

const TABLES = `
CREATE TABLE IF NOT EXISTS alerts_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS alerts_rule (rule TEXT PRIMARY KEY, hash TEXT NOT NULL, judged_ns INTEGER NOT NULL, since TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS alerts_alert (rule TEXT, key TEXT, alert TEXT NOT NULL, PRIMARY KEY (rule, key)) STRICT;
CREATE TABLE IF NOT EXISTS alerts_sighting (rule TEXT, key TEXT, slot INTEGER NOT NULL, PRIMARY KEY (rule, key)) STRICT;
CREATE TABLE IF NOT EXISTS alerts_event (id INTEGER PRIMARY KEY, line BLOB NOT NULL) STRICT;
`

/** Whose alerts they are. */
interface Owner {
  /** The value of the tag `tailnet`: a label of every alert. */
  readonly tailnet: string
  /** The same when the tailnet is renamed. */
  readonly ledger: string
}

interface Loaded {
  /** Alerts whose rule, or whose tailnet's name, is another one now. */
  readonly orphans: Orphan[]
  readonly events: Uint8Array[]
  /** The process before ended without its last save. */
  readonly wasCut: boolean
  /** Nothing was ever evaluated. */
  readonly isNew: boolean
}

export function createAlertsStore({ db, transaction }: StateFile) {
  transaction(() => db.exec(TABLES))
  const run = (text: string) => {
    const statement = db.prepare(text)
    // It tells the number of the row, and some of these are nanoseconds.
    statement.setReadBigInts(true)
    return (...values: (string | number | bigint | Uint8Array)[]) => void statement.run(...values)
  }
  const putMeta = run('INSERT INTO alerts_meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value')
  const putSighting = run('INSERT OR REPLACE INTO alerts_sighting VALUES (?, ?, ?)')
  const dropSighting = run('DELETE FROM alerts_sighting WHERE rule = ? AND key = ?')
  const dropSightings = run('DELETE FROM alerts_sighting WHERE rule = ?')
  const putRule = run('INSERT OR REPLACE INTO alerts_rule VALUES (?, ?, ?, ?)')
  const dropRule = run('DELETE FROM alerts_rule WHERE rule = ?')
  const putAlert = run('INSERT OR REPLACE INTO alerts_alert VALUES (?, ?, ?)')
  const dropAlert = run('DELETE FROM alerts_alert WHERE rule = ? AND key = ?')
  const dropEvents = run('DELETE FROM alerts_event')
  const putEvent = run('INSERT INTO alerts_event (line) VALUES (?)')

  // What the file has.
  let savedAlerts = new Map<string, StoredAlert>()
  let savedEvents: readonly Uint8Array[] = []

  function rows(query: string, ...values: string[]): Record<string, unknown>[] {
    const statement = db.prepare(query)
    statement.setReadBigInts(true)
    return statement.all(...values) as Record<string, unknown>[]
  }

  /** Rules that are the same as they were. */
  function loadRules(rules: readonly RuleState[]): Set<string> {
    const states = new Map(rules.map((state) => [state.rule.name, state]))
    const same = new Set<string>()
    for (const row of rows('SELECT rule, hash, judged_ns, since FROM alerts_rule')) {
      const name = row['rule'] as string
      const state = states.get(name)
      if (state === undefined || row['hash'] !== hashOf(state.rule)) {
        dropSightings(name)
        dropRule(name)
        continue
      }
      state.judgedNs = row['judged_ns'] as bigint
      state.sinceNs = BigInt(row['since'] as string)
      same.add(name)
      for (const seen of rows('SELECT key, slot FROM alerts_sighting WHERE rule = ?', name))
        state.reading.lastSeen?.restore(seen['key'] as string, Number(seen['slot']))
    }
    return same
  }

  return {
    /** Reads everything back. Call once. Throws a CollectorError (stage `ledger`). */
    load(rules: readonly RuleState[], { tailnet, ledger }: Owner, nowNs: bigint): Loaded {
      return transaction(() => {
        const meta = new Map(rows('SELECT key, value FROM alerts_meta').map((row) => [row['key'], row['value']]))
        // Another tailnet has another history. One that was renamed has not, but its alerts have other labels.
        if ((meta.get('ledger') ?? ledger) !== ledger)
          for (const name of ['rule', 'sighting', 'event']) db.exec(`DELETE FROM alerts_${name}`)
        const isRenamed = (meta.get('tailnet') ?? tailnet) !== tailnet
        putMeta('tailnet', tailnet)
        putMeta('ledger', ledger)
        const isNew = rows('SELECT rule FROM alerts_rule LIMIT 1').length === 0
        const same = loadRules(rules)
        const states = new Map(rules.map((state) => [state.rule.name, state]))
        const orphans: Orphan[] = []
        for (const row of rows('SELECT rule, key, alert FROM alerts_alert')) {
          const stored = { rule: row['rule'] as string, key: row['key'] as string, text: row['alert'] as string }
          savedAlerts.set(`${stored.rule} ${stored.key}`, stored)
          const state = states.get(stored.rule)
          if (state && same.has(stored.rule) && !isRenamed && !stored.key.startsWith('gone '))
            reviveAlert(state, stored)
          else orphans.push(...[orphanOf(stored, nowNs)].filter((orphan) => orphan !== undefined))
        }
        const events = rows('SELECT line FROM alerts_event ORDER BY id').map((row) => row['line'] as Uint8Array)
        savedEvents = events
        const wasCut = meta.get('running') === 'yes'
        putMeta('running', 'yes')
        return { orphans, events: [...events], wasCut, isNew }
      })
    },
    /** The last save is made: nothing follows. */
    ended(): void {
      transaction(() => putMeta('running', 'no'))
    },
    /** Writes what changed since the last save. Throws a CollectorError (stage `ledger`); then all of it waits for the next one. */
    save(rules: readonly RuleState[], alerts: readonly StoredAlert[], events: readonly Uint8Array[]): void {
      const next = new Map(alerts.map((alert) => [`${alert.rule} ${alert.key}`, alert]))
      transaction(() => {
        for (const { rule, reading, judgedNs, sinceNs } of rules) {
          for (const [key, slot] of reading.lastSeen?.changed() ?? []) {
            if (slot === undefined) dropSighting(rule.name, key)
            else putSighting(rule.name, key, slot)
          }
          putRule(rule.name, hashOf(rule), judgedNs, String(sinceNs))
        }
        for (const [key, alert] of next)
          if (savedAlerts.get(key)?.text !== alert.text) putAlert(alert.rule, alert.key, alert.text)
        for (const [key, alert] of savedAlerts) if (!next.has(key)) dropAlert(alert.rule, alert.key)
        if (events.length !== savedEvents.length || events.some((line, index) => line !== savedEvents[index])) {
          dropEvents()
          for (const line of events) putEvent(line)
        }
      })
      // Only now: what failed is written again.
      for (const { reading } of rules) reading.lastSeen?.saved()
      savedAlerts = next
      savedEvents = [...events]
    },
  }
}
