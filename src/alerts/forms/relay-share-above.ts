/** `relayShareAbove`: percent of physical bytes that went through a relay (DERP), where there were at least so many bytes. */
import { z } from 'zod'
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
import { backText } from './words.ts'

const AT_LEAST = 100e6

export const relayShareAbove = defineForm({
  name: 'relayShareAbove',
  keys: { relayShareAbove: z.number().gt(0).lt(100).optional(), recoverBelow: recoveryKey, atLeast: amountKey },
  defaults: { kind: 'physical', windowMs: 3_600_000 },
  measures: 'bytes',
  check(_given, dims, kinds, fault) {
    if (kinds.some((kind) => kind !== 'physical')) fault('kind', 'must be physical: only that goes through relays')
    if ([...dims].some((dim) => dim !== 'node' && dim !== 'owner'))
      fault('by', 'must be node, owner or total for relayShareAbove')
  },
  make(given, scope, fault) {
    const threshold = given.relayShareAbove!
    const recover = recoveryOf('recoverBelow', given.recoverBelow, threshold, fault)
    const atLeast = given.atLeast ? totalIn(scope, 'atLeast', given.atLeast, fault) : AT_LEAST
    const isEnough = (whole: number) => whole > 0 && whole >= atLeast
    return {
      needs: { sums: ['derp_bytes', 'bytes'] },
      number: (relayed, whole) => (isEnough(whole) ? (100 * relayed) / whole : Number.NaN),
      ...quotientAbove(threshold, recover),
      valueText: (value) => `${rounded(value)} %`,
      thresholdText: `${rounded(threshold)} %`,
      windowText: windowTextOf(scope),
      summaries: {
        firing: '{group} sent {value} of its traffic through relays (DERP) in {window} (limit {threshold})',
        resolved: backText('below the limit of relayed traffic'),
      },
      chain({ sum, inRange, tags, select, query }) {
        const relayed = query(select('sum("derp_tx_bytes") + sum("derp_rx_bytes")', inRange, tags))
        return {
          ...aboveChain(relayed, threshold, recover),
          queries: [relayed, query(select(sum, inRange, tags))],
          math: `($D >= ${atLeast}) * 100 * $C / $D`,
          unit: ' %',
        }
      },
    }
  },
})
