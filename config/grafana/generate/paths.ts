/** How packets really travel: directly or through DERP relays, and which regions. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Grafana's own placeholders.
import * as columns from './columns.ts'
import { dashboardOf } from './frame.ts'
import {
  bitsPerSecond,
  bothPeriods,
  countRows,
  FLOWS,
  type From,
  kindIs,
  NODES,
  OF_NODES,
  overTime,
  percentile95,
  select,
  sum,
  topRows,
} from './influxql.ts'
import { series, stat, table, withEarlier } from './panels.ts'
import { direct, directAndRelayed, relayedShare, relayShare, relayShareOverTime } from './relay.ts'
import { NODES_DS, type NodesPlace, node, shift, sources, tailnet, topn } from './variables.ts'
import { BEFORE, P95, PHYSICAL, RELAYED, REPORTER_VIEW, toNode } from './words.ts'

const RELAY = '"path" =~ /^derp-/'

export function paths(place: NodesPlace) {
  const physical: From = { from: NODES, where: [kindIs('physical'), OF_NODES] }
  const flows: From = { from: FLOWS, where: [kindIs('physical'), OF_NODES] }
  const relayed: From = { ...flows, where: [...flows.where, RELAY] }
  const nodes = { datasource: NODES_DS }
  const about = `Bytes sent, each reported by its sender. ${PHYSICAL} ${RELAYED}`

  return dashboardOf({
    uid: 'tailflux-paths',
    title: 'Tailnet paths',
    description: 'Direct paths, DERP relays and their regions. Everything here is kind physical.',
    variables: [...sources(place), tailnet(), node(true), topn(), shift()],
    bands: [
      {
        height: 4,
        panels: [
          [5, relayShare(1, `Percent of bytes that went through DERP relays. ${about}`, physical)],
          [
            5,
            stat({
              ...nodes,
              id: 2,
              title: 'Relayed',
              description: `Total over the period. ${about} ${BEFORE}`,
              unit: 'decbytes',
              color: 'orange',
              queries: bothPeriods((of) => select(sum('derp_tx_bytes', 'sent'), of), physical),
            }),
          ],
          [
            5,
            stat({
              ...nodes,
              id: 3,
              title: 'Direct',
              description: `Total over the period. ${about} ${BEFORE}`,
              unit: 'decbytes',
              color: 'green',
              queries: bothPeriods((of) => select(direct('1.0'), of), physical),
            }),
          ],
          [
            5,
            stat({
              ...nodes,
              id: 4,
              title: '95th percentile',
              description: `${P95} All bytes on the wire, and those through relays. ${about}`,
              unit: 'bps',
              queries: [
                ['all', percentile95('tx_bytes', 'p95', physical)],
                ['relayed', percentile95('derp_tx_bytes', 'p95', physical)],
              ],
            }),
          ],
          [
            4,
            stat({
              id: 5,
              title: 'Relayed pairs',
              description: `Device and peer with any traffic through a relay, each direction counted by its own reporter. Kind physical. No bytes are counted here.`,
              unit: 'short',
              color: 'orange',
              queries: [['pairs', countRows('pairs', { ...relayed, by: ['node', 'src'] })]],
            }),
          ],
        ],
      },
      {
        title: 'Throughput',
        height: 9,
        panels: withEarlier(directAndRelayed(10, about, physical)),
      },
      {
        title: 'Relays',
        height: 9,
        panels: [
          [
            8,
            relayShareOverTime(
              20,
              'Relay share over time',
              `Percent of bytes that went through DERP relays. ${about}`,
              physical,
            ),
          ],
          [
            8,
            series({
              id: 21,
              title: 'Throughput by DERP region',
              description: `Region numbers as in Tailscale's DERP map; 900 to 999 are the tailnet's own. ${about}`,
              unit: 'bps',
              stacked: true,
              queries: [['$tag_path', overTime(bitsPerSecond('tx_bytes', 'sent'), { ...relayed, by: ['path'] })]],
            }),
          ],
          [
            8,
            table({
              id: 22,
              title: 'DERP regions',
              description: `Per region, sent and received by the reports of all devices: what one sent another received, so do not add the two. ${about}`,
              query: topRows(
                ['tx_bytes', 'sent'],
                [
                  ['rx_bytes', 'received'],
                  ['flows', 'flows'],
                ],
                {
                  ...relayed,
                  by: ['path'],
                },
              ),
              columns: [columns.tag('path', 'Region'), columns.sent, columns.received, columns.flows],
              sortBy: 'Sent',
            }),
          ],
        ],
      },
      {
        title: 'Who is relayed',
        height: 10,
        panels: [
          [
            12,
            table({
              ...nodes,
              id: 30,
              title: 'Relay share of each node',
              description: `Percent of the bytes that each device sent through relays. ${about}`,
              query: select(`${relayedShare}, ${sum('derp_tx_bytes', 'relayed')}, ${sum('tx_bytes', 'sent')}`, {
                ...physical,
                by: ['node_name', 'node'],
              }),
              columns: [
                columns.nodeName,
                { name: 'share', title: 'Relay share', unit: 'percent', decimals: 1, bar: true },
                { name: 'relayed', title: 'Relayed', unit: 'decbytes' },
                { name: 'sent', title: 'Sent in all', unit: 'decbytes' },
                columns.nodeId,
              ],
              sortBy: 'Relayed',
            }),
          ],
          [
            12,
            table({
              id: 31,
              title: 'Top $topn relayed pairs',
              description: `A device and its peer, per region. ${PHYSICAL} ${REPORTER_VIEW} The peer reports the same traffic in a row of its own.`,
              query: topRows(['tx_bytes', 'sent'], [['rx_bytes', 'received']], {
                ...relayed,
                by: ['node_name', 'src_name', 'path', 'node'],
              }),
              columns: [
                columns.reporter,
                { name: 'src_name', title: 'Peer', link: toNode },
                columns.tag('path', 'Region'),
                columns.sent,
                columns.received,
                columns.nodeId,
              ],
              sortBy: 'Sent',
            }),
          ],
        ],
      },
    ],
  })
}
