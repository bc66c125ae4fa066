/** The point that is written to find out whether the database accepts points again: a point of `tailflux_window` that is no checkpoint,
 * because it has neither `watermark` nor `acked`. At most one per hour is stored, however often it is written. */
import { HOUR } from '../base/clock.ts'
import { encodeLine } from './line-protocol/encode-line.ts'

/** One line of line protocol. `nowNs`: local clock. */
export function probePoint({ tailnet }: { readonly tailnet: string }, nowNs: bigint): Uint8Array {
  return encodeLine('tailflux_window', { pass: 'probe', tailnet }, { probe: 1n }, nowNs - (nowNs % HOUR))
}
