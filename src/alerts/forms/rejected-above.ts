/** `rejectedAbove`: more than so many TSMP packets, which reject connections. */
import { aboveOf } from './above.ts'
import { defineForm } from './form.ts'
import { countKey, recoveryKey } from './limits.ts'

export const rejectedAbove = defineForm({
  name: 'rejectedAbove',
  keys: { rejectedAbove: countKey(1_000_000_000), recoverBelow: recoveryKey },
  defaults: { proto: 'tsmp' },
  measures: 'packets',
  make: (given, scope, fault) =>
    aboveOf(
      'rejectedAbove',
      { per: 'window', of: 'pkts', value: given.rejectedAbove! },
      given.recoverBelow,
      scope,
      fault,
    ),
})
