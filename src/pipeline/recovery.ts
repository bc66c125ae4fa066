/** Agreeing with the database about what is done: at the start, and again whenever it was away. The rules are in start-up.ts. */
import type { Logger } from 'pino'
import { type Clock, MS } from '../clock.ts'
import { CollectorError } from '../errors.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Sink } from '../sink/sink.ts'
import type { Source } from '../source/source.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import type { Present } from './present.ts'
import { HEAL_NS, lastOf, reconcile } from './start-up.ts'
import type { Waits } from './waits.ts'
import { max } from './window-size.ts'

export interface Recovery {
  /** Hears the API's clock from a window of a millisecond, unread. False when it cannot be asked now. */
  askTime(signal: AbortSignal): Promise<boolean>
  /** False when it was not possible to agree now. */
  reach(signal: AbortSignal): Promise<boolean>
  /** The database is away. */
  lose(): void
  /** It is back: what it had acknowledged just before it went may be lost, so that is read again. */
  heal(): void
  /** The clock of acknowledgements, ns. It only goes forward: as the local clock does, or where that was set back, or where the mirror or the
   * ledger tell of later ones (the clock was ahead then), on from there at the pace of monotonic time. */
  nextAckNs(): bigint
}

export interface RecoveryOptions {
  readonly tailnet: string
  readonly lookbackMs: number
  readonly lagNs: bigint
  /** Age of the last late pass. */
  readonly lastPassNs: bigint
}

export function createRecovery(
  options: RecoveryOptions,
  deps: {
    readonly source: Pick<Source, 'open'>
    readonly sink: Pick<Sink, 'lastMirror'>
    readonly ledger: Ledger
    readonly present: Present
    readonly waits: Waits
    /** Opens when the database does not answer. */
    readonly breaker: Pick<CircuitBreaker, 'failed'>
    readonly clock: Pick<Clock, 'now' | 'monotonicMs'>
    readonly log: Logger
  },
): Recovery {
  const { ledger, present, waits, clock, log } = deps
  let isReached = false
  let lastAckedNs = 0n
  let lastAckedMs = clock.monotonicMs()
  /** The last acknowledgement when the database was lost. */
  let lostAtNs: bigint | undefined

  function goOnFrom(ackedNs: bigint): void {
    lastAckedNs = ackedNs
    lastAckedMs = clock.monotonicMs()
  }

  async function askTime(signal: AbortSignal): Promise<boolean> {
    try {
      const toNs = clock.now() - options.lagNs
      const answer = await deps.source.open({ fromNs: toNs - MS, toNs }, signal)
      present.hear(answer.serverNs)
      for await (const _ of answer.groups) break
      waits.apiWorks()
      return true
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof CollectorError)) throw error
      log.warn({ code: error.code, reaction: error.reaction, err: error }, 'API cannot be asked, reading waits')
      waits.apiFails(error)
      return false
    }
  }

  return {
    askTime,
    async reach(signal) {
      if (isReached) return true
      // A local clock that is wrong would begin a look-back in the future, or give up all that was missed as beyond the retention.
      if (!present.isHeard && !(await askTime(signal))) return false
      try {
        const mirrorAckedNs = await reconcile(
          {
            tailnet: options.tailnet,
            nowNs: present.presentNs(),
            serverNowNs: present.serverNowNs(),
            floorNs: present.floorNs(),
            lookbackNs: BigInt(options.lookbackMs) * MS,
            lastPassNs: options.lastPassNs,
          },
          { ledger, sink: deps.sink, log },
          signal,
        )
        // Also above what was mirrored by a ledger that is lost, or a database that is restored would look as if it had lost nothing.
        const latestNs = max(lastAckedNs, mirrorAckedNs, lastOf(ledger.recent(Number.MAX_SAFE_INTEGER)))
        if (latestNs > lastAckedNs) goOnFrom(latestNs)
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof CollectorError)) throw error
        if (error.stage === 'ledger') waits.stateFailed(error)
        else deps.breaker.failed(error)
        return false
      }
      isReached = true
      return true
    },
    lose() {
      if (isReached) lostAtNs ??= lastAckedNs
    },
    heal() {
      isReached = false
      const records = ledger.recent(Number.MAX_SAFE_INTEGER)
      const fromNs = (lostAtNs ?? lastOf(records)) - HEAL_NS
      const lost = records.filter((window) => window.atNs >= fromNs)
      lostAtNs = undefined
      if (lost.length === 0) return
      waits.guardState(() => {
        for (const window of lost) ledger.forget(window)
        log.info(
          { windowCount: lost.length },
          'reading again what was acknowledged shortly before the database went away',
        )
      })
    },
    nextAckNs() {
      const passedNs = BigInt(Math.floor((clock.monotonicMs() - lastAckedMs) * 1e6))
      goOnFrom(max(clock.now(), lastAckedNs + max(passedNs, 1n)))
      return lastAckedNs
    },
  }
}
