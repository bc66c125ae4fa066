/** Metrics for Prometheus. Names: prefix `tailflux_`, base units, `_total` on counters, times as timestamps. Labels come from closed
 * lists only (never a node, a name or an address), and each combination that is known starts at 0, so that the first increase counts. */
import { Counter, type CounterConfiguration, Gauge, Histogram, Registry } from '@prometheus-io/client'
import type { AlertsMetrics } from '../alerts/metrics.ts'
import { type Clock, MS } from '../base/clock.ts'
import { CODES, type Code } from '../base/errors.ts'
import { GAP_REASONS, type GapReason } from '../ledger/ledger.ts'
import { OBSERVERS, type ObserverName } from '../observers/failures.ts'
import type { RollupMetrics } from '../rollup/metrics.ts'
import type { SinkMetrics } from '../sink/sink.ts'
import { QUARANTINE_REASONS } from '../source/parse/message.ts'
import type { SourceMetrics } from '../source/source.ts'
import { TICK_RESULTS, type TickResult } from './line/status.ts'
import { alertsMetrics } from './metrics-alerts.ts'
import { registerProcessMetrics } from './metrics-process.ts'
import { rollupMetrics } from './metrics-rollup.ts'

/** What the pipeline reports about itself. Labels come from closed lists only. */
export interface PipelineMetrics {
  /** A window was acknowledged and entered in the ledger. */
  windowDone(
    pass: number,
    amounts: { messages: number; entries: number; points: number; bytes: number; durationMs: number },
  ): void
  windowFailed(code: Code): void
  /** A window was too much and will be read in smaller windows. */
  windowSplit(): void
  quarantined(reason: string, count: number): void
  /** A late pass found messages that the passes before had not seen; `ageSeconds` is the window's age. */
  late(pass: number, messages: number, ageSeconds: number): void
  /** Open gaps: number and length in all. */
  gapsOpen(count: number, seconds: number): void
  gapLost(reason: GapReason, seconds: number): void
  /** `watermarkSeconds`: since the epoch. `retentionUsed`: share of the API's retention that the lag has eaten, from 0. */
  position(watermarkSeconds: number, lagSeconds: number, retentionUsed: number): void
  tick(result: TickResult): void
  /** The code that puts a component on hold, undefined when none does. */
  hold(component: 'source' | 'sink', code: Code | undefined): void
  dbUp(up: boolean): void
  apiUp(up: boolean): void
  stateWriteFailed(): void
  stateRecovered(): void
  devicesKnown(count: number): void
  /** Batches in flight to the database. */
  inFlight(count: number): void
}

/** What is counted for the status page. */
interface PageMetrics {
  /** Nodes that reported within the last 15 minutes. */
  nodesReporting(count: number): void
  /** Distinct series of `tailnet_flow` that points were written to within the last day. */
  series(estimate: number): void
}

export interface Metrics {
  readonly source: SourceMetrics
  readonly sink: SinkMetrics
  readonly pipeline: PipelineMetrics
  readonly alerts: AlertsMetrics
  readonly rollup: RollupMetrics
  readonly page: PageMetrics
  readonly observers: { failed(name: ObserverName): void }
  /** `total`: log lines lost since the process began. */
  readonly log: { lost(total: number): void }
  /** The text format 0.0.4 and its content type. */
  render(): Promise<string>
  readonly contentType: string
  /** Begins and ends the watch on the event loop. Idempotent; may begin again. */
  start(): void
  stop(): void
}

const API_CODES = CODES.filter((code) => code.startsWith('api_'))
const DB_CODES = CODES.filter((code) => code.startsWith('db_'))
/** 0: outside the passes; 1: first reading; 2 and 3: the late passes by default. */
const PASSES = ['0', '1', '2', '3']
const ENDPOINTS = ['logging/network', 'devices', 'settings', 'oauth/token', 'oauth/token-exchange'] as const
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
const AGE_SECONDS = [60, 300, 900, 1800, 3600, 14_400, 43_200, 86_400, 172_800]

export function createMetrics(deps: { version: string; clock: Pick<Clock, 'now'> }): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const prefix = 'tailflux_'

  function counter<T extends string = never>(
    name: string,
    help: string,
    labels: Partial<Record<T, readonly string[]>> = {},
  ): Counter<T> {
    const labelNames = Object.keys(labels) as T[]
    const made = new Counter<T>({ name: prefix + name, help, labelNames, registers } as CounterConfiguration<T>)
    const known = Object.values(labels) as (readonly string[])[]
    if (known.length > 0) for (const values of combinations(known)) made.labels(...values).inc(0)
    return made
  }
  function gauge<T extends string = never>(name: string, help: string, labelNames: readonly T[] = []): Gauge<T> {
    return new Gauge<T>({ name: prefix + name, help, labelNames, registers })
  }
  /** A gauge without value until the first `set`: 0 would be a lie (the year 1970, a database that is down). */
  function unknownGauge(name: string, help: string): Gauge {
    const made = gauge(name, help)
    made.remove()
    return made
  }
  function histogram<T extends string = never>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: readonly T[] = [],
  ): Histogram<T> {
    return new Histogram<T>({ name: prefix + name, help, buckets, labelNames, registers })
  }

  gauge('build_info', 'Always 1; the labels show the versions of tailflux and Node.js.', [
    'version',
    'node_version',
  ]).set({ version: deps.version, node_version: process.versions.node }, 1)
  const loopWatch = registerProcessMetrics(registry, prefix)

  const apiRequests = counter('tailscale_requests_total', 'Requests to the Tailscale API, by HTTP status or `error`.', {
    endpoint: ENDPOINTS,
    code: ['200', '401', '403', '404', '429', '500', '502', '503', '504', 'error'],
  })
  const apiLimited = counter('tailscale_rate_limited_total', 'Responses 429 of the Tailscale API.', {
    endpoint: ENDPOINTS,
  })
  const apiDuration = histogram('tailscale_request_duration_seconds', 'Time until the response headers.', SECONDS, [
    'endpoint',
  ])
  const apiBytes = counter('tailscale_received_bytes_total', 'Bytes of responses after decompression.')
  const skew = unknownGauge('clock_skew_seconds', "Local clock minus the API's Date header.")

  const writeRequests = counter('write_requests_total', 'Requests to the database, by HTTP status or error code.', {
    code: ['204'],
  })
  const writeDuration = histogram('write_duration_seconds', 'Duration of one request to the database.', SECONDS)
  const written = counter('points_written_total', 'Points that the database acknowledged; a repeat counts again.')
  const writtenBytes = counter('written_bytes_total', 'Bytes of line protocol that the database acknowledged.')
  const dropped = counter('points_dropped_total', 'Points that the database will never accept, by reason.', {
    reason: ['rejected', 'expired'],
  })
  const writeRetries = counter('write_retries_total', 'Retried writes, by error code.', {
    code: DB_CODES,
  })

  const windows = counter('windows_total', 'Windows acknowledged, by pass.', { pass: PASSES })
  const windowDuration = histogram(
    'window_duration_seconds',
    'From the request for a window to its last acknowledgement.',
    SECONDS,
  )
  const windowFailures = counter('window_failures_total', 'Failed windows, which are read again, by error code.', {
    code: CODES,
  })
  const windowSplits = counter('window_splits_total', 'Windows that were too large and were split.')
  const messages = counter('messages_total', 'Messages in acknowledged windows.')
  const entries = counter('entries_total', 'Traffic entries in acknowledged windows.')
  const points = counter('points_built_total', 'Points of acknowledged windows.')
  const windowBytes = counter('window_bytes_total', 'Decoded bytes of acknowledged windows.')
  const quarantined = counter('quarantined_total', 'Quarantined messages and entries, by reason.', {
    reason: QUARANTINE_REASONS,
  })
  const late = counter('late_messages_total', 'Messages that only a late pass found.', { pass: PASSES.slice(2) })
  const lateAge = histogram('late_window_age_seconds', 'Age of windows in which late messages were found.', AGE_SECONDS)
  const gapsOpen = gauge('gaps_open', 'Ranges that the API cannot answer for now.')
  const gapSeconds = gauge('gap_open_seconds', 'Length of all open gaps.')
  const gapLost = counter('gap_lost_seconds_total', 'Length of lost ranges, by reason.', {
    reason: GAP_REASONS,
  })
  const watermark = unknownGauge(
    'last_window_end_timestamp_seconds',
    'The watermark: everything up to here is in the database.',
  )
  const lag = unknownGauge('lag_seconds', 'How far the watermark is behind the current time.')
  const retentionUsed = unknownGauge(
    'retention_used_ratio',
    "Share of Tailscale's retention that the lag has eaten; at 1 data is lost.",
  )
  const ticks = counter('ticks_total', 'Rounds of the poll loop, by result.', { result: TICK_RESULTS })
  const lastTick = unknownGauge('last_tick_timestamp_seconds', 'When the last round of the poll loop ended.')
  const lastSuccess = unknownGauge('last_poll_success_timestamp_seconds', 'When the last window was acknowledged.')
  const hold = gauge('hold', '1 while a component needs a fix by a person, by component and error code.', [
    'component',
    'code',
  ])
  const dbUp = unknownGauge('db_up', '1 when the database accepts writes.')
  const apiUp = unknownGauge('api_up', '1 when the Tailscale API answers.')
  const stateFailures = counter('state_write_failures_total', 'Failed writes of the state file.')
  const stateRecovered = counter('state_recovered_total', 'Damaged state files that were moved away and rebuilt.')
  const logLost = counter('log_lines_lost_total', 'Log lines lost because standard output could not be written.')
  const devices = unknownGauge('devices_known', 'Devices whose names are known.')
  const nodes = unknownGauge('nodes_reporting', 'Nodes that reported within the last 15 minutes.')
  const series = gauge(
    'series_estimate',
    'Distinct series that points were written to within the last day, estimated (standard error 1.6 %).',
    ['measurement'],
  )
  const inFlight = gauge('batches_in_flight', 'Batches in flight to the database.')
  const observerFailures = counter(
    'observer_failures_total',
    'Errors inside alerts, the status page or metrics, none of which stops ingestion.',
    { observer: OBSERVERS },
  )
  for (const code of API_CODES) hold.set({ component: 'source', code }, 0)
  for (const code of DB_CODES) hold.set({ component: 'sink', code }, 0)

  const held = new Map<string, Code | undefined>()
  let logLostTotal = 0
  const nowSeconds = () => Number(deps.clock.now() / MS) / 1000

  return {
    source: {
      request(endpoint, code, durationMs) {
        apiRequests.inc({ endpoint, code })
        if (code === '429') apiLimited.inc({ endpoint })
        apiDuration.observe({ endpoint }, durationMs / 1000)
      },
      bytes: (count) => apiBytes.inc(count),
      clockSkew: (seconds) => skew.set(seconds),
    },
    sink: {
      request(code, durationMs) {
        writeRequests.inc({ code })
        writeDuration.observe(durationMs / 1000)
      },
      written(lines, bytes) {
        written.inc(lines)
        writtenBytes.inc(bytes)
      },
      rejected: (lines, reason) => dropped.inc({ reason }, lines),
      retried: (code) => writeRetries.inc({ code }),
    },
    pipeline: {
      windowDone(pass, amounts) {
        windows.inc({ pass: String(pass) })
        messages.inc(amounts.messages)
        entries.inc(amounts.entries)
        points.inc(amounts.points)
        windowBytes.inc(amounts.bytes)
        windowDuration.observe(amounts.durationMs / 1000)
        lastSuccess.set(nowSeconds())
      },
      windowFailed: (code) => windowFailures.inc({ code }),
      windowSplit: () => windowSplits.inc(),
      quarantined: (reason, count) => quarantined.inc({ reason }, count),
      late(pass, count, ageSeconds) {
        late.inc({ pass: String(pass) }, count)
        lateAge.observe(ageSeconds)
      },
      gapsOpen(count, seconds) {
        gapsOpen.set(count)
        gapSeconds.set(seconds)
      },
      gapLost: (reason, seconds) => gapLost.inc({ reason }, seconds),
      position(watermarkSeconds, lagSeconds, used) {
        watermark.set(watermarkSeconds)
        lag.set(lagSeconds)
        retentionUsed.set(used)
      },
      tick(result) {
        ticks.inc({ result })
        lastTick.set(nowSeconds())
      },
      hold(component, code) {
        const before = held.get(component)
        if (before !== undefined) hold.set({ component, code: before }, 0)
        if (code !== undefined) hold.set({ component, code }, 1)
        held.set(component, code)
      },
      dbUp: (up) => dbUp.set(up ? 1 : 0),
      apiUp: (up) => apiUp.set(up ? 1 : 0),
      stateWriteFailed: () => stateFailures.inc(),
      stateRecovered: () => stateRecovered.inc(),
      devicesKnown: (count) => devices.set(count),
      inFlight: (count) => inFlight.set(count),
    },
    alerts: alertsMetrics({ counter, gauge, unknownGauge, histogram }),
    rollup: rollupMetrics({ counter, gauge, unknownGauge, histogram }),
    page: {
      nodesReporting: (count) => nodes.set(count),
      series: (estimate) => series.set({ measurement: 'tailnet_flow' }, estimate),
    },
    observers: { failed: (observer) => observerFailures.inc({ observer }) },
    log: {
      lost(total) {
        logLost.inc(total - logLostTotal)
        logLostTotal = total
      },
    },
    render: () => registry.metrics(),
    contentType: registry.contentType,
    start: loopWatch.start,
    stop: loopWatch.stop,
  }
}

/** Every way to take one of each list. */
function combinations(lists: readonly (readonly string[])[]): string[][] {
  return lists.reduce<string[][]>((all, list) => all.flatMap((head) => list.map((value) => [...head, value])), [[]])
}
