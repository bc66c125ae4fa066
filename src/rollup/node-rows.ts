/** `tailnet_node`: what each node itself reported in a minute, by kind and by the part that it played. */
import type { DirectoryView } from '../directory/view.ts'
import { KINDS, type Kind } from '../source/parse/message.ts'
import { NONE } from './endpoints.ts'
import type { Parties } from './parties.ts'
import { CELLS, COUNTERS, KIND, PATH, type RawPoints, RX_BYTES, TX_BYTES } from './raw-points.ts'
import { type NodeRow, ROLES, type Role } from './row.ts'
import { countersOf, hasCounted, type Sums } from './sums.ts'
import type { TextIds } from './text-ids.ts'
import { createTuples } from './tuples.ts'

/** Sums of one node row: the four counters, flows, DERP tx and rx. */
const NODE_SUMS = 7
/** More than a minute can have. */
const ENDPOINTS_MAX = 2 ** 26

export function sumByNode(points: RawPoints, texts: TextIds, parties: Parties, sums: Sums) {
  const { cells, count } = points
  const keys = createTuples(3)
  const key = new Int32Array(3)
  /** Pairs of a row and an endpoint. */
  const peers = new Set<number>()
  const peerCounts: number[] = []
  const isDerp = new Map<number, boolean>()

  for (let point = 0; point < count; point++) {
    const kind = cells[point * CELLS + KIND]!
    const reporter = parties.reporter(point)
    const near = parties.near(point)
    const far = parties.far(point)
    key[0] = reporter
    key[1] = kind
    key[2] = ROLES.indexOf(roleOf(KINDS[kind]!, reporter === near || reporter === far))
    const row = keys.indexOf(key)
    const at = row * NODE_SUMS
    for (let k = 0; k < COUNTERS; k++) sums.addCounter(at + k, points, point * COUNTERS + k)
    sums.add(at + 4, points.flows[point]!)
    const path = cells[point * CELLS + PATH]!
    let relayed = isDerp.get(path)
    if (relayed === undefined) isDerp.set(path, (relayed = texts.textOf(path).startsWith('derp-')))
    if (relayed) {
      sums.addCounter(at + 5, points, point * COUNTERS + TX_BYTES)
      sums.addCounter(at + 6, points, point * COUNTERS + RX_BYTES)
    }
    const peer = far === reporter ? near : far
    const pair = row * ENDPOINTS_MAX + peer
    if (parties.endpoints[peer]!.id === NONE || peers.has(pair)) continue
    peers.add(pair)
    peerCounts[row] = (peerCounts[row] ?? 0) + 1
  }

  return {
    sums,
    rows(directory: DirectoryView): NodeRow[] {
      const rows: NodeRow[] = []
      for (let row = 0; row < keys.count; row++) {
        const at = row * NODE_SUMS
        const counters = countersOf(sums, at, at)
        if (!hasCounted(counters)) continue
        const node = parties.endpoints[keys.cells[row * 3]!]!
        rows.push({
          node,
          os: directory.device(node.id)?.os || NONE,
          kind: KINDS[keys.cells[row * 3 + 1]!]!,
          role: ROLES[keys.cells[row * 3 + 2]!]!,
          ...counters,
          flows: sums.value(at + 4),
          peers: peerCounts[row] ?? 0,
          derpTxBytes: sums.value(at + 5),
          derpRxBytes: sums.value(at + 6),
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
