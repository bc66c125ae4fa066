/** Thresholds of forms: the keys that several of them have, and what their numbers mean over the rule's window. */
import { z } from 'zod'
import { MS } from '../../base/clock.ts'
import { durationSchema, formatDuration } from '../../base/units.ts'
import { type Amount, formatAmount, isBytes, parseAmount, totalOf } from '../amount.ts'
import type { Scope } from '../rules/scope.ts'
import type { Chain, Fault, Form, Query, QueryWords } from './form.ts'
import { lengthText } from './words.ts'

const AMOUNT_ERROR = 'must be an amount such as 10GB, 200Mbps, 25MB/s, or a number of packets'

export const amountKey = z
  .union([z.string(), z.number().int().min(0)], { error: AMOUNT_ERROR })
  .transform((text, context) => {
    const parsed = parseAmount(text)
    if (parsed && parsed.value > 0) return parsed
    context.addIssue({ code: 'custom', message: AMOUNT_ERROR })
    return z.NEVER
  })
  .optional()
/** A share or a factor, where the form says so, else an amount. */
export const recoveryKey = z.union([z.string(), z.number().min(0)], { error: AMOUNT_ERROR }).optional()
export const withinKey = durationSchema({ min: '1m', max: '31d' }).optional()
export const countKey = (max: number) => z.number().int().min(1).max(max).optional()

/** What an amount is over the window, in bytes or packets. */
export function totalIn(scope: Scope, key: string, amount: Amount, fault: Fault): number {
  const { measure, windowNs } = scope
  if ((amount.of === 'bytes') !== isBytes(measure)) {
    fault(
      key,
      `must be ${isBytes(measure) ? 'a size or a rate such as 10GB or 200Mbps' : 'a number of packets'}, as ${measure} is`,
    )
  }
  return totalOf(amount, Number(windowNs / MS))
}

/** The number that ends a firing alert; the threshold without one. */
export function recoveryOf(
  key: 'recoverBelow' | 'recoverAbove',
  given: string | number | undefined,
  threshold: number,
  fault: Fault,
  amountScope?: Scope,
): number {
  if (given === undefined) return threshold
  const one = amountScope === undefined ? Number(given) : parseAmount(given)
  if (one === undefined || Number.isNaN(one)) {
    fault(key, amountScope === undefined ? 'must be a number' : AMOUNT_ERROR)
    return threshold
  }
  const value =
    typeof one === 'object' && amountScope !== undefined ? totalIn(amountScope, key, one, fault) : Number(one)
  if (key === 'recoverBelow' ? value > threshold : value < threshold)
    fault(key, `must be ${key === 'recoverBelow' ? 'at most' : 'at least'} the threshold`)
  return value
}

export function checkWithin(within: number | undefined, windowNs: bigint, fault: Fault): void {
  const windowMs = Number(windowNs / MS)
  if (within !== undefined && within <= windowMs) fault('within', `must be longer than ${formatDuration(windowMs)}`)
}

type Limit = Pick<Form, 'verdict' | 'worst' | 'threshold'>

/** Fires above the threshold, by a number that a gap can only make larger: more than too much is too much, whatever it hides. */
export function growingAbove(threshold: number, recover: number): Limit {
  return {
    verdict(value, complete, isFiring) {
      if (isAbove(value, threshold, recover, isFiring)) return 'breach'
      return complete ? 'clear' : 'hold'
    },
    worst: 'largest',
    threshold,
  }
}

/** Fires above the threshold, by a quotient of two numbers that a gap makes meaningless. */
export function quotientAbove(threshold: number, recover: number): Limit {
  return {
    verdict(value, complete, isFiring) {
      if (!complete) return 'hold'
      return isAbove(value, threshold, recover, isFiring) ? 'breach' : 'clear'
    },
    worst: 'largest',
    threshold,
  }
}

/** A firing alert stays until the value is below `recover`; without one of its own, until it is no longer above the threshold. NaN is neither. */
function isAbove(value: number, threshold: number, recover: number, isFiring: boolean): boolean {
  return value > threshold || (isFiring && recover < threshold && value >= recover)
}

/** Bytes or packets as people read them; `amount`: how the threshold was written, as a rate or a volume. */
export function amountText(scope: Scope, value: number, amount?: Amount): string {
  const perWindowMs = amount?.per === 'second' ? Number(scope.windowNs / MS) : undefined
  return formatAmount(value, isBytes(scope.measure) ? 'bytes' : 'pkts', perWindowMs)
}

export function rounded(value: number): string {
  return String(Math.round(value * 10) / 10)
}

export function windowTextOf({ windowNs }: Scope): string {
  return lengthText(Number(windowNs / MS))
}

/** One number above a threshold. */
export function aboveChain(query: Query, threshold: number, recover: number): Chain {
  return {
    queries: [query],
    math: undefined,
    compare: 'gt',
    threshold,
    recover: recover === threshold ? undefined : recover,
  }
}

/** One number below a threshold. Groups that were there within so long and are not in the window count as zero. */
export function belowChain(
  words: QueryWords,
  sum: string,
  withinMs: number,
  threshold: number,
  recover: number,
): Chain {
  const { ago, inRange, tags, select, groupBy, query } = words
  const window = select(`${sum} AS "v"`, ago(0), tags)
  const known = select('0 * sum("tx_bytes") AS "v"', inRange, tags)
  return {
    queries: [query(`SELECT sum("v") FROM (${window}), (${known})${groupBy(tags)}`, withinMs / 1000)],
    math: undefined,
    compare: 'lt',
    threshold,
    recover: recover === threshold ? undefined : recover,
  }
}
