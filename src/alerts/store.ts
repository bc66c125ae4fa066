/** Alerts in the state file, in tables of their own.
 *
 *   alerts_meta       tailnet, since when
 *   alerts_seen       time that was read (merged intervals of `logged` time)
 *   alerts_identity   digests of counted messages, 8 bytes each, in rows by chunk of start time; only ever added, dropped by chunk
 *   alerts_series     numbers of groups, by scope
 *   alerts_part       since when a part of a scope has everything
 *   alerts_column     a piece of time of a part, or a block of one: sums, presence, distinct items
 *   alerts_sighting   when groups were seen last, by rule
 *   alerts_node       names, owners, addresses
 *   alerts_rule       how far a rule was judged, which groups have to be judged again, and a hash of what the rule was
 *   alerts_alert      alerts that are not quite inactive, and what notifiers were told
 *   alerts_event      lines that the database has not taken yet
 *
 * Invariant: everything of one save is one transaction, so what was counted, what was judged and which time was read always fit together.
 * What a crash takes is what came after the last save: the ledger has the windows of that time as done and `alerts_seen` has not, so they count as
 * never read until the late pass reads them again. */
import type { Interval } from '../ledger/ledger.ts'
import type { StateFile } from '../ledger/sqlite/state-file.ts'
import type { Coverage } from './coverage.ts'
import { CHUNK_NS, type Identities } from './identities.ts'
import type { Judge, RuleState } from './judge.ts'
import type { People, Person } from './people.ts'
import type { Scope } from './scope.ts'
import { hashOf, type Orphan, orphanOf, reviveAlert, type StoredAlert } from './store-alerts.ts'
import { bytesOf, copyOf, partsOf } from './store-parts.ts'

const TABLES = `
CREATE TABLE IF NOT EXISTS alerts_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS alerts_seen (from_ns INTEGER PRIMARY KEY, to_ns INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS alerts_identity (chunk INTEGER, part INTEGER, digests BLOB NOT NULL, PRIMARY KEY (chunk, part)) STRICT;
CREATE TABLE IF NOT EXISTS alerts_series (scope TEXT, id INTEGER, key TEXT NOT NULL, PRIMARY KEY (scope, id)) STRICT;
CREATE TABLE IF NOT EXISTS alerts_part (scope TEXT, part TEXT, since_ns INTEGER NOT NULL, PRIMARY KEY (scope, part)) STRICT;
CREATE TABLE IF NOT EXISTS alerts_column (scope TEXT, part TEXT, piece INTEGER, cells BLOB NOT NULL, PRIMARY KEY (scope, part, piece)) STRICT;
CREATE TABLE IF NOT EXISTS alerts_sighting (rule TEXT, key TEXT, slot INTEGER NOT NULL, PRIMARY KEY (rule, key)) STRICT;
CREATE TABLE IF NOT EXISTS alerts_node (node TEXT PRIMARY KEY, person TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS alerts_rule (rule TEXT PRIMARY KEY, hash TEXT NOT NULL, judged_ns INTEGER NOT NULL, dirty TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS alerts_alert (rule TEXT, key TEXT, alert TEXT NOT NULL, PRIMARY KEY (rule, key)) STRICT;
CREATE TABLE IF NOT EXISTS alerts_event (id INTEGER PRIMARY KEY, line BLOB NOT NULL) STRICT;
`
const NAMES = [...TABLES.matchAll(/EXISTS (\w+)/g)].map(([, name]) => name ?? '')

/** What the room has in memory and must not lose. */
export interface Kept {
  readonly tailnet: string
  readonly coverage: Coverage
  readonly identities: Identities
  readonly scopes: readonly Scope[]
  readonly people: People
  readonly judge: Judge
}

export interface AlertsStore {
  /** Reads everything back. Call once, before anything is collected. Throws a CollectorError (stage `ledger`). */
  load(
    kept: Kept,
    nowNs: bigint,
  ): {
    readonly orphans: Orphan[]
    readonly events: Uint8Array[]
    /** The process before ended without its last save. */
    readonly wasCut: boolean
  }
  /** The last save is made: nothing follows. */
  ended(): void
  /** Writes what changed since the last save. Throws a CollectorError (stage `ledger`); then all of it waits for the next one. `oldestNs`: start
   * of the oldest messages that still count. */
  save(kept: Kept, alerts: readonly StoredAlert[], events: readonly Uint8Array[], oldestNs: bigint): void
  /** Of pieces of time and identities, since the start of the process. */
  readonly bytesWritten: number
}

export function createAlertsStore(stateFile: StateFile): AlertsStore {
  const { db, transaction } = stateFile
  transaction(() => db.exec(TABLES))
  const run = (text: string) => {
    const statement = db.prepare(text)
    // It tells the number of the row, and some of these are nanoseconds.
    statement.setReadBigInts(true)
    return (...values: (string | number | bigint | Uint8Array)[]) => void statement.run(...values)
  }
  const putMeta = run('INSERT INTO alerts_meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value')
  const dropSeen = run('DELETE FROM alerts_seen')
  const putSeen = run('INSERT INTO alerts_seen VALUES (?, ?)')
  const putIdentity = run('INSERT INTO alerts_identity VALUES (?, ?, ?)')
  const dropIdentity = run('DELETE FROM alerts_identity WHERE chunk < ?')
  const putSeries = run('INSERT OR REPLACE INTO alerts_series VALUES (?, ?, ?)')
  const dropSeries = run('DELETE FROM alerts_series WHERE scope = ? AND id = ?')
  const dropScope = run('DELETE FROM alerts_series WHERE scope = ?')
  const putPart = run('INSERT OR REPLACE INTO alerts_part VALUES (?, ?, ?)')
  const dropPart = run('DELETE FROM alerts_part WHERE scope = ? AND part = ?')
  const putColumn = run('INSERT OR REPLACE INTO alerts_column VALUES (?, ?, ?, ?)')
  const dropColumn = run('DELETE FROM alerts_column WHERE scope = ? AND part = ? AND piece = ?')
  const dropColumns = run('DELETE FROM alerts_column WHERE scope = ? AND part = ?')
  const putSighting = run('INSERT OR REPLACE INTO alerts_sighting VALUES (?, ?, ?)')
  const dropSighting = run('DELETE FROM alerts_sighting WHERE rule = ? AND key = ?')
  const dropSightings = run('DELETE FROM alerts_sighting WHERE rule = ?')
  const putNode = run('INSERT OR REPLACE INTO alerts_node VALUES (?, ?)')
  const putRule = run('INSERT OR REPLACE INTO alerts_rule VALUES (?, ?, ?, ?)')
  const dropRule = run('DELETE FROM alerts_rule WHERE rule = ?')
  const putAlert = run('INSERT OR REPLACE INTO alerts_alert VALUES (?, ?, ?)')
  const dropAlert = run('DELETE FROM alerts_alert WHERE rule = ? AND key = ?')
  const dropEvents = run('DELETE FROM alerts_event')
  const putEvent = run('INSERT INTO alerts_event (line) VALUES (?)')

  // What the file has, as far as it is not told by what it belongs to.
  let savedSeen = ''
  let savedParts = new Map<string, bigint>()
  let savedRules = new Map<string, string>()
  let savedAlerts = new Map<string, StoredAlert>()
  let savedEvents: readonly Uint8Array[] = []
  const identityRows = new Map<number, number>()
  let bytesWritten = 0

  function rows(query: string): Record<string, unknown>[] {
    const statement = db.prepare(query)
    statement.setReadBigInts(true)
    return statement.all() as Record<string, unknown>[]
  }

  function loadCoverage({ tailnet, coverage }: Kept): void {
    const meta = new Map(rows('SELECT key, value FROM alerts_meta').map((row) => [row['key'], row['value'] as string]))
    const isOurs = meta.get('tailnet') === tailnet
    // Another tailnet has another history.
    if (!isOurs) for (const name of NAMES) db.exec(`DELETE FROM ${name}`)
    putMeta('tailnet', tailnet)
    const since = isOurs ? meta.get('since') : undefined
    const seen = rows('SELECT from_ns, to_ns FROM alerts_seen').map(
      (row): Interval => ({ fromNs: row['from_ns'] as bigint, toNs: row['to_ns'] as bigint }),
    )
    coverage.restore(seen, since === undefined ? undefined : BigInt(since))
  }

  function loadScopes({ scopes, coverage }: Kept): void {
    const parts = new Map(
      scopes.flatMap((scope) => partsOf(scope).map((part) => [`${scope.id} ${part.name}`, part] as const)),
    )
    const stored = rows('SELECT scope, part FROM alerts_part UNION SELECT DISTINCT scope, part FROM alerts_column')
    for (const row of stored) {
      const [scope, part] = [row['scope'] as string, row['part'] as string]
      if (parts.has(`${scope} ${part}`)) continue
      // No rule asks for it any more.
      dropColumns(scope, part)
      dropPart(scope, part)
    }
    const known = new Map(scopes.map((scope) => [scope.id, scope]))
    for (const row of rows('SELECT DISTINCT scope FROM alerts_series'))
      if (!known.has(row['scope'] as string)) dropScope(row['scope'] as string)
    for (const row of rows('SELECT scope, id, key FROM alerts_series'))
      known.get(row['scope'] as string)?.series.restore(Number(row['id']), row['key'] as string)
    // What is asked for only now has nothing of the time that was read before.
    const newest = coverage.seen.at(-1)?.toNs ?? 0n
    for (const part of parts.values()) part.sinceNs = newest
    for (const row of rows('SELECT scope, part, since_ns FROM alerts_part')) {
      const part = parts.get(`${row['scope']} ${row['part']}`)
      if (part) part.sinceNs = row['since_ns'] as bigint
      savedParts.set(`${row['scope']} ${row['part']}`, row['since_ns'] as bigint)
    }
    for (const row of rows('SELECT scope, part, piece, cells FROM alerts_column'))
      parts.get(`${row['scope']} ${row['part']}`)?.restore(Number(row['piece']), row['cells'] as Uint8Array)
    for (const { seen } of scopes) {
      for (const { rule, sightings } of seen) {
        const query = db.prepare('SELECT key, slot FROM alerts_sighting WHERE rule = ?')
        for (const row of query.all(rule.name)) sightings.restore(row['key'] as string, Number(row['slot']))
      }
    }
  }

  function loadIdentities({ identities }: Kept): void {
    for (const row of rows('SELECT chunk, part, digests FROM alerts_identity ORDER BY chunk, part')) {
      const chunk = Number(row['chunk'])
      identities.restore(chunk, new BigUint64Array(copyOf(row['digests'] as Uint8Array)))
      identityRows.set(chunk, Number(row['part']) + 1)
    }
  }

  function loadRules({ judge }: Kept, nowNs: bigint): Orphan[] {
    const states = new Map(judge.rules.map((state) => [state.rule.name, state]))
    const same = new Set<string>()
    for (const row of rows('SELECT rule, hash, judged_ns, dirty FROM alerts_rule')) {
      const name = row['rule'] as string
      const state = states.get(name)
      if (state === undefined) dropSightings(name)
      if (state === undefined || row['hash'] !== hashOf(state.rule)) {
        dropRule(name)
        continue
      }
      state.judgedNs = row['judged_ns'] as bigint
      for (const [id, fromNs] of JSON.parse(row['dirty'] as string) as [number, string][])
        state.dirty.set(id, BigInt(fromNs))
      savedRules.set(name, progressOf(state))
      same.add(name)
    }
    const orphans: Orphan[] = []
    for (const row of rows('SELECT rule, key, alert FROM alerts_alert')) {
      const stored = { rule: row['rule'] as string, key: row['key'] as string, text: row['alert'] as string }
      savedAlerts.set(`${stored.rule} ${stored.key}`, stored)
      const state = states.get(stored.rule)
      if (state && same.has(stored.rule) && !stored.key.startsWith('gone ')) reviveAlert(state, stored)
      else orphans.push(...[orphanOf(stored, nowNs)].filter((orphan) => orphan !== undefined))
    }
    return orphans
  }

  function saveScopes(scopes: readonly Scope[]): void {
    for (const scope of scopes) {
      for (const [id, key] of scope.series.changed()) {
        if (key === undefined) dropSeries(scope.id, id)
        else putSeries(scope.id, id, key)
      }
      for (const part of partsOf(scope)) {
        if (savedParts.get(`${scope.id} ${part.name}`) !== part.sinceNs) putPart(scope.id, part.name, part.sinceNs)
        for (const [piece, cells] of part.changed()) {
          if (cells === undefined) dropColumn(scope.id, part.name, piece)
          else putColumn(scope.id, part.name, piece, cells)
          bytesWritten += cells?.byteLength ?? 0
        }
      }
      for (const { rule, sightings } of scope.seen) {
        for (const [key, slot] of sightings.changed()) {
          if (slot === undefined) dropSighting(rule.name, key)
          else putSighting(rule.name, key, slot)
        }
      }
    }
  }

  return {
    load(kept, nowNs) {
      return transaction(() => {
        loadCoverage(kept)
        loadScopes(kept)
        loadIdentities(kept)
        const orphans = loadRules(kept, nowNs)
        for (const row of rows('SELECT node, person FROM alerts_node'))
          kept.people.restore(row['node'] as string, JSON.parse(row['person'] as string) as Person)
        const events = rows('SELECT line FROM alerts_event ORDER BY id').map((row) => row['line'] as Uint8Array)
        savedEvents = events
        const wasCut = rows("SELECT value FROM alerts_meta WHERE key = 'running'")[0]?.['value'] === 'yes'
        putMeta('running', 'yes')
        return { orphans, events: [...events], wasCut }
      })
    },
    ended() {
      transaction(() => putMeta('running', 'no'))
    },

    save(kept, alerts, events, oldestNs) {
      const { coverage, identities, judge, people, scopes } = kept
      const seen = coverage.seen.map((one) => `${one.fromNs}-${one.toNs}`).join()
      const next = new Map(alerts.map((alert) => [`${alert.rule} ${alert.key}`, alert]))
      const fresh = identities.fresh()
      transaction(() => {
        if (coverage.sinceNs !== undefined) putMeta('since', String(coverage.sinceNs))
        if (seen !== savedSeen) {
          dropSeen()
          for (const one of coverage.seen) putSeen(one.fromNs, one.toNs)
        }
        for (const [chunk, digests] of fresh) {
          putIdentity(chunk, identityRows.get(chunk) ?? 0, bytesOf(digests))
          bytesWritten += digests.byteLength
        }
        dropIdentity(Number(oldestNs / CHUNK_NS))
        saveScopes(scopes)
        for (const [node, person] of people.changed()) putNode(node, JSON.stringify(person))
        for (const state of judge.rules) {
          const { rule, judgedNs, dirty } = state
          if (savedRules.get(rule.name) === progressOf(state)) continue
          putRule(rule.name, hashOf(rule), judgedNs, JSON.stringify([...dirty].map(([id, ns]) => [id, String(ns)])))
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
      savedSeen = seen
      for (const chunk of fresh.keys()) identityRows.set(chunk, (identityRows.get(chunk) ?? 0) + 1)
      savedParts = new Map(
        scopes.flatMap((scope) => partsOf(scope).map((part) => [`${scope.id} ${part.name}`, part.sinceNs] as const)),
      )
      savedRules = new Map(judge.rules.map((state) => [state.rule.name, progressOf(state)]))
      savedAlerts = next
      savedEvents = [...events]
      identities.saved()
      people.saved()
      for (const scope of scopes) {
        scope.series.saved()
        for (const part of partsOf(scope)) part.saved()
      }
    },

    get bytesWritten() {
      return bytesWritten
    },
  }
}

function progressOf({ judgedNs, dirty }: RuleState): string {
  return `${judgedNs} ${[...dirty].join()}`
}
