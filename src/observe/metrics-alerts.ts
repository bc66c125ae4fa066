/** Metrics of alerts. The label `alert` is a rule's name, from the settings: a closed list. */
import type { Counter, Gauge, Histogram } from '@prometheus-io/client'
import type { AlertsMetrics } from '../alerts/metrics.ts'
import { NOTIFIER_KINDS } from '../alerts/notify/config.ts'

/** How metrics are made: see metrics.ts. */
export interface Make {
  counter<T extends string = never>(
    name: string,
    help: string,
    labels?: Partial<Record<T, readonly string[]>>,
  ): Counter<T>
  gauge<T extends string = never>(name: string, help: string, labelNames?: readonly T[]): Gauge<T>
  unknownGauge(name: string, help: string): Gauge
  histogram<T extends string = never>(
    name: string,
    help: string,
    buckets: number[],
    labelNames?: readonly T[],
  ): Histogram<T>
}

const SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30]

export function alertsMetrics({ counter, gauge, unknownGauge, histogram }: Make): AlertsMetrics {
  const state = gauge('alert_state', 'The worst state of a rule: 0 inactive, 1 pending, 2 firing.', ['alert'])
  const instances = gauge('alert_instances', 'Alerts of a rule in a state.', ['alert', 'state'])
  const series = gauge('alert_series', 'Groups (nodes, pairs, ...) that a rule watches.', ['alert'])
  const overflows = counter('alert_overflows_total', 'Times that a rule had more groups than its limit.', {
    alert: [],
  })
  const evaluations = counter('alert_evaluations_total', 'Evaluations, over all rules.')
  const duration = histogram('alert_evaluation_duration_seconds', 'One evaluation of all rules.', SECONDS)
  const lastEvaluation = unknownGauge(
    'alert_last_evaluation_timestamp_seconds',
    'The end of the newest interval that was evaluated.',
  )
  const ignored = counter(
    'alert_ignored_total',
    'Minutes that were made again later than alerts.lateness: alerts keep what they had.',
  )
  const notifications = counter('alert_notifications_total', 'Notifications by notifier, sent or failed.', {
    notifier: NOTIFIER_KINDS,
    result: ['sent', 'failed'],
  })
  const requests = counter('alert_notify_requests_total', 'Requests to notifiers, by HTTP status or `error`.', {
    notifier: NOTIFIER_KINDS,
    code: ['200'],
  })
  const requestDuration = histogram(
    'alert_notify_duration_seconds',
    'Duration of one request to a notifier.',
    SECONDS,
    ['notifier'],
  )
  const memory = gauge('alert_memory_bytes', 'Memory used by the evaluation of rules, estimated.')
  const failures = counter('alert_state_write_failures_total', 'Failed saves of the state of alerts.')
  const overflowed = new Map<string, number>()

  return {
    rules(names) {
      for (const one of [state, instances, series]) one.reset()
      overflowed.clear()
      for (const alert of names) {
        state.set({ alert }, 0)
        for (const one of ['pending', 'firing']) instances.set({ alert, state: one }, 0)
        series.set({ alert }, 0)
        overflows.inc({ alert }, 0)
      }
    },
    rule(alert, now) {
      state.set({ alert }, now.firing > 0 ? 2 : now.pending > 0 ? 1 : 0)
      instances.set({ alert, state: 'pending' }, now.pending)
      instances.set({ alert, state: 'firing' }, now.firing)
      series.set({ alert }, now.series)
      overflows.inc({ alert }, now.overflowed - (overflowed.get(alert) ?? 0))
      overflowed.set(alert, now.overflowed)
    },
    evaluated(count, durationMs) {
      evaluations.inc(count)
      duration.observe(durationMs / 1000)
    },
    position: (seconds) => lastEvaluation.set(seconds),
    ignored: (minutes) => ignored.inc(minutes),
    attempt(notifier, code, durationMs) {
      requests.inc({ notifier, code })
      requestDuration.observe({ notifier }, durationMs / 1000)
    },
    notified: (notifier, result, count) => notifications.inc({ notifier, result }, count),
    kept: (bytes) => memory.set(bytes),
    stateWriteFailed: () => failures.inc(),
  }
}
