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
import { CELLS, COUNTERS, DST_PORT, KIND, PATH, PROTO, type RawPoints, SRC_PORT } from './raw-points.ts'
import type { EdgeRow } from './row.ts'
import { bounded, hasCounted, type RowCounters, type Sums } from './sums.ts'
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
const FORTH_BYTES = 0
const FORTH_PKTS = 1
const BACK_BYTES = 2
const BACK_PKTS = 3
const FLOWS = 4
const POINTS = 5
const WORD = 6
const EDGE = REPORTERS * WORD

/** What was reported of one edge. */
type Word = (reporter: number, sum: number) => bigint

export function sumByEdge(points: RawPoints, texts: TextIds, parties: Parties, sums: Sums) {
  const { cells, count } = points
  const { endpoints } = parties
  const keys = createTuples(6)
  const key = new Int32Array(6)
  const unknown = texts.idOf('unknown')
  const protocols = new Map<number, number>()

  /** The number of a protocol that has ports, else one that has none. */
  function protocolOf(text: number): number {
    let number = protocols.get(text)
    if (number === undefined) {
      const proto = protoOf(texts.textOf(text))
      number = typeof proto === 'number' ? proto : 0
      protocols.set(text, number)
    }
    return number
  }

  for (let point = 0; point < count; point++) {
    const cell = point * CELLS
    const near = parties.near(point)
    const far = parties.far(point)
    const reporter = parties.reporter(point)
    const [srcPort, dstPort] = [cells[cell + SRC_PORT]!, cells[cell + DST_PORT]!]
    const port = servicePort(cells[cell + KIND]!, protocolOf(cells[cell + PROTO]!), srcPort, dstPort)
    const isSwapped = servesNear(port, srcPort, dstPort) ?? compareEndpoints(endpoints[near]!, endpoints[far]!) > 0
    key[0] = cells[cell + KIND]!
    key[1] = cells[cell + PROTO]!
    key[2] = port
    key[3] = parties.isUnnamed(point) ? unknown : cells[cell + PATH]!
    key[4] = isSwapped ? far : near
    key[5] = isSwapped ? near : far
    const at = keys.indexOf(key) * EDGE + reporterOf(reporter, key[4], key[5], isSwapped) * WORD
    const counter = point * COUNTERS
    const [sent, received] = isSwapped ? [BACK_BYTES, FORTH_BYTES] : [FORTH_BYTES, BACK_BYTES]
    sums.addCounter(at + sent, points, counter)
    sums.addCounter(at + sent + 1, points, counter + 1)
    sums.addCounter(at + received, points, counter + 2)
    sums.addCounter(at + received + 1, points, counter + 3)
    sums.add(at + FLOWS, points.flows[point]!)
    sums.add(at + POINTS, 1)
  }

  return {
    sums,
    rows(reports: (endpoint: Endpoint) => boolean): EdgeRow[] {
      const rows: EdgeRow[] = []
      for (let edge = 0; edge < keys.count; edge++) {
        const [kind, proto, port, path, src, dst] = keys.cells.subarray(edge * 6, edge * 6 + 6) as unknown as Six
        const word: Word = (by, sum) => sums.value(edge * EDGE + by * WORD + sum)
        const believed = believe(word, endpoints[src]!, endpoints[dst]!, reports)
        if (!hasCounted(believed)) continue
        rows.push({
          kind: KINDS[kind]!,
          proto: texts.textOf(proto),
          port: port === NO_PORT ? 'none' : String(port),
          path: texts.textOf(path),
          src: endpoints[src]!,
          dst: endpoints[dst]!,
          ...believed,
        })
      }
      return rows
    },
  }
}

type Six = readonly [number, number, number, number, number, number]

/** True when the near side serves the port, false when the far side does; undefined when no port tells, or both have it. */
function servesNear(port: number, srcPort: number, dstPort: number): boolean | undefined {
  if (port === NO_PORT || srcPort === dstPort) return undefined
  return srcPort === port
}

function reporterOf(reporter: number, src: number, dst: number, isSwapped: boolean): number {
  if (reporter === src) return BY_SRC
  if (reporter === dst) return BY_DST
  return isSwapped ? BY_OTHER_FROM_DST : BY_OTHER_FROM_SRC
}

function believe(
  word: Word,
  src: Endpoint,
  dst: Endpoint,
  reports: (endpoint: Endpoint) => boolean,
): RowCounters & { readonly flows: bigint; readonly reporters: number } {
  const told = (...by: number[]) => by.some((one) => word(one, POINTS) > 0n)
  const others = [BY_OTHER_FROM_SRC, BY_OTHER_FROM_DST]
  if (src.isNode && src === dst) {
    const believed = told(BY_SRC) ? [BY_SRC] : others
    return row(word, believed, believed, [], 1)
  }
  if (src.isNode && dst.isNode) {
    const forth = reports(src) ? BY_SRC : BY_DST
    const back = reports(dst) ? BY_DST : BY_SRC
    return row(word, [forth], [back], [forth === BY_SRC ? BY_DST : BY_SRC], sides(told(BY_SRC), told(BY_DST)))
  }
  if (src.isNode || dst.isNode) {
    const client = [src.isNode ? BY_SRC : BY_DST]
    const [believed, silent] = reports(src.isNode ? src : dst) ? [client, others] : [others, client]
    return row(word, believed, believed, silent, sides(told(...client), told(...others)))
  }
  const forth = told(BY_OTHER_FROM_SRC) ? BY_OTHER_FROM_SRC : BY_OTHER_FROM_DST
  const back = told(BY_OTHER_FROM_DST) ? BY_OTHER_FROM_DST : BY_OTHER_FROM_SRC
  const heard = sides(told(BY_OTHER_FROM_SRC), told(BY_OTHER_FROM_DST))
  return row(
    word,
    [forth],
    [back],
    others.filter((by) => by !== forth),
    heard,
  )
}

function sides(one: boolean, other: boolean): number {
  return one && other ? 2 : 1
}

/** `forth`: who is believed for src to dst; `back`: for dst to src; `silent`: whose flows count where `forth` told nothing in this minute. */
function row(
  word: Word,
  forth: readonly number[],
  back: readonly number[],
  silent: readonly number[],
  reporters: number,
): RowCounters & { readonly flows: bigint; readonly reporters: number } {
  const sum = (by: readonly number[], which: number) => bounded(by.reduce((total, one) => total + word(one, which), 0n))
  return {
    txBytes: sum(forth, FORTH_BYTES),
    txPkts: sum(forth, FORTH_PKTS),
    rxBytes: sum(back, BACK_BYTES),
    rxPkts: sum(back, BACK_PKTS),
    flows: sum(sum(forth, POINTS) > 0n ? forth : silent, FLOWS),
    reporters,
  }
}
