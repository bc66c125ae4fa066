/** `newFor`: a group is seen that was not seen once for so long before. The window is how long the alert stays. */
import { durationSchema } from '../../base/units.ts'
import { defineForm } from './form.ts'
import { windowTextOf } from './limits.ts'
import { lengthText, partsOf } from './words.ts'

export const newFor = defineForm({
  name: 'newFor',
  keys: { newFor: durationSchema({ min: '1h', max: '90d' }).optional() },
  defaults: { by: 'pair', windowMs: 3_600_000 },
  source: 'edges',
  measures: 'tx_bytes',
  check(given, _dims, _kinds, fault) {
    if (given.for > 0) fault('for', 'has no meaning for newFor: a new group is reported at once')
  },
  make(given, scope) {
    const memoryMs = given.newFor!
    const { details } = partsOf(scope)
    const isPair = scope.by.includes('src') && scope.by.includes('dst')
    return {
      needs: { memoryMs },
      number: (isNew) => isNew,
      // That it was seen is what begins it; its window ends it.
      verdict: (isNew) => (isNew > 0 ? 'breach' : 'clear'),
      worst: 'largest',
      threshold: 0,
      valueText: () => 'new',
      thresholdText: lengthText(memoryMs),
      windowText: windowTextOf(scope),
      summaries: {
        firing: isPair
          ? `{src} and {dst} exchanged traffic${details} for the first time in {threshold}`
          : '{group} was seen for the first time in {threshold}',
        resolved: '{group} is no longer new',
      },
      unexportable: 'newFor needs a history of everything that was seen: only the service evaluates it',
      chain() {
        throw new RangeError('a rule that Grafana cannot have')
      },
    }
  },
})
