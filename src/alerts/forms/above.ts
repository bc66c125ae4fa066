/** `above`: the sum over the window is above a threshold; over when it is below `recoverBelow`. */

import type { Amount } from '../amount.ts'
import type { Scope } from '../rules/scope.ts'
import { defineForm, type Fault, type Form } from './form.ts'
import {
  aboveChain,
  amountKey,
  amountText,
  growingAbove,
  recoveryKey,
  recoveryOf,
  totalIn,
  windowTextOf,
} from './limits.ts'
import { backText, partsOf } from './words.ts'

export const above = defineForm({
  name: 'above',
  keys: { above: amountKey, recoverBelow: recoveryKey },
  measures: 'all',
  isCount: (given) => given.above?.of === 'pkts',
  make: (given, scope, fault) => aboveOf('above', given.above!, given.recoverBelow, scope, fault),
})

/** Also what `rejectedAbove` is. */
export function aboveOf(
  name: string,
  amount: Amount,
  recoverBelow: string | number | undefined,
  scope: Scope,
  fault: Fault,
): Form {
  const threshold = totalIn(scope, name, amount, fault)
  const recover = recoveryOf('recoverBelow', recoverBelow, threshold, fault, name === 'above' ? scope : undefined)
  const { who, what, details } = partsOf(scope)
  const over = amount.per === 'second' ? 'over' : 'in'
  return {
    needs: { sums: [scope.measure] },
    number: (sum) => sum,
    ...growingAbove(threshold, recover),
    valueText: (value) => amountText(scope, value, amount),
    thresholdText: amountText(scope, threshold, amount),
    windowText: windowTextOf(scope),
    summaries: {
      firing: `${who} ${what('{value}')}${details} ${over} {window} (limit {threshold})`,
      resolved: backText('below the limit', over),
    },
    chain: ({ sum, inRange, tags, select, query }) => aboveChain(query(select(sum, inRange, tags)), threshold, recover),
  }
}
