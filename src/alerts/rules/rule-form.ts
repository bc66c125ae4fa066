/** What a rule compares with what, and over how long. */
import { DAY, MS } from '../../base/clock.ts'
import { formatDuration } from '../../base/units.ts'
import { type Amount, isBytes, parseAmount, totalOf } from '../amount.ts'
import { type Form, OFFSET_OF, type Rule } from './rule.ts'
import { AMOUNT_ERROR, type Fault, type FormName, type Keys } from './rule-keys.ts'

const DEFAULT_WINDOWS: Record<FormName, number> = {
  above: 15 * 60_000,
  below: 15 * 60_000,
  silentFor: 0,
  relayShareAbove: 3_600_000,
  ratioToPreviousAbove: 3_600_000,
  newFor: 3_600_000,
  distinctPeersAbove: 5 * 60_000,
  distinctPortsAbove: 5 * 60_000,
  rejectedAbove: 15 * 60_000,
  quotaAbove: 0,
}

export function timesOf(given: Keys, name: FormName, fault: Fault) {
  if (name === 'quotaAbove') {
    if (given.window !== undefined)
      fault('window', 'has no meaning here: a quota counts from the begin of the day or month')
    const windowNs = given.per === 'month' ? 31n * DAY : DAY
    return { windowNs, spanNs: windowNs, lengths: [DAY] }
  }
  if (name === 'silentFor' && given.window !== undefined)
    fault('window', 'has no meaning here: silentFor is the window')
  const windowMs = given.silentFor ?? given.window ?? DEFAULT_WINDOWS[name]
  if (windowMs % 60_000 !== 0) fault(given.silentFor === undefined ? 'window' : 'silentFor', 'must be whole minutes')
  const windowNs = BigInt(windowMs) * MS
  if (given.within !== undefined && given.within <= windowMs)
    fault('within', `must be longer than ${formatDuration(windowMs)}`)
  if (name !== 'ratioToPreviousAbove') return { windowNs, spanNs: windowNs, lengths: [windowNs] }
  const offsetNs = OFFSET_OF[given.previous ?? 'day']
  if (windowNs > offsetNs) fault('window', `must be at most the ${given.previous ?? 'day'} that it is compared with`)
  return { windowNs, spanNs: windowNs + offsetNs, lengths: [windowNs, offsetNs] }
}

export function formOf(given: Keys, name: FormName, measure: Rule['measure'], windowNs: bigint, fault: Fault): Form {
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
    if (one === undefined || Number.isNaN(one)) fault(key, isAmount ? AMOUNT_ERROR : 'must be a number')
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
  }
}
