/** Raw points as the line gives them to observers: columns. All of one node and one start. */
import { createHash } from 'node:crypto'
import { hashBytes } from '../../src/base/hash.ts'
import { protoOf } from '../../src/base/protocol.ts'
import {
  ADDRESS_CELLS,
  ADDRESS_END,
  ADDRESS_HASH,
  ADDRESS_START,
  FLOW_CELLS,
  FLOW_COUNT,
  FLOW_DST,
  FLOW_DST_PORT,
  FLOW_KIND,
  FLOW_PATH,
  FLOW_PROTO,
  FLOW_SRC,
  FLOW_SRC_PORT,
  PATH_DIRECT,
  PATH_NONE,
  type Points,
} from '../../src/flatten/points.ts'
import type { RawPoint } from '../../src/rollup/points/raw-points.ts'
import { KINDS } from '../../src/source/parse/message.ts'

export function pointsOf(raw: readonly RawPoint[], loggedNs: bigint): Points {
  const texts = new Uint8Array(raw.length * 512 + 64)
  const addressCells = new Int32Array(raw.length * 2 * ADDRESS_CELLS)
  const protoTags: string[] = []
  let used = 0
  let addresses = 0
  const address = (text: string) => {
    const { written } = new TextEncoder().encodeInto(text, texts.subarray(used))
    const cell = addresses * ADDRESS_CELLS
    addressCells[cell + ADDRESS_START] = used
    addressCells[cell + ADDRESS_END] = used + written
    addressCells[cell + ADDRESS_HASH] = hashBytes(texts, used, used + written)
    used += written
    return addresses++
  }
  const flowCells = new Int32Array(raw.length * FLOW_CELLS)
  const flowCounters = new Float64Array(raw.length * 4)
  const exact = new BigInt64Array(raw.length * 4)
  for (const [i, one] of raw.entries()) {
    const cell = i * FLOW_CELLS
    const proto = protoOf(one.proto)
    flowCells[cell + FLOW_KIND] = KINDS.indexOf(one.kind)
    flowCells[cell + FLOW_PROTO] = typeof proto === 'number' ? proto : 256 + protoTags.push(one.proto) - 1
    flowCells[cell + FLOW_SRC] = address(one.src)
    flowCells[cell + FLOW_DST] = address(one.dst)
    flowCells[cell + FLOW_SRC_PORT] = one.srcPort
    flowCells[cell + FLOW_DST_PORT] = one.dstPort
    const region = /^derp-(\d+)$/.exec(one.path)?.[1]
    flowCells[cell + FLOW_PATH] = region ? Number(region) : one.path === 'direct' ? PATH_DIRECT : PATH_NONE
    flowCells[cell + FLOW_COUNT] = one.flows
    const counters = [one.txBytes, one.txPkts, one.rxBytes, one.rxPkts]
    for (const [k, value] of counters.entries()) {
      flowCounters[i * 4 + k] = Number(value)
      exact[i * 4 + k] = value
    }
  }
  const isWide = exact.some((value) => value > BigInt(Number.MAX_SAFE_INTEGER))
  const { node = 'nobody', startNs = 0n } = raw[0] ?? {}
  return {
    ...{ node, startNs, loggedNs, tailnet: 't', count: raw.length, digest: digestOf(raw) },
    ...{ flowCells, flowCounters, protoTags, addressCells, texts, textsView: new DataView(texts.buffer) },
    exact: isWide ? { flows: exact, totals: new BigInt64Array(0) } : undefined,
  } as Partial<Points> as Points
}

/** The same in any order of the points. */
function digestOf(raw: readonly RawPoint[]): bigint {
  const texts = raw.map((point) => JSON.stringify(Object.values(point).map(String))).toSorted()
  return createHash('sha256').update(texts.join()).digest().readBigInt64LE()
}
