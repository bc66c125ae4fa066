/** The simulated tailnet of src/demo with the options that tests need, its records, and the points that a database must hold. */
import { deviceTexts, nameAt } from '../../src/demo/devices.ts'
import { createLinks } from '../../src/demo/links.ts'
import { createMessageWriter, type NameOf } from '../../src/demo/messages.ts'
import { createNodes, type DemoNode, DNS_SUFFIX, hasOldClient } from '../../src/demo/nodes.ts'
import { createPresence, type Presence } from '../../src/demo/presence.ts'
import { createRecords, type DemoRecord, type Records } from '../../src/demo/records.ts'
import { SLOT_NS, slotOf } from '../../src/demo/slots.ts'
import { createTimes } from '../../src/demo/times.ts'
import { createTraffic } from '../../src/demo/traffic.ts'
import { type Clocks, createEdgeTruth, type TrueEdge } from './edge-truth.ts'
import { bigCounters, hostileNode, hostileTraffic, scanTimes, scanTraffic } from './hostile.ts'
import { type FullOptions, fullOptions, type TailnetOptions } from './options.ts'
import { type Sums, sumsOf } from './sums.ts'
import { type TruthOptions, type TruthPoint, truthOf } from './truth.ts'

export interface RangeOptions {
  /** Only records that the API returns at this time. */
  readonly nowNs?: bigint
  /** Leaves out second uploads if the first one is in the range (and returned) as well. */
  readonly once?: boolean
}

/** Ranges are on `logged`, ns, both ends inclusive. */
export interface Tailnet {
  /** Name of the tailnet in the API's paths. */
  readonly name: string
  readonly nodes: readonly DemoNode[]
  /** Records in the order of `logged`. None is stored. */
  records(fromNs: bigint, toNs: bigint, range?: RangeOptions): Iterable<DemoRecord>
  /** The same as JSON texts, one per message. */
  messages(fromNs: bigint, toNs: bigint, range?: RangeOptions): Iterable<string>
  messageText(record: DemoRecord): string
  /** Every point that the records of the range make, each once, in no special order. */
  truth(fromNs: bigint, toNs: bigint, options?: TruthOptions & Pick<RangeOptions, 'nowNs'>): Iterable<TruthPoint>
  /** The points of one record. */
  pointsOf(record: DemoRecord, options?: TruthOptions): readonly TruthPoint[]
  /** What really moved from `fromNs` (inclusive) to `toNs` (exclusive), each byte once, whatever was reported of it. */
  edges(fromNs: bigint, toNs: bigint, clocks?: Clocks): readonly TrueEdge[]
  sums(fromNs: bigint, toNs: bigint, range?: Pick<RangeOptions, 'nowNs'>): Sums
  /** The device list at a time: one JSON text per device. */
  devices(atNs: bigint): Iterable<string>
}

/** Throws a RangeError for options out of bounds. */
export function createTailnet(options: TailnetOptions = {}): Tailnet {
  const full = fullOptions(options)
  const { epochNs, visibilityDelay } = full
  const nodes = nodesOf(full)
  const nameOf = namesAfter(full.renames)
  const presence = createPresence(full.seed, nodes, full)
  const allRecords = recordsOf(full, nodes, presence)
  const messageText = createMessageWriter(nameOf)
  let edgesOf: ReturnType<typeof createEdgeTruth> | undefined
  const firstSlot = slotOf(epochNs + SLOT_NS - 1n)

  function* records(fromNs: bigint, toNs: bigint, { nowNs, once = false }: RangeOptions = {}): Generator<DemoRecord> {
    function isReturned({ node, slot }: DemoRecord, loggedNs: bigint, copy: boolean): boolean {
      if (nowNs === undefined) return true
      return loggedNs + (visibilityDelay?.({ nodeId: node.nodeId, slot, loggedNs, copy }) ?? 0n) <= nowNs
    }
    const lastNs = nowNs !== undefined && nowNs < toNs ? nowNs : toNs
    for (const record of allRecords(fromNs > epochNs ? fromNs : epochNs, lastNs)) {
      const { slot, copy, loggedNs, firstLoggedNs } = record
      if (slot < firstSlot || !isReturned(record, loggedNs, copy)) continue
      if (once && copy && firstLoggedNs >= fromNs && isReturned(record, firstLoggedNs, false)) continue
      yield record
    }
  }

  return {
    name: DNS_SUFFIX,
    nodes,
    records,
    *messages(fromNs, toNs, range) {
      for (const record of records(fromNs, toNs, range)) yield messageText(record)
    },
    messageText,
    *truth(fromNs, toNs, options = {}) {
      for (const record of records(fromNs, toNs, { ...shownAt(options), once: true })) yield* truthOf(record, options)
    },
    pointsOf: truthOf,
    edges(fromNs, toNs, clocks) {
      edgesOf ??= createEdgeTruth(full, nodes)
      return edgesOf(fromNs, toNs, clocks)
    },
    sums(fromNs, toNs, range = {}) {
      const messages = records(fromNs, toNs, shownAt(range)).reduce((count) => count + 1, 0)
      return { messages, ...sumsOf(records(fromNs, toNs, { ...shownAt(range), once: true })) }
    },
    devices: (atNs) => deviceTexts(nodes, nameOf, presence, atNs),
  }
}

function nodesOf({ seed, nodes: count, nodeInfo, oldClients, hostile }: FullOptions): readonly DemoNode[] {
  return createNodes(seed, count).map((node) => ({
    ...(hostile ? hostileNode(node) : node),
    old: !nodeInfo || hasOldClient(seed, node.index, oldClients),
  }))
}

function recordsOf(options: FullOptions, nodes: readonly DemoNode[], presence: Presence): Records {
  const { seed, scan } = options
  let traffic = createTraffic(seed, nodes, createLinks(seed, nodes), presence, options)
  let times = createTimes(seed, nodes, options)
  if (scan) traffic = scanTraffic(traffic, scan, nodes)
  if (scan) times = scanTimes(times, scan, nodes)
  if (options.hostile) traffic = hostileTraffic(traffic, seed, nodes)
  if (options.bigCounters) traffic = bigCounters(traffic, seed)
  return createRecords(nodes, traffic, times, presence)
}

/** The name of a node is that of its newest rename before the time. */
function namesAfter(renames: FullOptions['renames']): NameOf {
  if (renames === 'demo') return nameAt
  if (renames.length === 0) return ({ hostname }) => hostname
  const byNode = Map.groupBy(
    renames.toSorted((a, b) => Number(a.atNs - b.atNs)),
    ({ node }) => node,
  )
  return ({ index, hostname }, atNs) => byNode.get(index)?.findLast((rename) => rename.atNs <= atNs)?.name ?? hostname
}

/** Only what was given: an option that is undefined is not one that is absent. */
function shownAt({ nowNs }: Pick<RangeOptions, 'nowNs'>): RangeOptions {
  return nowNs === undefined ? {} : { nowNs }
}
