/** `silentFor`: no row for the length of the window, of groups seen within some time. */
import { MS } from '../../base/clock.ts'
import { durationSchema } from '../../base/units.ts'
import type { Scope } from '../rules/scope.ts'
import { defineForm, type Form } from './form.ts'
import { belowChain, checkWithin, windowTextOf, withinKey } from './limits.ts'
import { isAboutNodes } from './words.ts'

/** Only who has no physical traffic either sends no flow logs: a router with nothing to route does. */
function summariesOf(scope: Scope): Form['summaries'] {
  if (scope.isRouter)
    return {
      firing: '{group} has routed no traffic for {window}',
      resolved: '{group} routes traffic again (there was none for {silence})',
    }
  if (isAboutNodes(scope) && scope.kinds.includes('physical'))
    return {
      firing: '{group} has sent no flow logs for {window}',
      resolved: '{group} is reporting again (was silent {silence})',
    }
  return {
    firing: '{group}: no matching traffic for {window}',
    resolved: '{group}: matching traffic again (there was none for {silence})',
  }
}

export const silentFor = defineForm({
  name: 'silentFor',
  keys: { silentFor: durationSchema({ min: '1m', max: '7d' }).optional(), within: withinKey },
  defaults: { kind: 'physical' },
  measures: 'tx_bytes',
  times(given, fault) {
    if (given.window !== undefined) fault('window', 'has no meaning here: silentFor is the window')
    if (given.silentFor! % 60_000 !== 0) fault('silentFor', 'must be whole minutes')
    const windowNs = BigInt(given.silentFor!) * MS
    return { windowNs, spanNs: windowNs, lengths: [windowNs] }
  },
  make(given, scope, fault) {
    checkWithin(given.within, scope.windowNs, fault)
    const withinMs = given.within ?? Math.max(6 * 3_600_000, 4 * Number(scope.windowNs / MS))
    const text = windowTextOf(scope)
    return {
      needs: { sums: ['seen'], withinMs },
      number: (minutes) => minutes,
      verdict(minutes, complete) {
        if (minutes > 0) return 'clear'
        return complete ? 'breach' : 'hold'
      },
      worst: 'least',
      threshold: 1,
      valueText: (minutes) => (minutes > 0 ? 'seen' : 'silent'),
      thresholdText: text,
      windowText: text,
      summaries: summariesOf(scope),
      chain: (words) => ({ ...belowChain(words, 'sum("flows")', withinMs, 1, 1), unit: '' }),
    }
  },
})
