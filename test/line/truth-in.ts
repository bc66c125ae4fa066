/** Compares what a database returns with the ground truth: point by point, and in every sum. */
import assert from 'node:assert/strict'
import { type InfluxPlace, iteratePoints } from '../services/influx-read.ts'
import { type TruthPoint, truthKey } from '../simulator/truth.ts'

export const MEASUREMENTS = ['tailnet_flow'] as const

export interface StoredPoint {
  readonly measurement: string
  readonly tags: Readonly<Record<string, string>>
  readonly fields: Readonly<Record<string, unknown>>
  readonly timestampNs: bigint
}

/** Each point is there once, with exactly its tags and fields, and there is no other. Resolves with their number. */
export async function assertTruth(
  stored: Iterable<StoredPoint> | AsyncIterable<StoredPoint>,
  truth: Iterable<TruthPoint>,
): Promise<number> {
  const missing = new Map<string, TruthPoint>()
  for (const point of truth) {
    const key = truthKey(point)
    assert.ok(!missing.has(key), `the truth has ${key} twice`)
    missing.set(key, point)
  }
  const count = missing.size
  for await (const point of stored) {
    const key = truthKey(point)
    const expected = missing.get(key)
    assert.ok(expected, `not in the truth, or there twice: ${key.slice(0, 1000)}`)
    const names = Object.keys(expected.fields)
    const isSame = names.every((name) => point.fields[name] === expected.fields[name])
    if (!isSame || names.length !== Object.keys(point.fields).length)
      assert.deepEqual(point.fields, expected.fields, key.slice(0, 1000))
    missing.delete(key)
  }
  assert.deepEqual([...missing.keys()].slice(0, 2), [], `${missing.size} of ${count} points are missing`)
  return count
}

/** All points in a real InfluxDB 1.x. */
export async function* storedIn(place: InfluxPlace): AsyncGenerator<StoredPoint> {
  for (const measurement of MEASUREMENTS) yield* iteratePoints(place, measurement)
}

/** Sums per measurement, kind and field. */
export function sumsOf(points: Iterable<StoredPoint>): Record<string, bigint> {
  const sums = new Map<string, bigint>()
  for (const { measurement, tags, fields } of points) {
    for (const [field, value] of Object.entries(fields)) {
      const key = `${measurement} ${tags['kind']} ${field}`
      sums.set(key, (sums.get(key) ?? 0n) + BigInt(value as bigint))
    }
  }
  return Object.fromEntries([...sums].toSorted(([one], [other]) => (one < other ? -1 : 1)))
}
