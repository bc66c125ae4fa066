/** Rows of minutes as lines, from the raw points of a simulated tailnet and its device list: what the service keeps beside raw points. */
import { getOrInsert } from '../../src/base/maps.ts'
import { createNetworks, type NetworksConfig } from '../../src/directory/networks.ts'
import type { DirectoryView } from '../../src/directory/view.ts'
import { rowsOfMinute } from '../../src/rollup/make/rows.ts'
import { createRawPoints, type RawPoints } from '../../src/rollup/points/raw-points.ts'
import { createTextIds } from '../../src/rollup/points/text-ids.ts'
import { EDGE, edgeTable, linesOf, NODE, nodeTable } from '../../src/rollup/rows/row-table.ts'
import { createMinuteFacts } from '../../src/rollup/settle/minute-facts.ts'
import type { Kind } from '../../src/source/parse/message.ts'
import { namesOf, ownersOf } from '../simulator/names.ts'
import type { Tailnet } from '../simulator/tailnet.ts'
import type { TruthPoint } from '../simulator/truth.ts'
import { MIN } from './world.ts'

/** `truth`: points in the order of time. */
export function rowLines(tailnet: Tailnet, truth: Iterable<TruthPoint>, networks: NetworksConfig = []): string[] {
  const texts = createTextIds()
  const minutes = new Map<bigint, RawPoints>()
  for (const { tags, fields, timestampNs } of truth) {
    const minuteNs = timestampNs - (timestampNs % MIN)
    const of = (name: string) => tags[name] ?? ''
    const portOf = (name: string) => (of(name) === 'none' ? -1 : Number(of(name)))
    getOrInsert(minutes, minuteNs, () => createRawPoints(minuteNs, texts)).put({
      node: of('node'),
      kind: of('kind') as Kind,
      proto: of('proto'),
      src: of('src'),
      dst: of('dst'),
      srcPort: portOf('src_port'),
      dstPort: portOf('dst_port'),
      path: of('path'),
      startNs: timestampNs,
      txBytes: fields['tx_bytes'] ?? 0n,
      txPkts: fields['tx_pkts'] ?? 0n,
      rxBytes: fields['rx_bytes'] ?? 0n,
      rxPkts: fields['rx_pkts'] ?? 0n,
      flows: Number(fields['flows']),
    })
  }
  const names = namesOf(tailnet)
  const owners = ownersOf(tailnet)
  const directory: DirectoryView = {
    nodeOf: names.nodeOf,
    device: (node) => ({ name: names.nameOf(node) ?? node, owner: owners.get(node) ?? 'none', os: 'none' }),
    networkOf: createNetworks(networks),
  }
  const recent = createMinuteFacts()
  const lines: string[] = []
  for (const [minuteNs, points] of [...minutes].toSorted(([one], [other]) => Number(one - other))) {
    const minute = Number(minuteNs / MIN)
    const rows = rowsOfMinute(points, texts, directory, recent.before(minute))
    recent.setReporting(
      minute,
      rows.nodes.map(({ node }) => node.id),
    )
    const text =
      linesOf('tailnet_edge', edgeTable('default', rows.edges), EDGE, minuteNs) +
      linesOf('tailnet_node', nodeTable('default', rows.nodes), NODE, minuteNs)
    lines.push(...text.split('\n').filter(Boolean))
  }
  return lines
}
