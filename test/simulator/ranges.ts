/** Times and comparisons that the tests of the simulated tailnet share. */
import assert from 'node:assert/strict'
import type { DemoRecord } from '../../src/demo/records.ts'
import { NOON_NS } from '../helpers/fake-clock.ts'

export const SECOND = 1_000_000_000n
export const MINUTE = 60n * SECOND
export const HOUR = 60n * MINUTE
export const DAY = 24n * HOUR
/** Monday, 2026-11-02, 12:00 UTC: people are at work. */
export const NOON = NOON_NS

/** The identity of a message, and its counters. */
export function printOf(record: DemoRecord): string {
  const { node, slot, part, copy, loggedNs, startNs, endNs, entries } = record
  const counts = entries.map((list) => list.map((one) => `${one.txBytes}/${one.rxBytes}`).join())
  return [node.nodeId, slot, part, copy, loggedNs, startNs, endNs, ...counts].join(' ')
}

/** The types of the compiler lack the third argument of the reviver. */
const parse = JSON.parse as (
  text: string,
  reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
) => unknown

/** Parses JSON; whole numbers become bigint, so they are exact. */
export function parseExact(text: string): unknown {
  return parse(text, (_key, value, { source = '' }) =>
    typeof value === 'number' && /^-?\d+$/.test(source) ? BigInt(source) : value,
  )
}

/** Long lists must be equal. The message shows only the first difference. */
export function assertSame(actual: readonly string[], expected: readonly string[], note = ''): void {
  const at = expected.findIndex((one, index) => one !== actual[index])
  if (at >= 0) assert.equal(actual[at], expected[at], `${note} entry ${at} of ${expected.length}`)
  assert.equal(actual.length, expected.length, `${note} length`)
}
