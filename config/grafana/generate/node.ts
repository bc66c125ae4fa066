/** One device (or a few): what it sends and receives, with whom, about what, over which paths. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Grafana's own placeholders.
import * as columns from './columns.ts'
import { dashboardOf } from './frame.ts'
import {
  bitsPerSecond,
  bothPeriods,
  FLOWS,
  type From,
  kindIs,
  NODES,
  OF_KIND,
  OF_NODES,
  overTime,
  percentile95,
  select,
  sum,
  topRows,
} from './influxql.ts'
import { type SeriesOptions, series, stat, table, withEarlier } from './panels.ts'
import { directAndRelayed, relayShare } from './relay.ts'
import { kind, NODES_DS, type NodesPlace, node, shift, sources, tailnet, topn } from './variables.ts'
import { BEFORE, KIND_COLORS, ONE_KIND, P95, PHYSICAL, RELAYED, REPORTER_VIEW, toNode } from './words.ts'

export function nodeDashboard(place: NodesPlace) {
  const chosen: From = { from: NODES, where: [OF_KIND, OF_NODES] }
  const physical: From = { from: NODES, where: [kindIs('physical'), OF_NODES] }
  const flows: From = { from: FLOWS, where: [OF_KIND, OF_NODES] }
  const nodes = { datasource: NODES_DS }

  const volume = (id: number, title: string, field: string, as: string) =>
    stat({
      ...nodes,
      id,
      title: `${title} ($kind)`,
      description: `Total over the period, by the device's own report. ${ONE_KIND} ${BEFORE}`,
      unit: 'decbytes',
      queries: bothPeriods((of) => select(sum(field, as), of), chosen),
    })
  const rate: SeriesOptions = {
    ...nodes,
    id: 10,
    title: 'Sent and received by kind',
    description: `${REPORTER_VIEW} Received is drawn below zero. One line per kind: they are never added up, physical has its own graph below.`,
    unit: 'bps',
    queries: [
      [
        'sent $tag_kind',
        overTime(bitsPerSecond('tx_bytes', 'sent'), {
          ...chosen,
          where: [OF_NODES, '"kind" != \'physical\''],
          by: ['kind'],
        }),
      ],
      [
        'received $tag_kind',
        overTime(bitsPerSecond('rx_bytes', 'received'), {
          ...chosen,
          where: [OF_NODES, '"kind" != \'physical\''],
          by: ['kind'],
        }),
      ],
    ],
    colors: Object.fromEntries(Object.entries(KIND_COLORS).map(([name, color]) => [`${name}$`, color])),
    below: '^received',
  }

  return dashboardOf({
    uid: 'tailflux-node',
    title: 'Tailnet node',
    description: 'One device of a tailnet, as it reports itself.',
    variables: [...sources(place), tailnet(), node(false), kind(), topn(), shift()],
    bands: [
      {
        height: 4,
        panels: [
          [5, volume(1, 'Sent', 'tx_bytes', 'sent')],
          [5, volume(2, 'Received', 'rx_bytes', 'received')],
          [
            6,
            stat({
              ...nodes,
              id: 3,
              title: '95th percentile ($kind)',
              description: `${P95} Sent and received apart, by the device's own report. ${ONE_KIND}`,
              unit: 'bps',
              queries: [
                ['sent', percentile95('tx_bytes', 'p95', chosen)],
                ['received', percentile95('rx_bytes', 'p95', chosen)],
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
              ...nodes,
              id: 5,
              title: 'Peak peers ($kind)',
              description: `The largest number of distinct peers in one record of about five seconds. Many peers and few bytes are what a scan looks like. ${ONE_KIND}`,
              unit: 'short',
              queries: [['peers', select('max("peers") AS "peers"', chosen)]],
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
          [
            14,
            table({
              id: 20,
              title: 'Top $topn peers ($kind)',
              description: `${REPORTER_VIEW} ${ONE_KIND} "none" is an endpoint that Tailscale leaves out of exit traffic.`,
              query: topRows(
                ['tx_bytes', 'sent'],
                [
                  ['rx_bytes', 'received'],
                  ['tx_pkts', 'packets'],
                ],
                { ...flows, by: ['dst_name', 'dst', 'src'] },
              ),
              columns: [
                { name: 'dst_name', title: 'Peer', link: toNode },
                columns.sent,
                columns.received,
                columns.packets,
                columns.tag('dst', 'Its address'),
                columns.tag('src', 'From address'),
              ],
              sortBy: 'Sent',
            }),
          ],
          [
            10,
            table({
              id: 21,
              title: 'Top $topn protocols and ports ($kind)',
              description: `${REPORTER_VIEW} The port is the one of the side that serves; "none" where there is none or ports are switched off. ${ONE_KIND}`,
              query: topRows(
                ['tx_bytes', 'sent'],
                [
                  ['rx_bytes', 'received'],
                  ['flows', 'flows'],
                ],
                { ...flows, by: ['proto', 'port'] },
              ),
              columns: [
                columns.tag('proto', 'Protocol'),
                columns.tag('port', 'Port'),
                columns.sent,
                columns.received,
                columns.flows,
              ],
              sortBy: 'Sent',
            }),
          ],
        ],
      },
      {
        title: 'Paths',
        height: 9,
        panels: [
          [10, series(directAndRelayed(30, `Physical bytes that the device sent. ${PHYSICAL} ${RELAYED}`, physical))],
          [
            14,
            table({
              id: 31,
              title: 'Top $topn paths to peers',
              description: `Physical bytes that the device sent and received, per peer and path. ${PHYSICAL} ${RELAYED}`,
              query: topRows(['tx_bytes', 'sent'], [['rx_bytes', 'received']], {
                from: FLOWS,
                where: [kindIs('physical'), OF_NODES],
                by: ['src_name', 'src', 'path', 'dst'],
              }),
              columns: [
                { name: 'src_name', title: 'Peer', link: toNode },
                columns.tag('path', 'Path'),
                columns.tag('dst', 'Endpoint'),
                columns.sent,
                columns.received,
                columns.tag('src', 'Address'),
              ],
              sortBy: 'Sent',
            }),
          ],
        ],
      },
      {
        title: 'Identity',
        height: 6,
        panels: [
          [
            12,
            table({
              ...nodes,
              id: 40,
              title: 'Ids and names',
              description:
                'Ids behind the chosen names, with the last record of each: a renamed device has several rows with one id. The id is what Tailscale verifies. No bytes are counted here.',
              query: select('last("flows") AS "flows"', {
                from: NODES,
                where: [OF_NODES],
                by: ['node_name', 'node', 'tailnet', 'kind'],
              }),
              columns: [
                columns.nodeName,
                columns.tag('node', 'Node id'),
                columns.tag('kind', 'Kind'),
                columns.tag('tailnet', 'Tailnet'),
                { name: 'flows', title: 'Flows in the last record', unit: 'short' },
              ],
              sortBy: 'Last record',
              time: 'Last record',
            }),
          ],
          [
            12,
            table({
              id: 41,
              title: 'Own addresses',
              description: `Addresses that the device used as its own, with what it sent from them. Kind virtual only. ${REPORTER_VIEW}`,
              query: select(`${sum('tx_bytes', 'sent')}, ${sum('rx_bytes', 'received')}`, {
                from: FLOWS,
                where: [kindIs('virtual'), OF_NODES],
                by: ['src', 'src_name', 'node'],
              }),
              columns: [
                columns.tag('src', 'Address'),
                columns.tag('src_name', 'Name'),
                columns.sent,
                columns.received,
                columns.tag('node', 'Node id'),
              ],
              sortBy: 'Sent',
            }),
          ],
        ],
      },
    ],
  })
}
