/** The devices API is a comfort: whatever it does, nothing waits for it, and what is wrong is reported. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CollectorError } from '../../src/base/errors.ts'
import { createDeviceList } from '../../src/directory/device-list.ts'
import type { Device } from '../../src/source/source.ts'
import { eventually } from '../helpers/eventually.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { countingMetrics, keptLog } from '../helpers/silent.ts'
import { apiAndSource } from '../source/api-and-source.ts'

const WEB: Device = { nodeId: 'n1CNTRL', name: 'web', addresses: ['100.64.0.1'] }

type Answer = (signal: AbortSignal) => Promise<readonly Device[]>

function setUp(answer: Answer, onList: (devices: readonly Device[]) => void = () => undefined) {
  const clock = createFakeClock()
  const { log, entries } = keptLog()
  const health: string[] = []
  const lists: (readonly Device[])[] = []
  const asked: number[] = []
  const metrics = countingMetrics<{ devicesKnown(count: number): void }>()
  const list = createDeviceList(
    { intervalMs: 1_800_000 },
    {
      source: {
        devices(signal) {
          asked.push(clock.monotonicMs() / 1000)
          return answer(signal)
        },
      },
      onList(devices) {
        lists.push(devices)
        onList(devices)
      },
      metrics,
      health: {
        set: (component, status, code, text) =>
          void health.push([component, status, code, text].filter(Boolean).join(' ')),
      },
      clock,
      log,
    },
  )
  return { clock, entries, health, lists, asked, list, metrics }
}

const never: Answer = () => new Promise(() => undefined)

test('a minute for an answer, then a warning, and longer and longer pauses; its recovery is reported', async () => {
  let isBad = true
  const { clock, entries, health, lists, asked, list, metrics } = setUp((signal) =>
    isBad ? never(signal) : Promise.resolve([WEB]),
  )
  list.start()
  await clock.advance(3_600_000)
  // 60 s of patience, then 1, 2, 4, 8 and 15 min of pause.
  assert.deepEqual(asked, [0, 120, 300, 600, 1140, 2100, 3060])
  assert.equal(entries.length, 7)
  assert.match(health[0] ?? '', /^names warning api_timeout .*within 60 s.*Known names are kept.*Look for a slow proxy/)
  assert.equal(list.connected(), undefined)
  isBad = false
  await clock.advance(1_200_000)
  assert.equal(lists.length, 1)
  assert.equal(health.at(-1), 'names ok')
  assert.deepEqual(metrics.calls.get('devicesKnown'), [[1]])
  await list.first
  await list.stop()
})

test('a bug while devices are read, or learnt, is a warning about names, not the end of the process', async () => {
  const bug = () => new TypeError('undefined is not a function')
  const learning = () => {
    throw bug()
  }
  for (const made of [setUp(() => Promise.reject(bug())), setUp(async () => [WEB], learning)]) {
    const { clock, health, entries, list } = made
    list.start()
    await clock.advance(10_000)
    assert.match(health.join(), /^names warning names_failed .*inside tailflux/)
    assert.equal(entries[0]?.err?.message, 'undefined is not a function')
    assert.equal(list.connected(), undefined)
    await list.stop()
  }
})

test('a list that may not be read is a warning with what to change, and is asked for again', async () => {
  const { clock, asked, health, list } = setUp(() =>
    Promise.reject(
      new CollectorError('The credentials lack the scope devices:core:read; add it.', {
        ...{ stage: 'source', code: 'api_forbidden', reaction: 'hold' },
      }),
    ),
  )
  list.start()
  await clock.advance(200_000)
  assert.deepEqual(asked, [0, 60, 180])
  assert.equal(health[0], 'names warning api_forbidden The credentials lack the scope devices:core:read; add it.')
  await list.stop()
})

test('how long the API wants to be left alone counts', async () => {
  const { clock, asked, list } = setUp(() =>
    Promise.reject(
      new CollectorError('slow down', {
        ...{ stage: 'source', code: 'api_rate_limited', reaction: 'retry', retryAfterMs: 600_000 },
      }),
    ),
  )
  list.start()
  await clock.advance(610_000)
  assert.deepEqual(asked, [0, 600])
  await list.stop()
})

test('stopping breaks it off at once, and nothing is reported', async () => {
  const { clock, list, health, entries } = setUp(never)
  list.start()
  await clock.advance(1_000)
  await list.stop()
  assert.equal(clock.monotonicMs(), 1_000)
  assert.deepEqual([health, entries], [[], []])
  assert.equal(clock.nextWakeMs(), undefined, 'nothing is left behind')
  await setUp(never).list.stop()
})

test('a server that drips a byte at a time is let go after a minute, and its socket with it', async (t) => {
  const { api, source } = await apiAndSource(t)
  let isClosed = false
  let bytes = 0
  api.on('devices', (response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).write('{"devices":[')
    const drip = setInterval(() => {
      bytes += 1
      response.write(' ')
    }, 5)
    response.on('close', () => {
      clearInterval(drip)
      isClosed = true
    })
  })
  const { clock, list, health } = setUp((signal) => source.devices(signal))
  t.after(() => list.stop())
  list.start()
  await eventually('some bytes', () => bytes > 20)
  await clock.advance(59_000)
  assert.equal(isClosed, false)
  await clock.advance(1_000)
  await eventually('the socket to be closed', () => isClosed)
  assert.match(health.join(), /^names warning api_timeout/)
})
