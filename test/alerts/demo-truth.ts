/** What a simulated tailnet did, minute by minute, from its own truth: the oracle for rules over it. */
import { getOrInsert } from '../../src/base/maps.ts'
import { partsOfLine } from '../../src/sink/line-protocol/line-parts.ts'
import { namesOf } from '../simulator/names.ts'
import { createTailnet, type Tailnet } from '../simulator/tailnet.ts'
import type { TruthPoint } from '../simulator/truth.ts'
import { MIN } from './world.ts'

export interface DemoTruth {
  readonly tailnet: Tailnet
  readonly points: readonly DemoPoint[]
  readonly edges: readonly DemoPoint[]
}

/** A flow with the names of its ends and its service port; or what a message has of one kind, with what went through relays. */
export interface DemoPoint extends Omit<TruthPoint, 'measurement'> {
  readonly measurement: 'flow' | 'message' | 'edge'
}

export function demoTruth(tailnet: Tailnet, fromNs: bigint, toNs: bigint): DemoPoint[] {
  return demoPoints(tailnet, tailnet.truth(fromNs, toNs))
}

export function demoPoints(tailnet: Tailnet, truth: Iterable<TruthPoint>): DemoPoint[] {
  const { nameOf } = namesOf(tailnet)
  const flows: DemoPoint[] = []
  const messages = new Map<
    string,
    { tags: Record<string, string>; fields: Record<string, bigint>; timestampNs: bigint }
  >()
  for (const { tags, fields, timestampNs } of truth) {
    const { node = '', kind = '', path = '', src = '', dst = '', src_port = '', dst_port = '' } = tags
    const more = {
      src_name: nameOf(src) ?? src,
      dst_name: path.startsWith('derp-') ? path : (nameOf(dst) ?? dst),
      port: src_port === 'none' ? dst_port : src_port,
    }
    flows.push({ measurement: 'flow', tags: { ...tags, ...more }, fields, timestampNs })
    const all = getOrInsert(messages, `${node} ${kind} ${timestampNs}`, () => ({
      tags: { node, kind },
      fields: {},
      timestampNs,
    }))
    const add = (name: string, value = 0n) => {
      all.fields[name] = (all.fields[name] ?? 0n) + value
    }
    for (const [name, value] of Object.entries(fields)) add(name, value)
    if (path.startsWith('derp-')) for (const way of ['tx', 'rx']) add(`derp_${way}_bytes`, fields[`${way}_bytes`])
  }
  return [...flows, ...messages.values().map((one) => ({ measurement: 'message' as const, ...one }))]
}

/** Virtual edges, each byte once: rows of `tailnet_edge`. */
export function edgePoints(lines: readonly string[]): DemoPoint[] {
  return lines
    .map(partsOfLine)
    .filter(({ key, tags }) => key.startsWith('tailnet_edge,') && tags['kind'] === 'virtual')
    .map(({ tags, fields, timestampNs }) => ({
      measurement: 'edge',
      tags,
      fields: Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, BigInt(String(value))])),
      timestampNs,
    }))
}

export { createTailnet }

/** Sums per group and minute. */
export type Minutes = ReadonlyMap<string, ReadonlyMap<number, number>>

export function minutesOf(
  points: Iterable<DemoPoint>,
  group: (point: DemoPoint) => string | undefined,
  value: (point: DemoPoint) => number,
): Minutes {
  const groups = new Map<string, Map<number, number>>()
  for (const point of points) {
    const key = group(point)
    if (key === undefined) continue
    const minutes = groups.get(key) ?? new Map<number, number>()
    groups.set(key, minutes)
    const minute = Number(point.timestampNs / MIN)
    minutes.set(minute, (minutes.get(minute) ?? 0) + value(point))
  }
  return groups
}

/** The sum over the minutes [to - count, to). */
export function windowSum(minutes: ReadonlyMap<number, number>, to: number, count: number): number {
  let sum = 0
  for (let minute = to - count; minute < to; minute++) sum += minutes.get(minute) ?? 0
  return sum
}

/** Readers of points. */
export const field = (name: string) => (point: DemoPoint) => Number(point.fields[name] ?? 0n)
export const tag = (name: string) => (point: DemoPoint) => point.tags[name]
/** Sent and received. */
export const both = (point: DemoPoint) => field('tx_bytes')(point) + field('rx_bytes')(point)
