import type { Quarantined } from './source.ts'

/** The four traffic kinds, in the order of their index in `Message.kind`. */
export const KINDS = ['virtual', 'subnet', 'exit', 'physical'] as const
export type Kind = (typeof KINDS)[number]

/** One node's record of about five seconds. Valid only until the next one is taken from its reader: the columns are reused. */
export interface Message {
  readonly nodeId: string
  /** The node's clock, ns. */
  readonly startNs: bigint
  /** The API's clock, ns. */
  readonly loggedNs: bigint
  readonly entryCount: number
  /** What could not be taken: entries of this message, or the whole of it (then `entryCount` is 0). */
  readonly quarantined: readonly Quarantined[]
}
