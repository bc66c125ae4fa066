/** `quotaAbove`: the sum since the UTC day or month began. */
import { z } from 'zod'
import { DAY } from '../../base/clock.ts'
import { defineForm } from './form.ts'
import { aboveChain, amountKey, amountText, growingAbove, totalIn } from './limits.ts'
import { partsOf } from './words.ts'

export const quotaAbove = defineForm({
  name: 'quotaAbove',
  keys: { quotaAbove: amountKey, per: z.enum(['day', 'month']).optional() },
  measures: 'all',
  isCount: (given) => given.quotaAbove?.of === 'pkts',
  times(given, fault) {
    if (given.window !== undefined)
      fault('window', 'has no meaning here: a quota counts from the begin of the day or month')
    const windowNs = given.per === 'month' ? 31n * DAY : DAY
    return { windowNs, spanNs: windowNs, lengths: [DAY] }
  },
  make(given, scope, fault) {
    const amount = given.quotaAbove!
    if (amount.per === 'second') fault('quotaAbove', 'must be a volume such as 500GB, not a rate')
    if (given.per === undefined) fault('per', 'is needed: day or month')
    const threshold = totalIn(scope, 'quotaAbove', amount, fault)
    const per = given.per ?? 'day'
    const { who, what, details } = partsOf(scope)
    return {
      needs: { sums: [scope.measure], since: per },
      number: (sum) => sum,
      ...growingAbove(threshold, threshold),
      valueText: (value) => amountText(scope, value),
      thresholdText: amountText(scope, threshold),
      windowText: per,
      summaries: {
        firing: `${who} ${what('{value}')}${details} since the {window} began (limit {threshold})`,
        resolved: '{group}: a new {window} began (was {value}, limit {threshold})',
      },
      unexportable: per === 'month' ? 'InfluxQL has no months: only the service evaluates a monthly quota' : undefined,
      chain: ({ sum, inRange, tags, select, query }) =>
        aboveChain(query(`${select(sum, inRange, ['time(1d)', ...tags])} fill(0)`, 86_400), threshold, threshold),
    }
  },
})
