/** Reports failures of observers: one log line a minute for each source, a counter, and a component of its own in `/health`, which warns as
 * long as one of its sources fails. */
import type { Logger } from 'pino'
import type { Clock } from '../base/clock.ts'
import { isoOf } from '../base/format.ts'

/** Components beside the line; each is a component in `/health`. */
export const OBSERVERS = ['rollup', 'alerts', 'page', 'metrics', 'directory'] as const
export type ObserverName = (typeof OBSERVERS)[number]

export interface Failures {
  /** `source` (from a closed list, such as a route) threw `error`, and its caller continues. `retryMs`: it is restarted after this time. */
  failed(name: ObserverName, source: string, error: unknown, retryMs?: number): void
  /** `source` works again. */
  works(name: ObserverName, source: string): void
  /** The same methods, but none of them throws; each is a source, named after `part` and itself. For methods that return nothing. */
  guard<T extends object>(name: ObserverName, part: string, methods: T): T
}

export interface FailuresDeps {
  readonly clock: Pick<Clock, 'now' | 'monotonicMs'>
  readonly log: Logger
  readonly health: {
    set(component: ObserverName, status: 'ok' | 'warning', code?: string, text?: string, condition?: string): void
  }
  readonly metrics: { failed(name: ObserverName): void }
}

const LOG_EVERY_MS = 60_000
/** A guarded method counts as working again when it has not failed for this long. */
const CALM_MS = 60_000

/** What does not work, and what it means. */
const OFF: Record<ObserverName, string> = {
  rollup: 'rows of tailnet_edge and tailnet_node are not written',
  alerts: 'alerts are off: no rule is evaluated and no notification is sent',
  page: 'the status page is incomplete: its traffic, or the requested page, is missing',
  directory:
    'names and owners of devices are not learnt from messages: new devices get them from the devices API alone',
  metrics: 'a metric was not counted: what /metrics and the dashboard of the service show may be wrong',
}

interface Failure {
  readonly loggedMs: number
  readonly failedMs: number
  /** Since the last log line. */
  readonly unloggedCount: number
}

export function createFailures({ clock, log, health, metrics }: FailuresDeps): Failures {
  /** By component, then by source. */
  const failures = new Map<ObserverName, Map<string, Failure>>()

  function failed(name: ObserverName, source: string, error: unknown, retryMs?: number): void {
    const nowMs = clock.monotonicMs()
    const mine = failures.get(name) ?? new Map<string, Failure>()
    failures.set(name, mine)
    const before = mine.get(source)
    const isLogged = before === undefined || nowMs - before.loggedMs >= LOG_EVERY_MS
    if (isLogged) {
      const more = before !== undefined && before.unloggedCount > 0 ? { heldBackCount: before.unloggedCount } : {}
      log.error({ observer: name, source, retryMs, ...more, err: error }, 'observer failed, ingestion continues')
    }
    mine.set(source, {
      loggedMs: isLogged ? nowMs : before.loggedMs,
      failedMs: nowMs,
      unloggedCount: isLogged ? 0 : before.unloggedCount + 1,
    })
    const next = retryMs === undefined ? undefined : isoOf(clock.now() + BigInt(Math.round(retryMs * 1e6)))
    health.set(name, 'warning', 'observer_failed', textOf(name, next), source)
    metrics.failed(name)
  }

  function works(name: ObserverName, source: string): void {
    if (failures.get(name)?.delete(source) !== true) return
    log.info({ observer: name, source }, 'observer works again')
    health.set(name, 'ok', undefined, undefined, source)
  }

  function guarded(name: ObserverName, source: string, method: (...args: unknown[]) => unknown) {
    return (...args: unknown[]) => {
      try {
        rejection(method(...args), (error) => failed(name, source, error))
      } catch (error) {
        return failed(name, source, error)
      }
      const failure = failures.get(name)?.get(source)
      if (failure !== undefined && clock.monotonicMs() - failure.failedMs >= CALM_MS) works(name, source)
    }
  }

  return {
    failed,
    works,
    guard<T extends object>(name: ObserverName, part: string, methods: T): T {
      const entries = Object.entries(methods).map(([key, method]) => [key, guarded(name, `${part}.${key}`, method)])
      return Object.fromEntries(entries) as T
    },
  }
}

/** Calls `onRejected` when `answer` is a promise that rejects. */
export function rejection(answer: unknown, onRejected: (error: unknown) => void): void {
  if (answer instanceof Promise) answer.catch(onRejected)
}

function textOf(name: ObserverName, next: string | undefined): string {
  const restart = next === undefined ? '' : `; it is restarted automatically, next at ${next}`
  return `${OFF[name]}, because of an error inside tailflux (see the log line "observer failed"). Ingestion continues${restart}. If this continues, update tailflux, or report that log line`
}
