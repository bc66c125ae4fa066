/** The ledger in the state file.
 *
 * Tables, all times ns as INTEGER, keyed by tailnet:
 *   ledger_writer    our name in the database, and whether the origin is a guess
 *   ledger_origin    where reading began
 *   ledger_promise   from here on, data that expires unread is lost; without a row: from the origin
 *   ledger_done      merged done intervals (few rows, however many windows)
 *   ledger_window    one row per window that may still get a late pass, or that recovery may have to forget
 *   ledger_gap       open and lost gaps
 *   ledger_attempt   windows whose reading began and has not ended
 *   ledger_old_points up to where version 0.1.0 wrote (migrations.ts)
 *   ledger_unsettled minutes, hours and days whose derived rows are not settled (unsettled-list.ts)
 * Invariant: every window's range lies inside ledger_done, and both change in one transaction. Everything is small enough to be kept in
 * memory too; memory changes only after the commit. */
import { randomBytes } from 'node:crypto'
import { compare } from '../../base/order.ts'
import { prepareExact } from '../../base/sqlite.ts'
import { byStart, intersects, merge, subtract } from '../intervals.ts'
import type { Attempt, DoneRecord, DoneWindow, Gap, GapReason, Interval, Ledger } from '../ledger.ts'
import type { StateFile } from './state-file.ts'
import { createUnsettledList } from './unsettled-list.ts'

const TABLES = `
CREATE TABLE IF NOT EXISTS ledger_writer (tailnet TEXT PRIMARY KEY, id TEXT NOT NULL, is_origin_guessed INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS ledger_origin (tailnet TEXT PRIMARY KEY, ns INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS ledger_promise (tailnet TEXT PRIMARY KEY, ns INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS ledger_done (tailnet TEXT, from_ns INTEGER, to_ns INTEGER NOT NULL, PRIMARY KEY (tailnet, from_ns)) STRICT;
CREATE TABLE IF NOT EXISTS ledger_window (
  tailnet TEXT, from_ns INTEGER, to_ns INTEGER, pass INTEGER NOT NULL, digest TEXT NOT NULL,
  messages INTEGER NOT NULL, entries INTEGER NOT NULL, points INTEGER NOT NULL, at_ns INTEGER NOT NULL,
  PRIMARY KEY (tailnet, from_ns, to_ns)) STRICT;
CREATE TABLE IF NOT EXISTS ledger_gap (
  tailnet TEXT, from_ns INTEGER, to_ns INTEGER, reason TEXT NOT NULL, state TEXT NOT NULL,
  attempts INTEGER NOT NULL, since_ns INTEGER NOT NULL, next_ns INTEGER NOT NULL,
  PRIMARY KEY (tailnet, from_ns, to_ns)) STRICT;
CREATE TABLE IF NOT EXISTS ledger_old_points (tailnet TEXT PRIMARY KEY, to_ns INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS ledger_attempt (tailnet TEXT, from_ns INTEGER, to_ns INTEGER, PRIMARY KEY (tailnet, from_ns, to_ns)) STRICT;
`

/** Opens the ledger of one tailnet. Throws a CollectorError (stage `ledger`). */
export function createLedger(stateFile: StateFile, tailnet: string): Ledger {
  const { db, transaction } = stateFile
  const unsettled = createUnsettledList(stateFile, tailnet)
  transaction(() => {
    db.exec(TABLES)
    prepareExact(db, 'INSERT OR IGNORE INTO ledger_writer VALUES (?, ?, 0)').run(
      tailnet,
      randomBytes(6).toString('hex'),
    )
  })
  const sql = prepare(stateFile)
  const named = sql.writer.get(tailnet) as { id: string; is_origin_guessed: bigint }

  let isOriginGuessed = named.is_origin_guessed !== 0n
  let originNs = (sql.origin.get(tailnet) as { ns: bigint } | undefined)?.ns
  let promisedNs = (sql.promise.get(tailnet) as { ns: bigint } | undefined)?.ns
  let oldPointsToNs = (sql.oldPoints.get(tailnet) as { to_ns: bigint } | undefined)?.to_ns
  let done = merge(sql.allDone.all(tailnet).map(toInterval))
  let windows = new Map<string, DoneWindow>(
    sql.allWindows.all(tailnet).map((row) => [keyOf(toInterval(row)), toWindow(row)]),
  )
  let gaps = sql.allGaps.all(tailnet).map(toGap)
  const left = sql.allAttempts.all(tailnet).map(toInterval)
  const attempts = new Set<Attempt>()

  const settled = () => merge([...done, ...gaps.filter((gap) => gap.state === 'lost')])
  let known = settled()

  /** Commits the done intervals and gaps that `work` returns, then keeps them in memory. */
  function change(work: () => { done?: Interval[]; gaps?: Gap[] }): void {
    const next = transaction(() => {
      const changed = work()
      if (changed.done) writeDone(done, changed.done)
      if (changed.gaps) writeGaps(gaps, changed.gaps)
      return changed
    })
    done = next.done ?? done
    gaps = next.gaps ?? gaps
    known = settled()
  }

  function writeDone(before: readonly Interval[], after: readonly Interval[]): void {
    const [old, fresh] = [
      new Map(before.map((one) => [keyOf(one), one])),
      new Map(after.map((one) => [keyOf(one), one])),
    ]
    for (const [key, one] of old) if (!fresh.has(key)) sql.dropDone.run(tailnet, one.fromNs)
    for (const [key, one] of fresh) if (!old.has(key)) sql.putDone.run(tailnet, one.fromNs, one.toNs)
  }

  function writeGaps(before: readonly Gap[], after: readonly Gap[]): void {
    for (const gap of before) if (!after.includes(gap)) sql.dropGap.run(tailnet, gap.fromNs, gap.toNs)
    for (const gap of after) {
      if (before.includes(gap)) continue
      sql.putGap.run(tailnet, gap.fromNs, gap.toNs, gap.reason, gap.state, gap.attempts, gap.sinceNs, gap.nextNs)
    }
  }

  /** Two attempts of the same range share their row, which stays until both have ended. */
  function ownsRow(attempt: Attempt): boolean {
    for (const one of attempts) if (one !== attempt && keyOf(one) === keyOf(attempt)) return false
    return attempts.has(attempt)
  }

  return {
    writer: named.id,
    unsettled,
    originNs: () => originNs,
    promisedNs: () => promisedNs,
    setOrigin(ns, promiseNs = promisedNs) {
      transaction(() => {
        sql.putOrigin.run(tailnet, ns)
        if (promiseNs !== undefined) sql.putPromise.run(tailnet, promiseNs)
      })
      originNs = ns
      promisedNs = promiseNs
    },
    isOriginGuessed: () => isOriginGuessed,
    setOriginGuessed(isGuessed) {
      transaction(() => sql.guessOrigin.run(isGuessed ? 1 : 0, tailnet))
      isOriginGuessed = isGuessed
    },
    oldPointsToNs: () => oldPointsToNs,
    forgetOldPoints() {
      transaction(() => sql.dropOldPoints.run(tailnet))
      oldPointsToNs = undefined
    },
    settled: () => known,
    watermarkNs() {
      if (originNs === undefined) return undefined
      const fromNs = originNs
      return known.find((one) => one.fromNs <= fromNs && fromNs <= one.toNs)?.toNs ?? fromNs
    },
    missing: (fromNs, toNs) => (fromNs < toNs ? subtract([{ fromNs, toNs }], known) : []),

    done(window: Interval, record: DoneRecord, attempt?: Attempt, minutes: readonly bigint[] = []) {
      const { fromNs, toNs } = window
      let listed: (() => void) | undefined
      change(() => {
        if (minutes.length > 0) listed = unsettled.writeRead(minutes, record.atNs)
        sql.putWindow.run(
          tailnet,
          fromNs,
          toNs,
          record.pass,
          record.digest,
          record.messages,
          record.entries,
          record.points,
          record.atNs,
        )
        for (const one of left)
          if (subtract([one], [...done, window]).length === 0) sql.dropAttempt.run(tailnet, one.fromNs, one.toNs)
        if (attempt && ownsRow(attempt)) sql.dropAttempt.run(tailnet, attempt.fromNs, attempt.toNs)
        return { done: merge([...done, { fromNs, toNs }]), gaps: withoutOpen(gaps, { fromNs, toNs }) }
      })
      listed?.()
      windows.set(keyOf(window), { fromNs, toNs, ...pick(record) })
      if (attempt) attempts.delete(attempt)
    },

    forget(range) {
      const gone = [...windows.values()].filter((one) => intersects(one, range))
      change(() => {
        for (const one of gone) sql.dropWindow.run(tailnet, one.fromNs, one.toNs)
        return { done: subtract(done, [range]) }
      })
      for (const one of gone) windows.delete(keyOf(one))
    },

    beginAttempt({ fromNs, toNs }) {
      transaction(() => sql.putAttempt.run(tailnet, fromNs, toNs))
      const attempt = { fromNs, toNs }
      attempts.add(attempt)
      return attempt
    },
    endAttempt(attempt) {
      if (ownsRow(attempt)) transaction(() => sql.dropAttempt.run(tailnet, attempt.fromNs, attempt.toNs))
      attempts.delete(attempt)
    },
    crashed: () => left.filter((one) => subtract([one], done).length > 0),

    gaps: () => gaps,
    openGap(interval, reason, nowNs, nextNs) {
      const before = gaps.find((gap) => gap.state === 'open' && keyOf(gap) === keyOf(interval))
      const gap: Gap = {
        fromNs: interval.fromNs,
        toNs: interval.toNs,
        reason,
        state: 'open',
        attempts: (before?.attempts ?? 0) + 1,
        sinceNs: before?.sinceNs ?? nowNs,
        nextNs,
      }
      change(() => ({ gaps: [...gaps.filter((one) => one !== before), gap].toSorted(byStart) }))
    },
    growGap(interval, reason, nowNs, nextNs) {
      const isMine = (gap: Gap) => gap.state === 'open' && gap.reason === reason
      change(() => ({
        gaps: [
          ...gaps.filter((gap) => !isMine(gap)),
          ...grown(gaps.filter(isMine), interval, reason, nowNs, nextNs),
        ].toSorted(byStart),
      }))
    },
    loseGap(interval, reason: GapReason, nowNs) {
      const unsettled = subtract([interval], known)
      if (unsettled.length === 0) return
      const lost = unsettled.map(
        (range): Gap => ({ ...range, reason, state: 'lost', attempts: 0, sinceNs: nowNs, nextNs: nowNs }),
      )
      change(() => ({
        gaps: [...unsettled.reduce((some, range) => withoutOpen(some, range), gaps), ...lost].toSorted(byStart),
      }))
    },

    duePasses(pass, endedBeforeNs, limit) {
      const due: DoneWindow[] = []
      for (const one of windows.values())
        if (one.pass > 0 && one.pass < pass && one.toNs <= endedBeforeNs) due.push(one)
      return due.sort(byStart).slice(0, limit)
    },
    compact(endedBeforeNs, ackedBeforeNs) {
      const isOld = (one: DoneWindow) => one.toNs <= endedBeforeNs && one.atNs <= ackedBeforeNs
      const old = [...windows.values()].filter(isOld)
      if (old.length === 0) return
      transaction(() => {
        for (const one of old) sql.dropWindow.run(tailnet, one.fromNs, one.toNs)
      })
      windows = new Map([...windows].filter(([, one]) => !isOld(one)))
    },
    recent: (limit) => [...windows.values()].sort((one, other) => compare(other.toNs, one.toNs)).slice(0, limit),
  }
}

/** Gaps without the part of open gaps that is in `range`. The rest of an open gap stays open with its history. */
function withoutOpen(gaps: readonly Gap[], range: Interval): Gap[] {
  return gaps.flatMap((gap) => {
    if (gap.state === 'lost' || !intersects(gap, range)) return [gap]
    return subtract([gap], [range]).map((rest) => ({ ...gap, ...rest }))
  })
}

/** Gaps of one reason and `interval`, touching ones as one, all due at `nextNs`. */
function grown(some: readonly Gap[], interval: Interval, reason: GapReason, nowNs: bigint, nextNs: bigint): Gap[] {
  const covers = (one: Interval, other: Interval) => one.fromNs <= other.fromNs && other.toNs <= one.toNs
  return merge([...some, interval]).map((range) => {
    const parts = some.filter((gap) => covers(range, gap))
    const attempts = Math.max(0, ...parts.map((gap) => gap.attempts)) + (covers(range, interval) ? 1 : 0)
    const sinceNs = parts.reduce((first, gap) => (gap.sinceNs < first ? gap.sinceNs : first), nowNs)
    return { ...range, reason, state: 'open', attempts, sinceNs, nextNs }
  })
}

function prepare({ db }: StateFile) {
  const statement = (sql: string) => prepareExact(db, sql)
  return {
    writer: statement('SELECT id, is_origin_guessed FROM ledger_writer WHERE tailnet = ?'),
    guessOrigin: statement('UPDATE ledger_writer SET is_origin_guessed = ? WHERE tailnet = ?'),
    origin: statement('SELECT ns FROM ledger_origin WHERE tailnet = ?'),
    putOrigin: statement('INSERT INTO ledger_origin VALUES (?, ?) ON CONFLICT DO UPDATE SET ns = excluded.ns'),
    promise: statement('SELECT ns FROM ledger_promise WHERE tailnet = ?'),
    putPromise: statement('INSERT INTO ledger_promise VALUES (?, ?) ON CONFLICT DO UPDATE SET ns = excluded.ns'),
    oldPoints: statement('SELECT to_ns FROM ledger_old_points WHERE tailnet = ?'),
    dropOldPoints: statement('DELETE FROM ledger_old_points WHERE tailnet = ?'),
    allDone: statement('SELECT from_ns, to_ns FROM ledger_done WHERE tailnet = ?'),
    putDone: statement('INSERT INTO ledger_done VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET to_ns = excluded.to_ns'),
    dropDone: statement('DELETE FROM ledger_done WHERE tailnet = ? AND from_ns = ?'),
    allWindows: statement('SELECT * FROM ledger_window WHERE tailnet = ?'),
    putWindow: statement('INSERT OR REPLACE INTO ledger_window VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)'),
    dropWindow: statement('DELETE FROM ledger_window WHERE tailnet = ? AND from_ns = ? AND to_ns = ?'),
    allGaps: statement('SELECT * FROM ledger_gap WHERE tailnet = ? ORDER BY from_ns'),
    putGap: statement('INSERT OR REPLACE INTO ledger_gap VALUES (?, ?, ?, ?, ?, ?, ?, ?)'),
    dropGap: statement('DELETE FROM ledger_gap WHERE tailnet = ? AND from_ns = ? AND to_ns = ?'),
    allAttempts: statement('SELECT from_ns, to_ns FROM ledger_attempt WHERE tailnet = ?'),
    putAttempt: statement('INSERT OR IGNORE INTO ledger_attempt VALUES (?, ?, ?)'),
    dropAttempt: statement('DELETE FROM ledger_attempt WHERE tailnet = ? AND from_ns = ? AND to_ns = ?'),
  }
}

type Row = Record<string, unknown>
function toInterval(row: Row): Interval {
  return { fromNs: row['from_ns'] as bigint, toNs: row['to_ns'] as bigint }
}
function toWindow(row: Row): DoneWindow {
  return {
    ...toInterval(row),
    pass: Number(row['pass']),
    digest: row['digest'] as string,
    messages: Number(row['messages']),
    entries: Number(row['entries']),
    points: Number(row['points']),
    atNs: row['at_ns'] as bigint,
  }
}
function toGap(row: Row): Gap {
  return {
    ...toInterval(row),
    reason: row['reason'] as GapReason,
    state: row['state'] as Gap['state'],
    attempts: Number(row['attempts']),
    sinceNs: row['since_ns'] as bigint,
    nextNs: row['next_ns'] as bigint,
  }
}
function pick({ pass, digest, messages, entries, points, atNs }: DoneRecord): DoneRecord {
  return { pass, digest, messages, entries, points, atNs }
}
function keyOf(interval: Interval): string {
  return `${interval.fromNs}-${interval.toNs}`
}
