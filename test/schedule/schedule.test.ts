/** The schedule: at once, never two at a time, a watchdog for a cron that stays silent, and a stop that waits. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { validate } from 'node-cron'
import { createSchedule, cronOf } from '../../src/schedule/schedule.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { silentLog } from '../helpers/silent.ts'

function setUp(job: () => Promise<unknown>, onBroken: (error: unknown) => void = () => undefined) {
  const clock = createFakeClock()
  // So rare that cron itself never fires during a test.
  const schedule = createSchedule({ intervalMs: 3_600_000, name: 'test' }, { job, clock, log: silentLog, onBroken })
  return { clock, schedule }
}

test('every interval becomes an expression that cron accepts', () => {
  for (const [ms, expression] of [
    [1_000, '*/1 * * * * *'],
    [5_000, '*/5 * * * * *'],
    [59_000, '*/59 * * * * *'],
    [60_000, '0 */1 * * * *'],
    [90_000, '0 */2 * * * *'],
    [3_600_000, '0 */59 * * * *'],
  ] as const) {
    assert.equal(cronOf(ms), expression)
    assert.ok(validate(expression))
  }
})

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

test('when cron stays silent for three intervals, the watchdog runs the job', async () => {
  let runs = 0
  const { clock, schedule } = setUp(async () => {
    runs += 1
  })
  await schedule.start()
  for (let hour = 0; hour < 3; hour += 1) await clock.advance(3_600_000)
  assert.equal(runs, 1)
  for (let hour = 0; hour < 2; hour += 1) await clock.advance(3_600_000)
  assert.equal(runs, 2)
  await schedule.stop()
})

test('stop waits for the run under way, and nothing runs afterwards', async () => {
  let runs = 0
  const gate = Promise.withResolvers<void>()
  const { schedule } = setUp(() => {
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
  assert.equal(runs, 1)
})

test('a job that rejects is told, and stop still ends', async () => {
  const broken: unknown[] = []
  const bug = new TypeError('a bug')
  const { schedule } = setUp(
    () => Promise.reject(bug),
    (error) => broken.push(error),
  )
  await schedule.start()
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(broken, [bug])
  await assert.rejects(schedule.run(), bug)
  await schedule.stop()
})
