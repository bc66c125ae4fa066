/** `tailnet_node`: what each node itself reported in a minute, by kind and by the part that it played. */
import { KINDS, type Kind } from '../../source/parse/message.ts'
import { CELLS, LABEL, type RawPoints } from '../points/raw-points.ts'
import type { TextIds } from '../points/text-ids.ts'
import { createTuples } from '../points/tuples.ts'
import { type Columns, NODE_CELLS, NODE_KIND, NODE_ROLE } from '../rows/minute-columns.ts'
import { ROLES, type Role } from '../rows/row.ts'
import { hasCounted, isExact, type Sums } from '../rows/sums.ts'
import type { Parties } from './parties.ts'

/** Sums of one node row: bytes and packets sent, the same received, flows, peers, DERP tx and rx. */
const NODE_SUMS = 8
const RX = 2
const FLOWS = 4
const PEERS = 5
const DERP = 6
/** In the order of the measurement: tx and rx bytes, tx and rx packets, flows, peers, DERP tx and rx bytes. */
const FIELDS = [0, RX, 1, RX + 1, FLOWS, PEERS, DERP, DERP + 1]

/** Undefined: not every sum is exact as a double. */
export function nodeColumns(
  points: RawPoints,
  texts: TextIds,
  parties: Parties,
  create: (length: number) => Sums,
): Columns | undefined {
  const { cells, seriesCount, flows } = points
  const { labels } = texts
  const { reporter, near, far } = parties
  const keys = createTuples(NODE_CELLS)
  const key = new Int32Array(NODE_CELLS)
  const rows = new Int32Array(seriesCount)
  /** Pairs of a row and an endpoint. */
  const peers = createTuples(2)
  const pair = new Int32Array(2)
  for (let series = 0; series < seriesCount; series++) {
    const kind = labels[cells[series * CELLS + LABEL]! * 3]!
    const own = reporter[series]!
    const [one, other] = [near[series]!, far[series]!]
    key[0] = own
    key[NODE_KIND] = kind
    key[NODE_ROLE] = ROLES.indexOf(roleOf(KINDS[kind]!, own === one || own === other))
    rows[series] = keys.indexOf(key)
    pair[0] = rows[series]!
    pair[1] = other === own ? one : other
    // `none` is no peer.
    if (pair[1] !== 0) peers.indexOf(pair)
  }

  /** By label: 1 for a path through DERP. */
  const isRelayed = new Uint8Array(texts.labelCount)
  for (let label = 0; label < texts.labelCount; label++)
    if (texts.textOf(labels[label * 3 + 2]!).startsWith('derp-')) isRelayed[label] = 1
  const sums = create(keys.count * NODE_SUMS)
  for (let series = 0; series < seriesCount; series++) {
    const at = rows[series]! * NODE_SUMS
    sums.addCounters(at, at + RX, points, series)
    sums.add(at + FLOWS, flows[series]!)
    if (isRelayed[cells[series * CELLS + LABEL]!] === 1) sums.addBytes(at + DERP, points, series)
  }
  for (let at = 0; at < peers.count; at++) sums.add(peers.cells[at * 2]! * NODE_SUMS + PEERS, 1)

  const rowCells = new Int32Array(keys.count * NODE_CELLS)
  const values = sums.values(keys.count * FIELDS.length)
  let count = 0
  for (let row = 0; row < keys.count; row++) {
    const [at, to] = [row * NODE_SUMS, count * FIELDS.length]
    for (let i = 0; i < FIELDS.length; i++) sums.put(values, to + i, at + FIELDS[i]!, at + FIELDS[i]!)
    if (!hasCounted(values, to)) continue
    for (let cell = 0; cell < NODE_CELLS; cell++)
      rowCells[count * NODE_CELLS + cell] = keys.cells[row * NODE_CELLS + cell]!
    count += 1
  }
  return isExact(values) ? { count, cells: rowCells, values } : undefined
}

function roleOf(kind: Kind, isEnd: boolean): Role {
  if (kind === 'virtual' || kind === 'physical') return 'peer'
  if (isEnd) return 'client'
  return kind === 'subnet' ? 'router' : 'exit'
}
