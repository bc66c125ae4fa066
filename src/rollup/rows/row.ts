/** Rows of a minute, before they are lines. */
import type { Kind } from '../../source/parse/message.ts'
import type { Endpoint } from './endpoints.ts'

/** The four counters of a row, 0 to 2^63-1; a larger sum is kept as that. */
interface RowCounters {
  readonly txBytes: bigint
  readonly txPkts: bigint
  readonly rxBytes: bigint
  readonly rxPkts: bigint
}

/** Who talked to whom. `tx` is what `src` sent to `dst`, `rx` what `dst` sent to `src`; each byte once. */
export interface EdgeRow extends RowCounters {
  readonly kind: Kind
  readonly proto: string
  /** The service port, `none` without. */
  readonly port: string
  readonly path: string
  readonly src: Endpoint
  readonly dst: Endpoint
  readonly flows: bigint
  /** Sides that were heard in this minute: 1 or 2. */
  readonly reporters: number
}

export const ROLES = ['peer', 'client', 'router', 'exit'] as const
export type Role = (typeof ROLES)[number]

/** What a node itself reported. */
export interface NodeRow extends RowCounters {
  readonly node: Endpoint
  readonly os: string
  readonly kind: Kind
  readonly role: Role
  readonly flows: bigint
  /** Distinct endpoints at the far end. */
  readonly peers: number
  /** Physical traffic through DERP. */
  readonly derpTxBytes: bigint
  readonly derpRxBytes: bigint
}

export interface MinuteRows {
  readonly edges: readonly EdgeRow[]
  readonly nodes: readonly NodeRow[]
}

export interface HourBefore {
  /** The node had a row of `tailnet_node` that counts anything in one of the 60 minutes before. */
  hasReported(node: string): boolean
  /** Another node than `node` had `address` as `src` of a virtual point in one of the 60 minutes before. */
  wasUsedByOther(address: string, node: string): boolean
}
