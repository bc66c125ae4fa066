/** Poll times: what an expression means is compared with node-cron's own matcher, what cannot be kept evenly is refused with what can. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTask } from 'node-cron'
import {
  DEFAULT_SCHEDULE,
  EVEN_INTERVALS_MS,
  expressionOf,
  nearestIntervals,
  parseSchedule,
} from '../../src/schedule/poll-times.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
/** 2028-02-28T22:58:57Z: before a leap day. */
const BEFORE_MS = Date.UTC(2028, 1, 28, 22, 58, 57)

test('every interval that is allowed polls at exactly that distance, over minutes, hours and days', () => {
  for (const intervalMs of EVEN_INTERVALS_MS) {
    const times = parseSchedule(expressionOf(intervalMs) ?? '')
    assert.equal(times.gapMs, intervalMs)
    let atMs = times.next(BEFORE_MS)
    assert.equal(atMs % intervalMs, 0)
    while (atMs < BEFORE_MS + 3 * HOUR) {
      assert.equal(times.next(atMs), atMs + intervalMs)
      assert.equal(times.next(atMs + intervalMs - 1), atMs + intervalMs)
      atMs += intervalMs
    }
  }
})

test('an interval that no cron expression keeps evenly has none, and the nearest are told', () => {
  for (const [intervalMs, nearest] of [
    [45_000, '30s or 1m'],
    [90_000, '1m or 2m'],
    [7 * 60_000, '6m or 10m'],
    [25 * 60_000, '20m or 30m'],
    [5_500, '5s or 6s'],
    [2 * HOUR, '1h'],
    [1_000, '5s'],
  ] as const) {
    assert.equal(expressionOf(intervalMs), undefined)
    assert.equal(nearestIntervals(intervalMs), nearest)
  }
})

test('the next poll is the one that node-cron names', () => {
  for (const expression of [
    DEFAULT_SCHEDULE,
    '@hourly',
    '5-50/15 8-17 * * *',
    '0 0 3 * * *',
    '17 3,4 23 ? * *',
    '59 59 23 * * 0-7',
    '7,31 */20 1-3,22 * JAN-DEC *',
  ]) {
    const times = parseSchedule(expression)
    const task = createTask(expression, () => undefined, { timezone: 'UTC' })
    const expected = task.getNextRuns(50).map((date) => date.getTime())
    let atMs = (expected[0] ?? 0) - 1
    const got = expected.map(() => (atMs = times.next(atMs)))
    assert.deepEqual(got, expected, expression)
    void task.destroy()
  }
})

test('the longest gap counts over midnight', () => {
  for (const [expression, gapMs] of [
    ['0 3 * * *', DAY],
    ['*/10 8-17 * * *', 14 * HOUR + 10 * 60_000],
    ['0,50 * * * * *', 50_000],
    ['0 */59 * * * *', 59 * 60_000],
  ] as const)
    assert.equal(parseSchedule(expression).gapMs, gapMs, expression)
})

test('the cost of the next poll does not depend on the time asked for', () => {
  const times = parseSchedule(DEFAULT_SCHEDULE)
  assert.equal(times.next(Date.UTC(1970, 0, 1) - 1), 0)
  assert.equal(times.next(Date.UTC(1969, 11, 31, 23, 59, 29, 1)), -30_000)
  assert.equal(times.next(Date.UTC(9999, 11, 31, 23, 59, 59)), Date.UTC(9999, 11, 31, 23, 59, 60))
})

test('what is no schedule is refused with the reason and an example', () => {
  for (const [expression, reason] of [
    ['', /five fields, or six with seconds, such as '\*\/30/],
    ['every minute', /got 2/],
    ['61 * * * *', /61 is a invalid expression for minute/],
    ['0 0 3 * * 1-5', /must poll every day/],
    ['0 0 L * *', /must poll every day/],
    ['0 0 1 1 *', /must poll every day/],
    ['* * * * * *', /at least 5s between two polls/],
    ['*/59 * * * * *', /at least 5s between two polls/],
  ] as const)
    assert.throws(() => parseSchedule(expression), { name: 'RangeError', message: reason }, expression)
})
