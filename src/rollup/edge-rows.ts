/** `tailnet_edge`: who talked to whom in a minute, each byte once, although both ends report it.
 *
 * A report is the word of its reporter, and of nobody else, for its own side. Reports of one edge are kept apart by who gave them, and one of them is
 * believed for each direction:
 *
 *   two nodes                      the sender, if it reports at all (in this minute or the hour before), else the receiver
 *   one node (the client)          the client for both directions, if it reports, else the sum of what routers say
 *   no node                        those who had the sender as `src`, if any has a point of this edge in this minute, else the others
 *   both ends are the same node    as it was told */

import { protoOf } from '../base/protocol.ts'
import { NO_PORT, servicePort } from '../flatten/ports.ts'
import { KINDS } from '../source/parse/message.ts'
import { compareEndpoints, type Endpoint } from './endpoints.ts'
import type { Parties } from './parties.ts'
import { CELLS, DST_PORT, LABEL, type RawPoints, SRC_PORT } from './raw-points.ts'
import type { EdgeRow } from './row.ts'
import { hasCounted, type RowCounters, type Sums } from './sums.ts'
import type { TextIds } from './text-ids.ts'
import { createTuples } from './tuples.ts'

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

/** Edges by label, port, src and dst. */
const KEY = 4

export function sumByEdge(points: RawPoints, texts: TextIds, parties: Parties, sums: Sums) {
  const { cells, flows, count } = points
  const { endpoints, reporter, near, far, isUnnamed } = parties
  const keys = createTuples(KEY)
  const key = new Int32Array(KEY)
  const unknown = texts.idOf('unknown')
  /** By label: the number of a protocol that has ports, else one that has none. */
  const protocols = Int32Array.from({ length: texts.labelCount }, (_, label) => {
    const proto = protoOf(texts.textOf(texts.labels[label * 3 + 1]!))
    return typeof proto === 'number' ? proto : 0
  })

  for (let point = 0; point < count; point++) {
    const cell = point * CELLS
    const label = cells[cell + LABEL]!
    const kind = texts.labels[label * 3]!
    const [one, other] = [near[point]!, far[point]!]
    const [srcPort, dstPort] = [cells[cell + SRC_PORT]!, cells[cell + DST_PORT]!]
    const port = servicePort(kind, protocols[label]!, srcPort, dstPort)
    const isSwapped =
      port === NO_PORT || srcPort === dstPort
        ? compareEndpoints(endpoints[one]!, endpoints[other]!) > 0
        : srcPort === port
    const [src, dst] = isSwapped ? [other, one] : [one, other]
    key[0] = isUnnamed[point] === 1 ? texts.labelOf(kind, texts.labels[label * 3 + 1]!, unknown) : label
    key[1] = port
    key[2] = src
    key[3] = dst
    const at = keys.indexOf(key) * EDGE + reportOf(reporter[point]!, src, dst, isSwapped) * REPORT
    if (isSwapped) sums.addPoint(at + BACK, at + FORTH, points, point)
    else sums.addPoint(at + FORTH, at + BACK, points, point)
    sums.add(at + FLOWS, flows[point]!)
    sums.add(at + POINTS, 1)
  }

  return {
    sums,
    rows(reports: (endpoint: Endpoint) => boolean): EdgeRow[] {
      const rows: EdgeRow[] = []
      const { labels } = texts
      for (let edge = 0; edge < keys.count; edge++) {
        const cell = edge * KEY
        const label = keys.cells[cell]! * 3
        const port = keys.cells[cell + 1]!
        const [src, dst] = [endpoints[keys.cells[cell + 2]!]!, endpoints[keys.cells[cell + 3]!]!]
        const believed = believe(sums, edge * EDGE, src, dst, reports)
        if (!hasCounted(believed)) continue
        const kind = KINDS[labels[label]!]!
        const [proto, path] = [texts.textOf(labels[label + 1]!), texts.textOf(labels[label + 2]!)]
        rows.push({ kind, proto, port: port === NO_PORT ? 'none' : String(port), path, src, dst, ...believed })
      }
      return rows
    },
  }
}

function reportOf(reporter: number, src: number, dst: number, isSwapped: boolean): number {
  if (reporter === src) return BY_SRC
  if (reporter === dst) return BY_DST
  return isSwapped ? BY_OTHER_FROM_DST : BY_OTHER_FROM_SRC
}

interface Believed extends RowCounters {
  readonly flows: bigint
  readonly reporters: number
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

/** `at`: where the sums of the edge begin. */
function believe(
  sums: Sums,
  at: number,
  src: Endpoint,
  dst: Endpoint,
  reports: (endpoint: Endpoint) => boolean,
): Believed {
  const isThere = (by: number) => sums.isAbove0(at + by * REPORT + POINTS)
  const [srcTold, dstTold] = [isThere(BY_SRC), isThere(BY_DST)]
  const [fromSrcTold, fromDstTold] = [isThere(BY_OTHER_FROM_SRC), isThere(BY_OTHER_FROM_DST)]
  if (src.isNode && src === dst) {
    const told = srcTold ? SINGLE[BY_SRC]! : OTHERS
    return row(told, told, undefined, 1)
  }
  if (src.isNode && dst.isNode) {
    const forth = reports(src) ? BY_SRC : BY_DST
    const back = reports(dst) ? BY_DST : BY_SRC
    const silent = forth === BY_SRC ? BY_DST : BY_SRC
    return row(SINGLE[forth]!, SINGLE[back]!, SINGLE[silent]!, sides(srcTold, dstTold))
  }
  if (src.isNode || dst.isNode) {
    const client = SINGLE[src.isNode ? BY_SRC : BY_DST]!
    const isBelieved = reports(src.isNode ? src : dst)
    const heard = sides(src.isNode ? srcTold : dstTold, fromSrcTold || fromDstTold)
    return isBelieved ? row(client, client, OTHERS, heard) : row(OTHERS, OTHERS, client, heard)
  }
  const forth = fromSrcTold ? BY_OTHER_FROM_SRC : BY_OTHER_FROM_DST
  const back = fromDstTold ? BY_OTHER_FROM_DST : BY_OTHER_FROM_SRC
  const silent = forth === BY_OTHER_FROM_SRC ? BY_OTHER_FROM_DST : BY_OTHER_FROM_SRC
  return row(SINGLE[forth]!, SINGLE[back]!, SINGLE[silent]!, sides(fromSrcTold, fromDstTold))

  function sum([one, other]: Reports, which: number): bigint {
    const first = at + one * REPORT + which
    return one === other ? sums.value(first) : sums.both(first, at + other * REPORT + which)
  }

  /** `forth`: who is believed for src to dst; `back`: for dst to src; `silent`: whose flows count where `forth` told nothing in this minute. */
  function row(forth: Reports, back: Reports, silent: Reports | undefined, reporters: number): Believed {
    const counted = isThere(forth[0]) || isThere(forth[1]) ? forth : silent
    return {
      txBytes: sum(forth, FORTH),
      txPkts: sum(forth, FORTH + 1),
      rxBytes: sum(back, BACK),
      rxPkts: sum(back, BACK + 1),
      flows: counted === undefined ? 0n : sum(counted, FLOWS),
      reporters,
    }
  }
}

function sides(one: boolean, other: boolean): number {
  return one && other ? 2 : 1
}
