/** The entries of a record, before they are written as JSON. */
import type { DemoAddress } from './nodes.ts'

/** Packets and bytes that a node sent and received. */
export interface Counts {
  txPkts: number
  txBytes: number
  rxPkts: number
  rxBytes: number
}

/** One connection of a record, as the reporting node sees it. */
export interface DemoEntry extends Record<keyof Counts, number | bigint> {
  /** IP protocol number, or its name. Messages leave out 0. */
  readonly proto: number | string
  readonly src: DemoAddress | undefined
  /** -1: the message has no port. */
  readonly srcPort: number
  readonly dst: DemoAddress | undefined
  readonly dstPort: number
  /** Index of the other node whose address the entry has; -1 without one. */
  readonly other: number
}

/** Entries by kind: virtual, subnet, exit, physical. */
export type Entries = readonly [DemoEntry[], DemoEntry[], DemoEntry[], DemoEntry[]]

export function addCounts(sum: Counts, counts: Counts): void {
  sum.txPkts += counts.txPkts
  sum.txBytes += counts.txBytes
  sum.rxPkts += counts.rxPkts
  sum.rxBytes += counts.rxBytes
}
