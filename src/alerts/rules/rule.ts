/** An alert rule as the rest of the room sees it: everything decided, nothing optional. `rule-schema.ts` makes it from the settings. */
import { DAY, HOUR, MINUTE } from '../../base/clock.ts'
import type { Kind } from '../../source/parse/message.ts'
import type { Amount, Measure } from '../amount.ts'
import type { Patterns } from '../patterns.ts'

export const SEVERITIES = ['info', 'warning', 'critical'] as const
type Severity = (typeof SEVERITIES)[number]

/** What tells one group of traffic from another. `node` is the reporting node; `src` and `dst` are names of both ends as it wrote them. */
export const DIMS = ['node', 'src', 'dst', 'port', 'proto', 'owner', 'kind'] as const
export type Dim = (typeof DIMS)[number]

/** Each list that is not there wants everything. */
export interface Where {
  readonly node?: Patterns
  readonly owner?: Patterns
  readonly src?: Patterns
  readonly dst?: Patterns
  readonly port?: readonly number[]
  /** As in the tag: `tcp`, `udp`, `tsmp`, ... */
  readonly proto?: readonly string[]
}

export type Form =
  /** The sum over the window is above `threshold`; over when it is below `recover`. */
  | { readonly is: 'above'; readonly threshold: number; readonly recover: number; readonly amount: Amount }
  /** The sum is below `threshold`, of groups seen within `withinMs`; over when it is above `recover`. */
  | {
      readonly is: 'below'
      readonly threshold: number
      readonly recover: number
      readonly amount: Amount
      readonly withinMs: number
    }
  /** No message for the length of the window, of groups seen within `withinMs`. */
  | { readonly is: 'silent'; readonly withinMs: number }
  /** Percent of physical bytes that went through a relay, where there were at least `atLeast` bytes. */
  | { readonly is: 'relayShare'; readonly threshold: number; readonly recover: number; readonly atLeast: number }
  /** The sum over the window, divided by that over the same window so long before. */
  | {
      readonly is: 'ratio'
      readonly threshold: number
      readonly recover: number
      readonly atLeast: number
      readonly previous: 'hour' | 'day' | 'week'
    }
  /** Seen, and not once in `memoryMs` before. The window is how long the alert stays. */
  | { readonly is: 'new'; readonly memoryMs: number }
  /** Distinct far ends, or distinct service ports. */
  | {
      readonly is: 'distinct'
      readonly of: 'dst' | 'port'
      readonly threshold: number
      readonly recover: number
    }
  /** The sum since the day or the month began (UTC). The window is the longest such time. */
  | { readonly is: 'quota'; readonly threshold: number; readonly amount: Amount; readonly per: 'day' | 'month' }

/** The sentences of an alert: while it fires, and when it is over. */
export interface Summaries {
  readonly firing: string
  readonly resolved: string
}

export interface Rule {
  /** Unique, stable, `[a-z0-9-]`: part of the identity of its alerts. */
  readonly name: string
  readonly title: string
  readonly form: Form
  readonly kinds: readonly Kind[]
  /** Groups, in the order of DIMS. Empty: the whole tailnet is one group. */
  readonly by: readonly Dim[]
  /** Only what an exit node or subnet router reports about its clients: the far end is in the tailnet, the near end is not. */
  readonly isRouter: boolean
  readonly where: Where
  readonly measure: Measure
  readonly windowNs: bigint
  readonly forNs: bigint
  /** Time is cut into pieces of this length, and the rule is judged at the end of each. Divides the window. */
  readonly stepNs: bigint
  readonly severity: Severity
  readonly labels: Readonly<Record<string, string>>
  /** Templates (`summary.ts`). */
  readonly summaries: Summaries
  /** True: exported and shown, never judged. */
  readonly isPaused: boolean
}

const STEPS = [MINUTE, 5n * MINUTE, 15n * MINUTE, HOUR, 6n * HOUR, DAY]
/** PrefixCache that one rule keeps per group. */
const PIECES_MAX = 750n

/** The finest step that divides all of `lengths` and cuts `spanNs` into at most 750 pieces; undefined when there is none. */
export function stepOf(spanNs: bigint, lengths: readonly bigint[]): bigint | undefined {
  return STEPS.find((step) => lengths.every((length) => length % step === 0n) && spanNs / step <= PIECES_MAX)
}

export const OFFSET_OF = { hour: HOUR, day: DAY, week: 7n * DAY } as const

/** How far back from a step the rule looks. */
export function spanOf(rule: Rule): bigint {
  return rule.windowNs + (rule.form.is === 'ratio' ? OFFSET_OF[rule.form.previous] : 0n)
}

/** True when the companion `tailnet_node` has all that the rule needs: no ends, ports or protocols. */
export function isByNode(rule: Rule): boolean {
  const { where, form } = rule
  if (rule.isRouter || form.is === 'new' || form.is === 'distinct') return false
  if (where.src || where.dst || where.port || where.proto) return false
  return rule.by.every((dim) => dim === 'node' || dim === 'owner' || dim === 'kind')
}

/** The begin of the UTC day or month that the instant just before `ns` lies in. */
export function periodStart(ns: bigint, per: 'day' | 'month'): bigint {
  const before = ns - 1n
  const day = before - (before % DAY)
  if (per === 'day') return day
  const date = new Date(Number(day / 1_000_000n))
  return BigInt(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1)) * 1_000_000n
}
