/** What a new ledger takes over from earlier ones, by the texts that their newest points of `tailflux_window` carry: which derived rows are not settled, and
 * which settings were in force. So a lost state file leaves no row behind that is no longer true, and what is read again becomes what it was. */
import type { Logger } from 'pino'
import { max, min } from '../../base/bigint.ts'
import { DAY, HOUR, MINUTE } from '../../base/clock.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import type { SettingsHistory } from '../../ledger/settings-history.ts'
import type { Listed } from '../../ledger/unsettled.ts'
import { readUnsettled, TIER_NS, type TierRange } from '../../ledger/unsettled-text.ts'
import type { CheckpointPoint, CheckpointState } from '../../sink/sink.ts'

/** The newest point of one earlier ledger, with what it carries. */
export interface EarlierLedger {
  readonly point: CheckpointPoint
  readonly state: CheckpointState | undefined
}

/** Rows of these minutes around the checkpoint may have been written after it, or be missing. */
const BEFORE_NS = 2n * MINUTE
const AFTER_NS = HOUR
/** The earlier ledger may have written new rows of a minute after its last checkpoint, and whether a node reports counts for an hour after that minute. */
const LOOK_BACK_NS = HOUR
/** No record starts earlier than this, or later: what another program wrote must not make a list without end. */
const OLDEST_NS = 62n * DAY
const NEWEST_NS = 2n * HOUR

/** Changes nothing when nothing is carried. Throws a CollectorError (stage `ledger`). */
export function takeOver(
  earlier: readonly EarlierLedger[],
  nowNs: bigint,
  deps: {
    readonly ledger: Pick<Ledger, 'unsettled'>
    readonly settings: Pick<SettingsHistory<unknown>, 'restore'>
    readonly log: Logger
  },
): void {
  const ranges = earlier.flatMap(({ point, state }) => [...aroundCheckpoint(point), ...carried(state, deps.log)])
  const listed = expand(ranges, nowNs)
  deps.ledger.unsettled.must(listed, nowNs)
  const newestFirst = earlier.toSorted((one, other) =>
    (one.point.ackedNs ?? 0n) > (other.point.ackedNs ?? 0n) ? -1 : 1,
  )
  const texts = newestFirst.flatMap(({ state }) => (state?.settings === undefined ? [] : [state.settings]))
  const isRestored = texts.some((text) => deps.settings.restore(text))
  if (texts.length > 0 && !isRestored)
    deps.log.warn('the settings in tailflux_window cannot be read, those of now count for all times')
  if (listed.length > 0)
    deps.log.info({ count: listed.length, isRestored }, 'continuing where an earlier state file ended')
}

function aroundCheckpoint({ timeNs, watermarkNs = timeNs }: CheckpointPoint): readonly TierRange[] {
  return [timeNs, watermarkNs].map((ns) => ({ tier: 'minute', fromNs: ns - BEFORE_NS, toNs: ns + AFTER_NS }))
}

function carried(state: CheckpointState | undefined, log: Logger): readonly TierRange[] {
  const ranges = readUnsettled(state?.unsettled ?? '')
  if (ranges === undefined)
    log.warn({ writer: state?.writer }, 'the list of unsettled minutes in tailflux_window cannot be read')
  return (ranges ?? []).map((range) =>
    range.tier === 'minute' ? { ...range, toNs: range.toNs + LOOK_BACK_NS } : range,
  )
}

function expand(ranges: readonly TierRange[], nowNs: bigint): readonly Listed[] {
  const listed = new Map<string, Listed>()
  for (const { tier, fromNs, toNs } of ranges) {
    const lengthNs = TIER_NS[tier]
    const firstNs = (max(fromNs, nowNs - OLDEST_NS, 0n) / lengthNs) * lengthNs
    for (let startNs = firstNs; startNs <= min(toNs, nowNs + NEWEST_NS); startNs += lengthNs)
      listed.set(`${tier} ${startNs}`, { tier, startNs })
  }
  return [...listed.values()]
}
