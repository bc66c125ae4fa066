/** The schedule: at once, at its times, never two at a time, through clocks that jump or stand still, and a stop that waits. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { DEFAULT_SCHEDULE, parseSchedule } from '../../src/schedule/poll-times.ts'
import { createSchedule } from '../../src/schedule/schedule.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { silentLog } from '../helpers/silent.ts'

const DAY = 86_400_000

function setUp(
  job: () => Promise<unknown>,
  {
    expression = '0 0 * * * *',
    onBroken = () => undefined,
    ...more
  }: { expression?: string; onBroken?: (error: unknown) => void; watch?: () => void; log?: typeof silentLog } = {},
) {
  const clock = createFakeClock()
  const at: string[] = []
  const schedule = createSchedule(parseSchedule(expression), {
    job: async () => {
      at.push(new Date(Number(clock.now() / 1_000_000n)).toISOString())
      return (await job()) === 'undone'
    },
    clock,
    log: silentLog,
    onBroken,
    ...more,
  })
  return { clock, schedule, at }
}

test('the job runs at once, and a second call joins the run that is under way', async () => {
  let runs = 0
  const gate = Promise.withResolvers<void>()
  const { schedule } = setUp(() => {
    runs += 1
    return gate.promise
  })
  await schedule.start()
  const joined = schedule.run()
  assert.equal(runs, 1)
  gate.resolve()
  await joined
  await schedule.run()
  assert.equal(runs, 2)
  await schedule.stop()
})

test('the job runs at the times of the schedule, and the next one is told', async () => {
  const { clock, schedule, at } = setUp(async () => undefined, { expression: '0 */20 * * * *' })
  assert.equal(schedule.next(), null)
  await clock.advance(61_500)
  await schedule.start()
  await clock.advance(1_000)
  assert.equal(schedule.next(), '2026-11-02T12:20:00.000Z')
  await clock.advance(3_600_000)
  await schedule.stop()
  assert.deepEqual(
    at.map((text) => text.slice(11, 23)),
    ['12:01:01.500', '12:20:00.000', '12:40:00.000', '13:00:00.000'],
  )
  assert.equal(schedule.next(), null)
})

test('a time of the schedule that comes while the job still runs is left out', async () => {
  const gate = Promise.withResolvers<void>()
  const { clock, schedule, at } = setUp(() => (at.length === 2 ? gate.promise : Promise.resolve()), {
    expression: DEFAULT_SCHEDULE,
  })
  await schedule.start()
  await clock.advance(100_000)
  assert.equal(at.length, 2)
  gate.resolve()
  await clock.advance(30_000)
  assert.equal(at.length, 3)
  await schedule.stop()
})

for (const days of [1, 30, 365, 4_000]) {
  test(`a clock that jumps forward by ${days} days: one poll within a second, then at the times by the new clock, no line in the log`, async () => {
    const lines: string[] = []
    const log = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) })
    const { clock, schedule, at } = setUp(async () => undefined, { expression: DEFAULT_SCHEDULE, log })
    await schedule.start()
    await clock.advance(10_000)
    clock.jump(days * DAY + 7_000)
    const beganMs = performance.now()
    await clock.advance(1_000)
    assert.ok(performance.now() - beganMs < 1_000)
    assert.equal(at.length, 2, 'thousands of missed polls are one poll')
    await clock.advance(60_000)
    await schedule.stop()
    assert.deepEqual(
      at.slice(2).map((text) => text.slice(17)),
      ['30.000Z', '00.000Z'],
    )
    assert.equal(Date.parse(at[1] ?? '') - Number(NOON_NS / 1_000_000n), days * DAY + 18_000)
    assert.deepEqual(lines, [])
  })

  test(`a clock that is set back by ${days} days: the next poll comes at the next time by the new clock`, async () => {
    const { clock, schedule, at } = setUp(async () => undefined, { expression: DEFAULT_SCHEDULE })
    await schedule.start()
    await clock.advance(10_000)
    clock.jump(-days * DAY + 3_000)
    await clock.advance(1_000)
    assert.equal(schedule.next()?.slice(11), '12:00:30.000Z')
    await clock.advance(46_500)
    await schedule.stop()
    assert.deepEqual(
      at.slice(1).map((text) => text.slice(11)),
      ['12:00:30.000Z', '12:01:00.000Z'],
    )
  })
}

test('a jump forward that passes over no poll changes nothing but the time until it', async () => {
  const { clock, schedule, at } = setUp(async () => undefined)
  await schedule.start()
  clock.jump(3_599_000)
  await clock.advance(1_000)
  assert.deepEqual(at.slice(1), ['2026-11-02T13:00:00.000Z'])
  await schedule.stop()
})

test('a wall clock that stands still does not stop polling', async () => {
  const lines: string[] = []
  const log = pino({}, { write: (line: string) => void lines.push(line) })
  const { clock, schedule, at } = setUp(async () => undefined, { log })
  await schedule.start()
  async function pass(seconds: number): Promise<void> {
    for (let second = 0; second < seconds; second += 1) {
      await clock.advance(1_000)
      clock.jump(-1_000)
    }
  }
  await pass(3 * 3_600)
  assert.equal(at.length, 1)
  await pass(10)
  assert.equal(at.length, 2)
  assert.match(lines.join(), /does not move/)
  await schedule.stop()
})

test('what was left undone is tried again after half a minute, whatever the schedule', async () => {
  let isAway = true
  const { clock, schedule, at } = setUp(async () => (isAway ? 'undone' : 'done'))
  await schedule.start()
  await clock.advance(1_000)
  assert.equal(schedule.next(), '2026-11-02T12:00:30.000Z')
  await clock.advance(60_000)
  isAway = false
  await clock.advance(1_800_000)
  assert.deepEqual(
    at.map((text) => text.slice(11, 19)),
    ['12:00:00', '12:00:30', '12:01:00', '12:01:30'],
  )
  await schedule.stop()
})

test('the observer is called also between rare polls and during a long one, and its exception stops nothing', async () => {
  let calls = 0
  const { clock, schedule, at } = setUp(
    () => (at.length === 2 ? new Promise((resolve) => setImmediate(resolve)) : Promise.resolve()),
    {
      watch: () => {
        calls += 1
        throw new TypeError('a bug')
      },
    },
  )
  await schedule.start()
  await clock.advance(3_600_000)
  assert.equal(calls, 120)
  assert.equal(at.length, 2)
  await schedule.stop()
})

test('stop waits for the run under way, and nothing runs afterwards', async () => {
  let runs = 0
  const gate = Promise.withResolvers<void>()
  const { clock, schedule } = setUp(() => {
    runs += 1
    return gate.promise
  })
  await schedule.start()
  let hasStopped = false
  const stopped = schedule.stop().then(() => {
    hasStopped = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(hasStopped, false)
  gate.resolve()
  await stopped
  await schedule.run()
  await schedule.stop()
  await clock.advance(7_200_000)
  assert.equal(runs, 1)
})

test('a job that rejects is told, and stop still ends', async () => {
  const broken: unknown[] = []
  const bug = new TypeError('a bug')
  const { schedule } = setUp(() => Promise.reject(bug), { onBroken: (error) => broken.push(error) })
  await schedule.start()
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(broken, [bug])
  await assert.rejects(schedule.run(), bug)
  await schedule.stop()
})
