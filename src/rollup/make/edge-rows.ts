/** `tailnet_edge`: who talked to whom in a minute, each byte once, although both ends report it.
 *
 * A report is the word of its reporter, and of nobody else, for its own side. Reports of one edge are kept apart by who gave them, and one of them is
 * believed for each direction:
 *
 *   two nodes                      the sender, if it reports at all (in this minute or the hour before), else the receiver
 *   one node (the client)          the client for both directions, if it reports, else the sum of what routers say
 *   no node                        those who had the sender as `src`, if any has a point of this edge in this minute, else the others
 *   both ends are the same node    as it was told */

import { protoOf } from '../../base/protocol.ts'
import { NO_PORT, servicePort } from '../../flatten/ports.ts'
import { CELLS, DST_PORT, LABEL, type RawPoints, SRC_PORT } from '../points/raw-points.ts'
import type { TextIds } from '../points/text-ids.ts'
import { createTuples } from '../points/tuples.ts'
import { compareEndpoints, type Endpoint } from '../rows/endpoints.ts'
import { type Columns, EDGE_CELLS, EDGE_DST, EDGE_LABEL, EDGE_PORT, EDGE_SRC } from '../rows/minute-columns.ts'
import { hasCounted, isExact, type Sums } from '../rows/sums.ts'
import type { Parties } from './parties.ts'

/** Who gave a report, seen from the edge. */
const BY_SRC = 0
const BY_DST = 1
/** Somebody else, such as a router, whose entry has the edge's src as `src`, or its dst. */
const BY_OTHER_FROM_SRC = 2
const BY_OTHER_FROM_DST = 3
const REPORTERS = 4

/** Sums of one reporter of one edge: src to dst bytes and packets, dst to src bytes and packets, flows, points. */
const FORTH = 0
const BACK = 2
const FLOWS = 4
const POINTS = 5
const REPORT = 6
const EDGE = REPORTERS * REPORT
/** In the order of the measurement: tx and rx bytes, tx and rx packets, flows, reporters. */
const FIELDS = 6

/** Undefined: not every sum is exact as a double. `reports`: whether an endpoint is a node that reports. */
export function edgeColumns(
  points: RawPoints,
  texts: TextIds,
  parties: Parties,
  create: (length: number) => Sums,
  reports: (endpoint: number) => boolean,
): Columns | undefined {
  const { cells, flows, seriesCount } = points
  const { endpoints, reporter, near, far, isUnnamed } = parties
  const keys = createTuples(EDGE_CELLS)
  const key = new Int32Array(EDGE_CELLS)
  const unknown = texts.idOf('unknown')
  /** By label: the number of a protocol that has ports, else one that has none. */
  const protocols = Int32Array.from({ length: texts.labelCount }, (_, label) => {
    const proto = protoOf(texts.textOf(texts.labels[label * 3 + 1]!))
    return typeof proto === 'number' ? proto : 0
  })
  /** By series: where the sums of its report are. */
  const reportAt = new Int32Array(seriesCount)
  const isSwapped = new Uint8Array(seriesCount)
  for (let series = 0; series < seriesCount; series++) {
    const cell = series * CELLS
    const label = cells[cell + LABEL]!
    const kind = texts.labels[label * 3]!
    const [one, other] = [near[series]!, far[series]!]
    const [srcPort, dstPort] = [cells[cell + SRC_PORT]!, cells[cell + DST_PORT]!]
    const port = servicePort(kind, protocols[label]!, srcPort, dstPort)
    const swaps =
      port === NO_PORT || srcPort === dstPort
        ? compareEndpoints(endpoints[one]!, endpoints[other]!) > 0
        : srcPort === port
    const [src, dst] = swaps ? [other, one] : [one, other]
    key[EDGE_LABEL] = isUnnamed[series] === 1 ? texts.labelOf(kind, texts.labels[label * 3 + 1]!, unknown) : label
    key[EDGE_PORT] = port
    key[EDGE_SRC] = src
    key[EDGE_DST] = dst
    reportAt[series] = keys.indexOf(key) * EDGE + reportOf(reporter[series]!, src, dst, swaps) * REPORT
    if (swaps) isSwapped[series] = 1
  }

  const sums = create(keys.count * EDGE)
  for (let series = 0; series < seriesCount; series++) {
    const at = reportAt[series]!
    if (isSwapped[series] === 1) sums.addCounters(at + BACK, at + FORTH, points, series)
    else sums.addCounters(at + FORTH, at + BACK, points, series)
    sums.add(at + FLOWS, flows[series]!)
    sums.add(at + POINTS, 1)
  }

  const rowCells = new Int32Array(keys.count * EDGE_CELLS)
  const values = sums.values(keys.count * FIELDS)
  let count = 0
  for (let edge = 0; edge < keys.count; edge++) {
    const [cell, at, to] = [edge * EDGE_CELLS, edge * EDGE, count * FIELDS]
    const [src, dst] = [keys.cells[cell + EDGE_SRC]!, keys.cells[cell + EDGE_DST]!]
    const { forth, back, flowsOf, sides } = believe(sums, at, src, dst, endpoints, reports)
    put(to, at + FORTH, forth)
    put(to + 1, at + BACK, back)
    put(to + 2, at + FORTH + 1, forth)
    put(to + 3, at + BACK + 1, back)
    if (!hasCounted(values, to)) continue
    put(to + 4, at + FLOWS, flowsOf)
    sums.set(values, to + 5, sides)
    for (let i = 0; i < EDGE_CELLS; i++) rowCells[count * EDGE_CELLS + i] = keys.cells[cell + i]!
    count += 1
  }
  return isExact(values) ? { count, cells: rowCells, values } : undefined

  function put(to: number, at: number, [one, other]: Reports): void {
    sums.put(values, to, at + one * REPORT, at + other * REPORT)
  }
}

function reportOf(reporter: number, src: number, dst: number, isSwapped: boolean): number {
  if (reporter === src) return BY_SRC
  if (reporter === dst) return BY_DST
  return isSwapped ? BY_OTHER_FROM_DST : BY_OTHER_FROM_SRC
}

/** One report, or two whose sums count together. */
type Reports = readonly [one: number, other: number]

const OTHERS: Reports = [BY_OTHER_FROM_SRC, BY_OTHER_FROM_DST]
const SINGLE: readonly Reports[] = [
  [BY_SRC, BY_SRC],
  [BY_DST, BY_DST],
  [BY_OTHER_FROM_SRC, BY_OTHER_FROM_SRC],
  [BY_OTHER_FROM_DST, BY_OTHER_FROM_DST],
]

interface Believed {
  /** Who is believed for src to dst, and for dst to src. */
  readonly forth: Reports
  readonly back: Reports
  /** Whose flows count: those of `forth`, or of the other side where it told nothing in this minute. */
  readonly flowsOf: Reports
  /** Sides that were heard. */
  readonly sides: number
}

/** `at`: where the sums of the edge begin; `src` and `dst` are indices of `endpoints`. */
function believe(
  sums: Sums,
  at: number,
  src: number,
  dst: number,
  endpoints: readonly Endpoint[],
  reports: (endpoint: number) => boolean,
): Believed {
  const isThere = (by: number) => sums.isAbove0(at + by * REPORT + POINTS)
  const [srcTold, dstTold] = [isThere(BY_SRC), isThere(BY_DST)]
  const [fromSrcTold, fromDstTold] = [isThere(BY_OTHER_FROM_SRC), isThere(BY_OTHER_FROM_DST)]
  const [isSrcNode, isDstNode] = [endpoints[src]!.isNode, endpoints[dst]!.isNode]
  if (isSrcNode && src === dst) {
    const told = srcTold ? SINGLE[BY_SRC]! : OTHERS
    return row(told, told, told, 1)
  }
  if (isSrcNode && isDstNode) {
    const forth = reports(src) ? BY_SRC : BY_DST
    const back = reports(dst) ? BY_DST : BY_SRC
    const silent = forth === BY_SRC ? BY_DST : BY_SRC
    return row(SINGLE[forth]!, SINGLE[back]!, SINGLE[silent]!, sides(srcTold, dstTold))
  }
  if (isSrcNode || isDstNode) {
    const client = SINGLE[isSrcNode ? BY_SRC : BY_DST]!
    const heard = sides(isSrcNode ? srcTold : dstTold, fromSrcTold || fromDstTold)
    return reports(isSrcNode ? src : dst) ? row(client, client, OTHERS, heard) : row(OTHERS, OTHERS, client, heard)
  }
  const forth = fromSrcTold ? BY_OTHER_FROM_SRC : BY_OTHER_FROM_DST
  const back = fromDstTold ? BY_OTHER_FROM_DST : BY_OTHER_FROM_SRC
  const silent = forth === BY_OTHER_FROM_SRC ? BY_OTHER_FROM_DST : BY_OTHER_FROM_SRC
  return row(SINGLE[forth]!, SINGLE[back]!, SINGLE[silent]!, sides(fromSrcTold, fromDstTold))

  /** `silent`: whose flows count where `forth` told nothing in this minute. */
  function row(forth: Reports, back: Reports, silent: Reports, heard: number): Believed {
    return { forth, back, flowsOf: isThere(forth[0]) || isThere(forth[1]) ? forth : silent, sides: heard }
  }
}

function sides(one: boolean, other: boolean): number {
  return one && other ? 2 : 1
}
