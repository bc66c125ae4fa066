/** The options of a simulated tailnet for tests, with defaults and bounds. */

/** Some nodes scan ports: every entry is a new tuple. */
export interface ScanOptions {
  /** Number of nodes that scan. */
  readonly nodes: number
  /** Tuples per node and slot. A record of more than 1,060 is split, as clients do. */
  readonly tuples: number
}

/** From `atNs` on the node has this name: in records by `start`, in the device list by the server's clock. */
interface Rename {
  /** Index of the node. */
  readonly node: number
  readonly atNs: bigint
  /** The first label of the new name. */
  readonly name: string
}

export interface TailnetOptions {
  /** The same seed and options give the same tailnet, with the same history. */
  readonly seed?: number
  /** 5 to 50,000. */
  readonly nodes?: number
  /** Factor on the amount of traffic; 0 is none. */
  readonly activity?: number
  /** False: all clients are older than 1.92 and send neither srcNode nor dstNodes. */
  readonly nodeInfo?: boolean
  /** Share of clients older than 1.92. */
  readonly oldClients?: number
  /** Every fourth node has a hostile name, user and tags; some addresses and protocols are hostile too. */
  readonly hostile?: boolean
  /** Some counters are beyond 2^53. */
  readonly bigCounters?: boolean
  /** Exit traffic with its destinations, as with the node attribute `log-exit-flows`. */
  readonly exitDestinations?: boolean
  /** Split records, re-uploads, late uploads, records logged exactly on a whole minute. */
  readonly disorder?: boolean
  readonly scan?: ScanOptions
  /** `demo`: as in the demo, where some laptops are renamed now and then. */
  readonly renames?: readonly Rename[] | 'demo'
  /** No records begin before this. */
  readonly epochNs?: bigint
  /** Delay from `logged` until the API returns the record, ns. Must be a pure function. */
  readonly visibilityDelay?: (record: VisibilityKey) => bigint
}

interface VisibilityKey {
  readonly nodeId: string
  readonly loggedNs: bigint
  /** Index of the node's slot of 5.25 s. */
  readonly slot: number
  /** True for the second upload of a record. */
  readonly copy: boolean
}

export type FullOptions = Required<Omit<TailnetOptions, 'scan' | 'visibilityDelay'>> &
  Pick<TailnetOptions, 'scan' | 'visibilityDelay'>

/** A slot of one node fits into memory many times over. */
const SCAN_TUPLES_MAX = 1_000_000

function isCount(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max
}

/** Throws a RangeError for what is out of bounds. */
export function fullOptions(options: TailnetOptions): FullOptions {
  const full: FullOptions = {
    seed: 1,
    nodes: 50,
    activity: 1,
    nodeInfo: true,
    oldClients: 0.12,
    hostile: false,
    bigCounters: false,
    exitDestinations: false,
    disorder: true,
    renames: [],
    epochNs: 0n,
    ...options,
  }
  if (!Number.isInteger(full.nodes) || full.nodes < 5 || full.nodes > 50_000)
    throw new RangeError(`nodes must be a whole number from 5 to 50,000, not ${full.nodes}`)
  if (!Number.isInteger(full.seed)) throw new RangeError(`seed must be a whole number, not ${full.seed}`)
  if (!(full.activity >= 0 && full.activity <= 1000))
    throw new RangeError(`activity must be a number from 0 to 1000, not ${full.activity}`)
  if (!(full.oldClients >= 0 && full.oldClients <= 1))
    throw new RangeError(`oldClients must be a number from 0 to 1, not ${full.oldClients}`)
  const { nodes = 0, tuples = 0 } = full.scan ?? {}
  if (!isCount(nodes, full.nodes) || !isCount(tuples, SCAN_TUPLES_MAX))
    throw new RangeError(`scan must have 0 to ${full.nodes} nodes and 0 to ${SCAN_TUPLES_MAX} tuples`)
  for (const { node } of full.renames === 'demo' ? [] : full.renames)
    if (!Number.isInteger(node) || node < 0 || node >= full.nodes)
      throw new RangeError(`there is no node ${node} to rename`)
  return full
}
