/** One device (or a few): what it sends and receives, with whom, about what, over which paths, and its records as it wrote them. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Grafana's own placeholders.
import * as columns from './columns.ts'
import { dashboardOf } from './frame.ts'
import { type SeriesOptions, series, stat, table, withEarlier } from './panels.ts'
import {
  bitsPerSecond,
  bothPeriods,
  EDGE_BYTES,
  ENDPOINT_IS_NODE,
  type From,
  IS_MATCHED,
  kindIs,
  kindIsNot,
  NODE_BYTES,
  OF_KIND,
  OF_NODES,
  overTime,
  percentile95,
  select,
  selectAll,
  selectCounted,
  sum,
  topRows,
} from './query.ts'
import { directAndRelayed, relayShare } from './relay.ts'
import { common, flows, kind, node, nodeIds, shift, topn } from './variables.ts'
import {
  BEFORE,
  EDGE_ONCE,
  KIND_COLORS,
  NO_TRAFFIC,
  ONE_KIND,
  P95,
  PHYSICAL,
  RELAYED,
  REPORTER_VIEW,
  toNode,
} from './words.ts'

/** From the directory, where the database keeps texts. */
const DEVICES = table({
  id: 40,
  title: 'Ids, owners and addresses',
  description: `What the directory knew of the chosen devices at the end of the range: a renamed device has one id under several names. The id is what Tailscale verifies. ${NO_TRAFFIC}`,
  // Devices are written again at midnight and at each start, so two days hold each that is known.
  query: selectAll(
    [
      ['last("logged")', 'logged'],
      ...['name', 'owner', 'os', 'addresses', 'source'].map((field) => [`"${field}"`, field] as const),
    ],
    { from: 'devices', where: [{ tag: 'name', chosen: 'node' }], time: 'two days', by: ['node'] },
  ),
  columns: [
    { name: 'name', title: 'Node', link: toNode },
    columns.tag('node', 'Node id'),
    columns.tag('owner', 'Owner'),
    columns.tag('os', 'System'),
    columns.tag('addresses', 'Addresses'),
    columns.tag('source', 'Known from'),
    { name: 'logged', title: 'Logged', unit: 'dateTimeAsIso' },
  ],
  sortBy: 'Valid from',
  time: 'Valid from',
})

/** From the rows, where it keeps none. */
const IDS = table({
  id: 40,
  title: 'Ids and owners',
  description: `The names and owners that the chosen devices had in the range: a renamed device has one id under several names. The id is what Tailscale verifies. VictoriaMetrics stores no texts, so addresses are not here. ${NO_TRAFFIC}`,
  query: selectCounted([sum('flows', 'flows')], {
    from: 'nodes',
    where: [OF_NODES],
    by: ['node_name', 'node', 'owner', 'os'],
  }),
  columns: [
    { name: 'node_name', title: 'Node', link: toNode },
    columns.tag('node', 'Node id'),
    columns.tag('owner', 'Owner'),
    columns.tag('os', 'System'),
    { name: 'flows', title: 'Flows', unit: 'short' },
  ],
  sortBy: 'Flows',
})

export function nodeDashboard() {
  const chosen: From = { from: 'nodes', where: [OF_KIND, OF_NODES] }
  const physical: From = { from: 'nodes', where: [kindIs('physical'), OF_NODES] }
  const tunnelled: From = { from: 'nodes', where: [OF_NODES, kindIsNot('physical')], by: ['kind'] }
  const edges: From = { from: 'edges', where: [OF_KIND, IS_MATCHED] }
  const peers = (id: number, title: string, what: string, near: 'src' | 'dst', far: 'src' | 'dst') =>
    table({
      id,
      title,
      description: `${what} ${EDGE_ONCE} There: from the device that connects to the one that serves. ${ONE_KIND} "none" is an endpoint that Tailscale leaves out of exit traffic.`,
      query: topRows(EDGE_BYTES, {
        ...edges,
        where: [...edges.where, { tag: `${near}_name`, chosen: 'node' }],
        by: [`${far}_name`, `${far}_owner`, 'proto', 'port'],
      }),
      columns: [
        { name: `${far}_name`, title: 'Peer', link: toNode },
        columns.proto,
        columns.port,
        ...columns.edgeBytes,
        { name: `${far}_owner`, title: 'Owner' },
      ],
      sortBy: columns.bytes.title,
    })

  const volume = (id: number, title: string, field: string, as: string) =>
    stat({
      id,
      title: `${title} ($kind)`,
      description: `Total over the period, by the device's own report. ${ONE_KIND} ${BEFORE}`,
      unit: 'decbytes',
      queries: bothPeriods((of) => select(sum(field, as), of), chosen),
    })
  const rate: SeriesOptions = {
    id: 10,
    title: 'Sent and received by kind',
    description: `${REPORTER_VIEW} Received is drawn below zero. One line per kind: they are never added up, physical has its own graph below.`,
    unit: 'bps',
    queries: [
      ['sent $tag_kind', overTime(bitsPerSecond('tx_bytes', 'sent'), tunnelled)],
      ['received $tag_kind', overTime(bitsPerSecond('rx_bytes', 'received'), tunnelled)],
    ],
    colors: Object.fromEntries(Object.entries(KIND_COLORS).map(([name, color]) => [`${name}$`, color])),
    below: '^received',
  }

  return dashboardOf({
    uid: 'tailflux-node',
    title: 'Tailnet node',
    description: 'One device of a tailnet: its own totals, its peers, and its records as it wrote them.',
    variables: [...common('edges', 'nodes', 'step', 'mean'), flows(), node(false), nodeIds(), kind(), topn(), shift()],
    bands: [
      {
        height: 4,
        panels: [
          [5, volume(1, 'Sent', 'tx_bytes', 'sent')],
          [5, volume(2, 'Received', 'rx_bytes', 'received')],
          [
            6,
            stat({
              id: 3,
              title: '95th percentile ($kind)',
              description: `${P95} Sent and received apart, by the device's own report. ${ONE_KIND}`,
              unit: 'bps',
              queries: [
                ['sent', percentile95('sum("tx_bytes")', 'p95', chosen)],
                ['received', percentile95('sum("rx_bytes")', 'p95', chosen)],
              ],
            }),
          ],
          [
            4,
            relayShare(
              4,
              `Percent of the physical bytes that the device sent through DERP relays. ${PHYSICAL} ${RELAYED}`,
              physical,
            ),
          ],
          [
            4,
            stat({
              id: 5,
              title: 'Peak peers ($kind)',
              description: `The largest number of distinct peers in one minute, by the device's own report. Many peers and few bytes are what a scan looks like. ${ONE_KIND}`,
              unit: 'short',
              queries: [['peers', select(['max("peers")', 'peers'], chosen)]],
            }),
          ],
        ],
      },
      {
        title: 'Throughput',
        height: 9,
        panels: withEarlier(rate),
      },
      {
        title: 'With whom and about what',
        height: 10,
        panels: [
          [12, peers(20, 'Top $topn services that it uses ($kind)', 'Peers that serve the port.', 'src', 'dst')],
          [12, peers(21, 'Top $topn clients of its services ($kind)', 'Peers that connect to it.', 'dst', 'src')],
        ],
      },
      {
        title: 'Paths and roles',
        height: 9,
        panels: [
          [
            8,
            series(
              directAndRelayed(
                30,
                `Physical bytes that the device sent, by its own report. ${PHYSICAL} ${RELAYED}`,
                physical,
              ),
            ),
          ],
          [
            9,
            table({
              id: 31,
              title: 'Top $topn paths to peers',
              description: `${EDGE_ONCE} ${PHYSICAL} ${RELAYED}`,
              query: topRows(EDGE_BYTES, {
                from: 'edges',
                where: [kindIs('physical'), ENDPOINT_IS_NODE],
                by: ['src_name', 'dst_name', 'path'],
              }),
              columns: [
                { ...columns.from, link: toNode },
                { ...columns.to, link: toNode },
                { ...columns.region, title: 'Path' },
                ...columns.edgeBytes,
              ],
              sortBy: columns.bytes.title,
            }),
          ],
          [
            7,
            table({
              id: 32,
              title: 'Kinds and roles',
              description: `${REPORTER_VIEW} A router or exit node carries traffic of others; kinds are never added up.`,
              query: selectCounted([sum('flows', 'flows'), ...NODE_BYTES], {
                from: 'nodes',
                where: [OF_NODES],
                by: ['kind', 'role'],
              }),
              columns: [
                columns.tag('kind', 'Kind'),
                columns.tag('role', 'Role'),
                columns.sent,
                columns.received,
                { name: 'flows', title: 'Flows', unit: 'short' },
              ],
              sortBy: 'Sent',
            }),
          ],
        ],
      },
      {
        title: 'Identity',
        height: 6,
        panels: [[24, (language) => (language.hasTexts ? DEVICES : IDS)(language)]],
      },
      {
        title: 'As the device wrote it',
        height: 9,
        panels: [
          [
            24,
            table({
              id: 50,
              title: 'Top $topn raw entries ($kind)',
              description: `Raw points, by addresses and ports, before names and before both endpoints are brought together. ${REPORTER_VIEW} The peer reports the same bytes once more: not for totals. ${ONE_KIND} Empty where raw points are no longer kept.`,
              query: topRows([...NODE_BYTES, sum('flows', 'flows')], {
                from: 'flows',
                where: [OF_KIND, { tag: 'node', chosen: 'node_id' }],
                by: ['node', 'proto', 'src', 'src_port', 'dst', 'dst_port', 'path'],
              }),
              columns: [
                columns.tag('node', 'Node id'),
                columns.proto,
                columns.tag('src', 'Own address'),
                columns.tag('src_port', 'Own port'),
                columns.tag('dst', 'Address of the peer'),
                columns.tag('dst_port', 'Port of the peer'),
                columns.tag('path', 'Path'),
                columns.sent,
                columns.received,
                { name: 'flows', title: 'Flows', unit: 'short' },
              ],
              sortBy: 'Sent',
            }),
          ],
        ],
      },
    ],
  })
}
