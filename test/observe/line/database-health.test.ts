import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CollectorError } from '../../../src/base/errors.ts'
import { createHealth } from '../../../src/observe/health.ts'
import { createDatabaseHealth } from '../../../src/observe/line/database-health.ts'
import type { PipelineMetrics } from '../../../src/observe/metrics.ts'
import { createFakeClock } from '../../helpers/fake-clock.ts'
import { countingMetrics, silentLog } from '../../helpers/silent.ts'

const down = new CollectorError('no answer: start it', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' })
const wrong = new CollectorError('refused: new token', { stage: 'sink', code: 'db_unauthorized', reaction: 'hold' })

function setUp() {
  const clock = createFakeClock()
  const health = createHealth({ clock })
  const seen: string[] = []
  health.onChange(() => seen.push(health.state().status))
  const metrics = countingMetrics<PipelineMetrics>()
  const database = createDatabaseHealth({ clock, log: silentLog, metrics, health })
  return { clock, health, seen, database, listener: database.listener }
}

test('a write that is tried again is a warning with the reason, and over when it succeeded', () => {
  const { health, seen, database, listener } = setUp()
  const ended = database.began()
  listener.failed(down)
  assert.deepEqual([health.state().status, health.state().text], ['warning', 'no answer: start it'])
  listener.succeeded(3)
  assert.equal(health.state().status, 'warning', 'the window has more batches')
  ended()
  assert.equal(health.state().status, 'ok')
  assert.deepEqual(seen, ['warning', 'ok'])
})

test('two batches in flight, of which one fails for ever and the other succeeds: health does not flap', async () => {
  const { clock, seen, database, listener } = setUp()
  database.began()
  for (let round = 0; round < 100; round += 1) {
    const ended = database.began()
    listener.failed(down)
    listener.succeeded(1_000)
    ended()
    await clock.advance(2_000)
  }
  assert.deepEqual(seen, ['warning'])
})

test('what lasts five minutes is an error, and so is at once what a person must fix', async () => {
  const { clock, seen, database, listener, health } = setUp()
  const ended = database.began()
  for (let minute = 0; minute <= 5; minute += 1) {
    listener.failed(down)
    await clock.advance(60_000)
  }
  assert.deepEqual(seen, ['warning', 'error'])
  listener.succeeded(1)
  ended()
  listener.failed(wrong)
  assert.deepEqual([health.state().status, health.state().text], ['error', 'refused: new token'])
})

test('while the breaker is open its sentence stands, whatever single requests say, until it closes', async () => {
  const { clock, seen, database, listener, health } = setUp()
  listener.failed(down)
  database.changed(wrong)
  const since = health.state().components[0]?.since
  for (let round = 0; round < 100; round += 1) {
    const ended = database.began()
    listener.succeeded(1)
    listener.failed(down)
    ended()
    database.changed(wrong)
    await clock.advance(10_000)
  }
  assert.equal(health.state().text, 'refused: new token')
  assert.equal(health.state().components[0]?.since, since)
  database.changed(undefined)
  assert.deepEqual(seen, ['warning', 'error', 'ok'])
})
