/** Where reading begins: the lower of the local ledger and the watermark mirrored in the database. Unknown always resolves to
 * earlier, because reading again is free; nothing known at all is a first installation.
 *
 *   ledger  mirror        reading begins at
 *   yes     higher, equal the ledger's watermark
 *   yes     lower         the mirror: the database lost what it had acknowledged (restored from a backup)
 *   yes     none          the ledger's origin, when the database can be asked: it holds nothing of ours
 *   no      yes           the mirror, minus ten minutes: the state file was lost or set aside
 *   no      none          now minus the initial look-back
 *   any     unanswered    not yet: the caller asks again; nobody guesses */
import type { Logger } from 'pino'
import { MINUTE } from '../clock.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Sink } from '../sink/sink.ts'
import { max } from './window-size.ts'

export const HEAL_NS = 10n * MINUTE

export interface StartUpDeps {
  readonly ledger: Ledger
  readonly sink: Pick<Sink, 'lastWatermark'>
  readonly log: Logger
}

/** Rejects with a CollectorError when the database could not be asked. `floorNs`: the oldest time that the API still has. */
export async function resolveOrigin(
  options: { tailnet: string; nowNs: bigint; floorNs: bigint; lookbackNs: bigint },
  deps: StartUpDeps,
  signal: AbortSignal,
): Promise<void> {
  const { ledger, log } = deps
  const mirror = await deps.sink.lastWatermark(options.tailnet, signal)
  const originNs = ledger.originNs()
  const watermarkNs = ledger.watermarkNs()
  if (originNs === undefined || watermarkNs === undefined) {
    const first = typeof mirror === 'bigint' ? mirror - HEAL_NS : options.nowNs - options.lookbackNs
    ledger.setOrigin(max(first, options.floorNs))
    log.info(
      { fromNs: max(first, options.floorNs), mirrored: typeof mirror === 'bigint' },
      'reading begins for the first time',
    )
    return
  }
  if (mirror === 'unanswerable') return
  const heldNs = max(mirror ?? originNs, originNs)
  if (heldNs < watermarkNs) {
    // Never earlier than the API can answer: what is older is done or lost for good.
    const fromNs = max(heldNs, options.floorNs)
    if (fromNs >= watermarkNs) return
    log.warn({ fromNs, toNs: watermarkNs }, 'the database holds less than was acknowledged, reading it again')
    ledger.forget({ fromNs, toNs: watermarkNs })
  }
}
