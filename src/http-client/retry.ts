/** The one place that retries. Whoever sends requests says what to wait for; the counting, the signal and the reaction of the error are the same for
 * all. Only errors with the reaction `retry` are retried: everything else needs a person or a smaller request. */
import pRetry from 'p-retry'
import type { Clock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'

export interface RetryOptions {
  readonly clock: Pick<Clock, 'sleep'>
  readonly signal: AbortSignal | undefined
  /** How long to wait after this failed attempt, ms; undefined: this error ends it. Attempts count from 1. */
  waitMs(error: CollectorError, attempt: number): number | undefined
}

/** Resolves with the result of the first attempt that succeeds. Rejects with the last error, or with the reason of the signal. */
export async function retry<T>(attempt: () => Promise<T>, { clock, signal, waitMs }: RetryOptions): Promise<T> {
  return await pRetry(attempt, {
    retries: Number.POSITIVE_INFINITY,
    // The waiting is ours, by the injected clock.
    minTimeout: 0,
    maxTimeout: 0,
    ...(signal === undefined ? {} : { signal }),
    async onFailedAttempt({ error, attemptNumber }) {
      const isRetried = error instanceof CollectorError && error.reaction === 'retry'
      const ms = isRetried ? waitMs(error, attemptNumber) : undefined
      if (ms === undefined) throw error
      if (ms > 0) await clock.sleep(ms, signal)
    },
  })
}

/** The times in the head of an answer. */

/** No wait is longer, whatever the answer says. */
const RETRY_AFTER_MAX_MS = 10 * 60_000

/** `Retry-After` in ms, from 0 to ten minutes: seconds or an HTTP date (RFC 9110, 10.2.3). Undefined without a readable one. `nowMs`: the clock
 * that a date is compared with, ms since the epoch. */
export function retryAfterMs(header: string | readonly string[] | undefined, nowMs: number): number | undefined {
  const text = (typeof header === 'string' ? header : header?.[0])?.trim() ?? ''
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : (dateMs(text) ?? Number.NaN) - nowMs
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), RETRY_AFTER_MAX_MS)
}

/** An HTTP date in its one form that is still sent (`Sun, 06 Nov 1994 08:49:37 GMT`), ms since the epoch. */
export function dateMs(text: string | undefined): number | undefined {
  if (text === undefined || !/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text))
    return undefined
  const ms = Date.parse(text)
  return Number.isNaN(ms) ? undefined : ms
}
