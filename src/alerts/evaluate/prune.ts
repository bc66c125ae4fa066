/** What no rule looks at any more goes from memory, and groups of which nothing is left. */
import { min } from '../../base/bigint.ts'
import { MINUTE } from '../../base/clock.ts'
import type { RuleState } from '../judge.ts'
import type { PeerNumbers } from './item-ring.ts'
import type { View } from './view.ts'

export function prune(kept: {
  readonly views: readonly View[]
  readonly rules: readonly RuleState[]
  readonly peers: PeerNumbers
  /** Minutes before this one are final. */
  readonly finalNs: bigint
  /** What comes later about minutes before this one does not count. */
  readonly horizonNs: bigint
}): void {
  const { views, rules, peers, finalNs, horizonNs } = kept
  for (const view of views) {
    const mine = rules.filter(({ reading }) => reading.view === view)
    const minute = Number(mine.reduce((least, { judgedNs }) => min(least, judgedNs), finalNs) / MINUTE)
    for (const ring of view.sums) ring.forgetBefore(minute)
    for (const ring of view.items) ring.forgetBefore(minute, Number(horizonNs / MINUTE))
    for (const { reading, rule, judgedNs } of mine) reading.lastSeen?.forgetBefore(Number(judgedNs / rule.stepNs))
    view.freeIdle((id) => mine.some(({ alerts }) => alerts.has(id)))
  }
  peers.tidy((seen) => {
    for (const { items } of views) for (const ring of items) if (ring.of === 'peer') ring.markItems(seen)
  })
}
