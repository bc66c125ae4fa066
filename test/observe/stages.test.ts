import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CollectorError } from '../../src/base/errors.ts'
import { createEta } from '../../src/observe/eta.ts'
import type { HealthReport } from '../../src/observe/health.ts'
import type { Metrics } from '../../src/observe/metrics.ts'
import { createReports } from '../../src/observe/reports.ts'
import { createStages } from '../../src/observe/stages.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'

test('rates are those of the last minute, or since the start when that is shorter; totals go on', async () => {
  const clock = createFakeClock()
  const { reports, view } = createStages(clock)
  const write = () => view().find(({ stage }) => stage === 'write')
  reports.written(100, 1_000)
  await clock.advance(10_000)
  assert.equal(write()?.perSecond, 10)
  assert.equal(write()?.bytesPerSecond, 100)
  await clock.advance(40_000)
  reports.written(400, 0)
  assert.equal(write()?.perSecond, 10)
  await clock.advance(200_000)
  assert.equal(write()?.perSecond, 0)
  assert.equal(write()?.total, 500)
})

test('durations: the middle and the slow end of the last ones', () => {
  const { reports, view } = createStages(createFakeClock())
  const [api, , aggregate] = view()
  assert.equal(api?.durationMs, null)
  for (let ms = 1; ms <= 200; ms += 1) reports.apiAnswered('200', ms)
  assert.deepEqual(view()[0]?.durationMs, { p50: 169, p95: 197 })
  assert.equal(aggregate?.bytesPerSecond, null)
})

test('the stages hear what the components tell, and the components are heard all the same', async () => {
  const clock = createFakeClock()
  const stages = createStages(clock)
  const told = {
    source: { ...methods(['request', 'bytes', 'clockSkew']) },
    sink: { ...methods(['request', 'written', 'rejected', 'retried']) },
    pipeline: { ...methods(['quarantined', 'windowDone']) },
    health: { ...methods(['set']) },
  }
  const heard = createReports({
    stages,
    measured: () => ({ nodesReporting: null, series: undefined }),
    metrics: { ...told, alerts: {}, page: {} } as unknown as Metrics,
    health: told.health as unknown as HealthReport,
    observers: { guard: (_name, _part, given) => given },
  })
  heard.source.request('logging/network', '200', 12)
  heard.source.request('devices', '200', 9_000)
  heard.source.bytes(500)
  heard.sink.request('204', 7)
  heard.sink.written(30, 3_000)
  heard.sink.rejected(2, 'expired')
  heard.pipeline.quarantined('bad_time', 3)
  heard.pipeline.windowDone(1, { messages: 7, entries: 20, points: 15, bytes: 900, durationMs: 250 })
  heard.health.set('source', 'error', 'api_unauthorized', 'The key has ended; make a new one.')
  heard.health.set('names', 'warning', 'api_forbidden', 'No names.')
  heard.health.set('sink', 'ok')
  heard.sinkListener.failed(
    new CollectorError('It cannot be reached.', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' }),
  )
  heard.sink.retried('db_unreachable', 2_500)
  assert.deepEqual(
    stages.view().map(({ nextTrySeconds }) => nextTrySeconds),
    [null, null, null, 2.5],
  )
  heard.sink.written(1, 10)
  const [api, cut, fold, write] = stages.view()
  assert.equal(api?.lastSuccess, '2026-11-02T12:00:00.000Z')
  assert.deepEqual(api?.durationMs, { p50: 12, p95: 12 })
  assert.equal(api?.lastError?.text, 'The key has ended; make a new one.')
  assert.deepEqual([cut?.total, fold?.total, write?.total], [7, 15, 31])
  assert.match(cut?.lastError?.text ?? '', /3 quarantined \(bad_time\)/)
  assert.equal(fold?.lastError, null)
  assert.equal(write?.lastError?.text, 'It cannot be reached.')
  assert.equal(write?.perSecond, 31)
  assert.deepEqual(
    Object.values(told).map((component) => Object.values(component).reduce((sum, method) => sum + method.calls, 0)),
    [3, 5, 2, 3],
  )
})

/** Methods that count their calls. */
function methods(names: readonly string[]) {
  return Object.fromEntries(
    names.map((name) => {
      const method = Object.assign(() => void (method.calls += 1), { calls: 0 })
      return [name, method]
    }),
  )
}

test('the end of a backlog is told from how it shrinks', async () => {
  const clock = createFakeClock()
  const eta = createEta(clock.monotonicMs)
  assert.equal(eta.of(1_000), null)
  await clock.advance(10_000)
  assert.equal(eta.of(900), 90)
  await clock.advance(10_000)
  assert.equal(eta.of(800), 80)
  assert.equal(eta.of(0), null)
  // More history was asked for: the old pace says nothing.
  assert.equal(eta.of(5_000), null)
  await clock.advance(5_000)
  assert.equal(eta.of(5_000), null)
})
