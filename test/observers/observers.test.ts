/** Observers cannot hurt the line: whatever they throw or reject with, ingestion continues, the failure is reported, and they come back. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MINUTE, SECOND } from '../../src/base/clock.ts'
import type { Points } from '../../src/flatten/points.ts'
import { createHealth } from '../../src/observe/health.ts'
import { createMetrics } from '../../src/observe/metrics.ts'
import { createObservers, type Instance, type Observer } from '../../src/observers/observers.ts'
import type { WindowResult } from '../../src/pipeline/deliver-window.ts'
import type { PlannedWindow } from '../../src/pipeline/planner.ts'
import type { Message } from '../../src/source/parse/message.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { createLineWorld } from '../helpers/line-world.ts'
import { keptLog } from '../helpers/silent.ts'

const WINDOW: PlannedWindow = { fromNs: NOON_NS, toNs: NOON_NS + MINUTE, queue: 'live', pass: 1 }
const RESULT = {} as WindowResult
const POINTS = {} as Points
const MESSAGE = {} as Message

function setUp() {
  const clock = createFakeClock()
  const { log, entries } = keptLog()
  const health = createHealth({ clock })
  const metrics = createMetrics({ version: '0', clock })
  const changes: string[] = []
  health.onChange(() =>
    changes.push(
      health
        .state()
        .components.map(({ status }) => status)
        .join(),
    ),
  )
  const observers = createObservers({ clock, log, health, metrics: metrics.observers })
  const failures = async () =>
    Number(/observer_failures_total\{observer="alerts"\} (\d+)/.exec(await metrics.render())?.[1])
  const component = (name: string) => health.state().components.find((one) => one.component === name)
  return { clock, entries, health, changes, observers, failures, component }
}

/** Keeps what it hears; `fault` may throw. */
function listener(fault: (what: string) => unknown) {
  const heard: string[] = []
  const lives: Instance[] = []
  const events: string[] = []
  function create(): Instance {
    const life = lives.length + 1
    const hear = (what: string) => {
      heard.push(`${life} ${what}`)
      return fault(what) as undefined
    }
    const observer: Observer = {
      points: () => hear('points'),
      done: () => hear('done'),
      failed: () => hear('failed'),
    }
    const made: Instance = {
      observer,
      start: async () => void events.push(`${life} starts`),
      stop: async () => void events.push(`${life} stops`),
      giveUp: async () => void events.push(`${life} is given up`),
    }
    lives.push(made)
    return made
  }
  return { heard, lives, events, create }
}

for (const [how, fail] of [
  [
    'throws',
    () => {
      throw new TypeError('not a function')
    },
  ],
  ['rejects', () => Promise.reject(new TypeError('not a function'))],
] as const) {
  test(`an observer that ${how} once is restarted within a second, sees whole windows only, and is well again`, async () => {
    const { clock, entries, observers, component, failures } = setUp()
    let isBad = true
    const bad = listener(() => (isBad ? fail() : undefined))
    const good = listener(() => undefined)
    observers.add('alerts', bad.create)
    observers.add('page', good.create)
    await observers.start()

    const first = observers.begin(WINDOW)
    first.points(POINTS, MESSAGE)
    await clock.advance(0)
    assert.equal(component('alerts')?.status, 'warning')
    assert.match(
      component('alerts')?.text ?? '',
      /no rule is evaluated.*Ingestion continues.*next at 2026-11-02T12:00:01.*report that log line/,
    )
    isBad = false
    await clock.advance(1_000)
    assert.equal(bad.lives.length, 2)
    // The window that was half over when the second life began.
    first.points(POINTS, MESSAGE)
    first.done(RESULT)
    const second = observers.begin(WINDOW)
    second.points(POINTS, MESSAGE)
    assert.equal(component('alerts')?.status, 'warning', 'nothing is proven yet')
    await clock.advance(1_000)
    second.done(RESULT)
    assert.equal(component('alerts')?.status, 'ok')

    assert.deepEqual(bad.heard, ['1 points', '2 points', '2 done'])
    assert.deepEqual(good.heard, ['1 points', '1 points', '1 done', '1 points', '1 done'])
    assert.deepEqual(bad.events, ['1 starts', '1 is given up', '2 starts'])
    assert.equal(await failures(), 1)
    assert.deepEqual(
      entries.map(({ level, msg }) => [level, msg]),
      [
        [50, 'observer failed, ingestion continues'],
        [30, 'observer works again'],
      ],
    )
    await observers.stop()
    assert.deepEqual(bad.events.at(-1), '2 stops')
  })
}

test('one that throws at every message costs a message per backoff, a log line a minute at most, and /health does not flap', async () => {
  const { clock, entries, observers, changes, component, failures } = setUp()
  let isBad = true
  const bad = listener(() => {
    if (isBad) throw new Error('always')
  })
  observers.add('alerts', bad.create)
  await observers.start()
  let messages = 0
  async function anHour(): Promise<void> {
    for (let second = 0; second < 3_600; second += 1) {
      const window = observers.begin(WINDOW)
      for (let index = 0; index < 10; index += 1) window.points(POINTS, MESSAGE)
      messages += 10
      window.done(RESULT)
      await clock.advance(1_000)
    }
  }
  await anHour()
  assert.equal(messages, 36_000)
  assert.ok(bad.heard.length <= 25, `${bad.heard.length} messages were lost on it`)
  assert.equal(await failures(), bad.heard.length)
  assert.deepEqual(changes, ['warning'])
  assert.ok(entries.length <= bad.heard.length && entries.length >= 5, `${entries.length} log lines`)
  // The fault is gone: it comes back by itself.
  isBad = false
  for (let second = 0; second < 900 && component('alerts')?.status !== 'ok'; second += 1) {
    const window = observers.begin(WINDOW)
    window.points(POINTS, MESSAGE)
    window.done(RESULT)
    await clock.advance(1_000)
  }
  assert.equal(component('alerts')?.status, 'ok')
  assert.deepEqual(changes, ['warning', 'ok'])
  assert.equal(bad.lives.length, bad.events.filter((one) => one.endsWith('starts')).length)
  await observers.stop()
})

test('one whose timer fails is restarted too, and is not well while the timer fails, whatever windows it sees', async () => {
  const { clock, observers, changes } = setUp()
  const timer = listener(() => undefined)
  let lives = 0
  observers.add('alerts', (onBroken) => {
    lives += 1
    void clock.sleep(2_500).then(() => onBroken(new Error('timer')))
    return timer.create()
  })
  await observers.start()
  for (let second = 0; second < 300; second += 1) {
    const window = observers.begin(WINDOW)
    window.points(POINTS, MESSAGE)
    window.done(RESULT)
    await clock.advance(1_000)
  }
  assert.ok(lives > 4 && lives < 12, `${lives} lives`)
  // Once only: when its first backoff was a second, a life of two seconds proved something.
  assert.ok(changes.length <= 5, changes.join(' '))
  await observers.stop()
})

test('one that cannot start does not keep the others from starting, and is tried again', async () => {
  const { clock, observers, component } = setUp()
  const heard: string[] = []
  let starts = 0
  const observer: Observer = { points: () => void heard.push('late'), done: () => undefined, failed: () => undefined }
  const handle = observers.add('alerts', () => ({
    observer,
    async start() {
      starts += 1
      if (starts < 3) throw new Error('the state file is odd')
    },
  }))
  const good = listener(() => undefined)
  observers.add('page', good.create)
  await observers.start()
  assert.equal(
    handle.use(() => 'here'),
    undefined,
  )
  observers.begin(WINDOW).points(POINTS, MESSAGE)
  assert.deepEqual([heard, good.heard], [[], ['1 points']])
  assert.equal(component('alerts')?.status, 'warning')
  await clock.advance(3_000)
  assert.equal(
    handle.use(() => 'here'),
    'here',
  )
  observers.begin(WINDOW).points(POINTS, MESSAGE)
  assert.deepEqual(heard, ['late'])
  await observers.stop()
})

test('what is asked of an observer and throws turns it off, and only it', async () => {
  const { clock, observers, component } = setUp()
  const page = observers.add('page', listener(() => undefined).create)
  await observers.start()
  assert.equal(
    page.use(() => {
      throw new Error('view')
    }),
    undefined,
  )
  assert.equal(
    page.use(() => 1),
    undefined,
  )
  assert.equal(component('page')?.status, 'warning')
  await clock.advance(1_000)
  assert.equal(
    page.use(() => 1),
    1,
  )
  await observers.stop()
})

test('stopping waits five seconds for a comfort, not for ever', async () => {
  const { clock, observers, entries } = setUp()
  const never = new Promise<void>(() => undefined)
  const events: string[] = []
  const observer: Observer = { points: () => undefined, done: () => undefined, failed: () => undefined }
  observers.add('page', () => ({ observer, stop: async () => void events.push('page stops') }))
  observers.add('alerts', () => ({ observer, stop: () => never }))
  await observers.start()
  const stopped = observers.stop().then(() => events.push('all stopped'))
  await clock.advance(4_900)
  assert.deepEqual(events, [])
  await clock.advance(200)
  await stopped
  assert.deepEqual(events, ['page stops', 'all stopped'])
  assert.deepEqual(
    entries.map(({ msg }) => msg),
    ['observer does not stop, stopping without it'],
  )
})

test('metrics that throw or reject are counted, reported once a minute, and forgotten when they have not failed for a minute', async () => {
  const { clock, observers, entries, component } = setUp()
  let isBad = true
  const guarded = observers.guard('metrics', 'sink', {
    written(lines: number) {
      if (isBad) throw new RangeError(`cannot count ${lines}`)
    },
    async request() {
      if (isBad) throw new RangeError('cannot count')
    },
  })
  for (let index = 0; index < 100; index += 1) {
    guarded.written(-1)
    void guarded.request()
    await clock.advance(1_000)
  }
  assert.equal(component('metrics')?.status, 'warning')
  assert.match(component('metrics')?.text ?? '', /what \/metrics and the dashboard/)
  assert.equal(entries.length, 4)
  isBad = false
  await clock.advance(60_000)
  guarded.written(1)
  assert.equal(component('metrics')?.status, 'warning', 'the other one has not shown itself')
  void guarded.request()
  assert.equal(component('metrics')?.status, 'ok')
})

test('the line goes on beside an observer that throws at everything: the same points, windows and watermark', async () => {
  const run = async (isBad: boolean) => {
    const clock = createFakeClock()
    const { log, entries } = keptLog()
    const health = createHealth({ clock })
    const metrics = createMetrics({ version: '0', clock })
    const observers = createObservers({ clock, log, health, metrics: metrics.observers })
    const bad = listener(() => {
      if (isBad) throw new Error('always')
    })
    observers.add('alerts', bad.create)
    await observers.start()
    const world = createLineWorld({ lookbackMs: 600_000 }, { clock, observers })
    world.api.records = Array.from({ length: 2_000 }, (_, index) => ({
      id: `r${index}`,
      loggedNs: NOON_NS - 10n * MINUTE + BigInt(index) * SECOND,
    }))
    await world.run(600_000)
    await observers.stop()
    const { watermark, totals } = world.pipeline.status()
    return { watermark, totals, rows: [...world.db.rows.keys()].toSorted(), heard: bad.heard, entries, health }
  }
  const [good, bad] = [await run(false), await run(true)]
  assert.deepEqual(bad.rows, good.rows)
  assert.ok(bad.rows.length > 1_000)
  assert.deepEqual([bad.watermark, bad.totals], [good.watermark, good.totals])
  assert.ok(good.heard.length > 1_000 && bad.heard.length < 20, `${bad.heard.length} of ${good.heard.length} heard`)
  assert.equal(bad.health.state().status, 'warning')
})
