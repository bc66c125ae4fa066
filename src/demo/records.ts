/** The records of any range of `logged` time, in that order. They are computed one after the other; none is stored. */

import type { DemoEntry, Entries } from './entries.ts'
import type { DemoNode } from './nodes.ts'
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
import type { Traffic } from './traffic.ts'

/** One message of the API. */
export interface DemoRecord {
  readonly node: DemoNode
  readonly slot: number
  /** Number of this part of a split record, from 0. */
  readonly part: number
  /** True for the second upload of a record. Only `loggedNs` differs from the first. */
  readonly copy: boolean
  /** The node could not upload it in time. */
  readonly late: boolean
  readonly loggedNs: bigint
  /** `loggedNs` of the first upload: the same unless this is a copy. */
  readonly firstLoggedNs: bigint
  readonly startNs: bigint
  readonly endNs: bigint
  readonly entries: Entries
  /** The other nodes that the message describes besides its own; undefined for old clients. */
  readonly dstNodes: readonly DemoNode[] | undefined
}

/** A record before its traffic is computed. */
interface Plan {
  /** ns after the start of the chunk's first slot. */
  readonly logged: number
  readonly node: number
  readonly slot: number
  readonly part: number
  readonly parts: number
  readonly outage: Outage | undefined
  readonly copy: boolean
  /** `logged` of the first upload; below 0 if that was before the chunk. */
  readonly first: number
}

/** A range is computed in chunks of 686 slots, an hour. */
const CHUNK_NS = 686n * SLOT_NS

/** Records with `logged` from `fromNs` to `toNs`, both inclusive, in that order. */
export type Records = (fromNs: bigint, toNs: bigint) => Generator<DemoRecord>

export function createRecords(nodes: readonly DemoNode[], traffic: Traffic, times: TimesOfNodes): Records {
  const scratch: Times = { start: 0, end: 0, logged: 0, apart: 0 }

  /** The plans of one chunk, in the order of `logged`. Both ends inclusive. */
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
      // After waking up, the node uploads everything at once: `logged` increases in steps of a microsecond.
      if (outage !== undefined) {
        times.timesOf(node, outage.wake, scratch)
        logged = (outage.wake - base) * SLOT + scratch.start + 2_500_000_000 + (slot - outage.from) * 1000
      }
      for (let part = 0; part < parts; part++) {
        const first = logged + part * 2
        put({ logged: first + delay, node, slot, part, parts, outage, copy: delay > 0, first })
      }
    }

    const hasRecord = (node: number, slot: number) => slot >= 0 && traffic.isActive(node, slot, traffic.levelsAt(slot))

    const lastBlock = Math.floor(last / BLOCK)
    for (let block = Math.floor(base / BLOCK) - OUTAGE_BLOCKS; block <= lastBlock; block++) {
      for (const outage of times.outagesBegun(block)) {
        if (outage.wake < base || outage.wake > last) continue
        for (let slot = outage.from; slot < outage.asleep; slot++) {
          // Compared by value, because the cache of outages may hold another object by now.
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

    for (let slot = Math.max(base, 0); slot <= last; slot++) {
      const levels = traffic.levelsAt(slot)
      for (let node = 0; node < nodes.length; node++) {
        if (traffic.isActive(node, slot, levels) && times.outageAt(node, slot) === undefined)
          putParts(node, slot, undefined, 0)
      }
      // No record of a later slot is logged in this slot, so its bucket is complete.
      const bucket = buckets[slot - base]
      if (bucket === undefined) continue
      buckets[slot - base] = undefined
      bucket.sort((a, b) => a.logged - b.logged || a.node - b.node || a.slot - b.slot || a.part - b.part)
      for (const plan of bucket) yield { plan, baseNs }
    }
  }

  function recordOf(plan: Plan, baseNs: bigint, whole: Entries): DemoRecord {
    const { node: index, slot, part, parts, outage } = plan
    const node = nodes[index]!
    times.timesOf(index, slot, scratch)
    const beginNs = slotNs(slot)
    const startNs = beginNs + BigInt(scratch.start + part * scratch.apart)
    let endNs = beginNs + BigInt(scratch.end)
    if (part < parts - 1) endNs = startNs + BigInt(scratch.apart >> 1)
    // The timer that ends a record does not run while the node sleeps.
    else if (outage !== undefined && slot === outage.asleep - 1) endNs = slotNs(outage.wake) + BigInt(node.phaseNs)
    const entries = parts === 1 ? whole : partOf(whole, part, parts)
    return {
      node,
      slot,
      part,
      copy: plan.copy,
      late: outage !== undefined,
      loggedNs: baseNs + BigInt(plan.logged),
      firstLoggedNs: baseNs + BigInt(plan.first),
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

  return function* records(fromNs, toNs) {
    let begin = fromNs > 0n ? fromNs : 0n
    /** The parts of a split record follow each other closely, so their traffic is computed once. */
    let made: { node: number; slot: number; entries: Entries } | undefined
    while (begin <= toNs) {
      const end = begin + CHUNK_NS - 1n < toNs ? begin + CHUNK_NS - 1n : toNs
      for (const { plan, baseNs } of plans(begin, end)) {
        const { node, slot } = plan
        if (made?.node !== node || made.slot !== slot) made = { node, slot, entries: traffic.entriesOf(node, slot) }
        yield recordOf(plan, baseNs, made.entries)
      }
      begin = end + 1n
    }
  }
}

/** The entries of one part of a split record. The very first entry is in every part, with a share of its counters. */
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
  const shareOf = (count: number | bigint) => {
    const each = Math.floor(Number(count) / parts)
    return part === 0 ? Number(count) - each * (parts - 1) : each
  }
  return {
    ...entry,
    txPkts: shareOf(entry.txPkts),
    txBytes: shareOf(entry.txBytes),
    rxPkts: shareOf(entry.rxPkts),
    rxBytes: shareOf(entry.rxBytes),
  }
}
