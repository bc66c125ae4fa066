/** Reads the device list of the API in the background, again and again. It is a comfort: messages say names too, and what is known stays. So nothing
 * waits for it, and no failure of it reaches the line. */
import type { Logger } from 'pino'
import { backoffAfter } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import type { Device, Source } from '../source/source.ts'

export interface DeviceList {
  /** Begins to read. */
  start(): void
  /** Resolves when the first list was read; never without one. */
  readonly first: Promise<void>
  /** Ids of the tailnet's own nodes that the newest list shows as connected to the control server; undefined without a list. */
  connected(): ReadonlySet<string> | undefined
  /** Aborts the request in progress. Idempotent. */
  stop(): Promise<void>
}

/** For the whole answer, however slowly it arrives. */
const ANSWER_MS = 60_000
/** The backoff after a failure; it doubles with each further one, up to the maximum. */
const BACKOFF_MIN_MS = 60_000
const BACKOFF_MAX_MS = 900_000

export function createDeviceList(
  options: { readonly intervalMs: number },
  deps: {
    readonly source: Pick<Source, 'devices'>
    readonly onList: (devices: readonly Device[]) => void
    readonly metrics: { devicesKnown(count: number): void }
    readonly health: { set(component: 'names', status: 'ok' | 'warning', code?: string, text?: string): void }
    readonly clock: Pick<Clock, 'sleep'>
    readonly log: Logger
  },
): DeviceList {
  const { clock, health, log } = deps
  const stopping = new AbortController()
  const { promise: first, resolve: hasFirst } = Promise.withResolvers<void>()
  let reading: Promise<void> | undefined
  let connected: ReadonlySet<string> | undefined
  let failures = 0
  let loggedCode: string | undefined

  /** Returns how long to wait before the next request, ms. */
  async function read(): Promise<number> {
    try {
      const devices = await devicesInTime(deps.source, clock, stopping.signal)
      deps.onList(devices)
      connected = new Set(devices.filter((one) => one.isConnected && !one.isExternal).map(({ nodeId }) => nodeId))
      deps.metrics.devicesKnown(devices.length)
      health.set('names', 'ok')
      failures = 0
      loggedCode = undefined
      hasFirst()
      return options.intervalMs
    } catch (error) {
      return failed(error)
    }
  }

  /** Handles any error, also a bug in tailflux. */
  function failed(error: unknown): number {
    if (stopping.signal.aborted) return 0
    const isBug = !(error instanceof CollectorError)
    const text = isBug
      ? 'device names cannot be read because of an error inside tailflux (see the log line "device names cannot be read"); known names are kept. If this continues, update tailflux, or report that log line'
      : error.message
    failures += 1
    const maxMs = Math.min(options.intervalMs, BACKOFF_MAX_MS)
    const backoffMs = backoffAfter(failures, { minMs: BACKOFF_MIN_MS, maxMs })
    const retryMs = Math.max(backoffMs, isBug ? 0 : (error.retryAfterMs ?? 0))
    const code = isBug ? 'names_failed' : error.code
    health.set('names', 'warning', code, text)
    // A refusal stays the same until a person acts: it is logged once.
    const isKnown = !isBug && error.reaction === 'hold' && code === loggedCode
    loggedCode = code
    log[isKnown ? 'debug' : 'warn']({ code, retryMs, err: error }, 'device names cannot be read')
    return retryMs
  }

  async function readAll(): Promise<void> {
    while (!stopping.signal.aborted) {
      const pauseMs = await read()
      // Only a stop ends the sleep early.
      await clock.sleep(pauseMs, stopping.signal).catch(() => undefined)
    }
  }

  return {
    start() {
      reading ??= readAll()
    },
    first,
    connected: () => connected,
    async stop() {
      stopping.abort(new Error('stopping'))
      await reading
    },
  }
}

/** All devices within a minute; rejects with a CollectorError, or with the signal's reason, even when the source does not listen to it. */
async function devicesInTime(
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
