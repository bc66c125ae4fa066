/** From a number to a verdict. `complete`: all of the time that the number is about was read. What a gap in it can only make larger is
 * judged all the same: more than too much is too much. */
import type { Verdict } from './machine.ts'
import type { OldForm as Form } from './old-form.ts'

export interface Judged {
  /** NaN: there is nothing to compare (too little traffic, none before). */
  readonly value: number
  readonly complete: boolean
  readonly isFiring: boolean
}

export function headlineOf(form: Form, { value, complete, isFiring }: Judged): Verdict {
  switch (form.is) {
    case 'above':
    case 'distinct':
      return growing(value, form.threshold, form.recover, complete, isFiring)
    case 'quota':
      return growing(value, form.threshold, form.threshold, complete, isFiring)
    case 'below': {
      const stays = isFiring && form.recover > form.threshold && value <= form.recover
      if (value >= form.threshold && !stays) return 'clear'
      return complete ? 'breach' : 'hold'
    }
    case 'silent':
      if (value > 0) return 'clear'
      return complete ? 'breach' : 'hold'
    case 'relayShare':
    case 'ratio': {
      if (!complete) return 'hold'
      if (Number.isNaN(value)) return 'clear'
      return isAbove(value, form.threshold, form.recover, isFiring) ? 'breach' : 'clear'
    }
    case 'new':
      // A sighting is what begins it; its window ends it.
      return value > 0 ? 'breach' : 'clear'
  }
}

function growing(value: number, threshold: number, recover: number, complete: boolean, isFiring: boolean): Verdict {
  if (isAbove(value, threshold, recover, isFiring)) return 'breach'
  return complete ? 'clear' : 'hold'
}

/** A firing alert stays until the value is below `recover`; without one of its own, until it is no longer above the threshold. */
function isAbove(value: number, threshold: number, recover: number, isFiring: boolean): boolean {
  if (value > threshold) return true
  return isFiring && recover < threshold && value >= recover
}
