/** The devices API is a comfort: whatever it does, no window waits for it, and what is wrong is reported. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HOUR, MINUTE, SECOND } from '../../src/base/clock.ts'
import { CollectorError } from '../../src/base/errors.ts'
import { createDeviceNames } from '../../src/directory/device-names.ts'
import type { PipelineMetrics } from '../../src/observe/metrics.ts'
import type { Device } from '../../src/source/source.ts'
import { eventually } from '../helpers/eventually.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { createLineWorld } from '../helpers/line-world.ts'
import { countingMetrics, keptLog } from '../helpers/silent.ts'
import { apiAndSource } from '../source/api-and-source.ts'

const WEB: Device = { nodeId: 'n1CNTRL', name: 'web', addresses: ['100.64.0.1'] }

type Answer = (signal: AbortSignal) => Promise<readonly Device[]>

function setUp(answer: Answer) {
  const clock = createFakeClock()
  const { log, entries } = keptLog()
  const health: string[] = []
  const observed: (readonly Device[])[] = []
  const asked: number[] = []
  const names = createDeviceNames(
    { devicesIntervalMs: 1_800_000 },
    {
      source: {
        devices(signal) {
          asked.push(clock.monotonicMs() / 1000)
          return answer(signal)
        },
      },
      names: { observe: (devices) => void observed.push(devices), count: () => observed.length },
      countsFromNs: () => clock.now(),
      metrics: countingMetrics<PipelineMetrics>(),
      health: {
        set: (component, status, code, text) =>
          void health.push([component, status, code, text].filter(Boolean).join(' ')),
      },
      clock,
      log,
    },
  )
  /** Asks whenever a tick would. */
  async function run(seconds: number): Promise<void> {
    for (let index = 0; index < seconds / 10; index += 1) {
      names.refresh()
      await clock.advance(10_000)
    }
  }
  return { clock, entries, health, observed, asked, names, run }
}

const never: Answer = () => new Promise(() => undefined)

test('one that never answers holds no window up: the first one waits five seconds, and that once for all', async () => {
  const clock = createFakeClock()
  const world = createLineWorld({ lookbackMs: 600_000 }, { clock, devices: never })
  world.api.records = Array.from({ length: 600 }, (_, index) => ({
    id: `r${index}`,
    loggedNs: NOON_NS - 10n * MINUTE + BigInt(index) * SECOND,
  }))
  assert.equal(await world.tick(), 'caught_up')
  const tookMs = clock.monotonicMs()
  assert.ok(tookMs >= 5_000 && tookMs < 6_000, `the first tick took ${tookMs} ms`)
  assert.ok(world.db.rows.size > 500)
  const lags: (number | null)[] = []
  for (let minute = 0; minute < 30; minute += 1) {
    const beganMs = clock.monotonicMs()
    assert.equal(await world.tick(), 'caught_up')
    assert.ok(clock.monotonicMs() - beganMs < 1_000)
    lags.push(world.pipeline.status().lagSeconds)
    await clock.advance(60_000)
  }
  assert.ok(Math.max(...lags.map(Number)) < 62, `lag ${Math.max(...lags.map(Number))} s`)
  assert.equal(world.health.get('names')?.status, 'warning')
  assert.equal(world.health.get('names')?.code, 'api_timeout')
  assert.equal(world.health.get('line')?.status, 'ok')
  await world.pipeline.stop()
})

test('a minute for an answer, then a warning, and longer and longer pauses; its recovery is reported', async () => {
  let isBad = true
  const { entries, health, observed, asked, run } = setUp((signal) => (isBad ? never(signal) : Promise.resolve([WEB])))
  await run(3_600)
  // 60 s of patience, then 1, 2, 4, 8 and 15 min of pause.
  assert.deepEqual(asked, [0, 120, 300, 600, 1140, 2100, 3060])
  assert.equal(entries.length, 7)
  assert.match(health[0] ?? '', /^names warning api_timeout .*within 60 s.*Known names are kept.*Look for a slow proxy/)
  isBad = false
  await run(1_200)
  assert.equal(observed.length, 1)
  assert.equal(health.at(-1), 'names ok')
})

test('a bug while devices are read is a warning about names, not the end of the process', async () => {
  const { health, entries, run } = setUp(() => Promise.reject(new TypeError('undefined is not a function')))
  await run(10)
  assert.match(health.join(), /^names warning names_failed .*inside tailflux/)
  assert.equal(entries[0]?.err?.message, 'undefined is not a function')
})

test('how long the API wants to be left alone counts', async () => {
  const { asked, run } = setUp(() =>
    Promise.reject(
      new CollectorError('slow down', {
        stage: 'source',
        code: 'api_rate_limited',
        reaction: 'retry',
        retryAfterMs: 600_000,
      }),
    ),
  )
  await run(610)
  assert.deepEqual(asked, [0, 600])
})

test('stopping breaks it off at once, and nothing is reported', async () => {
  const { clock, names, health, entries } = setUp(never)
  names.refresh()
  await clock.advance(1_000)
  await names.stop()
  assert.equal(clock.monotonicMs(), 1_000)
  assert.deepEqual([health, entries], [[], []])
  names.refresh()
  assert.equal(clock.nextWakeMs(), undefined, 'nothing is left behind')
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
  const { clock, names, health } = setUp((signal) => source.devices(signal))
  names.refresh()
  await eventually('some bytes', () => bytes > 20)
  await clock.advance(59_000)
  assert.equal(isClosed, false)
  await clock.advance(1_000)
  await eventually('the socket to be closed', () => isClosed)
  assert.match(health.join(), /^names warning api_timeout/)
})

test('names of a first start count from the beginning when they come in time, and reading that has begun never waits', async () => {
  for (const hasBegun of [false, true]) {
    const clock = createFakeClock()
    const order: string[] = []
    const world = createLineWorld(
      { lookbackMs: Number(HOUR / 1_000_000n) },
      {
        clock,
        devices: () => clock.sleep(2_000).then(() => [WEB]),
        names: {
          hasBegun: () => hasBegun,
          readingBegins: () => void order.push('reading begins'),
          observe: () => void order.push('names are known'),
        },
      },
    )
    await world.tick()
    await clock.advance(3_000)
    const wanted = ['names are known', 'reading begins']
    assert.deepEqual(order, hasBegun ? wanted.toReversed() : wanted)
    await world.pipeline.stop()
  }
})
