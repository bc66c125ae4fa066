/** A message becomes points: entries with equal tags are summed, and the sums are checked. The points depend on the message and on the settings that
 * were valid at its `start`, on nothing else. So the same message always becomes the same points, whenever and wherever it is read. */
import { CollectorError } from '../base/errors.ts'
import { PROTO_TAGS } from '../base/protocol.ts'
import { ENTRY_CELLS, KIND, KINDS } from '../source/parse/message.ts'
import { type Aggregation, aggregateEntries, createDigest, entryText } from './aggregate.ts'
import { ExactSums } from './exact-sums.ts'
import { FlatPoints } from './flat-points.ts'
import type { Entries, Points } from './points.ts'
import type { Ports } from './ports.ts'
import { tagValue } from './tag-value.ts'

/** What enters the identity of points, by the `start` of their message. */
export interface FlattenOptions {
  /** Value of the tag `tailnet`; `-` (the token's own tailnet) becomes `default`. */
  tailnetAt(startNs: bigint): string
  portsAt(startNs: bigint): Ports
}

export interface Flattener {
  /** The returned points are valid until the next call. Throws a CollectorError `imbalance` (reject) when the counters of the points are not
   * those of the entries. That is a bug, so no point of this message may be written. */
  flatten(message: Entries): Points
}

export function createFlattener({ tailnetAt, portsAt }: FlattenOptions): Flattener {
  const points = new FlatPoints()
  const digest = createDigest()
  const aggregation: Aggregation = { ports: 'service', protoCells: [] }
  let tailnet: string | undefined
  let tailnetTag = ''

  function flatten(message: Entries): Points {
    const { startNs } = message
    useTailnet(tailnetAt(startNs))
    aggregation.ports = portsAt(startNs)
    points.begin(message, tailnetTag, tagValue(message.nodeId))
    digest.begin()
    if (message.protoNames.length > 0) aggregation.protoCells = message.protoNames.map(protoCell)
    if (message.exact) aggregateExactly(message, message.exact)
    else aggregateEntries(message, 0, message.entryCount, points, digest, aggregation)
    points.digest = digest.of(message.nodeId, startNs)
    checkSums()
    return points
  }

  function useTailnet(name: string): void {
    if (name === tailnet) return
    tailnet = name
    tailnetTag = tagValue(name === '-' ? 'default' : name)
  }

  /** For counters so large that a sum may leave int64: an entry whose counters no longer fit is quarantined before it is added. */
  function aggregateExactly(message: Entries, exact: BigInt64Array): void {
    const sums = new ExactSums(message.entryCount)
    points.exact = sums
    for (let i = 0; i < message.entryCount; i++) {
      const kind = message.cells[i * ENTRY_CELLS + KIND]!
      const counters = exact.subarray(i * 4, i * 4 + 4)
      if (sums.fits(kind, counters)) {
        const point = aggregateEntries(message, i, i + 1, points, digest, aggregation)
        sums.add(points.flowCells, point, counters)
        digest.addExact(counters)
      } else {
        points.quarantined.push({ reason: 'bad_counter', text: entryText(message, i, counters), kind: KINDS[kind]! })
      }
    }
  }

  /** The cell of a protocol that is not a number. Two names with the same tag value are the same protocol. */
  function protoCell(name: string): number {
    const tag = tagValue(name)
    const number = PROTO_TAGS.indexOf(tag)
    return number >= 0 ? number : 256 + points.protoTag(tag)
  }

  /** Double-entry bookkeeping: for each kind the points must hold what the entries held. */
  function checkSums(): void {
    const kind = points.firstImbalance()
    if (kind === undefined) return
    throw new CollectorError(
      `The ${kind} counters of a message of node ${points.node} at ${points.startNs} do not add up; this is a bug: keep the answer and report it.`,
      { stage: 'flatten', code: 'imbalance', reaction: 'reject' },
    )
  }

  return { flatten }
}
