/** Rules judged naively: all messages in one list, every step from the first to the last, every sum from scratch. Slow, obvious, and sharing no
 * code with the room that it is compared to. */
import { MIN, type Traffic } from './world.ts'

export interface NaiveRule {
  readonly is: 'above' | 'below' | 'silent' | 'ratio' | 'distinct'
  readonly threshold: number
  readonly recover: number
  readonly atLeast?: number
  readonly windowNs: bigint
  readonly forNs: bigint
  readonly stepNs: bigint
  readonly withinNs?: bigint
  readonly offsetNs?: bigint
}

export interface NaiveAlert {
  readonly state: 'inactive' | 'pending' | 'firing'
  readonly activeNs: bigint
  readonly firedNs: bigint
  readonly resolvedNs: bigint
}

const FIRST: NaiveAlert = { state: 'inactive', activeNs: 0n, firedNs: 0n, resolvedNs: 0n }

/** What each node's alert is after the last step. `messages`: each once. Steps from `sinceNs` (excluded) to `untilNs`. `isRead`: the stretch of time
 * was read. */
export function naive(
  rule: NaiveRule,
  messages: readonly Traffic[],
  sinceNs: bigint,
  untilNs: bigint,
  isRead: (fromNs: bigint, toNs: bigint) => boolean,
): Map<string, NaiveAlert> {
  const nodes = [...new Set(messages.map(({ node }) => node ?? ''))]
  const alerts = new Map(nodes.map((node) => [node, FIRST]))
  const first = ((sinceNs + rule.stepNs - 1n) / rule.stepNs) * rule.stepNs
  for (let at = first + rule.stepNs; at <= untilNs; at += rule.stepNs) {
    for (const node of nodes) {
      const before = alerts.get(node)!
      alerts.set(
        node,
        after(before, at, judge(rule, messages, node, at, before.state === 'firing', isRead), rule.forNs),
      )
    }
  }
  return alerts
}

function judge(
  rule: NaiveRule,
  messages: readonly Traffic[],
  node: string,
  at: bigint,
  isFiring: boolean,
  isRead: (fromNs: bigint, toNs: bigint) => boolean,
): 'yes' | 'no' | 'unknown' {
  const within = (fromNs: bigint, toNs: bigint) =>
    messages.filter((one) => one.node === node && one.start >= fromNs && one.start < toNs)
  const sum = (some: readonly Traffic[]) => some.reduce((total, { tx = 0 }) => total + tx, 0)
  const { windowNs, threshold, recover, offsetNs = 0n } = rule
  const now = within(at - windowNs, at)
  const complete = isRead(at - windowNs, at) && (rule.is !== 'ratio' || isRead(at - offsetNs - windowNs, at - offsetNs))
  const isAbove = (value: number) => value > threshold || (isFiring && recover < threshold && value >= recover)
  const growing = (value: number) => (isAbove(value) ? 'yes' : complete ? 'no' : 'unknown')
  if (rule.is === 'above') return growing(sum(now))
  if (rule.is === 'distinct') return growing(new Set(now.map(({ dst }) => dst?.split(':')[0])).size)
  if (rule.is === 'ratio') {
    if (!complete) return 'unknown'
    const value = sum(now)
    const past = sum(within(at - offsetNs - windowNs, at - offsetNs))
    return value >= (rule.atLeast ?? 0) && past > 0 && isAbove(value / past) ? 'yes' : 'no'
  }
  const value = rule.is === 'silent' ? now.length : sum(now)
  // Places of ten minutes, or of one where the window is shorter; only those that are over count.
  const slot = windowNs >= 10n * MIN ? 10n * MIN : MIN
  const isKnown = value > 0 || within(((at - (rule.withinNs ?? 0n)) / slot) * slot, (at / slot) * slot).length > 0
  if (!isKnown) return complete ? 'no' : 'unknown'
  const limit = rule.is === 'silent' ? 1 : threshold
  const stays = isFiring && recover > limit && value <= recover
  if (value >= limit && !stays) return 'no'
  return complete ? 'yes' : 'unknown'
}

function after(before: NaiveAlert, at: bigint, answer: 'yes' | 'no' | 'unknown', forNs: bigint): NaiveAlert {
  if (answer === 'unknown') return before
  if (before.state === 'firing')
    return answer === 'yes' ? before : { ...before, state: 'inactive', activeNs: 0n, resolvedNs: at }
  if (answer === 'no') return { ...before, state: 'inactive', activeNs: 0n }
  const activeNs = before.state === 'pending' ? before.activeNs : at
  if (at - activeNs < forNs) return { ...before, state: 'pending', activeNs }
  return { state: 'firing', activeNs, firedNs: at, resolvedNs: 0n }
}
