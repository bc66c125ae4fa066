/** The records of any range of `logged` time, in that order. They are computed one after the other; none is stored. */

import type { DemoEntry, Entries } from './entries.ts'
import type { DemoNode } from './nodes.ts'
import { BLOCK, OUTAGE_BLOCKS, type Outage, type Presence } from './presence.ts'
import { SLOT, SLOT_NS, slotNs, slotOf } from './slots.ts'
import { createSpans, RUN_SLOTS } from './spans.ts'
import { COPY_SLOTS, LAG_SLOTS, type Span, type Times, type TimesOfNodes } from './times.ts'
import type { Traffic } from './traffic.ts'

/** One message of the API. */
export interface DemoRecord {
  readonly node: DemoNode
  /** The slot of its first packet. */
  readonly slot: number
  /** When it began, by true time: with the node, the identity of the record. */
  readonly openedNs: bigint
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
  readonly span: Span
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

export function createRecords(
  nodes: readonly DemoNode[],
  traffic: Traffic,
  times: TimesOfNodes,
  presence: Presence,
): Records {
  const scratch: Times = { start: 0, end: 0, logged: 0, apart: 0 }
  const { createCursor, visitSpans } = createSpans(nodes, traffic)

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

    function putParts(node: number, span: Span, outage: Outage | undefined, delay: number): void {
      const parts = times.partsOf(node, span)
      times.timesOf(node, span, scratch)
      let logged = (span.slot - base) * SLOT + scratch.logged
      // After waking up, the node uploads everything at once: `logged` increases in steps of a microsecond.
      if (outage !== undefined) {
        const held = (span.slot - outage.from) * SLOT + span.from
        logged = (outage.wake - base) * SLOT + times.uploadAfterWaking(node) + Math.floor(held / 1e6)
      }
      for (let part = 0; part < parts; part++) {
        const first = logged + part * 2
        put({ logged: first + delay, node, span, part, parts, outage, copy: delay > 0, first })
      }
    }

    const lastBlock = Math.floor(last / BLOCK)
    for (let block = Math.floor(base / BLOCK) - OUTAGE_BLOCKS; block <= lastBlock; block++) {
      for (const outage of presence.outagesBegun(block)) {
        if (outage.wake < base || outage.wake > last) continue
        visitSpans(createCursor(outage.node, outage.from), outage.asleep - 1, (span) => {
          // Compared by value, because the cache of outages may hold another object by now.
          if (presence.outageAt(outage.node, span.slot)?.from === outage.from) putParts(outage.node, span, outage, 0)
        })
      }
    }
    for (let block = Math.floor((base - COPY_SLOTS) / BLOCK) - 1; block <= lastBlock; block++) {
      for (const { node, from: begin, to: end, delayNs } of times.copiesBegun(block)) {
        if (end < base - COPY_SLOTS || begin > last) continue
        visitSpans(createCursor(node, begin), end, (span) => {
          if (presence.outageAt(node, span.slot) === undefined) putParts(node, span, undefined, delayNs)
        })
      }
    }

    const cursors = nodes.map(({ index }) => createCursor(index, Math.max(base, 0)))
    for (let slot = Math.max(base - RUN_SLOTS - 1, 0); slot <= last; slot++) {
      traffic.load(slot)
      for (const cursor of cursors) {
        visitSpans(cursor, slot, (span) => {
          if (presence.outageAt(cursor.node, span.slot) === undefined) putParts(cursor.node, span, undefined, 0)
        })
      }
      // No record of a later slot is logged in this slot, so its bucket is complete.
      const bucket = buckets[slot - base]
      if (bucket === undefined) continue
      buckets[slot - base] = undefined
      bucket.sort(inOrder)
      for (const plan of bucket) yield { plan, baseNs }
    }
  }

  function recordOf(plan: Plan, baseNs: bigint, whole: Entries): DemoRecord {
    const { node: index, span, part, parts, outage } = plan
    const { slot } = span
    const node = nodes[index]!
    times.timesOf(index, span, scratch)
    const beginNs = slotNs(slot)
    const startNs = beginNs + BigInt(scratch.start + part * scratch.apart)
    let endNs = beginNs + BigInt(scratch.end)
    if (part < parts - 1) endNs = startNs + BigInt(scratch.apart >> 1)
    // The timer that ends a record does not run while the node sleeps.
    else if (outage !== undefined && slot === outage.asleep - 1 && span.to > SLOT)
      endNs = slotNs(outage.wake) + BigInt(node.phaseNs)
    const entries = parts === 1 ? whole : partOf(whole, part, parts)
    return {
      node,
      slot,
      openedNs: beginNs + BigInt(span.from),
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
    let made: { node: number; span: Span; entries: Entries } | undefined
    while (begin <= toNs) {
      const end = begin + CHUNK_NS - 1n < toNs ? begin + CHUNK_NS - 1n : toNs
      for (const { plan, baseNs } of plans(begin, end)) {
        const { node, span } = plan
        if (made?.node !== node || made.span !== span) made = { node, span, entries: traffic.entriesOf(node, span) }
        yield recordOf(plan, baseNs, made.entries)
      }
      begin = end + 1n
    }
  }
}

function inOrder(a: Plan, b: Plan): number {
  return (
    a.logged - b.logged || a.node - b.node || a.span.slot - b.span.slot || a.span.from - b.span.from || a.part - b.part
  )
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
