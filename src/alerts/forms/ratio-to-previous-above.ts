/** `ratioToPreviousAbove`: the sum over the window, divided by that over the same window an hour, a day or a week before. */
import { z } from 'zod'
import { DAY, HOUR, MS, SECOND } from '../../base/clock.ts'
import { isBytes } from '../amount.ts'
import { defineForm } from './form.ts'
import {
  aboveChain,
  amountKey,
  quotientAbove,
  recoveryKey,
  recoveryOf,
  rounded,
  totalIn,
  windowTextOf,
} from './limits.ts'
import { partsOf } from './words.ts'

const OFFSETS = { hour: HOUR, day: DAY, week: 7n * DAY } as const
const EARLIER = { hour: 'an hour earlier', day: 'a day earlier', week: 'a week earlier' } as const
const WINDOW_MS = 3_600_000

export const ratioToPreviousAbove = defineForm({
  name: 'ratioToPreviousAbove',
  keys: {
    ratioToPreviousAbove: z.number().gt(0).max(1_000_000).optional(),
    previous: z.enum(['hour', 'day', 'week']).optional(),
    recoverBelow: recoveryKey,
    atLeast: amountKey,
  },
  defaults: { windowMs: WINDOW_MS },
  measures: 'all',
  times(given, fault) {
    const windowMs = given.window ?? WINDOW_MS
    if (windowMs % 60_000 !== 0) fault('window', 'must be whole minutes')
    const windowNs = BigInt(windowMs) * MS
    const previous = given.previous ?? 'day'
    const offsetNs = OFFSETS[previous]
    if (windowNs > offsetNs) fault('window', `must be at most the ${previous} that it is compared with`)
    return { windowNs, spanNs: windowNs + offsetNs, lengths: [windowNs, offsetNs] }
  },
  make(given, scope, fault) {
    const threshold = given.ratioToPreviousAbove!
    const recover = recoveryOf('recoverBelow', given.recoverBelow, threshold, fault)
    const atLeast = given.atLeast ? totalIn(scope, 'atLeast', given.atLeast, fault) : isBytes(scope.measure) ? 1e9 : 1e6
    const previous = given.previous ?? 'day'
    const offsetNs = OFFSETS[previous]
    const { who, what, details } = partsOf(scope)
    return {
      needs: { sums: [scope.measure], offsetNs },
      number: (now, before) => (now >= atLeast && before > 0 ? now / before : Number.NaN),
      ...quotientAbove(threshold, recover),
      valueText: rounded,
      thresholdText: rounded(threshold),
      windowText: windowTextOf(scope),
      summaries: {
        firing: `${who} ${what('{value} times as much')}${details} in {window} as ${EARLIER[previous]} (limit {threshold} times)`,
        resolved: '{group} is back below the limit (was {value} times as much in {window}, limit {threshold} times)',
      },
      chain({ sum, inRange, ago, tags, select, query }) {
        const now = query(select(sum, inRange, tags))
        return {
          ...aboveChain(now, threshold, recover),
          queries: [now, query(select(sum, ago(Number(offsetNs / SECOND)), tags))],
          math: `($C >= ${atLeast}) * $C / $D`,
          unit: '',
        }
      },
    }
  },
})
