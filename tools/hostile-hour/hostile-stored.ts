/** What of the truth is in the database, at any moment of a run: which points of honest nodes are due and missing, which are there and must not
 * be, which have other numbers. */

import { MEASUREMENTS } from '../../test/line/truth-in.ts'
import { type InfluxPlace, iteratePoints, type ReadPoint } from '../../test/services/influx-read.ts'
import type { Tailnet } from '../../test/simulator/tailnet.ts'
import { type TruthPoint, truthKey } from '../../test/simulator/truth.ts'
import { HOSTILE_ID, type HostileNode } from './hostile-node.ts'

export interface Comparison {
  readonly due: number
  readonly missing: readonly string[]
  /** Of those missing: points with a tag value that no stored point has. Where the database is at its limit of values it takes no new one. */
  readonly unseen: ReadonlySet<string>
  /** In the database and not in the truth. */
  readonly foreign: readonly string[]
  /** Other fields than the truth. */
  readonly wrong: readonly string[]
}

export interface Compared {
  readonly honest: Comparison
  readonly hostile: Comparison
}

export function createStored(tailnet: Tailnet, hostile: HostileNode, fromNs: bigint) {
  /** Of all messages that were logged up to `knownToNs`; `dueNs`: when the first message with it was logged. */
  const truth = {
    honest: new Map<string, { readonly point: TruthPoint; readonly loggedNs: bigint }>(),
    hostile: new Map<string, { readonly point: TruthPoint; readonly loggedNs: bigint }>(),
  }
  const honestIds = new Set(tailnet.nodes.map(({ nodeId }) => nodeId))
  let knownToNs = fromNs - 1n

  function learn(toNs: bigint): void {
    if (toNs <= knownToNs) return
    const put = (to: keyof typeof truth, point: TruthPoint, loggedNs: bigint) => {
      const key = truthKey(point)
      if (!truth[to].has(key)) truth[to].set(key, { point, loggedNs })
    }
    for (const record of tailnet.records(knownToNs + 1n, toNs))
      for (const point of tailnet.pointsOf(record)) put('honest', point, record.loggedNs)
    for (const { points, loggedNs } of hostile.messages(knownToNs + 1n, toNs))
      for (const point of points) put('hostile', point, loggedNs)
    knownToNs = toNs
  }

  return {
    /** Points of messages logged up to `dueNs` must be there; those logged up to `nowNs`, asked after the reading, may. */
    async compare(
      place: InfluxPlace,
      dueNs: bigint,
      nowNs: () => bigint,
      whom: 'honest' | 'all' = 'all',
    ): Promise<Compared> {
      const seen = { honest: new Set<string>(), hostile: new Set<string>() }
      const found = {
        honest: {
          due: 0,
          missing: [] as string[],
          unseen: new Set<string>(),
          foreign: [] as string[],
          wrong: [] as string[],
        },
        hostile: {
          due: 0,
          missing: [] as string[],
          unseen: new Set<string>(),
          foreign: [] as string[],
          wrong: [] as string[],
        },
      }
      const where = whom === 'all' ? undefined : `"node" != '${HOSTILE_ID}'`
      const points: ReadPoint[] = []
      for await (const point of pointsIn(place, where)) points.push(point)
      learn(nowNs())
      const values = new Set<string>()
      for (const point of points) {
        for (const [tag, value] of Object.entries(point.tags)) values.add(valueKey(point.measurement, tag, value))
        const whose = honestIds.has(point.tags['node'] ?? '') ? 'honest' : 'hostile'
        const key = truthKey(point)
        const expected = truth[whose].get(key)
        if (expected === undefined) found[whose].foreign.push(key)
        // InfluxDB 1.x shows points that are just being written with a part of their fields.
        else if (expected.loggedNs <= dueNs && !isSame(expected.point.fields, point.fields))
          found[whose].wrong.push(`${key} ${JSON.stringify(point.fields)}`)
        seen[whose].add(key)
      }
      for (const whose of whom === 'all' ? (['honest', 'hostile'] as const) : (['honest'] as const)) {
        for (const [key, { point, loggedNs }] of truth[whose]) {
          if (loggedNs > dueNs) continue
          found[whose].due += 1
          if (seen[whose].has(key)) continue
          found[whose].missing.push(key)
          const isNew = Object.entries(point.tags).some(
            ([tag, value]) => !values.has(valueKey(point.measurement, tag, value)),
          )
          if (isNew) found[whose].unseen.add(key)
        }
      }
      return found
    },
    /** Parts that must have been quarantined, and lines that were refused, of messages logged up to this time. */
    accountOf(toNs: bigint): { bad: number; refused: number; messages: number } {
      const sums = { bad: 0, refused: 0, messages: 0 }
      for (const { bad, refused } of hostile.messages(fromNs, toNs)) {
        sums.bad += bad
        sums.refused += refused
        sums.messages += 1
      }
      return sums
    },
  }
}

export type Stored = ReturnType<typeof createStored>

function valueKey(measurement: string, tag: string, value: string): string {
  return `${measurement} ${tag}=${value}`
}

function isSame(expected: TruthPoint['fields'], fields: Readonly<Record<string, unknown>>): boolean {
  const names = Object.keys(expected)
  return names.length === Object.keys(fields).length && names.every((name) => fields[name] === expected[name])
}

async function* pointsIn(place: InfluxPlace, where: string | undefined): AsyncGenerator<ReadPoint> {
  for (const measurement of MEASUREMENTS) yield* iteratePoints(place, measurement, where)
}
