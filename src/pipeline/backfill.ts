/** Reads history on request. The request is kept in the state file, and what of it is done in the ledger. So it continues after a restart,
 * and the same request twice is harmless. The planner reads it in the queue `backfill`, one window at a time, after everything else. */
import type { Logger } from 'pino'
import { max, min } from '../base/bigint.ts'
import { CollectorError } from '../base/errors.ts'
import { isoOf } from '../base/format.ts'
import { intersects } from '../ledger/intervals.ts'
import type { Interval, Ledger } from '../ledger/ledger.ts'
import type { BackfillRequest, BackfillRequests } from '../ledger/sqlite/backfill-requests.ts'
import type { BackfillCounts, BackfillStatus } from '../observe/line/status.ts'

export interface Backfill {
  /** The requested range above `floorNs`, the oldest time that the API has. */
  range(floorNs: bigint): Interval | undefined
  /** A window is done. It counts if it lies in the request, whoever asked for it first: what lies after the origin is read anyway. */
  learn(window: Interval, result: { readonly messages: number; readonly points: number }): void
  /** Call when nothing more can be read now: ends the request if all of it is done, except for gaps. Throws a CollectorError of the state
   * file. */
  settle(floorNs: bigint, nowNs: bigint): void
  ask(
    range: Interval,
    how: {
      readonly again: boolean
      readonly isOldDeleted: boolean
      readonly floorNs: bigint
      readonly horizonNs: bigint
      readonly nowNs: bigint
    },
  ): BackfillStatus
  cancel(): void
  status(isPaused: boolean): BackfillStatus | null
}

export function createBackfill(deps: {
  readonly ledger: Pick<Ledger, 'missing' | 'gaps' | 'forget' | 'loseGap' | 'oldPointsToNs' | 'forgetOldPoints'>
  readonly requests?: BackfillRequests
  readonly counts: BackfillCounts
  readonly log: Logger
}): Backfill {
  const { ledger, requests, counts, log } = deps
  let last: BackfillStatus | null = null

  function statusOf(request: BackfillRequest, state: BackfillStatus['state']): BackfillStatus {
    const missingNs = lengthOf(ledger.missing(request.fromNs, request.toNs))
    const gapNs = lengthOf(
      ledger.gaps().flatMap((gap) => (gap.state === 'open' && intersects(gap, request) ? [inside(gap, request)] : [])),
    )
    const wholeNs = request.toNs - request.fromNs
    return {
      from: isoOf(request.fromNs),
      to: isoOf(request.toNs),
      state,
      share: wholeNs === 0n ? 1 : 1 - Number(missingNs) / Number(wholeNs),
      ...counts,
      missingSeconds: Number(missingNs) / 1e9,
      gapSeconds: Number(gapNs) / 1e9,
    }
  }

  return {
    range(floorNs) {
      const request = requests?.range()
      return request && request.toNs > floorNs
        ? { fromNs: max(request.fromNs, floorNs), toNs: request.toNs }
        : undefined
    },
    learn(window, { messages, points }) {
      const request = requests?.range()
      if (request === undefined || !intersects(window, request)) return
      counts.windows += 1
      counts.messages += messages
      counts.points += points
    },
    settle(floorNs, nowNs) {
      const request = requests?.range()
      if (requests === undefined || request === undefined) return
      // It waited too long: the API no longer has that part.
      for (const piece of request.fromNs < floorNs ? ledger.missing(request.fromNs, min(floorNs, request.toNs)) : []) {
        ledger.loseGap(piece, 'beyond_retention', nowNs)
      }
      const now = statusOf(request, 'done')
      if (now.missingSeconds - now.gapSeconds > 1e-6) return
      last = now
      requests.drop()
      log.info({ ...last }, 'backfill done')
    },
    ask({ fromNs, toNs }, { again, isOldDeleted, floorNs, horizonNs, nowNs }) {
      if (requests === undefined) throw new Error('this pipeline was created without backfill requests')
      const request = { fromNs: max(fromNs, floorNs), toNs: min(toNs, horizonNs), askedNs: nowNs }
      if (request.fromNs >= request.toNs) {
        throw new CollectorError(
          `The API has nothing from ${isoOf(fromNs)} to ${isoOf(toNs)}: it keeps flow logs from ${isoOf(floorNs)} on (poll.retention), up to ${isoOf(horizonNs)} (now minus poll.lag). Choose a range in between.`,
          { stage: 'config', code: 'config_invalid', reaction: 'hold' },
        )
      }
      const oldToNs = ledger.oldPointsToNs()
      if (again && oldToNs !== undefined && request.fromNs < oldToNs) {
        if (!isOldDeleted) throw wouldDouble(oldToNs)
        ledger.forgetOldPoints()
      }
      if (again) ledger.forget(request)
      requests.put(request)
      Object.assign(counts, { windows: 0, messages: 0, points: 0 })
      last = null
      log.info({ from: isoOf(request.fromNs), to: isoOf(request.toNs), again }, 'backfill requested')
      return statusOf(request, 'running')
    },
    cancel() {
      requests?.drop()
      last = null
      log.info('backfill cancelled, what was read is kept')
    },
    status(isPaused) {
      const request = requests?.range()
      return request ? statusOf(request, isPaused ? 'paused' : 'running') : last
    },
  }
}

function wouldDouble(oldToNs: bigint): CollectorError {
  return new CollectorError(
    `What was logged up to ${isoOf(oldToNs)} was written by tailflux 0.1.0 with other tags, so it would be in tailnet_flow twice. Begin at ${isoOf(oldToNs)} or later, or delete the points of 0.1.0 (docs/upgrade.md), then add --old-points-deleted.`,
    { stage: 'config', code: 'config_invalid', reaction: 'hold' },
  )
}

function inside(one: Interval, other: Interval): Interval {
  return { fromNs: max(one.fromNs, other.fromNs), toNs: min(one.toNs, other.toNs) }
}

function lengthOf(intervals: readonly Interval[]): bigint {
  return intervals.reduce((sum, one) => sum + (one.toNs - one.fromNs), 0n)
}
