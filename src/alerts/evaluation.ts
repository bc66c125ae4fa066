/** Rules on final minutes: what is told goes into rings, what was before comes from the database once after a start, and the judge follows. What becomes of
 * the transitions is not its business. */
import { max, min } from '../base/bigint.ts'
import { type Clock, DAY, HOUR, MINUTE } from '../base/clock.ts'
import type { Interval, Ledger } from '../ledger/ledger.ts'
import type { UnsettledList } from '../ledger/unsettled.ts'
import type { FinalMinute } from '../rollup/minute-reader.ts'
import type { RowStore } from '../rollup/rows/row-store.ts'
import { createCompleteness } from './evaluate/completeness.ts'
import { createFill } from './evaluate/fill.ts'
import { prune } from './evaluate/prune.ts'
import { createReadings, type ReadingLimits } from './evaluate/readings.ts'
import { createJudge, type RuleState, type Transition } from './judge.ts'
import { periodStart, type Rule } from './rules/rule.ts'

export interface EvaluationDeps {
  readonly ledger: Pick<Ledger, 'settled' | 'gaps' | 'originNs' | 'unsettled'>
  /** What was made of minutes before this process. */
  readonly rows: Pick<RowStore, 'rows' | 'summed' | 'reads'>
  /** The directory has a node of this id. */
  readonly isNode: (id: string) => boolean
  readonly clock: Clock
  /** A minute came later than what counts. */
  readonly onIgnored: () => void
  readonly signal: AbortSignal
}

/** How the process before ended. */
export interface Before {
  /** How far everything was read when this process began; undefined for a first installation. */
  readonly readToNs: bigint | undefined
  /** It ended without its last save. */
  readonly wasCut: boolean
}

interface Evaluated {
  readonly transitions: readonly Transition[]
  /** Every step up to here was evaluated. */
  readonly toNs: bigint
}

export function createEvaluation(rules: readonly Rule[], limits: ReadingLimits, deps: EvaluationDeps) {
  const { clock, ledger, rows, signal } = deps
  const { views, readings, numbers, peers } = createReadings(rules, limits)
  const completeness = createCompleteness(ledger)
  const judge = createJudge({ readings, completeness, monotonicMs: () => clock.monotonicMs() })
  /** Minutes that were told before the rings were filled, and whether they have a gap. */
  const told = new Map<bigint, boolean>()
  const filler = createFill({
    ...{ rows, views, numbers, signal, isNode: deps.isNode },
    isTold: (startNs) => told.has(startNs),
    waiting: (tier) => waitingIn(ledger.unsettled, tier),
    seenSinceNs: () => leastOf(judge.rules.filter(({ reading }) => reading.lastSeen !== undefined)),
  })
  let isFilled = false
  /** Every minute before this one was told, or has no rows. */
  let finalNs: bigint | undefined
  /** Minutes before this one do not count again. It moves after an evaluation: what came late is evaluated before, however far it moves at once. */
  let horizonNs = 0n
  /** The oldest rows that are known of; what a quota counts begins here, if it is later than its period. */
  let oldestNs: bigint | undefined
  let lateMinutes = 0

  return {
    judge,
    /** Nothing is evaluated before. */
    get isFilled() {
      return isFilled
    },
    get finalNs() {
      return finalNs
    },
    get horizonNs() {
      return horizonNs
    },
    /** Minutes that came later than what counts. */
    get lateMinutes() {
      return lateMinutes
    },

    /** A minute that is told is only added up. */
    minute(one: FinalMinute): void {
      const { startNs, hasGap } = one
      if (startNs < horizonNs) {
        completeness.ignored(startNs)
        lateMinutes += 1
        deps.onIgnored()
        return
      }
      const minute = Number(startNs / MINUTE)
      numbers.nodes.begin()
      numbers.edges.begin()
      one.eachNode((row) => numbers.nodes.node(row))
      one.eachEdge((row) => numbers.edges.edge(row))
      if (!isFilled) told.set(startNs, hasGap)
      const isPast = isFilled && startNs + MINUTE <= judge.judgedNs
      for (const view of views) {
        view.take(minute)
        for (const ring of [...view.sums, ...view.items]) {
          const ids = ring.commit(minute)
          if (isPast && ids.length > 0) judge.changed(ring, startNs, ids)
        }
      }
      if (completeness.told(startNs, hasGap)) judge.again(startNs)
    },

    /** Every minute before `ns` was told. True when that is news. */
    finalTo(ns: bigint): boolean {
      const isNews = finalNs === undefined || ns > finalNs
      finalNs = max(finalNs ?? ns, ns)
      if (isFilled) {
        completeness.advance(finalNs)
        const filledNs = completeness.recheck()
        if (filledNs !== undefined) judge.again(filledNs)
      }
      return isNews
    },

    /** Rings as far as the database has them. Rejects with a CollectorError, and may be called again then. */
    async fill(toNs: bigint, { readToNs, wasCut }: Before): Promise<void> {
      const isRead = (await rows.reads(signal)) !== 'nothing'
      // A node's clock may be an hour ahead.
      const newestNs = max(clock.now(), ledger.settled().at(-1)?.toNs ?? toNs) + HOUR
      const found = isRead ? await filler.run(toNs, newestNs) : undefined
      oldestNs = found?.oldestNs
      // A first installation begins with the origin, a rule that is new with what comes.
      judge.begin(readToNs ?? ledger.originNs() ?? toNs)
      const judgedNs = leastOf(judge.rules) ?? toNs
      completeness.begin(isRead ? 0n : toNs, toNs, judgedNs, (startNs) => found?.hasRows(startNs) === true)
      completeness.advance(finalNs ?? toNs)
      for (const [startNs, hasGap] of told) completeness.told(startNs, hasGap)
      told.clear()
      isFilled = true
      horizonNs = max(0n, judge.judgedNs - limits.latenessNs)
      // What was told shortly before a crash may be in the rows and not in the states.
      if (wasCut) judge.again(horizonNs)
    },

    /** Evaluates what is final; undefined when nothing can be. */
    async run(): Promise<Evaluated | undefined> {
      if (!isFilled || finalNs === undefined) return undefined
      const toNs = finalNs
      const transitions = await judge.run(toNs, horizonNs)
      horizonNs = max(horizonNs, toNs - limits.latenessNs)
      return { transitions, toNs }
    },

    /** Forgets what no rule looks at any more. */
    prune(): void {
      prune({ views, rules: judge.rules, peers, finalNs: finalNs ?? 0n, horizonNs })
    },

    /** Since when a quota counts, if that is later than its period; undefined else. */
    countsSinceNs({ rule, judgedNs }: RuleState): bigint | undefined {
      const per = rule.form.needs.since
      if (per === undefined || judgedNs === 0n) return undefined
      const [one, other] = [oldestNs, ledger.originNs()]
      const sinceNs = one === undefined || other === undefined ? (one ?? other) : min(one, other)
      return sinceNs !== undefined && sinceNs > periodStart(judgedNs, per) ? sinceNs : undefined
    },

    get memoryBytes() {
      return views.reduce((sum, { bytes }) => sum + bytes, numbers.edges.bytes + numbers.nodes.bytes + peers.bytes)
    },
  }
}

/** Hours, or days, that are yet to be written; a day is when one of its hours is. */
function waitingIn(unsettled: Pick<UnsettledList, 'all'>, tier: 'hour' | 'day'): readonly Interval[] {
  const lengthNs = tier === 'hour' ? HOUR : DAY
  return [...unsettled.all('hour'), ...(tier === 'day' ? unsettled.all('day') : [])].map(({ startNs }) => {
    const fromNs = startNs - (startNs % lengthNs)
    return { fromNs, toNs: fromNs + lengthNs }
  })
}

/** How far all of these rules were evaluated; undefined without any. */
function leastOf(states: readonly RuleState[]): bigint | undefined {
  return states.length === 0 ? undefined : min(states[0]!.judgedNs, ...states.map(({ judgedNs }) => judgedNs))
}
