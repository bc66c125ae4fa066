/** Stored flows, summed over a range of time, from the embedded store or from InfluxDB. Both endpoints of a connection report it; here each flow
 * appears once, with the counters of the reporter that saw most of it. */

import { compare } from '../base/order.ts'
import { literal } from '../sink/influxdb/influxql.ts'
import { partsOfLine } from '../sink/line-protocol/line-parts.ts'
import { exportLines } from '../sink/sqlite/embedded-store.ts'
import { cellOf, type InfluxQl } from './influxql.ts'

export interface FlowFilter {
  /** Both inclusive, ns, the nodes' clocks. */
  readonly fromNs: bigint
  readonly toNs: bigint
  readonly tailnet: string
  /** A name, a stable id or an address of one endpoint or of the reporting node. */
  readonly node?: string | undefined
  readonly kind?: string | undefined
  readonly port?: string | undefined
  readonly proto?: string | undefined
}

export interface Flow {
  readonly kind: string
  readonly proto: string
  readonly port: string
  readonly path: string
  /** Addresses and names of the two endpoints; `src` is the one that the reporter calls its own. */
  readonly src: string
  readonly dst: string
  readonly srcName: string
  readonly dstName: string
  /** The reporting node: name and stable id. */
  readonly nodeName: string
  readonly node: string
  readonly txBytes: bigint
  readonly rxBytes: bigint
  readonly txPkts: bigint
  readonly rxPkts: bigint
}

const TAGS = ['node', 'node_name', 'kind', 'proto', 'src', 'dst', 'src_name', 'dst_name', 'port', 'path'] as const
const FIELDS = ['tx_bytes', 'rx_bytes', 'tx_pkts', 'rx_pkts'] as const
type Tags = Readonly<Record<string, string>>

/** Adds up points, by series. */
function createSums() {
  const sums = new Map<string, { readonly tags: Tags; readonly values: bigint[] }>()
  return {
    add(key: string, tags: Tags, values: readonly bigint[]): void {
      const sum = sums.get(key)
      if (sum === undefined) sums.set(key, { tags, values: [...values] })
      else for (const [index, value] of values.entries()) sum.values[index]! += value
    },
    flows: () => [...sums.values()].map(({ tags, values }) => flowOf(tags, values)),
  }
}

/** Reads the embedded store beside a running service. Throws a CollectorError when it cannot be read. */
export function flowsOfStore(path: string, filter: FlowFilter): readonly Flow[] {
  const sums = createSums()
  for (const line of exportLines(path, { ...filter, measurement: 'tailnet_flow' })) {
    const { key, tags, fields } = partsOfLine(line)
    if (tags['tailnet'] !== filter.tailnet || !matches(tags, filter)) continue
    sums.add(
      key,
      tags,
      FIELDS.map((name) => fields[name] ?? 0n),
    )
  }
  return sums.flows()
}

/** InfluxDB computes the sums. Rejects with a CollectorError. */
export async function flowsOfInflux(
  influxql: InfluxQl,
  filter: FlowFilter,
  signal: AbortSignal,
): Promise<readonly Flow[]> {
  const { fromNs, toNs, tailnet, kind, port, proto } = filter
  const where = [
    `time >= ${fromNs}`,
    `time <= ${toNs}`,
    `"tailnet" = ${literal(tailnet)}`,
    ...Object.entries({ kind, port, proto }).flatMap(([name, value]) =>
      value === undefined ? [] : [`"${name}" = ${literal(value)}`],
    ),
  ]
  const select = FIELDS.map((name) => `sum("${name}") AS "${name}"`).join(', ')
  const by = TAGS.map((name) => `"${name}"`).join(', ')
  const tables = await influxql.query(
    `SELECT ${select} FROM ${influxql.from('tailnet_flow')} WHERE ${where.join(' AND ')} GROUP BY ${by}`,
    signal,
  )
  const flows = tables.map((table) =>
    flowOf(
      table.tags,
      FIELDS.map((name) => {
        const cell = cellOf(table, table.rows[0] ?? [], name)
        return typeof cell === 'bigint' ? cell : BigInt(Math.round(Number(cell ?? 0)))
      }),
    ),
  )
  return flows.filter((flow) => isOfNode(Object.values(namesOf(flow)), filter.node))
}

/** Each flow once, the largest first. */
export function topFlows(flows: readonly Flow[], count: number): readonly Flow[] {
  const best = new Map<string, Flow>()
  for (const flow of flows) {
    const endpoints = [flow.src, flow.dst].toSorted()
    const own = standsAlone(flow) ? flow.node : ''
    const key = [flow.kind, flow.proto, flow.port, flow.path, ...endpoints, own].join('\n')
    const found = best.get(key)
    if (found === undefined || byBytes(flow, found) < 0) best.set(key, flow)
  }
  return [...best.values()].toSorted(byBytes).slice(0, count)
}

/** True when the reports of the two endpoints cannot be matched, so each report stands for itself: physical traffic has a different peer for each
 * reporter, and some flows lack an endpoint. Exit traffic that lacks one is reported by the client and the exit node with the same endpoint, the
 * client. */
function standsAlone({ kind, src, dst }: Flow): boolean {
  if (kind === 'physical') return true
  if (src === 'none' && dst === 'none') return true
  return kind !== 'exit' && (src === 'none' || dst === 'none')
}

/** More bytes first. Of equal reports the one of the endpoint that sends more, so that the result is always the same. */
function byBytes(one: Flow, other: Flow): number {
  const difference = bytesOf(other) - bytesOf(one) || other.txBytes - one.txBytes
  if (difference !== 0n) return difference > 0n ? 1 : -1
  return compare(one.node, other.node)
}

export function bytesOf({ txBytes, rxBytes }: Flow): bigint {
  return txBytes + rxBytes
}

function flowOf(tags: Tags, [txBytes = 0n, rxBytes = 0n, txPkts = 0n, rxPkts = 0n]: readonly bigint[]): Flow {
  const of = (name: string) => tags[name] ?? 'none'
  return {
    kind: of('kind'),
    proto: of('proto'),
    port: of('port'),
    path: of('path'),
    src: of('src'),
    dst: of('dst'),
    srcName: of('src_name'),
    dstName: of('dst_name'),
    nodeName: of('node_name'),
    node: of('node'),
    txBytes,
    rxBytes,
    txPkts,
    rxPkts,
  }
}

function matches(tags: Tags, filter: FlowFilter): boolean {
  const { kind, port, proto } = filter
  if (kind !== undefined && tags['kind'] !== kind) return false
  if (port !== undefined && tags['port'] !== port) return false
  if (proto !== undefined && tags['proto'] !== proto) return false
  return isOfNode(
    ['node', 'node_name', 'src', 'dst', 'src_name', 'dst_name'].map((name) => tags[name] ?? ''),
    filter.node,
  )
}

function namesOf({ node, nodeName, src, dst, srcName, dstName }: Flow) {
  return { node, nodeName, src, dst, srcName, dstName }
}

/** With `ports: full` an address may have its port. */
function isOfNode(names: readonly string[], node: string | undefined): boolean {
  if (node === undefined) return true
  return names.some((name) => name === node || name.startsWith(`${node}:`) || name.startsWith(`[${node}]:`))
}
