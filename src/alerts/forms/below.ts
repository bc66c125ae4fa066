/** `below`: the sum over the window is below a threshold, of groups seen within some time; over when it is above `recoverAbove`. */
import { MS } from '../../base/clock.ts'
import { defineForm } from './form.ts'
import {
  amountKey,
  amountText,
  belowChain,
  checkWithin,
  recoveryKey,
  recoveryOf,
  totalIn,
  windowTextOf,
  withinKey,
} from './limits.ts'
import { partsOf } from './words.ts'

export const below = defineForm({
  name: 'below',
  keys: { below: amountKey, recoverAbove: recoveryKey, within: withinKey },
  measures: 'all',
  isCount: (given) => given.below?.of === 'pkts',
  make(given, scope, fault) {
    const amount = given.below!
    const threshold = totalIn(scope, 'below', amount, fault)
    const recover = recoveryOf('recoverAbove', given.recoverAbove, threshold, fault, scope)
    checkWithin(given.within, scope.windowNs, fault)
    const withinMs = given.within ?? Math.max(24 * 3_600_000, 2 * Number(scope.windowNs / MS))
    const { who, what, details } = partsOf(scope)
    return {
      needs: { sums: [scope.measure], withinMs },
      number: (sum) => sum,
      verdict(value, complete, isFiring) {
        const stays = isFiring && recover > threshold && value <= recover
        if (value >= threshold && !stays) return 'clear'
        return complete ? 'breach' : 'hold'
      },
      worst: 'least',
      threshold,
      valueText: (value) => amountText(scope, value, amount),
      thresholdText: amountText(scope, threshold, amount),
      windowText: windowTextOf(scope),
      summaries: {
        firing: `${who} ${what('only {value}')}${details} in {window} (minimum {threshold})`,
        resolved: '{group} is back above the minimum (was {value} in {window}, minimum {threshold})',
      },
      chain: (words) => belowChain(words, words.sum, withinMs, threshold, recover),
    }
  },
})
