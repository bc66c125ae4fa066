/** `tailnet_node`: what each node itself reported in a minute, by kind and by the part that it played. */
import type { DirectoryView } from '../directory/view.ts'
import { KINDS, type Kind } from '../source/parse/message.ts'
import { NONE } from './endpoints.ts'
import type { Parties } from './parties.ts'
import { CELLS, LABEL, type RawPoints } from './raw-points.ts'
import { type NodeRow, ROLES, type Role } from './row.ts'
import { countersOf, hasCounted, type Sums } from './sums.ts'
import type { TextIds } from './text-ids.ts'
import { createTuples } from './tuples.ts'

/** Sums of one node row: the four counters, flows, DERP tx and rx. */
const NODE_SUMS = 7
const FLOWS = 4
const DERP = 5

export function sumByNode(points: RawPoints, texts: TextIds, parties: Parties, sums: Sums) {
  const { cells, count, flows } = points
  const { labels } = texts
  const { endpoints, reporter, near, far } = parties
  const keys = createTuples(3)
  const key = new Int32Array(3)
  /** Pairs of a row and an endpoint. */
  const peers = createTuples(2)
  const pair = new Int32Array(2)
  /** By label: 1 for a path through DERP. */
  const isRelayed = new Uint8Array(texts.labelCount)
  for (let label = 0; label < texts.labelCount; label++)
    if (texts.textOf(labels[label * 3 + 2]!).startsWith('derp-')) isRelayed[label] = 1

  for (let point = 0; point < count; point++) {
    const label = cells[point * CELLS + LABEL]!
    const kind = labels[label * 3]!
    const own = reporter[point]!
    const [one, other] = [near[point]!, far[point]!]
    key[0] = own
    key[1] = kind
    key[2] = ROLES.indexOf(roleOf(KINDS[kind]!, own === one || own === other))
    const row = keys.indexOf(key)
    const at = row * NODE_SUMS
    sums.addPoint(at, at + 2, points, point)
    sums.add(at + FLOWS, flows[point]!)
    if (isRelayed[label] === 1) sums.addBytes(at + DERP, points, point)
    pair[0] = row
    pair[1] = other === own ? one : other
    // `none` is no peer.
    if (pair[1] !== 0) peers.indexOf(pair)
  }

  const peerCounts = new Int32Array(keys.count)
  for (let at = 0; at < peers.count; at++) {
    const row = peers.cells[at * 2]!
    peerCounts[row] = peerCounts[row]! + 1
  }

  return {
    sums,
    rows(directory: DirectoryView): NodeRow[] {
      const rows: NodeRow[] = []
      for (let row = 0; row < keys.count; row++) {
        const at = row * NODE_SUMS
        const counters = countersOf(sums, at)
        if (!hasCounted(counters)) continue
        const node = endpoints[keys.cells[row * 3]!]!
        rows.push({
          node,
          os: directory.device(node.id)?.os || NONE,
          kind: KINDS[keys.cells[row * 3 + 1]!]!,
          role: ROLES[keys.cells[row * 3 + 2]!]!,
          ...counters,
          flows: sums.value(at + FLOWS),
          peers: peerCounts[row]!,
          derpTxBytes: sums.value(at + DERP),
          derpRxBytes: sums.value(at + DERP + 1),
        })
      }
      return rows
    },
  }
}

function roleOf(kind: Kind, isEnd: boolean): Role {
  if (kind === 'virtual' || kind === 'physical') return 'peer'
  if (isEnd) return 'client'
  return kind === 'subnet' ? 'router' : 'exit'
}
