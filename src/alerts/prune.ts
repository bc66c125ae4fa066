/** Memory: pieces of time that no rule looks at any more go, and groups without any. */
import type { Collector } from './collector.ts'
import type { Judge, RuleState } from './judge.ts'
import type { Reading, Scope } from './scope.ts'

export interface Pruner {
  prune(): void
  /** Memory of sums, presence and distinct items, estimated. */
  bytes(): number
}

/** Groups that nothing is known of any more stay until they are so many: one of these. */
const IDLE_SHARE = 8
/** A text in a set, with its place. */
const ITEM_BYTES = 60

export function createPruner(parts: {
  scopes: readonly Scope[]
  readings: readonly Reading[]
  judge: Judge
  collector: Pick<Collector, 'inFlight'>
}): Pruner {
  const { scopes, judge, collector } = parts

  /** How far all rules that read this part have been judged. */
  function judgedNs(reads: (reading: Reading) => boolean): bigint {
    const states = judge.rules.filter(({ reading }) => reads(reading))
    return states.reduce(
      (least, state: RuleState) => (state.judgedNs < least ? state.judgedNs : least),
      states[0]?.judgedNs ?? 0n,
    )
  }

  function pruneScope(scope: Scope): void {
    for (const by of scope.summed) {
      const { stepNs } = by.sums
      const piece = Number(judgedNs(({ main, derp }) => main === by || derp === by) / stepNs) - by.keepPieces
      by.sums.forgetBefore(piece)
      by.sinceNs = later(by.sinceNs, BigInt(piece) * stepNs)
    }
    for (const by of scope.present) {
      const slot = Number(judgedNs(({ present }) => present === by) / by.slotNs) - by.keepSlots
      by.presence.forgetBefore(slot)
    }
    for (const by of scope.distinct) {
      const { stepNs } = by.distinct
      const piece = Number(judgedNs(({ distinct }) => distinct === by) / stepNs) - by.keepPieces
      by.distinct.forgetBefore(piece)
      by.sinceNs = later(by.sinceNs, BigInt(piece) * stepNs)
    }
    for (const by of scope.seen) by.sightings.forgetBefore(Number(judgedNs(({ seen }) => seen === by) / by.rule.stepNs))
    // A window in flight may have numbers of groups in hand.
    if (collector.inFlight.length === 0) freeIdle(scope)
  }

  function freeIdle(scope: Scope): void {
    const used = new Set<number>()
    for (const { reading, alerts } of judge.rules)
      if (reading.scope === scope) for (const id of alerts.keys()) used.add(id)
    const idle: number[] = []
    for (const id of scope.series.ids()) {
      if (used.has(id) || !scope.summed.every((by) => by.sums.isIdle(id))) continue
      if (!scope.present.every((by) => by.presence.isIdle(id)) || !scope.distinct.every((by) => by.distinct.isIdle(id)))
        continue
      idle.push(id)
    }
    // Whoever remembers groups by numbers forgets all of them when one is freed.
    if (idle.length * IDLE_SHARE > scope.series.count || scope.series.isTight)
      for (const id of idle) scope.series.free(id)
    for (const { distinct } of scope.distinct) distinct.freeItems()
  }

  return {
    prune() {
      if (judge.judgedNs > 0n) for (const scope of scopes) pruneScope(scope)
    },
    bytes() {
      let bytes = 0
      for (const scope of scopes) {
        bytes += scope.series.size * ITEM_BYTES
        for (const { sums } of scope.summed) bytes += sums.bytes
        for (const { presence } of scope.present) bytes += presence.bytes
        for (const { distinct } of scope.distinct) bytes += distinct.bytes
        for (const { sightings } of scope.seen) bytes += sightings.count * 2 * ITEM_BYTES
      }
      return bytes
    },
  }
}

function later(one: bigint, other: bigint): bigint {
  return one > other ? one : other
}
