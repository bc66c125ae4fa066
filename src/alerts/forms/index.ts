/** All forms of rules. */
import { above } from './above.ts'
import { below } from './below.ts'
import { distinctPeersAbove, distinctPortsAbove } from './distinct-above.ts'
import type { FormType } from './form.ts'
import { newFor } from './new-for.ts'
import { quotaAbove } from './quota-above.ts'
import { ratioToPreviousAbove } from './ratio-to-previous-above.ts'
import { rejectedAbove } from './rejected-above.ts'
import { relayShareAbove } from './relay-share-above.ts'
import { silentFor } from './silent-for.ts'

export const FORMS: readonly FormType[] = [
  above,
  below,
  silentFor,
  relayShareAbove,
  ratioToPreviousAbove,
  newFor,
  distinctPeersAbove,
  distinctPortsAbove,
  rejectedAbove,
  quotaAbove,
]
