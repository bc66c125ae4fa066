/** The records of any range of `logged` time, in that order, without keeping any. */
import type { DemoNode, Naming } from './nodes.ts'
import type { FullOptions } from './options.ts'
import {
  BLOCK,
  COPY_SLOTS,
  LAG_SLOTS,
  OUTAGE_BLOCKS,
  type Outage,
  SLOT,
  SLOT_NS,
  slotNs,
  slotOf,
  type Times,
  type TimesOfNodes,
} from './times.ts'
import type { DemoEntry, Entries, Traffic } from './traffic.ts'

/** One message of the API. */
export interface DemoRecord {
  readonly node: DemoNode
  /** Which of the node's names it had at `startNs`. */
  readonly nameVersion: number
  readonly slot: number
  /** Counts the parts of a split record. */
  readonly part: number
  /** True for the second upload of a record: all but `loggedNs` is the same. */
  readonly copy: boolean
  /** Held back while the node could not upload. */
  readonly late: boolean
  readonly loggedNs: bigint
  readonly startNs: bigint
  readonly endNs: bigint
  readonly entries: Entries
  /** The message tells about its reporter and these other nodes; undefined for old clients. */
  readonly dstNodes: readonly DemoNode[] | undefined
}

/** What is known of a record before its traffic is made. */
interface Plan {
  /** ns after the begin of the piece's first slot. */
  readonly logged: number
  readonly node: number
  readonly slot: number
  readonly part: number
  readonly parts: number
  readonly outage: Outage | undefined
  readonly copy: boolean
  /** `logged` of the first upload; below 0 when that was before the piece. */
  readonly first: number
}

/** Semaphore of one piece of a range: an hour. */
const PIECE = 686
const PIECE_NS = BigInt(PIECE) * SLOT_NS

export interface RangeOptions {
  /** Leaves out what the API does not show yet at that time. */
  readonly nowNs?: bigint
  /** Leaves out second uploads whose first one is in the range (and shown) as well. */
  readonly once?: boolean
}

export function createRecords(
  options: FullOptions,
  nodes: readonly DemoNode[],
  naming: Naming,
  traffic: Traffic,
  times: TimesOfNodes,
) {
  const firstSlot = slotOf(options.epochNs > 0n ? options.epochNs + SLOT_NS - 1n : 0n)
  const scratch: Times = { start: 0, end: 0, logged: 0, apart: 0 }

  /** Plans of one piece, in order. Both ends inclusive. */
  function* plans(fromNs: bigint, toNs: bigint): Generator<{ plan: Plan; baseNs: bigint }> {
    const base = slotOf(fromNs) - LAG_SLOTS
    const last = slotOf(toNs)
    const baseNs = slotNs(base)
    const from = Number(fromNs - baseNs)
    const to = Number(toNs - baseNs)
    const buckets: (Plan[] | undefined)[] = []

    function put(plan: Plan): void {
      if (plan.logged < from || plan.logged > to) return
      const at = Math.floor(plan.logged / SLOT)
      const bucket = (buckets[at] ??= [])
      bucket.push(plan)
    }

    function putParts(node: number, slot: number, outage: Outage | undefined, delay: number): void {
      const parts = times.partsOf(node, slot)
      times.timesOf(node, slot, scratch)
      let logged = (slot - base) * SLOT + scratch.logged
      // After waking up everything comes in one upload: a node's records get increasing times, close to each other.
      if (outage !== undefined) {
        times.timesOf(node, outage.wake, scratch)
        logged = (outage.wake - base) * SLOT + scratch.start + 2_500_000_000 + (slot - outage.from) * 1000
      }
      for (let part = 0; part < parts; part++) {
        const first = logged + part * 2
        put({ logged: first + delay, node, slot, part, parts, outage, copy: delay > 0, first })
      }
    }

    /** Semaphore with a record, of those that an outage or a copy spans. */
    const hasRecord = (node: number, slot: number) =>
      slot >= firstSlot && traffic.isActive(node, slot, traffic.levelsAt(slot))

    const lastBlock = Math.floor(last / BLOCK)
    for (let block = Math.floor(base / BLOCK) - OUTAGE_BLOCKS; block <= lastBlock; block++) {
      for (const outage of times.outagesBegun(block)) {
        if (outage.wake < base || outage.wake > last) continue
        for (let slot = outage.from; slot < outage.asleep; slot++) {
          // Compared by value: whether two asked for it in the same memory says nothing.
          if (times.outageAt(outage.node, slot)?.from === outage.from && hasRecord(outage.node, slot))
            putParts(outage.node, slot, outage, 0)
        }
      }
    }
    for (let block = Math.floor((base - COPY_SLOTS) / BLOCK) - 1; block <= lastBlock; block++) {
      for (const { node, from: begin, to: end, delayNs } of times.copiesBegun(block)) {
        if (end < base - COPY_SLOTS || begin > last) continue
        for (let slot = begin; slot <= end; slot++) {
          if (times.outageAt(node, slot) === undefined && hasRecord(node, slot))
            putParts(node, slot, undefined, delayNs)
        }
      }
    }

    for (let slot = Math.max(base, firstSlot); slot <= last; slot++) {
      const levels = traffic.levelsAt(slot)
      for (let node = 0; node < nodes.length; node++) {
        if (traffic.isActive(node, slot, levels) && times.outageAt(node, slot) === undefined)
          putParts(node, slot, undefined, 0)
      }
      // Nothing of a later slot is logged before that slot begins: what fell into this one is complete.
      const bucket = buckets[slot - base]
      if (bucket === undefined) continue
      buckets[slot - base] = undefined
      bucket.sort((a, b) => a.logged - b.logged || a.node - b.node || a.slot - b.slot || a.part - b.part)
      for (const plan of bucket) yield { plan, baseNs }
    }
  }

  function recordOf(plan: Plan, loggedNs: bigint, whole: Entries): DemoRecord {
    const { node: index, slot, part, parts, outage } = plan
    const node = nodes[index]!
    times.timesOf(index, slot, scratch)
    const beginNs = slotNs(slot)
    const startNs = beginNs + BigInt(scratch.start + part * scratch.apart)
    let endNs = beginNs + BigInt(scratch.end)
    if (part < parts - 1) endNs = startNs + BigInt(scratch.apart >> 1)
    // The timer does not run while the node sleeps.
    else if (outage !== undefined && slot === outage.asleep - 1) endNs = slotNs(outage.wake) + BigInt(node.phaseNs)
    const entries = parts === 1 ? whole : partOf(whole, part, parts)
    return {
      node,
      nameVersion: naming.versionAt(index, startNs),
      slot,
      part,
      copy: plan.copy,
      late: outage !== undefined,
      loggedNs,
      startNs,
      endNs,
      entries,
      dstNodes: node.old ? undefined : othersIn(entries),
    }
  }

  function othersIn(entries: Entries): readonly DemoNode[] {
    const seen = new Set<number>()
    for (const list of entries) for (const { other } of list) if (other >= 0) seen.add(other)
    return Array.from(seen, (index) => nodes[index]!)
  }

  function* records(fromNs: bigint, toNs: bigint, range: RangeOptions = {}): Generator<DemoRecord> {
    const { nowNs, once = false } = range
    const delay = options.visibilityDelay
    const isShown = (nodeId: string, slot: number, loggedNs: bigint, copy: boolean) =>
      nowNs === undefined ||
      (delay === undefined ? loggedNs <= nowNs : loggedNs + delay({ nodeId, slot, loggedNs, copy }) <= nowNs)
    let begin = fromNs > 0n ? fromNs : 0n
    const lastNs = nowNs !== undefined && nowNs < toNs ? nowNs : toNs
    /** The parts of a split record follow each other closely: their traffic is made once. */
    let made: { node: number; slot: number; entries: Entries } | undefined
    while (begin <= lastNs) {
      const end = begin + PIECE_NS - 1n < lastNs ? begin + PIECE_NS - 1n : lastNs
      for (const { plan, baseNs } of plans(begin, end)) {
        const { node, slot, copy } = plan
        const loggedNs = baseNs + BigInt(plan.logged)
        if (!isShown(nodes[node]!.nodeId, slot, loggedNs, copy)) continue
        if (once && copy) {
          const firstNs = baseNs + BigInt(plan.first)
          if (firstNs >= fromNs && firstNs <= toNs && isShown(nodes[node]!.nodeId, slot, firstNs, false)) continue
        }
        if (made?.node !== node || made.slot !== slot) made = { node, slot, entries: traffic.entriesOf(node, slot) }
        yield recordOf(plan, loggedNs, made.entries)
      }
      begin = end + 1n
    }
  }

  return { records }
}

/** Deals the entries out to the parts. The first entry of all goes on in every part, with its share of the counts. */
function partOf(whole: Entries, part: number, parts: number): Entries {
  const out: Entries = [[], [], [], []]
  let i = 0
  for (let kind = 0; kind < 4; kind++) {
    for (const entry of whole[kind]!) {
      const shared = i === 0 && divisible(entry, parts)
      if (shared) out[kind]!.push(share(entry, part, parts))
      else if (i % parts === part) out[kind]!.push(entry)
      i += 1
    }
  }
  return out
}

function divisible({ txPkts, rxPkts, txBytes, rxBytes }: DemoEntry, parts: number): boolean {
  const counts = [txPkts, rxPkts, txBytes, rxBytes]
  return counts.every((count) => typeof count === 'number') && (Number(txPkts) >= parts || Number(rxPkts) >= parts)
}

function share(entry: DemoEntry, part: number, parts: number): DemoEntry {
  const piece = (count: number | bigint) => {
    const each = Math.floor(Number(count) / parts)
    return part === 0 ? Number(count) - each * (parts - 1) : each
  }
  return {
    ...entry,
    txPkts: piece(entry.txPkts),
    txBytes: piece(entry.txBytes),
    rxPkts: piece(entry.rxPkts),
    rxBytes: piece(entry.rxBytes),
  }
}
