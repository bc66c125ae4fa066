/** Which errors are retried, how long is waited, and what ends it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CollectorError } from '../../src/base/errors.ts'
import { retry, retryAfterMs } from '../../src/http-client/retry.ts'

const fault = (reaction: 'retry' | 'hold', retryAfterMs?: number) =>
  new CollectorError('It failed.', { stage: 'sink', code: 'db_unavailable', reaction, retryAfterMs })

function failing(...errors: Error[]) {
  let attempts = 0
  return {
    attempts: () => attempts,
    async attempt() {
      const error = errors[attempts]
      attempts += 1
      if (error) throw error
      return 'done'
    },
  }
}

test('it waits as long as it is told after each attempt, by the given clock, and then returns the result', async () => {
  const waits: number[] = []
  const clock = { sleep: async (ms: number) => void waits.push(ms) }
  const { attempt } = failing(fault('retry', 70), fault('retry'), fault('retry', 0))
  const result = await retry(attempt, {
    clock,
    signal: undefined,
    waitMs: (error, count) => error.retryAfterMs ?? count * 10,
  })
  assert.equal(result, 'done')
  assert.deepEqual(waits, [70, 20], 'no wait, no sleep')
})

test('an error that a person must fix, one of our own, and one without a wait end it at once', async () => {
  const clock = { sleep: async () => undefined }
  for (const error of [fault('hold'), new TypeError('a bug'), new Error('another')]) {
    const { attempt, attempts } = failing(error)
    await assert.rejects(retry(attempt, { clock, signal: undefined, waitMs: () => 1 }), error)
    assert.equal(attempts(), 1)
  }
  const last = fault('retry')
  const { attempt, attempts } = failing(fault('retry'), last)
  const waitMs = (_error: CollectorError, count: number) => (count < 2 ? 1 : undefined)
  await assert.rejects(retry(attempt, { clock, signal: undefined, waitMs }), last)
  assert.equal(attempts(), 2)
})

test('the signal ends a wait with its reason, and nothing more is tried', async () => {
  const stop = new AbortController()
  const { attempt, attempts } = failing(fault('retry'), fault('retry'))
  const clock = {
    async sleep(_ms: number, signal?: AbortSignal) {
      stop.abort(new Error('stopping'))
      signal?.throwIfAborted()
    },
  }
  await assert.rejects(retry(attempt, { clock, signal: stop.signal, waitMs: () => 1_000 }), /stopping/)
  assert.equal(attempts(), 1)
})

test('Retry-After: seconds, a date, or nothing that can be read; at most ten minutes', () => {
  const nowMs = Date.parse('2026-11-01T12:00:00Z')
  const cases: readonly [header: string | readonly string[] | undefined, ms: number | undefined][] = [
    [undefined, undefined],
    ['', undefined],
    ['soon', undefined],
    ['-5', undefined],
    ['1.5', undefined],
    ['0', 0],
    [' 7 ', 7_000],
    [['7', '8'], 7_000],
    ['99999999999999999999999', 600_000],
    ['Sun, 01 Nov 2026 12:00:30 GMT', 30_000],
    ['Sun, 01 Nov 2026 11:00:00 GMT', 0],
    ['Sun, 01 Nov 2026 23:00:00 GMT', 600_000],
    ['2026-11-01T12:00:30Z', undefined],
  ]
  for (const [header, ms] of cases) assert.equal(retryAfterMs(header, nowMs), ms, String(header))
})
