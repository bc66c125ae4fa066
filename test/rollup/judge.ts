/** Rows of a simulated tailnet against what really moved: total bytes by kind, and bytes by edge and hour. */
import type { DirectoryView } from '../../src/directory/view.ts'
import { rowsOfMinute } from '../../src/rollup/make/rows.ts'
import { createRawPoints, type RawPoint } from '../../src/rollup/points/raw-points.ts'
import { createTextIds } from '../../src/rollup/points/text-ids.ts'
import type { EdgeRow } from '../../src/rollup/rows/row.ts'
import type { Clocks } from '../simulator/edge-truth.ts'
import { HOUR, MINUTE } from '../simulator/ranges.ts'
import type { Tailnet } from '../simulator/tailnet.ts'
import { KINDS, type TruthPoint } from '../simulator/truth.ts'

/** A node that woke up uploads what it kept this long after at most. */
const LATE_NS = 5n * HOUR
/** Nodes that reported in so many minutes before are believed. */
const LOOK_BACK_MINUTES = 60
/** Edge-hours with fewer bytes are not compared. */
const BYTES_MIN = 10_000n

export interface Judgement {
  /** Bytes by kind, exit traffic that names neither end apart. */
  readonly totals: ReadonlyMap<string, { readonly truth: bigint; readonly rows: bigint }>
  /** Edge-hours above 10 kB, by how much the rows are off. */
  readonly edges: readonly EdgeHour[]
  /** Bytes of rows that belong to no true edge. */
  readonly invented: bigint
}

export interface EdgeHour {
  readonly key: string
  readonly truth: bigint
  readonly rows: bigint
  /** The larger difference of the two directions and of their sum, as a share of the true sum. */
  readonly off: number
}

/** Raw points by minute of `start`, of all records that begin in the range, however late they came. */
export function pointsByMinute(tailnet: Tailnet, fromNs: bigint, toNs: bigint): ReadonlyMap<number, TruthPoint[]> {
  const minutes = new Map<number, TruthPoint[]>()
  // A clock may be some minutes ahead.
  for (const record of tailnet.records(fromNs - 3n * MINUTE, toNs + LATE_NS, { once: true })) {
    if (record.startNs < fromNs || record.startNs >= toNs) continue
    const minute = Number(record.startNs / MINUTE)
    const points = minutes.get(minute) ?? []
    minutes.set(minute, points)
    points.push(...tailnet.pointsOf(record))
  }
  return minutes
}

export interface JudgeOptions {
  readonly lookBackMinutes?: number
  /** By which clock the truth stands in hours. */
  readonly clocks?: Clocks
}

/** Rows of whole hours. `minutes` must begin an hour earlier. */
export function judge(
  tailnet: Tailnet,
  minutes: ReadonlyMap<number, readonly TruthPoint[]>,
  fromNs: bigint,
  toNs: bigint,
  { lookBackMinutes = LOOK_BACK_MINUTES, clocks = 'own' }: JudgeOptions = {},
): Judgement {
  const sums = new Map<string, Sum>()
  const sumOf = (key: string) => {
    const sum = sums.get(key) ?? { truth: [0n, 0n], rows: [0n, 0n] }
    sums.set(key, sum)
    return sum
  }
  for (const edge of tailnet.edges(fromNs, toNs, clocks)) {
    const sum = sumOf(keyOf(edge.hourNs, edge, edge.src, edge.dst))
    sum.truth[0] += edge.txBytes
    sum.truth[1] += edge.rxBytes
  }
  for (const { hourNs, row } of rowsOf(tailnet, minutes, fromNs, toNs, lookBackMinutes)) {
    const sum = sumOf(keyOf(hourNs, row, row.src.id, row.dst.id))
    sum.rows[0] += row.txBytes
    sum.rows[1] += row.rxBytes
  }
  const totals = new Map<string, { truth: bigint; rows: bigint }>()
  const edges: EdgeHour[] = []
  let invented = 0n
  for (const [key, { truth, rows }] of sums) {
    const [, kind, , , path] = key.split(' ')
    const name = path === 'unknown' ? `${kind}, neither end` : kind!
    const total = totals.get(name) ?? { truth: 0n, rows: 0n }
    totals.set(name, total)
    const [real, told] = [truth[0] + truth[1], rows[0] + rows[1]]
    total.truth += real
    total.rows += told
    if (real === 0n) invented += told
    if (real < BYTES_MIN) continue
    const differences = [truth[0] - rows[0], truth[1] - rows[1], real - told].map((one) => Math.abs(Number(one)))
    edges.push({ key, truth: real, rows: told, off: Math.max(...differences) / Number(real) })
  }
  return { totals, edges, invented }
}

interface Sum {
  readonly truth: [bigint, bigint]
  readonly rows: [bigint, bigint]
}

function keyOf(
  hourNs: bigint,
  { kind, proto, port, path }: { kind: string; proto: string; port: string; path: string },
  src: string,
  dst: string,
): string {
  return [hourNs, kind, proto, port, path, src, dst].join(' ')
}

export function* rowsOf(
  { nodes }: Tailnet,
  minutes: ReadonlyMap<number, readonly TruthPoint[]>,
  fromNs: bigint,
  toNs: bigint,
  lookBackMinutes: number,
): Generator<{ readonly hourNs: bigint; readonly minuteNs: bigint; readonly row: EdgeRow }> {
  const owners = new Map(nodes.flatMap(({ nodeId, v4, v6 }) => [v4, v6].map(({ text }) => [text, nodeId])))
  const directory: DirectoryView = {
    nodeOf: (address) => owners.get(address),
    device: (node) => ({ name: node, owner: 'none', os: 'none' }),
    networkOf: () => undefined,
  }
  /** The last minute in which a node reported. */
  const reported = new Map<string, number>()
  const texts = createTextIds()
  for (const minute of [...minutes.keys()].sort((a, b) => a - b)) {
    const minuteNs = BigInt(minute) * MINUTE
    const points = createRawPoints(minuteNs, texts)
    for (const point of minutes.get(minute)!) points.put(rawPoint(point))
    const rows = rowsOfMinute(points, texts, directory, {
      hasReported: (node) => (reported.get(node) ?? -1) >= minute - lookBackMinutes,
      // The directory knows all addresses.
      wasUsedByOther: () => false,
    })
    for (const { node } of rows.nodes) reported.set(node.id, minute)
    if (minuteNs < fromNs || minuteNs >= toNs) continue
    for (const row of rows.edges) yield { hourNs: minuteNs - (minuteNs % HOUR), minuteNs, row }
  }
}

function rawPoint({ tags, fields, timestampNs }: TruthPoint): RawPoint {
  const port = (name: string) => (tags[name] === 'none' ? -1 : Number(tags[name]))
  return {
    node: tags['node']!,
    kind: KINDS.find((kind) => kind === tags['kind'])!,
    proto: tags['proto']!,
    src: tags['src']!,
    dst: tags['dst']!,
    srcPort: port('src_port'),
    dstPort: port('dst_port'),
    path: tags['path']!,
    startNs: timestampNs,
    txBytes: fields['tx_bytes']!,
    txPkts: fields['tx_pkts']!,
    rxBytes: fields['rx_bytes']!,
    rxPkts: fields['rx_pkts']!,
    flows: Number(fields['flows']),
  }
}
