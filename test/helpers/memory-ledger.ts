/** A ledger in memory, as simple as can be: for tests of what stands around the ledger. */
import { intersects, merge, subtract } from '../../src/ledger/intervals.ts'
import type { Attempt, DoneWindow, Gap, Interval, Ledger } from '../../src/ledger/ledger.ts'
import { createMemoryUnsettled, type MemoryUnsettled } from './memory-unsettled.ts'

interface Content {
  originNs: bigint | undefined
  oldPointsToNs?: bigint | undefined
  promisedNs: bigint | undefined
  isOriginGuessed?: boolean
  writer?: string
  done: Interval[]
  records: DoneWindow[]
  gaps: Gap[]
  unsettled?: MemoryUnsettled
}
export interface MemoryLedger extends Ledger {
  readonly attempts: Attempt[]
  /** What the next process sees: the content, and the attempts that never ended as crashed ones. */
  reopen(): MemoryLedger
}

let writers = 0

export function createMemoryLedger(
  crashed: readonly Interval[] = [],
  content: Content = { originNs: undefined, promisedNs: undefined, done: [], records: [], gaps: [] },
): MemoryLedger {
  let { originNs, oldPointsToNs, promisedNs, isOriginGuessed = false, done, records, gaps } = content
  writers += 1
  const { writer = `writer${writers}`, unsettled = createMemoryUnsettled() } = content
  const attempts: Attempt[] = [...crashed]
  const same = (one: Interval, other: Interval) => one.fromNs === other.fromNs && one.toNs === other.toNs
  const lost = () => gaps.filter((gap) => gap.state === 'lost')
  const settled = () => merge([...done, ...lost()])
  return {
    attempts,
    unsettled,
    originNs: () => originNs,
    promisedNs: () => promisedNs,
    oldPointsToNs: () => oldPointsToNs,
    forgetOldPoints() {
      oldPointsToNs = undefined
    },
    writer,
    setOrigin(ns, promiseNs = promisedNs) {
      originNs = ns
      promisedNs = promiseNs
    },
    setOriginGuessed(isGuessed) {
      isOriginGuessed = isGuessed
    },
    isOriginGuessed: () => isOriginGuessed,
    settled,
    watermarkNs() {
      if (originNs === undefined) return undefined
      const from = originNs
      return settled().find((one) => one.fromNs <= from && one.toNs >= from)?.toNs ?? from
    },
    missing: (fromNs, toNs) => subtract([{ fromNs, toNs }], settled()),
    done(window, record, attempt, minutes = []) {
      if (minutes.length > 0) unsettled.read(minutes, record.atNs)
      if (attempt) this.endAttempt(attempt)
      done = merge([...done, window])
      records = [...records.filter((one) => !same(one, window)), { ...window, ...record }]
      gaps = [
        ...lost(),
        ...gaps
          .filter((gap) => gap.state === 'open')
          .flatMap((gap) => subtract([gap], [window]).map((left) => ({ ...gap, ...left }))),
      ]
    },
    forget(range) {
      done = subtract(done, [range])
      records = records.filter((one) => !intersects(one, range))
    },
    beginAttempt({ fromNs, toNs }) {
      const attempt = { fromNs, toNs }
      attempts.push(attempt)
      return attempt
    },
    endAttempt(attempt) {
      const index = attempts.indexOf(attempt)
      if (index >= 0) attempts.splice(index, 1)
    },
    crashed: () => crashed.filter((one) => subtract([one], done).length > 0),
    gaps: () => gaps,
    openGap(interval, reason, nowNs, nextNs) {
      const known = gaps.find((gap) => gap.state === 'open' && same(gap, interval))
      gaps = gaps.filter((gap) => gap !== known)
      gaps.push({
        fromNs: interval.fromNs,
        toNs: interval.toNs,
        reason,
        state: 'open',
        attempts: (known?.attempts ?? 0) + 1,
        sinceNs: known?.sinceNs ?? nowNs,
        nextNs,
      })
    },
    growGap(interval, reason, nowNs, nextNs) {
      const mine = gaps.filter((gap) => gap.state === 'open' && gap.reason === reason)
      gaps = gaps.filter((gap) => !mine.includes(gap))
      for (const range of merge([...mine, interval])) {
        const inside = (one: Interval) => one.fromNs >= range.fromNs && one.toNs <= range.toNs
        const parts = mine.filter(inside)
        gaps.push({
          ...range,
          reason,
          state: 'open',
          attempts: Math.max(0, ...parts.map((one) => one.attempts)) + (inside(interval) ? 1 : 0),
          sinceNs: parts.reduce((least, one) => (one.sinceNs < least ? one.sinceNs : least), nowNs),
          nextNs,
        })
      }
    },
    loseGap(interval, reason, nowNs) {
      for (const piece of subtract([interval], settled())) {
        gaps = gaps.flatMap((gap) =>
          gap.state === 'lost' ? [gap] : subtract([gap], [piece]).map((left) => ({ ...gap, ...left })),
        )
        gaps.push({ ...piece, reason, state: 'lost', attempts: 0, sinceNs: nowNs, nextNs: nowNs })
      }
    },
    duePasses: (pass, endedBeforeNs, limit) =>
      records
        .filter((one) => one.pass > 0 && one.pass < pass && one.toNs <= endedBeforeNs)
        .toSorted((one, other) => (one.fromNs < other.fromNs ? -1 : 1))
        .slice(0, limit),
    compact(endedBeforeNs, ackedBeforeNs) {
      records = records.filter((one) => one.toNs > endedBeforeNs || one.atNs > ackedBeforeNs)
    },
    recent: (limit) => records.toSorted((one, other) => (one.toNs > other.toNs ? -1 : 1)).slice(0, limit),
    reopen: () => createMemoryLedger(attempts, { originNs, promisedNs, isOriginGuessed, writer, done, records, gaps }),
  }
}
