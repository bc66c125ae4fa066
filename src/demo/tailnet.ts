/** demo/: a simulated tailnet. Its history is a pure function of the options: any time can be asked for, in any order, and the answer
 * is always the same. */
import { createMessageWriter } from './json.ts'
import { createLinks } from './links.ts'
import { createNaming, createNodes, type DemoNode, DNS_SUFFIX } from './nodes.ts'
import { type FullOptions, fullOptions, type TailnetOptions } from './options.ts'
import { createRecords, type DemoRecord, type RangeOptions } from './records.ts'
import { createTimes } from './times.ts'
import { createTraffic } from './traffic.ts'
import { createTruth, type TruthOptions, type TruthPoint } from './truth.ts'

/** The API's time range: on `logged`, ns, both ends inclusive. `nowNs`: only what the API shows at that time. */
interface ShownAt {
  readonly nowNs?: bigint
}

interface KindSums {
  entries: number
  txBytes: bigint
  txPkts: bigint
  rxBytes: bigint
  rxPkts: bigint
}

/** Counted from the entries, each record once. */
interface Sums {
  /** Messages on the wire, second uploads included. */
  messages: number
  /** Messages without second uploads of what is in the range anyway. */
  records: number
  readonly virtual: KindSums
  readonly subnet: KindSums
  readonly exit: KindSums
  readonly physical: KindSums
}

export interface Tailnet {
  readonly options: FullOptions
  /** Name of the tailnet, as in the API's paths. */
  readonly name: string
  readonly nodes: readonly DemoNode[]
  /** Records in the order of `logged`. Nothing of the range is kept. */
  records(fromNs: bigint, toNs: bigint, range?: RangeOptions): Iterable<DemoRecord>
  /** The same as JSON texts, one per message. */
  messages(fromNs: bigint, toNs: bigint, range?: RangeOptions): Iterable<string>
  /** Every point that the records of the range make, each once, in no special order. */
  truth(fromNs: bigint, toNs: bigint, options?: TruthOptions & ShownAt): Iterable<TruthPoint>
  /** The points of one record. */
  pointsOf(record: DemoRecord, options?: TruthOptions): readonly TruthPoint[]
  sums(fromNs: bigint, toNs: bigint, shown?: ShownAt): Sums
  /** The devices API at a time: one JSON text per device. */
  devices(atNs: bigint): Iterable<string>
}

/** Throws a RangeError for options out of bounds. */
export function createTailnet(options: TailnetOptions = {}): Tailnet {
  const full = fullOptions(options)
  const nodes = createNodes(full)
  const naming = createNaming(full, nodes)
  const traffic = createTraffic(full, nodes, createLinks(full, nodes))
  const { records } = createRecords(full, nodes, naming, traffic, createTimes(full, nodes))
  const { messageText } = createMessageWriter(naming)
  const { pointsOf } = createTruth(nodes, naming)

  function* messages(fromNs: bigint, toNs: bigint, range?: RangeOptions): Generator<string> {
    for (const record of records(fromNs, toNs, range)) yield messageText(record)
  }

  function* truth(fromNs: bigint, toNs: bigint, wanted: TruthOptions & ShownAt = {}): Generator<TruthPoint> {
    for (const record of records(fromNs, toNs, { ...shownAt(wanted), once: true })) yield* pointsOf(record, wanted)
  }

  function sums(fromNs: bigint, toNs: bigint, shown: ShownAt = {}): Sums {
    const kinds = [noSums(), noSums(), noSums(), noSums()] as const
    const out: Sums = {
      messages: 0,
      records: 0,
      virtual: kinds[0],
      subnet: kinds[1],
      exit: kinds[2],
      physical: kinds[3],
    }
    for (const _ of records(fromNs, toNs, shownAt(shown))) out.messages += 1
    for (const { entries } of records(fromNs, toNs, { ...shownAt(shown), once: true })) {
      out.records += 1
      for (const [kind, list] of entries.entries()) {
        const sum = kinds[kind]!
        for (const { txBytes, txPkts, rxBytes, rxPkts } of list) {
          sum.entries += 1
          sum.txBytes += BigInt(txBytes)
          sum.txPkts += BigInt(txPkts)
          sum.rxBytes += BigInt(rxBytes)
          sum.rxPkts += BigInt(rxPkts)
        }
      }
    }
    return out
  }

  function* devices(atNs: bigint): Generator<string> {
    for (const node of nodes) {
      const hostname = naming.label(node.index, naming.versionAt(node.index, atNs))
      yield JSON.stringify({
        addresses: [node.v4.text, node.v6.text],
        id: String(50_000 + node.index),
        nodeId: node.nodeId,
        user: node.user ?? 'tagged-devices',
        name: `${hostname}.${DNS_SUFFIX}`,
        hostname,
        clientVersion: node.old ? '1.88.4' : '1.98.1',
        updateAvailable: node.old,
        os: node.os,
        created: '2025-03-05T17:10:27Z',
        connectedToControl: true,
        keyExpiryDisabled: node.tags !== undefined,
        expires: node.tags === undefined ? '2030-01-01T00:00:00Z' : '0001-01-01T00:00:00Z',
        authorized: true,
        isExternal: false,
        machineKey: '',
        nodeKey: `nodekey:${node.nodeId}`,
        blocksIncomingConnections: node.role === 'phone',
        tailnetLockError: '',
        tailnetLockKey: '',
        isEphemeral: false,
        ...(node.tags === undefined ? {} : { tags: node.tags }),
      })
    }
  }

  return { options: full, name: DNS_SUFFIX, nodes, records, messages, truth, pointsOf, sums, devices }
}

function shownAt({ nowNs }: ShownAt): RangeOptions {
  return nowNs === undefined ? {} : { nowNs }
}

function noSums(): KindSums {
  return { entries: 0, txBytes: 0n, txPkts: 0n, rxBytes: 0n, rxPkts: 0n }
}
