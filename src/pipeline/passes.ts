/** How far the late passes are, for the status page. */
import { MS } from '../base/clock.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { END_OF_TIME } from './recovery/reconcile.ts'

export interface PassView {
  /** 2 for the first late pass. */
  readonly pass: number
  readonly ageSeconds: number
  /** Windows whose age is reached and that were not read again yet. */
  readonly due: number
  /** Windows that are too young for it. */
  readonly waiting: number
}

/** `nowNs`: the time by which passes are made, the earlier of both clocks. */
export function passesOf(
  ledger: Pick<Ledger, 'duePasses'>,
  latePassesMs: readonly number[],
  nowNs: bigint,
): readonly PassView[] {
  return latePassesMs.map((ageMs, index) => {
    const pass = index + 2
    const due = ledger.duePasses(pass, nowNs - BigInt(ageMs) * MS, Number.MAX_SAFE_INTEGER).length
    const all = ledger.duePasses(pass, END_OF_TIME, Number.MAX_SAFE_INTEGER).length
    return { pass, ageSeconds: ageMs / 1000, due, waiting: all - due }
  })
}
