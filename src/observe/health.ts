/** The health of each component, with a sentence that ends with the fix. Only `error` answers 503: a warning ends by itself or is
 * harmless. */
import type { Clock } from '../base/clock.ts'
import { isoOf } from '../base/format.ts'
import { OBSERVERS } from '../observers/failures.ts'

const ON_THE_LINE = ['source', 'sink', 'state', 'names', 'line', 'clock'] as const
type Component = (typeof ON_THE_LINE)[number] | (typeof OBSERVERS)[number] | 'http' | 'log'
const COMPONENTS: readonly Component[] = [...ON_THE_LINE, ...OBSERVERS, 'http', 'log']
const STATUSES = ['ok', 'warning', 'error'] as const
export type Status = (typeof STATUSES)[number]

export interface ComponentHealth {
  readonly component: Component
  readonly status: Status
  /** When the status or the code changed last; RFC 3339, local clock. */
  readonly since: string
  /** Present unless `ok`: the problem, and how to fix it. */
  readonly code?: string
  readonly text?: string
}

export interface HealthState {
  /** The worst of the components. */
  readonly status: Status
  /** The sentence of the worst component; `ok` has none. */
  readonly text?: string
  /** Components that have reported something, in the order of COMPONENTS. */
  readonly components: readonly ComponentHealth[]
}

export interface Health {
  /** `condition` names the source of the report: parts that know different things about a component (the circuit breaker, a limit, the
   * checkpoint) have one each, so that the `ok` of one never hides the problem of another. The worst condition decides. */
  set(component: Component, status: Status, code?: string, text?: string, condition?: string): void
  state(): HealthState
  /** Ready: settings are valid, the state file is open, the HTTP server listens. Stays true while the API or the database are away, and becomes
   * false when the service stops. */
  setReady(isReady: boolean): void
  isReady(): boolean
  /** Calls `listener` after each change of a status or code; returns a function that removes it. */
  onChange(listener: () => void): () => void
}

/** What a component needs to report its health. `text` is a sentence that ends with the fix. */
export type HealthReport = Pick<Health, 'set'>

export function createHealth({ clock }: { clock: Pick<Clock, 'now'> }): Health {
  const components = new Map<Component, Map<string, ComponentHealth>>()
  const listeners = new Set<() => void>()
  let isReady = false

  function changed(): void {
    for (const listener of listeners) listener()
  }

  /** The worst condition; among equals the oldest one, so that the sentence does not change. */
  function worstOf(component: Component): ComponentHealth | undefined {
    const conditions = [...(components.get(component)?.values() ?? [])]
    return STATUSES.toReversed()
      .map((status) => conditions.filter((one) => one.status === status))
      .find((found) => found.length > 0)
      ?.reduce((oldest, one) => (one.since < oldest.since ? one : oldest))
  }

  return {
    set(component, status, code, text, condition = '') {
      const shown = worstOf(component)
      const conditions = components.get(component) ?? new Map<string, ComponentHealth>()
      components.set(component, conditions)
      const before = conditions.get(condition)
      const isSame = before?.status === status && before.code === code
      const since = isSame ? before.since : isoOf(clock.now())
      conditions.set(condition, {
        component,
        status,
        since,
        ...(code === undefined ? {} : { code }),
        ...(text === undefined ? {} : { text }),
      })
      const now = worstOf(component)
      if (shown?.status !== now?.status || shown?.code !== now?.code) changed()
    },
    state() {
      const reported = COMPONENTS.flatMap((component) => worstOf(component) ?? [])
      const status = STATUSES.findLast((one) => reported.some((component) => component.status === one)) ?? 'ok'
      const text = status === 'ok' ? undefined : reported.find((component) => component.status === status)?.text
      return { status, ...(text === undefined ? {} : { text }), components: reported }
    },
    setReady(value) {
      if (value === isReady) return
      isReady = value
      changed()
    },
    isReady: () => isReady,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
