/** Who talks most with whom, in bounded memory and at a bounded cost.
 *
 * Looking at every flow would cost as much as writing it, so big flows are always looked at and small ones are sampled: below a threshold t a flow
 * of b bytes is taken with probability b/t and then counts t bytes (threshold sampling: Duffield, Lund, Thorup 2005). Sums stay right on
 * average, and what is big is exact. The threshold is 0, so that everything is exact, until there is too much to do.
 *
 * Sums are kept in slices of time, so that old ones can be dropped as a whole; a slice that is full forgets its smaller half. */
import { secondsOf } from '../base/clock.ts'
import type { NodeNames } from '../directory/node-names.ts'
import type { FlowPoint, Points } from '../flatten/points.ts'
import type { Kind } from '../source/parse/message.ts'

const SPAN_MINUTES = 15
const SLICE_SECONDS = 300
const SLICES = 3
/** Clocks of nodes that are ahead by more do not count. */
const AHEAD_SECONDS = 60
/** Pairs, and paths, that a slice holds at most. */
export const PAIRS_MAX = 4_096
/** Flows that are looked at per second, roughly, before the threshold rises; and how many more once in a while, as at a start. */
const TAKEN_PER_SECOND = 5_000
const TAKEN_SPARE_MAX = 100_000
const THRESHOLD_MIN = 1_024
/** Reporters of one pair: both endpoints, or the routers of a subnet. */
const REPORTERS_MAX = 8
/** A share of traffic below which the other path does not count. */
const NEGLIGIBLE = 0.01
/** The remote endpoint of exit traffic, unless the tailnet records it (log-exit-flows). */
export const INTERNET = 'the internet'

export interface Talker {
  readonly kind: Kind
  /** Names where they are known, otherwise addresses. `one` is the endpoint that reports more. */
  readonly one: string
  readonly other: string
  /** Sent by `one` and received by it. */
  readonly txBytes: number
  readonly rxBytes: number
  /** How the two reach each other: a relay's region (`derp-4`), `direct`, `mixed`; null when no record says. */
  readonly path: string | null
}

export interface TalkersView {
  readonly spanMinutes: number
  readonly top: readonly Talker[]
  /** Some flows are sampled. */
  readonly isEstimate: boolean
  /** All pairs together; the shares of the top ones refer to it. */
  readonly totalBytes: number
}

/** Sums by slice of time. */
export type Slices = Map<number, Slice>
interface Slice {
  readonly pairs: Map<string, Pair>
  readonly paths: Map<string, Path>
  isEstimate: boolean
}
interface Pair {
  readonly kind: Kind
  readonly endpoints: readonly [string, string]
  /** Per reporting node: bytes from the first endpoint to the second, and back. Each reporter saw all of it, so they are never added up. */
  readonly reports: Map<string, { forth: number; back: number }>
}
interface Path {
  direct: number
  readonly relayed: Map<string, number>
}

export interface Talkers {
  /** Adds the flows of a message to the sums of its window. Times: seconds since the epoch. */
  take(points: Points, names: NodeNames, startSeconds: number, into: Slices, nowSeconds: number): void
  /** The window is done: its sums count. */
  add(sums: Slices, nowNs: bigint): void
  view(nowNs: bigint, count: number): TalkersView
}

export function createTalkers(deps: { monotonicMs: () => number; random: () => number }): Talkers {
  const slices: Slices = new Map()
  let threshold = 0
  let periodBeganMs = deps.monotonicMs()
  let taken = 0
  let spare = TAKEN_SPARE_MAX

  /** Raises or lowers the threshold by how much was taken lately. */
  function turn(): void {
    const nowMs = deps.monotonicMs()
    if (taken <= TAKEN_PER_SECOND && nowMs - periodBeganMs < 1_000) return
    if (taken > TAKEN_PER_SECOND) {
      if (spare > 0) spare -= taken
      else threshold = Math.max(THRESHOLD_MIN, threshold * 2)
    } else {
      spare = Math.min(TAKEN_SPARE_MAX, spare + TAKEN_PER_SECOND - taken)
      if (taken < TAKEN_PER_SECOND / 4) threshold = threshold > THRESHOLD_MIN ? threshold / 2 : 0
    }
    periodBeganMs = nowMs
    taken = 0
  }

  function trim(nowNs: bigint): void {
    const first = sliceOf(secondsOf(nowNs)) - SLICES
    for (const number of slices.keys()) if (number < first) slices.delete(number)
  }

  return {
    take(points, names, startSeconds, into, nowSeconds) {
      if (startSeconds < nowSeconds - SLICES * SLICE_SECONDS || startSeconds > nowSeconds + AHEAD_SECONDS) return
      turn()
      const slice = sliceAt(into, sliceOf(startSeconds))
      const { count, flowCounters } = points
      const nameOf = (addressOrId: string) => names.nameOf(addressOrId) ?? addressOrId
      let node: string | undefined
      for (let index = 0; index < count; index += 1) {
        const at = 4 * index
        const bytes = flowCounters[at]! + flowCounters[at + 2]!
        if (bytes === 0 || (bytes < threshold && bytes < threshold * deps.random())) continue
        taken += 1
        // A sampled flow stands for those that were left out.
        const factor = Math.max(1, threshold / bytes)
        if (factor > 1) slice.isEstimate = true
        const flow = points.flow(index)
        const tx = Number(flow.txBytes) * factor
        const rx = Number(flow.rxBytes) * factor
        node ??= nameOf(points.node)
        const named = { ...flow, src: nameOf(flow.src), dst: nameOf(flow.dst) }
        if (flow.kind === 'physical') addPath(slice, node, named, tx + rx)
        else addFlow(slice, node, named, tx, rx)
      }
    },

    add(sums, nowNs) {
      trim(nowNs)
      for (const [number, slice] of sums) mergeInto(sliceAt(slices, number), slice)
    },

    view(nowNs, count) {
      trim(nowNs)
      const all = [...slices.values()]
      const merged = newSlice()
      for (const slice of all) mergeInto(merged, slice, Number.POSITIVE_INFINITY)
      const talkers = [...merged.pairs.values()]
        .map((pair) => ({ pair, bytes: weightOf(pair) }))
        .toSorted((one, other) => other.bytes - one.bytes)
      return {
        spanMinutes: SPAN_MINUTES,
        top: talkers.slice(0, count).map(({ pair }) => talkerOf(pair, pathOf(merged.paths, pair.endpoints))),
        isEstimate: merged.isEstimate,
        totalBytes: Math.round(talkers.reduce((sum, { bytes }) => sum + bytes, 0)),
      }
    },
  }
}

function newSlice(): Slice {
  return { pairs: new Map(), paths: new Map(), isEstimate: false }
}

function sliceOf(seconds: number): number {
  return Math.floor(seconds / SLICE_SECONDS)
}

function sliceAt(slices: Slices, number: number): Slice {
  const slice = slices.get(number) ?? newSlice()
  slices.set(number, slice)
  return slice
}

/** Exit traffic is recorded without one endpoint or both; the node stands for its own. `src` and `dst` of the flow are names. */
function addFlow(slice: Slice, node: string, flow: FlowPoint, tx: number, rx: number): void {
  const hasNone = flow.src === 'none' && flow.dst === 'none'
  const near = hasNone ? node : flow.src === 'none' ? INTERNET : flow.src
  const far = flow.dst === 'none' ? INTERNET : flow.dst
  const isForth = near <= far
  const pair = pairAt(slice, flow.kind, isForth ? [near, far] : [far, near], PAIRS_MAX)
  report(pair, node, isForth ? tx : rx, isForth ? rx : tx)
}

function pairAt(slice: Slice, kind: Kind, endpoints: Pair['endpoints'], most: number): Pair {
  const key = `${kind}\n${endpoints[0]}\n${endpoints[1]}`
  const found = slice.pairs.get(key)
  if (found) return found
  if (slice.pairs.size >= most) forgetSmaller(slice.pairs, weightOf)
  const made = { kind, endpoints, reports: new Map() }
  slice.pairs.set(key, made)
  return made
}

function report({ reports }: Pair, node: string, forth: number, back: number): void {
  const sum = reports.get(node)
  if (sum) {
    sum.forth += forth
    sum.back += back
  } else if (reports.size < REPORTERS_MAX) reports.set(node, { forth, back })
}

/** Physical traffic shows by which path a node reaches another one: `src` is the name of the other one, `dst` where it is reached. */
function addPath(slice: Slice, node: string, flow: FlowPoint, bytes: number): void {
  const path = pathAt(slice, pathKey(node, flow.src), PAIRS_MAX)
  if (flow.path === 'direct') path.direct += bytes
  else path.relayed.set(flow.path, (path.relayed.get(flow.path) ?? 0) + bytes)
}

function pathAt(slice: Slice, key: string, most: number): Path {
  const found = slice.paths.get(key)
  if (found) return found
  if (slice.paths.size >= most) forgetSmaller(slice.paths, (path) => path.direct + relayedBytes(path))
  const made = { direct: 0, relayed: new Map() }
  slice.paths.set(key, made)
  return made
}

function mergeInto(into: Slice, from: Slice, most = PAIRS_MAX): void {
  into.isEstimate ||= from.isEstimate
  for (const { kind, endpoints, reports } of from.pairs.values()) {
    const pair = pairAt(into, kind, endpoints, most)
    for (const [node, { forth, back }] of reports) report(pair, node, forth, back)
  }
  for (const [key, { direct, relayed }] of from.paths) {
    const path = pathAt(into, key, most)
    path.direct += direct
    for (const [relay, bytes] of relayed) path.relayed.set(relay, (path.relayed.get(relay) ?? 0) + bytes)
  }
}

function pathKey(node: string, peer: string): string {
  return `${node}\n${peer}`
}

/** What the reporter with the most saw. */
function weightOf({ reports }: Pair): number {
  return Math.max(...reports.values().map(({ forth, back }) => forth + back))
}

function relayedBytes({ relayed }: Pick<Path, 'relayed'>): number {
  return [...relayed.values()].reduce((sum, bytes) => sum + bytes, 0)
}

function forgetSmaller<T>(entries: Map<string, T>, weight: (entry: T) => number): void {
  const sorted = [...entries].toSorted(([, one], [, other]) => weight(other) - weight(one))
  for (const [key] of sorted.slice(sorted.length / 2)) entries.delete(key)
}

function talkerOf({ kind, endpoints, reports }: Pair, path: string | null): Talker {
  const best = [...reports.values()].reduce((one, other) =>
    other.forth + other.back > one.forth + one.back ? other : one,
  )
  const [one, other] = endpoints
  return best.forth >= best.back
    ? { kind, one, other, txBytes: best.forth, rxBytes: best.back, path }
    : { kind, one: other, other: one, txBytes: best.back, rxBytes: best.forth, path }
}

/** The path between the two endpoints, as either of them saw it. */
function pathOf(paths: Slice['paths'], [one, other]: Pair['endpoints']): string | null {
  const seen = [paths.get(pathKey(one, other)), paths.get(pathKey(other, one))].filter((path) => path !== undefined)
  const direct = seen.reduce((sum, path) => sum + path.direct, 0)
  const through = seen.reduce((sum, path) => sum + relayedBytes(path), 0)
  if (direct + through === 0) return null
  if (through < direct * NEGLIGIBLE) return 'direct'
  const [relay = ''] = seen.flatMap(({ relayed }) => [...relayed]).toSorted(([, a], [, b]) => b - a)[0] ?? []
  return direct < through * NEGLIGIBLE ? relay : 'mixed'
}
