/** Reads device names in the background. They are optional: clients from 1.92 on send names in their messages, and for other clients the known names
 * are kept. So no window waits for the devices API, with one exception: the first window of a new installation waits at most five seconds, because
 * its history would have no names otherwise. */

import type { Logger } from 'pino'
import { backoffAfter } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import type { Device, Source } from '../source/source.ts'
import type { Names } from './names.ts'

export interface DeviceNames {
  /** Requests the device list when it is due and no request is in progress. Returns at once and never throws. */
  refresh(): void
  /** Requests the device list. Resolves with the answer, with a failure, or after five seconds, whatever comes first. Never rejects. */
  firstLook(signal: AbortSignal): Promise<void>
  /** Aborts the request in progress. Idempotent. */
  stop(): Promise<void>
}

/** For the whole answer, however slowly it arrives. */
const ANSWER_MS = 60_000
const FIRST_LOOK_MS = 5_000
/** The backoff after a failure; it doubles with each further one, up to the maximum. */
const BACKOFF_MIN_MS = 60_000
const BACKOFF_MAX_MS = 900_000

export function createDeviceNames(
  options: { readonly devicesIntervalMs: number },
  deps: {
    readonly source: Pick<Source, 'devices'>
    readonly names: Pick<Names, 'observe' | 'count'>
    /** From when on a name that arrives now applies, ns. */
    readonly countsFromNs: () => bigint
    readonly metrics: { devicesKnown(count: number): void }
    readonly health: { set(component: 'names', status: 'ok' | 'warning', code?: string, text?: string): void }
    readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
    readonly log: Logger
  },
): DeviceNames {
  const { clock, names, health, log } = deps
  const stopping = new AbortController()
  let request: Promise<void> | undefined
  let dueMs = 0
  let failures = 0

  async function requestDevices(): Promise<void> {
    try {
      const devices = await devicesInTime(deps.source, clock, stopping.signal)
      names.observe(devices, deps.countsFromNs())
      deps.metrics.devicesKnown(names.count())
      health.set('names', 'ok')
      failures = 0
      dueMs = clock.monotonicMs() + options.devicesIntervalMs
    } catch (error) {
      if (stopping.signal.aborted) return
      failed(error)
    }
  }

  /** Handles any error, also a bug in tailflux: names never stop the line. */
  function failed(error: unknown): void {
    const isBug = !(error instanceof CollectorError)
    const text = isBug
      ? 'device names cannot be read because of an error inside tailflux (see the log line "device names cannot be read"); known names are kept. If this continues, update tailflux, or report that log line'
      : error.message
    failures += 1
    const maxMs = Math.min(options.devicesIntervalMs, BACKOFF_MAX_MS)
    const backoffMs = backoffAfter(failures, { minMs: BACKOFF_MIN_MS, maxMs })
    const retryMs = Math.max(backoffMs, isBug ? 0 : (error.retryAfterMs ?? 0))
    dueMs = clock.monotonicMs() + retryMs
    const code = isBug ? 'names_failed' : error.code
    health.set('names', 'warning', code, text)
    log.warn({ code, retryMs, err: error }, 'device names cannot be read')
  }

  function refresh(): void {
    if (request !== undefined || stopping.signal.aborted || clock.monotonicMs() < dueMs) return
    request = requestDevices().finally(() => {
      request = undefined
    })
  }

  return {
    refresh,
    async firstLook(signal) {
      refresh()
      const over = new AbortController()
      const waiting = AbortSignal.any([signal, over.signal])
      await Promise.race([request, clock.sleep(FIRST_LOOK_MS, waiting).catch(() => undefined)])
      over.abort()
    },
    async stop() {
      stopping.abort(new Error('stopping'))
      await request
    },
  }
}

/** All devices within a minute; rejects with a CollectorError, or with the signal's reason, even when the source does not listen to it. */
export async function devicesInTime(
  source: Pick<Source, 'devices'>,
  clock: Pick<Clock, 'sleep'>,
  signal: AbortSignal,
): Promise<readonly Device[]> {
  const limit = new AbortController()
  const over = new AbortController()
  clock.sleep(ANSWER_MS, over.signal).then(
    () => limit.abort(late()),
    () => undefined,
  )
  const ending = AbortSignal.any([signal, limit.signal])
  const { promise: ended, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(ending.reason)
  ending.addEventListener('abort', onAbort, { once: true })
  try {
    ending.throwIfAborted()
    return await Promise.race([source.devices(ending), ended])
  } finally {
    ending.removeEventListener('abort', onAbort)
    over.abort()
  }
}

function late(): CollectorError {
  const text = `The devices API did not finish its response within ${ANSWER_MS / 1000} s. Known names are kept, new names of clients before 1.92 are missing; the request is retried automatically. Look for a slow proxy or network in between.`
  return new CollectorError(text, { stage: 'source', code: 'api_timeout', reaction: 'retry' })
}
