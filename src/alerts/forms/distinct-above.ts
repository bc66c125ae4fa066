/** `distinctPeersAbove` and `distinctPortsAbove`: different endpoints at the far end, or different service ports. */
import type { Scope } from '../rules/scope.ts'
import { defineForm, type Fault, type Form, type QueryWords } from './form.ts'
import { aboveChain, countKey, growingAbove, recoveryKey, recoveryOf, windowTextOf } from './limits.ts'
import { backText, partsOf } from './words.ts'

const WINDOW_MS = 5 * 60_000
/** Counting goes on to this many, or twice the threshold. */
const COUNTED = 10_000

export const distinctPeersAbove = defineForm({
  name: 'distinctPeersAbove',
  keys: { distinctPeersAbove: countKey(1_000_000), recoverBelow: recoveryKey },
  defaults: { windowMs: WINDOW_MS },
  source: 'edges',
  measures: 'tx_bytes',
  check(_given, dims, kinds, fault) {
    if (dims.has('dst')) fault('by', 'must not have dst or pair: the peers are what is counted')
    if (kinds.includes('physical')) fault('kind', 'must be virtual, subnet or exit')
  },
  make: (given, scope, fault) => distinctOf('peer', given.distinctPeersAbove!, given.recoverBelow, scope, fault),
})

export const distinctPortsAbove = defineForm({
  name: 'distinctPortsAbove',
  keys: { distinctPortsAbove: countKey(65_535), recoverBelow: recoveryKey },
  defaults: { by: 'pair', windowMs: WINDOW_MS },
  source: 'edges',
  measures: 'tx_bytes',
  check(_given, dims, _kinds, fault) {
    if (dims.has('port')) fault('by', 'must not have port: the ports are what is counted')
  },
  make: (given, scope, fault) => distinctOf('port', given.distinctPortsAbove!, given.recoverBelow, scope, fault),
})

function distinctOf(
  of: 'peer' | 'port',
  threshold: number,
  recoverBelow: string | number | undefined,
  scope: Scope,
  fault: Fault,
): Form {
  const recover = recoveryOf('recoverBelow', recoverBelow, threshold, fault)
  const max = Math.max(COUNTED, 2 * threshold)
  const isPair = of === 'port' && scope.by.includes('src') && scope.by.includes('dst')
  const { details } = partsOf(scope)
  const who = isPair ? ['{src}', ' on {dst}'] : ['{group}', details]
  const text = (count: number) => `${count >= max ? 'at least ' : ''}${count} ${of}s`
  return {
    needs: { distinct: { of, max } },
    number: (count) => count,
    ...growingAbove(threshold, recover),
    valueText: text,
    thresholdText: String(threshold),
    windowText: windowTextOf(scope),
    summaries: {
      firing: `${who[0]} contacted {value}${who[1]} in {window} (limit {threshold})`,
      resolved: backText('below the limit'),
    },
    chain({ inRange, tags, select, groupBy, query }: QueryWords) {
      const item = of === 'port' ? 'port' : 'dst_name'
      // A row that is no longer true has zeros.
      const inner = select('sum("flows") AS "v"', `"${item}" != 'none' AND "flows" > 0 AND ${inRange}`, [...tags, item])
      const outer = query(`SELECT count("v") FROM (${inner})${groupBy(tags)}`)
      return { ...aboveChain(outer, threshold, recover), unit: ` ${of}s` }
    },
  }
}
