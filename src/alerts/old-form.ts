/** Goes with the evaluation of messages: what it reads of a rule's form. */
import { DAY, HOUR, MS } from '../base/clock.ts'
import { type Amount, isBytes, type Measure, parseAmount, totalOf } from './amount.ts'
import type { Scope } from './rules/scope.ts'

interface Old extends Scope {
  readonly old: OldForm
}

export type OldForm =
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

export const OFFSET_OF = { hour: HOUR, day: DAY, week: 7n * DAY } as const

/** How far back from a step the rule looks. */
export function spanOf({ windowNs, old }: Old): bigint {
  return windowNs + (old.is === 'ratio' ? OFFSET_OF[old.previous] : 0n)
}

export function isByNode({ isRouter, old, where, by }: Old): boolean {
  if (isRouter || old.is === 'new' || old.is === 'distinct') return false
  if (where.src || where.dst || where.port || where.proto) return false
  return by.every((dim) => dim === 'node' || dim === 'owner' || dim === 'kind')
}

// biome-ignore lint/suspicious/noExplicitAny: goes with this file
export function oldFormOf(given: any, name: string, measure: Measure, windowNs: bigint): OldForm {
  const fault = (_key: string, _text: string): void => undefined
  const windowMs = Number(windowNs / MS)
  const total = (key: string, one: Amount): number => {
    if ((one.of === 'bytes') !== isBytes(measure)) {
      fault(
        key,
        `must be ${isBytes(measure) ? 'a size or a rate such as 10GB or 200Mbps' : 'a number of packets'}, as ${measure} is`,
      )
    }
    return totalOf(one, windowMs)
  }
  const recover = (key: 'recoverBelow' | 'recoverAbove', threshold: number): number => {
    const text = given[key]
    if (text === undefined) return threshold
    const isAmount = name === 'above' || name === 'below'
    const one = isAmount ? parseAmount(text) : Number(text)
    if (one === undefined || Number.isNaN(one)) fault(key, isAmount ? '' : 'must be a number')
    const value = typeof one === 'object' ? total(key, one) : (one ?? threshold)
    if (key === 'recoverBelow' ? value > threshold : value < threshold)
      fault(key, `must be ${key === 'recoverBelow' ? 'at most' : 'at least'} the threshold`)
    return value
  }
  const atLeast = (fallback: number) => (given.atLeast ? total('atLeast', given.atLeast) : fallback)
  const above = (threshold: number) => ({ threshold, recover: recover('recoverBelow', threshold) })
  switch (name) {
    case 'above':
      return { is: 'above', ...above(total('above', given.above!)), amount: given.above! }
    case 'below': {
      const threshold = total('below', given.below!)
      const withinMs = given.within ?? Math.max(24 * 3_600_000, 2 * windowMs)
      return { is: 'below', threshold, recover: recover('recoverAbove', threshold), amount: given.below!, withinMs }
    }
    case 'silentFor':
      return { is: 'silent', withinMs: given.within ?? Math.max(6 * 3_600_000, 4 * windowMs) }
    case 'relayShareAbove':
      return { is: 'relayShare', ...above(given.relayShareAbove!), atLeast: atLeast(100e6) }
    case 'ratioToPreviousAbove':
      return {
        is: 'ratio',
        ...above(given.ratioToPreviousAbove!),
        atLeast: atLeast(isBytes(measure) ? 1e9 : 1e6),
        previous: given.previous ?? 'day',
      }
    case 'newFor':
      return { is: 'new', memoryMs: given.newFor! }
    case 'distinctPeersAbove':
      return { is: 'distinct', of: 'dst', ...above(given.distinctPeersAbove!) }
    case 'distinctPortsAbove':
      return { is: 'distinct', of: 'port', ...above(given.distinctPortsAbove!) }
    case 'rejectedAbove': {
      const threshold = given.rejectedAbove!
      return { is: 'above', ...above(threshold), amount: { per: 'window', of: 'pkts', value: threshold } }
    }
    case 'quotaAbove': {
      if (given.quotaAbove!.per === 'second') fault('quotaAbove', 'must be a volume such as 500GB, not a rate')
      if (given.per === undefined) fault('per', 'is needed: day or month')
      return {
        is: 'quota',
        threshold: total('quotaAbove', given.quotaAbove!),
        amount: given.quotaAbove!,
        per: given.per ?? 'day',
      }
    }
    default:
      throw new TypeError(name)
  }
}
