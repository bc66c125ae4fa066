/** Watches over one request: no wait for the other side lasts too long. One sleeper per request, however many chunks there are. */

import type { ClientRequest } from 'node:http'
import type { Clock } from '../base/clock.ts'

/** All in ms. */
export interface WaitLimits {
  /** For the head of the answer. */
  readonly headTimeout: number
  /** For the next bytes of the body. */
  readonly idleTimeout: number
  /** For all of it. Only waiting counts, so a reader that takes its time (a slow database) never makes an answer late. */
  readonly totalTimeout: number
}

export type Late = 'head' | 'idle' | 'total'

export interface Watch {
  /** The head is there. Waiting continues: a body that is not read is not kept open forever. */
  head(): void
  /** Bytes came from the other side. */
  bytes(): void
  /** We ask for the next bytes. */
  wait(): void
  /** We have them, and are busy. */
  rest(): void
  end(): void
}

/** `onLate` is called at most once. */
export function createWatch(limits: WaitLimits, clock: Clock, onLate: (what: Late) => void): Watch {
  const over = new AbortController()
  let hasHead = false
  let waitedMs = 0
  let waitingSinceMs: number | undefined = clock.monotonicMs()
  let heardMs = waitingSinceMs

  /** Milliseconds left, and of which limit. */
  function left(): { ms: number; what: Late } {
    const nowMs = clock.monotonicMs()
    const totalMs = limits.totalTimeout - waitedMs - (waitingSinceMs === undefined ? 0 : nowMs - waitingSinceMs)
    const [what, limitMs] = hasHead ? (['idle', limits.idleTimeout] as const) : (['head', limits.headTimeout] as const)
    const ms = limitMs - (waitingSinceMs === undefined ? 0 : nowMs - Math.max(heardMs, waitingSinceMs))
    return totalMs < ms ? { ms: totalMs, what: 'total' } : { ms, what }
  }

  async function run(): Promise<void> {
    for (;;) {
      const { ms, what } = left()
      if (ms <= 0) return onLate(what)
      try {
        // The head may come any time, and from then on the idle limit counts.
        await clock.sleep(Math.ceil(Math.min(ms, limits.idleTimeout)), over.signal)
      } catch (error) {
        if (over.signal.aborted) return
        throw error
      }
    }
  }
  void run()

  return {
    head() {
      hasHead = true
      heardMs = clock.monotonicMs()
    },
    bytes() {
      heardMs = clock.monotonicMs()
    },
    wait() {
      waitingSinceMs ??= clock.monotonicMs()
    },
    rest() {
      if (waitingSinceMs === undefined) return
      waitedMs += clock.monotonicMs() - waitingSinceMs
      waitingSinceMs = undefined
    },
    end: () => over.abort(),
  }
}

/** Interim answers (100 Continue, 103 Early Hints) may come before an answer, as many as a server likes. Without a bound they fill memory and take the
 * whole event loop until the time-out for the head. */

/** Servers send one or two. */
const INTERIM_MAX = 20

/** Gives the request up with `HPE_TOO_MANY_INTERIM` when there are too many. Returns it. */
export function boundInterim(request: ClientRequest): ClientRequest {
  let count = 0
  request.on('information', () => {
    count += 1
    if (count <= INTERIM_MAX) return
    request.destroy(Object.assign(new Error('too many interim answers'), { code: 'HPE_TOO_MANY_INTERIM' }))
  })
  return request
}
