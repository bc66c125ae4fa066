import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CollectorError } from '../../src/errors.ts'
import { createGate } from '../../src/pipeline/gate.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'

const signal = new AbortController().signal
const down = new CollectorError('no answer', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' })
const wrong = new CollectorError('token refused', { stage: 'sink', code: 'db_unauthorized', reaction: 'hold' })

function setUp() {
  const clock = createFakeClock()
  const probes: number[] = []
  let opened = 0
  const changes: (string | undefined)[] = []
  const state: { error: CollectorError | undefined } = { error: undefined }
  const gate = createGate({
    clock,
    sink: {
      async probe() {
        probes.push(clock.monotonicMs())
        if (state.error) throw state.error
      },
    },
    onOpen: () => {
      opened += 1
    },
    onChange: (error) => changes.push(error?.code),
  })
  return { clock, probes, opened: () => opened, changes, state, gate }
}

test('a fresh receipt makes a probe needless, an old one does not', async () => {
  const { gate, clock, probes } = setUp()
  assert.equal(await gate.isOpen(signal), true)
  assert.equal(probes.length, 1)
  await clock.advance(9_000)
  assert.equal(await gate.isOpen(signal), true)
  assert.equal(probes.length, 1)
  await clock.advance(2_000)
  assert.equal(await gate.isOpen(signal), true)
  assert.equal(probes.length, 2)
})

test('while closed it probes ever more slowly, up to 30 s', async () => {
  const { gate, clock, probes, state } = setUp()
  state.error = down
  while (clock.monotonicMs() < 600_000) {
    assert.equal(await gate.isOpen(signal), false)
    await clock.advance(500)
  }
  const pauses = probes.slice(1).map((at, index) => at - (probes[index] ?? 0))
  assert.ok(
    (pauses[0] ?? 0) <= 1_500 && Math.max(...pauses) <= 30_500 && (pauses.at(-1) ?? 0) >= 29_500,
    pauses.join(' '),
  )
})

test('a hold is probed at most every five minutes once it lasts', async () => {
  const { gate, clock, probes, state } = setUp()
  state.error = wrong
  while (clock.monotonicMs() < 3_600_000) {
    await gate.isOpen(signal)
    await clock.advance(1_000)
  }
  const pauses = probes.slice(1).map((at, index) => at - (probes[index] ?? 0))
  assert.ok((pauses.at(-1) ?? 0) >= 299_000 && Math.max(...pauses) <= 301_000, pauses.join(' '))
})

test('only a good probe opens it again', async () => {
  const { gate, clock, state, opened } = setUp()
  await gate.isOpen(signal)
  gate.close(down)
  gate.confirmed()
  assert.equal(gate.error, down, 'a receipt that was under way does not open it')
  state.error = undefined
  await clock.advance(60_000)
  assert.equal(await gate.isOpen(signal), true)
  assert.equal(opened(), 1)
  assert.equal(gate.error, undefined)
})

test('a bug in the probe is not taken for a database that is down', async () => {
  const gate = createGate({
    clock: createFakeClock(),
    sink: { probe: () => Promise.reject(new TypeError('bug')) },
    onOpen: () => undefined,
    onChange: () => undefined,
  })
  await assert.rejects(gate.isOpen(signal), TypeError)
})

test('the first good probe is told, later ones are not, and neither is one that only ends a failure twice', async () => {
  const { gate, clock, changes, state } = setUp()
  assert.equal(await gate.isOpen(signal), true)
  await clock.advance(11_000)
  assert.equal(await gate.isOpen(signal), true)
  assert.deepEqual(changes, [undefined])
  await clock.advance(11_000)
  state.error = down
  assert.equal(await gate.isOpen(signal), false)
  state.error = undefined
  await clock.advance(31_000)
  assert.equal(await gate.isOpen(signal), true)
  assert.deepEqual(changes, [undefined, 'db_unreachable', undefined])
})
