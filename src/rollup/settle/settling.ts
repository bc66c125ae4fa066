/** What minutes from memory and from the database have in common on their way to being settled. */
import type { Unsettled } from '../../ledger/unsettled.ts'
import type { PartDeps } from '../deps.ts'
import type { MemorySums } from '../hours/memory-sums.ts'
import type { MinuteTeller } from '../minute-teller.ts'
import type { ReadMinutes } from '../points/read-minutes.ts'
import type { MinuteStates } from './minute-states.ts'
import type { Minutes, SettledMinute } from './minutes.ts'
import type { Readiness } from './readiness.ts'

/** The database shows what it acknowledged after this time. Counted by monotonic time since this process saw the newest change: other clocks may be set back. */
export const SHOWN_MS = 5_000
/** Where rows are written once: VictoriaMetrics shows what it acknowledged after a second or two, and the nodes of a cluster may take longer. */
export const ONCE_SHOWN_MS = 30_000

export interface SettlingDeps extends Pick<PartDeps, 'unsettled' | 'clock' | 'signal' | 'canQuery' | 'isOnce'> {
  readonly readiness: Readiness
  readonly states: MinuteStates
  readonly read: ReadMinutes
  readonly minutes: Minutes
  readonly teller: MinuteTeller
  readonly sums: MemorySums
  /** Nothing more will be read. */
  readonly isFinishing: () => boolean
  /** The rows of the minute (its begin, ns) were made and written. */
  readonly hasRows: (startNs: bigint) => boolean
  /** Keeps a minute that was told before it is written. */
  readonly keepUnwritten: (startNs: bigint, minute: SettledMinute) => void
  /** Strikes off what cannot be made. */
  readonly skip: (entry: Unsettled, reason: 'no_queries' | 'written_once') => void
}
