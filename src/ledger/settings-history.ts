/** Settings through time. Some settings decide what a record becomes: its identity as a raw point, or its row. What is read again must become what it was
 * the first time, so a change counts only for what starts after it. `T`: these settings, as plain JSON data; keys only as fingerprints. */
import { isDeepStrictEqual } from 'node:util'
import { DAY, HOUR, MINUTE } from '../base/clock.ts'

export interface SettingsChange<T> {
  /** Valid for records with a `start` from here on, a whole minute, ns. The first change counts for all times before it too. */
  readonly fromNs: bigint
  readonly settings: T
}

export interface SettingsHistory<T> {
  /** The settings in force for a record with this `start`, ns. */
  at(startNs: bigint): T
  /** Ascending; empty before the first `settle`. */
  changes(): readonly SettingsChange<T>[]
  /** Records the settings of this process: the first ones for all times, other ones than the newest from the next hour on. Call it before the first
   * record is read; it changes nothing when it is called again. `nowNs`: the source clock. Throws a CollectorError (stage `ledger`). */
  settle(nowNs: bigint): void
  /** The changes as text, for the database. */
  text(): string
  /** Starts with the changes of an earlier ledger instead of its own, if the text can be read. Returns false when it cannot. Throws as `settle`. */
  restore(text: string): boolean
}

/** A record may start this much later than it is logged, so one that was read before a change starts at most this much after it. */
const CHANGE_AHEAD_NS = HOUR
/** A record is logged up to 31 days after its start, and can be read for 30 days more. */
const CHANGES_KEPT_NS = 62n * DAY
/** One field of a line takes 16 Ki characters (encode-line.ts). */
const TEXT_LENGTH_MAX = 16_000

/** The settings in force at that time; undefined without changes. */
export function settingsAt<T>(changes: readonly SettingsChange<T>[], startNs: bigint): T | undefined {
  return (changes.findLast(({ fromNs }) => fromNs <= startNs) ?? changes[0])?.settings
}

/** The changes with the settings of now, without those that no record needs any more. */
export function withSettings<T>(
  changes: readonly SettingsChange<T>[],
  settings: T,
  nowNs: bigint,
): readonly SettingsChange<T>[] {
  const newest = changes.at(-1)
  if (newest === undefined) return [{ fromNs: 0n, settings }]
  const isChanged = !isDeepStrictEqual(newest.settings, settings)
  const all = isChanged ? [...changes, { fromNs: validFrom(changes, nowNs), settings }] : changes
  // The last one before that time was in force at it.
  const first = all.findLastIndex(({ fromNs }) => fromNs <= nowNs - CHANGES_KEPT_NS)
  return first > 0 ? all.slice(first) : all
}

/** The first whole minute later than now and the bound ahead; never before an earlier change, if the clock was set back. */
function validFrom<T>(changes: readonly SettingsChange<T>[], nowNs: bigint): bigint {
  const ownNs = ((nowNs + CHANGE_AHEAD_NS) / MINUTE + 1n) * MINUTE
  const lastNs = changes.at(-1)?.fromNs ?? 0n
  return ownNs > lastNs ? ownNs : lastNs + MINUTE
}

/** One line of printable ASCII without backslashes, at most TEXT_LENGTH_MAX long. What does not fit is left out: members listed in `optional`, of the
 * oldest changes first, then whole changes. */
export function changesText<T extends object>(
  changes: readonly SettingsChange<T>[],
  optional: readonly (keyof T)[],
): string {
  let kept = changes.map(({ fromNs, settings }) => [Number(fromNs / MINUTE), settings] as const)
  for (let at = 0; at < kept.length && textOf(kept).length > TEXT_LENGTH_MAX; at += 1) {
    const [minute, settings] = kept[at]!
    const left = Object.entries(settings).filter(([name]) => !optional.includes(name as keyof T))
    kept = kept.with(at, [minute, Object.fromEntries(left) as T])
  }
  while (kept.length > 1 && textOf(kept).length > TEXT_LENGTH_MAX) kept = kept.slice(1)
  return textOf(kept)
}

function textOf(value: unknown): string {
  return JSON.stringify(value).replace(/[^\x20-\x7e]|[%\\]/gu, encodeURIComponent)
}

/** What `changesText` wrote; undefined when it is anything else. `parse` returns undefined for data that are no such settings, and fills in what is left
 * out. */
export function readChanges<T>(
  text: string,
  parse: (data: unknown) => T | undefined,
): readonly SettingsChange<T>[] | undefined {
  let data: unknown
  try {
    data = JSON.parse(decodeURIComponent(text))
  } catch {
    // Another program wrote it, or it was cut.
    return undefined
  }
  if (!Array.isArray(data) || data.length === 0) return undefined
  const changes: SettingsChange<T>[] = []
  for (const one of data) {
    const [minute, settings] = Array.isArray(one) ? one : []
    const parsed = parse(settings)
    if (!Number.isSafeInteger(minute) || minute < 0 || parsed === undefined) return undefined
    const fromNs = BigInt(minute) * MINUTE
    if (fromNs <= (changes.at(-1)?.fromNs ?? -1n)) return undefined
    changes.push({ fromNs, settings: parsed })
  }
  return changes
}
