/** The gate in front of the database: nothing is fetched that could not be written. Closed by the first failed write or probe, and
 * opened again only by a probe that went well. */
import type { Clock } from '../clock.ts'
import { CollectorError } from '../errors.ts'
import type { Sink } from '../sink/sink.ts'

export interface Gate {
  /** True when the database takes writes: known from a receipt of the last `freshMs`, or asked now. Never rejects, except with the signal's reason. */
  isOpen(signal: AbortSignal): Promise<boolean>
  /** A receipt came. */
  confirmed(): void
  /** A write failed. */
  close(error: CollectorError): void
  /** Why the gate is closed. */
  readonly error: CollectorError | undefined
}

const FRESH_MS = 10_000
const PROBE_MIN_MS = 1_000
const PROBE_MAX_MS = { retry: 30_000, hold: 300_000 } as const

export function createGate(deps: {
  sink: Pick<Sink, 'probe'>
  clock: Pick<Clock, 'monotonicMs'>
  /** Called when the gate opens after having been closed. */
  onOpen: () => void
  /** Called with each failure, when the gate opens again, and when the database was first found to take writes. */
  onChange: (error: CollectorError | undefined) => void
}): Gate {
  let error: CollectorError | undefined
  let isProven = false
  let confirmedMs = Number.NEGATIVE_INFINITY
  let nextProbeMs = 0
  let probeAfterMs = PROBE_MIN_MS

  function close(reason: CollectorError): void {
    const nowMs = deps.clock.monotonicMs()
    error = reason
    confirmedMs = Number.NEGATIVE_INFINITY
    nextProbeMs = nowMs + (reason.retryAfterMs ?? probeAfterMs)
    const most = reason.reaction === 'hold' ? PROBE_MAX_MS.hold : PROBE_MAX_MS.retry
    probeAfterMs = Math.min(probeAfterMs * 2, most)
    deps.onChange(error)
  }

  return {
    async isOpen(signal) {
      const nowMs = deps.clock.monotonicMs()
      if (error === undefined && nowMs - confirmedMs < FRESH_MS) return true
      if (error !== undefined && nowMs < nextProbeMs) return false
      try {
        await deps.sink.probe(signal)
      } catch (reason) {
        signal.throwIfAborted()
        if (!(reason instanceof CollectorError)) throw reason
        close(reason)
        return false
      }
      confirmedMs = deps.clock.monotonicMs()
      if (!isProven && error === undefined) deps.onChange(undefined)
      isProven = true
      if (error !== undefined) {
        error = undefined
        deps.onChange(undefined)
        deps.onOpen()
      }
      return true
    },
    confirmed() {
      // A receipt of a batch that was under way says nothing about a failure that came after it was sent.
      if (error === undefined) {
        confirmedMs = deps.clock.monotonicMs()
        probeAfterMs = PROBE_MIN_MS
      }
    },
    close,
    get error() {
      return error
    },
  }
}
