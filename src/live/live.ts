/** live/: what passes along the line, for the status page. An observer beside the line; what it
 * keeps is bounded, however much passes. Only windows that are done count, and each stretch of time once; what late passes bring is left out. */
import { type Clock, HOUR, SECOND, secondsOf } from '../base/clock.ts'
import { createHashSet, type HashSet } from '../base/hash-tables.ts'
import type { NodeNames } from '../directory/node-names.ts'
import { type Points, TOTALS } from '../flatten/points.ts'
import { intersects, merge } from '../ledger/intervals.ts'
import type { Interval } from '../ledger/ledger.ts'
import type { ObservedResult, ObservedWindow, Observer } from '../observers/observers.ts'
import { KINDS } from '../source/parse/message.ts'
import { createPeek, createPeekWriter, type Peek, type PeekView } from './peek.ts'
import { createSeries } from './series.ts'
import { createStage, STAGES, type Stage, type StageName, type StageView } from './stages.ts'
import { createTalkers, type Slices, type TalkersView } from './talkers.ts'
import { addTo, bucketOf, createThroughput, type Sums, type ThroughputView } from './throughput.ts'

export interface LiveView {
  readonly stages: readonly StageView[]
  readonly throughput: ThroughputView
  readonly talkers: TalkersView
  /** Nodes that reported within the last 15 minutes. */
  readonly nodesReporting: number
  readonly peek: PeekView
}

export interface Live {
  readonly observer: Observer
  /** Nodes that reported within the last 15 minutes. */
  nodesReporting(): number
  /** Distinct series of `tailnet_flow` that points were written to within the last day, estimated. */
  seriesEstimate(): number
  /** For the reports of how the stages are doing (observe/reports.ts). */
  readonly stages: Readonly<Record<StageName, Stage>>
  /** Names from now on, after a reload. */
  useNames(names: NodeNames): void
  view(): LiveView
}

const TALKERS_SHOWN = 10
/** What is older does not matter on the page. */
const SPAN_NS = HOUR
const NODES_SPAN_SECONDS = 15 * 60
/** Maximum reporting nodes that are counted. */
const NODES_MAX = 100_000
/** Messages that a copy is recognised of. */
const RECENT_MAX = 50_000
/** A record is five seconds long, and uploaded then. */
const LOGGED_AFTER_NS = 6n * SECOND
/** Cell of the bytes received among the totals of a kind; the bytes sent are the first. */
const RX_BYTES = 2

/** What a window brought, until it is known whether it counts. */
interface Pending {
  /** When its reading began. */
  readonly nowNs: bigint
  /** Neither older than what is shown, nor seen already. */
  readonly isOfInterest: boolean
  /** Part of the window was counted before. */
  readonly isAgain: boolean
  readonly sums: Sums
  readonly talkers: Slices
  /** Start of the latest record, seconds since the epoch. */
  readonly nodes: Map<string, number>
  readonly peek: Peek
  readonly messages: HashSet
}

export function createLive(deps: { clock: Clock; random: () => number; names: NodeNames }): Live {
  const { clock } = deps
  let { names } = deps
  const stages = {
    api: createStage('api', clock, true),
    parse: createStage('parse', clock, true),
    aggregate: createStage('aggregate', clock, false),
    write: createStage('write', clock, true),
  }
  const throughput = createThroughput()
  const talkers = createTalkers({ monotonicMs: clock.monotonicMs, random: deps.random })
  const series = createSeries()
  const peekWriter = createPeekWriter()
  const peek = createPeek(peekWriter)
  const pending = new Map<ObservedWindow, Pending>()
  const nodes = new Map<string, number>()
  /** Messages of windows that are done, in two halves: when the younger one is full, the older one is forgotten. */
  let recent = createHashSet(RECENT_MAX)
  let earlier = createHashSet(RECENT_MAX)
  let covered: Interval[] = []

  function pendingOf(window: ObservedWindow): Pending {
    const found = pending.get(window)
    if (found) return found
    const nowNs = clock.now()
    const made = {
      nowNs,
      isOfInterest: window.previous === undefined && window.toNs > nowNs - SPAN_NS,
      isAgain: covered.some((one) => intersects(one, window)),
      sums: new Map(),
      talkers: new Map(),
      nodes: new Map(),
      peek: createPeek(peekWriter),
      messages: createHashSet(RECENT_MAX),
    }
    pending.set(window, made)
    return made
  }

  /** Read again, after the database was away. When exactly a message was logged is not known here, but it was soon after its start. */
  function isCovered(startNs: bigint): boolean {
    const loggedNs = startNs + LOGGED_AFTER_NS
    return covered.some((one) => one.fromNs <= loggedNs && loggedNs <= one.toNs)
  }

  function take(window: ObservedWindow, points: Points): void {
    const mine = pendingOf(window)
    series.take(points, mine.nowNs)
    if (!mine.isOfInterest) return
    if (mine.isAgain && isCovered(points.startNs)) return
    // A client that did not hear that its upload arrived sends the same record again.
    const { digest } = points
    if (recent.has(digest) || earlier.has(digest) || !mine.messages.add(digest)) return
    const startSeconds = Math.floor(secondsOf(points.startNs))
    const bucket = bucketOf(startSeconds)
    const { flows, totals } = points
    for (let kind = 0; kind < KINDS.length; kind += 1) {
      if (flows[kind] === 0) continue
      const at = TOTALS * kind
      addTo(mine.sums, bucket, kind, totals[at] ?? 0, totals[at + RX_BYTES] ?? 0)
    }
    if (mine.nodes.size < NODES_MAX) mine.nodes.set(points.node, startSeconds)
    talkers.take(points, names, startSeconds, mine.talkers, secondsOf(mine.nowNs))
    mine.peek.take(points)
  }

  function done(window: ObservedWindow, result: ObservedResult): void {
    stages.parse.add(result.messages, result.bytes)
    stages.parse.succeeded()
    stages.aggregate.add(result.points)
    stages.aggregate.succeeded()
    const mine = pending.get(window)
    pending.delete(window)
    const { doneToNs } = result
    if (!mine?.isOfInterest || doneToNs === undefined) return
    const nowNs = clock.now()
    peek.takeOver(mine.peek)
    const range = { fromNs: window.fromNs, toNs: doneToNs }
    covered = merge([...covered, range]).filter((one) => one.toNs > nowNs - 2n * SPAN_NS)
    throughput.add(mine.sums, nowNs)
    talkers.add(mine.talkers, nowNs)
    remember(mine.messages)
    for (const [node, seconds] of mine.nodes) if (nodes.has(node) || nodes.size < NODES_MAX) nodes.set(node, seconds)
  }

  function remember(messages: HashSet): void {
    for (const message of messages.values()) {
      if (recent.size >= RECENT_MAX) {
        earlier = recent
        recent = createHashSet(RECENT_MAX)
      }
      recent.add(message)
    }
  }

  function nodesReporting(nowNs: bigint): number {
    const nowSeconds = secondsOf(nowNs)
    let count = 0
    for (const [node, seconds] of nodes) {
      if (seconds < nowSeconds - secondsOf(SPAN_NS)) nodes.delete(node)
      else if (seconds >= nowSeconds - NODES_SPAN_SECONDS) count += 1
    }
    return count
  }

  return {
    observer: { points: take, done, failed: (window) => pending.delete(window) },
    stages,
    seriesEstimate: () => series.estimate(clock.now()),
    nodesReporting: () => nodesReporting(clock.now()),
    useNames(next) {
      names = next
    },
    view() {
      const nowNs = clock.now()
      return {
        stages: STAGES.map((name) => stages[name].view()),
        throughput: throughput.view(covered, nowNs),
        talkers: talkers.view(nowNs, TALKERS_SHOWN),
        nodesReporting: nodesReporting(nowNs),
        peek: peek.view(),
      }
    },
  }
}
