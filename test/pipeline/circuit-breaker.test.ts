import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MINUTE } from '../../src/base/clock.ts'
import { CollectorError } from '../../src/base/errors.ts'
import { createCircuitBreaker } from '../../src/pipeline/circuit-breaker.ts'
import type { PlannedWindow } from '../../src/pipeline/planner.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'

const signal = new AbortController().signal
const down = new CollectorError('no answer', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' })
const wrong = new CollectorError('token refused', { stage: 'sink', code: 'db_unauthorized', reaction: 'hold' })
const conflict = new CollectorError('other type', { stage: 'sink', code: 'db_conflict', reaction: 'hold' })
const windowAt = (index: bigint): PlannedWindow => ({
  fromNs: index * MINUTE,
  toNs: (index + 1n) * MINUTE,
  queue: 'backlog',
  pass: 1,
})

function setUp() {
  const clock = createFakeClock()
  const probes: number[] = []
  const kinds: boolean[] = []
  const changes: (string | undefined)[] = []
  const world = { error: undefined as CollectorError | undefined }
  const breaker = createCircuitBreaker({
    clock,
    async probe(isRecovering) {
      probes.push(clock.monotonicMs())
      kinds.push(isRecovering)
      if (world.error) throw world.error
    },
    onChange: (error) => changes.push(error?.code),
  })
  return { clock, probes, kinds, changes, world, breaker }
}

test('a fresh acknowledgement makes a probe needless, an old one does not', async () => {
  const { breaker, clock, probes, kinds } = setUp()
  assert.equal(await breaker.mayPass(signal), true)
  assert.equal(probes.length, 1)
  await clock.advance(9_000)
  assert.equal(await breaker.mayPass(signal), true)
  assert.equal(probes.length, 1)
  breaker.acknowledged()
  await clock.advance(9_000)
  assert.equal(await breaker.mayPass(signal), true)
  assert.equal(probes.length, 1)
  await clock.advance(2_000)
  assert.equal(await breaker.mayPass(signal), true)
  assert.equal(probes.length, 2)
  assert.deepEqual(kinds, [false, false], 'while all is well a probe leaves nothing behind')
})

test('while open it probes ever more slowly, up to 30 s', async () => {
  const { breaker, clock, probes, world } = setUp()
  world.error = down
  while (clock.monotonicMs() < 600_000) {
    assert.equal(await breaker.mayPass(signal), false)
    await clock.advance(500)
  }
  const pauses = probes.slice(1).map((at, index) => at - (probes[index] ?? 0))
  assert.ok(
    (pauses[0] ?? 0) <= 1_500 && Math.max(...pauses) <= 30_500 && (pauses.at(-1) ?? 0) >= 29_500,
    pauses.join(' '),
  )
})

test('a hold is probed at most every five minutes once it lasts', async () => {
  const { breaker, clock, probes, world } = setUp()
  world.error = wrong
  while (clock.monotonicMs() < 3_600_000) {
    await breaker.mayPass(signal)
    await clock.advance(1_000)
  }
  const pauses = probes.slice(1).map((at, index) => at - (probes[index] ?? 0))
  assert.ok((pauses.at(-1) ?? 0) >= 299_000 && Math.max(...pauses) <= 301_000, pauses.join(' '))
})

test('after a failed window a probe only half-opens: it closes with what failed, or with lines that were written', async () => {
  for (const [name, done, written] of [
    ['the window that failed is done', windowAt(1n), 0],
    ['another one had lines', windowAt(7n), 3],
  ] as const) {
    const { breaker, clock, kinds, changes } = setUp()
    await breaker.mayPass(signal)
    breaker.failed(down, windowAt(1n))
    assert.deepEqual([breaker.state, await breaker.mayPass(signal)], ['open', false])
    breaker.acknowledged()
    breaker.succeeded(windowAt(2n), 5)
    assert.equal(breaker.state, 'open', 'what was under way then proves nothing')
    await clock.advance(breaker.waitMs())
    assert.equal(await breaker.mayPass(signal), true)
    assert.deepEqual([breaker.state, breaker.error, breaker.trial], ['half-open', down, windowAt(1n)], name)
    assert.equal(kinds.at(-1), true, 'the probe after a failure is a real point')
    breaker.succeeded(windowAt(3n), 0)
    assert.equal(breaker.state, 'half-open', 'an empty window proves nothing')
    breaker.succeeded(done, written)
    assert.deepEqual([breaker.state, breaker.error, breaker.trial], ['closed', undefined, undefined], name)
    assert.deepEqual(changes, [undefined, 'db_unreachable', undefined])
  }
})

test('a window that failed and is done in pieces, none of which has lines, closes it with the last one', async () => {
  const { breaker, clock } = setUp()
  breaker.failed(down, windowAt(0n))
  await clock.advance(1_000)
  await breaker.mayPass(signal)
  breaker.succeeded({ fromNs: 0n, toNs: MINUTE / 2n }, 0)
  assert.equal(breaker.state, 'half-open')
  breaker.succeeded({ fromNs: MINUTE / 2n, toNs: MINUTE }, 0)
  assert.equal(breaker.state, 'closed')
})

test('when only a probe had failed, any window closes it: a tailnet without traffic recovers too', async () => {
  const { breaker, clock, world } = setUp()
  world.error = down
  await breaker.mayPass(signal)
  world.error = undefined
  await clock.advance(1_000)
  assert.equal(await breaker.mayPass(signal), true)
  assert.equal(breaker.state, 'half-open')
  breaker.succeeded(windowAt(1n), 0)
  assert.equal(breaker.state, 'closed')
})

test('a database that answers each probe and takes no data: one sentence, and a backoff that grows to five minutes', async () => {
  const { breaker, clock, changes } = setUp()
  await breaker.mayPass(signal)
  breaker.failed(conflict, windowAt(1n))
  const trials: number[] = []
  while (clock.monotonicMs() < 3_600_000) {
    await clock.advance(1_000)
    if (!(await breaker.mayPass(signal))) continue
    assert.deepEqual(breaker.trial, windowAt(1n))
    trials.push(clock.monotonicMs())
    breaker.failed(conflict, windowAt(1n))
  }
  const pauses = trials.slice(1).map((at, index) => at - (trials[index] ?? 0))
  assert.deepEqual(pauses.slice(0, 7), [2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000])
  assert.deepEqual(pauses.slice(8), pauses.slice(8).fill(300_000))
  assert.deepEqual([...new Set(changes)], [undefined, 'db_conflict'])
  assert.equal(changes.lastIndexOf(undefined), 0, 'it never looked well in between')
})

test('several windows that fail together are one failure, told by what a person must fix', async () => {
  const { breaker, changes, clock } = setUp()
  for (let index = 0n; index < 200n; index += 1n) breaker.failed(down, windowAt(index))
  assert.equal(breaker.waitMs(), 1_000)
  breaker.failed(wrong, windowAt(200n))
  breaker.failed(down, windowAt(201n))
  assert.deepEqual(changes, ['db_unreachable', 'db_unauthorized'])
  assert.equal(breaker.error, wrong)
  assert.deepEqual(breaker.trial, windowAt(0n))
  await clock.advance(1_000)
  assert.equal(await breaker.mayPass(signal), true)
})

test('what the database asks for is obeyed', async () => {
  const { breaker, clock } = setUp()
  const busy = new CollectorError('busy', {
    stage: 'sink',
    code: 'db_overloaded',
    reaction: 'retry',
    retryAfterMs: 90_000,
  })
  breaker.failed(busy, windowAt(1n))
  await clock.advance(89_000)
  assert.equal(await breaker.mayPass(signal), false)
  await clock.advance(1_000)
  assert.equal(await breaker.mayPass(signal), true)
})

test('a bug in the probe is not taken for a database that is down', async () => {
  const breaker = createCircuitBreaker({
    clock: createFakeClock(),
    probe: () => Promise.reject(new TypeError('bug')),
    onChange: () => undefined,
  })
  await assert.rejects(breaker.mayPass(signal), TypeError)
})

test('the first good probe is told, later ones are not', async () => {
  const { breaker, clock, changes } = setUp()
  assert.equal(await breaker.mayPass(signal), true)
  await clock.advance(11_000)
  assert.equal(await breaker.mayPass(signal), true)
  assert.deepEqual(changes, [undefined])
})
