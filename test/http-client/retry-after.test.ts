import assert from 'node:assert/strict'
import { test } from 'node:test'
import { retryAfterMs } from '../../src/http-client/retry-after.ts'

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
