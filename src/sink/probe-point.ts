/** What is written to find out whether the database takes points again: a point of `tailflux_window` that no question for the checkpoint
 * counts, because it has neither `watermark` nor `acked`. One an hour at most stays, however often it is written. */
import { HOUR } from '../base/clock.ts'
import { encodeLine } from './line-protocol/encode-line.ts'

/** One line of line protocol. `nowNs`: local clock. */
export function probePoint({ tailnet }: { readonly tailnet: string }, nowNs: bigint): Uint8Array {
  return encodeLine('tailflux_window', { pass: 'probe', tailnet }, { probe: 1n }, nowNs - (nowNs % HOUR))
}
