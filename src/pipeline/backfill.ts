/** History that somebody asked for: the wish lies in the state file, what of it is done in the ledger. So it goes on after a restart where it
 * was, and asking twice is harmless. The planner reads it in the queue `backfill`, one window at a time behind everything else. */
import type { Logger } from 'pino'
import { CollectorError } from '../base/errors.ts'
import { isoOf } from '../base/format.ts'
import { intersects } from '../ledger/intervals.ts'
import type { Interval, Ledger } from '../ledger/ledger.ts'
import type { BackfillRequest, BackfillRequests } from '../ledger/sqlite/backfill-requests.ts'
import type { BackfillStatus } from './status.ts'
import { max, min } from './window-size.ts'

export interface Backfill {
  /** What is still wanted above `floorNs`, the oldest that the API has. */
  range(floorNs: bigint): Interval | undefined
  /** A window of it is done. */
  learn(result: { readonly messages: number; readonly points: number }): void
  /** Nothing more can be read now: is it done, but for gaps? Throws a CollectorError of the state file. */
  settle(floorNs: bigint, nowNs: bigint): void
  ask(
    range: Interval,
    how: { readonly again: boolean; readonly floorNs: bigint; readonly edgeNs: bigint; readonly nowNs: bigint },
  ): BackfillStatus
  cancel(): void
  status(isPaused: boolean): BackfillStatus | null
}

export function createBackfill(deps: {
  readonly ledger: Pick<Ledger, 'missing' | 'gaps' | 'forget' | 'loseGap'>
  readonly wanted?: BackfillRequests
  readonly log: Logger
}): Backfill {
  const { ledger, wanted, log } = deps
  const counts = { windows: 0, messages: 0, points: 0 }
  let last: BackfillStatus | null = null

  function statusOf(wish: BackfillRequest, state: BackfillStatus['state']): BackfillStatus {
    const missingNs = lengthOf(ledger.missing(wish.fromNs, wish.toNs))
    const gapNs = lengthOf(
      ledger.gaps().flatMap((gap) => (gap.state === 'open' && intersects(gap, wish) ? [inside(gap, wish)] : [])),
    )
    const wholeNs = wish.toNs - wish.fromNs
    return {
      from: isoOf(wish.fromNs),
      to: isoOf(wish.toNs),
      state,
      share: wholeNs === 0n ? 1 : 1 - Number(missingNs) / Number(wholeNs),
      ...counts,
      missingSeconds: Number(missingNs) / 1e9,
      gapSeconds: Number(gapNs) / 1e9,
    }
  }

  return {
    range(floorNs) {
      const wish = wanted?.range()
      return wish && wish.toNs > floorNs ? { fromNs: max(wish.fromNs, floorNs), toNs: wish.toNs } : undefined
    },
    learn({ messages, points }) {
      counts.windows += 1
      counts.messages += messages
      counts.points += points
    },
    settle(floorNs, nowNs) {
      const wish = wanted?.range()
      if (wanted === undefined || wish === undefined) return
      // It waited too long: the API has forgotten that part.
      for (const piece of wish.fromNs < floorNs ? ledger.missing(wish.fromNs, min(floorNs, wish.toNs)) : []) {
        ledger.loseGap(piece, 'beyond_retention', nowNs)
      }
      const now = statusOf(wish, 'done')
      if (now.missingSeconds - now.gapSeconds > 1e-6) return
      last = now
      wanted.drop()
      log.info({ ...last }, 'backfill done')
    },
    ask({ fromNs, toNs }, { again, floorNs, edgeNs, nowNs }) {
      if (wanted === undefined) throw new Error('this pipeline was made without a place for wishes')
      const wish = { fromNs: max(fromNs, floorNs), toNs: min(toNs, edgeNs), askedNs: nowNs }
      if (wish.fromNs >= wish.toNs) {
        throw new CollectorError(
          `The API has nothing from ${isoOf(fromNs)} to ${isoOf(toNs)}: it keeps flow logs from ${isoOf(floorNs)} on (poll.retention), and the present ends at ${isoOf(edgeNs)}.`,
          { stage: 'config', code: 'config_invalid', reaction: 'hold' },
        )
      }
      if (again) ledger.forget(wish)
      wanted.ask(wish)
      Object.assign(counts, { windows: 0, messages: 0, points: 0 })
      last = null
      log.info({ from: isoOf(wish.fromNs), to: isoOf(wish.toNs), again }, 'backfill asked for')
      return statusOf(wish, 'running')
    },
    cancel() {
      wanted?.drop()
      last = null
      log.info('backfill given up, what was read stays')
    },
    status(isPaused) {
      const wish = wanted?.range()
      return wish ? statusOf(wish, isPaused ? 'paused' : 'running') : last
    },
  }
}

function inside(one: Interval, other: Interval): Interval {
  return { fromNs: max(one.fromNs, other.fromNs), toNs: min(one.toNs, other.toNs) }
}

function lengthOf(intervals: readonly Interval[]): bigint {
  return intervals.reduce((sum, one) => sum + (one.toNs - one.fromNs), 0n)
}
