import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CODES } from '../../src/base/errors.ts'
import { createMetrics } from '../../src/observe/metrics.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { linesOf } from '../helpers/lines.ts'

function made(t: { after(end: () => void): void }) {
  const metrics = createMetrics({ version: '1.2.3', clock: createFakeClock() })
  t.after(() => metrics.stop())
  const read = async () => parse(await metrics.render())
  return { ...metrics, read }
}

/** A strict reading of the text format: each series once, each with HELP and TYPE before it. */
function parse(text: string): Map<string, number> {
  assert.ok(text.endsWith('\n'))
  const values = new Map<string, number>()
  const types = new Map<string, string>()
  const helps = new Set<string>()
  for (const line of linesOf(text)) {
    if (line === '') continue
    const [, kind, name, rest] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? []
    if (kind === 'HELP') helps.add(name ?? '')
    else if (kind === 'TYPE') types.set(name ?? '', rest ?? '')
    else {
      const [, series, metric, value] =
        /^((tailflux_[a-z0-9_]+)(?:\{(?:[a-z_]+="[^"\\\n]*",?)+\})?) (\S+)$/.exec(line) ?? []
      assert.ok(series !== undefined && metric !== undefined, line)
      assert.ok(!values.has(series), `twice: ${series}`)
      assert.ok(Number.isFinite(Number(value)), line)
      const family = types.has(metric) ? metric : metric.replace(/_(bucket|sum|count)$/, '')
      assert.ok(helps.has(family) && types.has(family), line)
      assert.equal(types.get(family) === 'counter', family.endsWith('_total'), line)
      values.set(series, Number(value))
    }
  }
  return values
}

test('before anything happened counters are 0, and gauges that would lie are absent', async (t) => {
  const { read } = made(t)
  const values = await read()
  assert.equal(values.get('tailflux_window_failures_total{code="api_timeout"}'), 0)
  assert.equal(values.get('tailflux_gap_lost_seconds_total{reason="beyond_retention"}'), 0)
  assert.equal(values.get('tailflux_hold{component="source",code="api_unauthorized"}'), 0)
  assert.equal(values.get('tailflux_points_dropped_total{reason="expired"}'), 0)
  for (const name of ['last_window_end_timestamp_seconds', 'lag_seconds', 'db_up', 'api_up', 'clock_skew_seconds']) {
    assert.ok(!values.has(`tailflux_${name}`), name)
  }
  assert.ok((values.get('tailflux_process_resident_memory_bytes') ?? 0) > 1e6)
  assert.equal(values.get(`tailflux_build_info{version="1.2.3",node_version="${process.versions.node}"}`), 1)
})

test('whatever the components tell shows up', async (t) => {
  const { source, sink, pipeline, page, read } = made(t)
  source.request('logging/network', '429', 1_500)
  source.bytes(1_000)
  source.clockSkew(-0.5)
  sink.request('204', 20)
  sink.written(5_000, 300_000)
  sink.rejected(2, 'expired')
  sink.retried('db_timeout', 100)
  pipeline.windowDone(1, { messages: 3, entries: 20, points: 15, bytes: 900, durationMs: 250 })
  for (const code of CODES) pipeline.windowFailed(code)
  pipeline.windowSplit()
  pipeline.quarantined('bad_counter', 4)
  pipeline.late(2, 6, 930)
  pipeline.gapsOpen(2, 120)
  pipeline.gapLost('beyond_retention', 3_600)
  pipeline.position(1_793_620_800, 61, 0.01)
  pipeline.tick('caught_up')
  pipeline.hold('source', 'api_forbidden')
  pipeline.dbUp(false)
  pipeline.apiUp(true)
  pipeline.stateWriteFailed()
  pipeline.stateRecovered()
  pipeline.devicesKnown(50)
  pipeline.inFlight(2)
  page.nodesReporting(7)
  page.series(4_613)
  const values = await read()
  const noon = Number(NOON_NS / 1_000_000_000n)
  const wanted: Record<string, number> = {
    'tailscale_requests_total{endpoint="logging/network",code="429"}': 1,
    'tailscale_rate_limited_total{endpoint="logging/network"}': 1,
    'tailscale_request_duration_seconds_sum{endpoint="logging/network"}': 1.5,
    tailscale_received_bytes_total: 1_000,
    clock_skew_seconds: -0.5,
    'write_requests_total{code="204"}': 1,
    write_duration_seconds_count: 1,
    points_written_total: 5_000,
    written_bytes_total: 300_000,
    'points_dropped_total{reason="expired"}': 2,
    'write_retries_total{code="db_timeout"}': 1,
    'windows_total{pass="1"}': 1,
    messages_total: 3,
    entries_total: 20,
    points_built_total: 15,
    window_bytes_total: 900,
    window_duration_seconds_sum: 0.25,
    'window_failures_total{code="imbalance"}': 1,
    window_splits_total: 1,
    'quarantined_total{reason="bad_counter"}': 4,
    'late_messages_total{pass="2"}': 6,
    late_window_age_seconds_count: 1,
    gaps_open: 2,
    nodes_reporting: 7,
    'series_estimate{measurement="tailnet_flow"}': 4_613,
    gap_open_seconds: 120,
    'gap_lost_seconds_total{reason="beyond_retention"}': 3_600,
    last_window_end_timestamp_seconds: 1_793_620_800,
    lag_seconds: 61,
    retention_used_ratio: 0.01,
    'ticks_total{result="caught_up"}': 1,
    last_tick_timestamp_seconds: noon,
    last_poll_success_timestamp_seconds: noon,
    'hold{component="source",code="api_forbidden"}': 1,
    db_up: 0,
    api_up: 1,
    state_write_failures_total: 1,
    state_recovered_total: 1,
    devices_known: 50,
    batches_in_flight: 2,
  }
  for (const [name, value] of Object.entries(wanted)) assert.equal(values.get(`tailflux_${name}`), value, name)
})

test('a hold that ends or changes leaves no other one behind', async (t) => {
  const { pipeline, read } = made(t)
  pipeline.hold('sink', 'db_unauthorized')
  pipeline.hold('sink', 'config_invalid')
  pipeline.hold('source', 'api_forbidden')
  const held = async () =>
    [...(await read())].filter(([series, value]) => series.startsWith('tailflux_hold{') && value === 1)
  assert.deepEqual(
    (await held()).map(([series]) => series),
    ['tailflux_hold{component="source",code="api_forbidden"}', 'tailflux_hold{component="sink",code="config_invalid"}'],
  )
  pipeline.hold('sink', undefined)
  pipeline.hold('source', undefined)
  assert.deepEqual(await held(), [])
})
