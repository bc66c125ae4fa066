/** How far the late passes are, for people. */
import { MS } from '../clock.ts'
import type { Ledger } from '../ledger/ledger.ts'

export interface PassView {
  /** 2 for the first late pass. */
  readonly pass: number
  readonly ageSeconds: number
  /** Windows whose age is reached and that were not read again yet. */
  readonly due: number
  /** Windows that are too young for it. */
  readonly waiting: number
}

export function passesOf(
  ledger: Pick<Ledger, 'duePasses'>,
  latePassesMs: readonly number[],
  nowNs: bigint,
): readonly PassView[] {
  const beyond = nowNs + (1n << 60n)
  return latePassesMs.map((ageMs, index) => {
    const pass = index + 2
    const due = ledger.duePasses(pass, nowNs - BigInt(ageMs) * MS, Number.MAX_SAFE_INTEGER).length
    const all = ledger.duePasses(pass, beyond, Number.MAX_SAFE_INTEGER).length
    return { pass, ageSeconds: ageMs / 1000, due, waiting: all - due }
  })
}
