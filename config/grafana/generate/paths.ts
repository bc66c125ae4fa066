/** How packets really travel: directly or through DERP relays, and which regions. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Grafana's own placeholders.
import * as columns from './columns.ts'
import { dashboardOf } from './frame.ts'
import { series, stat, table, withEarlier } from './panels.ts'
import {
  bitsPerSecondBothWays,
  bothPeriods,
  type Condition,
  countRows,
  EDGE_BYTES,
  ENDPOINT_IS_NODE,
  type From,
  kindIs,
  OF_NODES,
  overTime,
  percentile95,
  select,
  selectCounted,
  sum,
  topRows,
} from './query.ts'
import { direct, directAndRelayed, relayedShare, relayShare, relayShareOverTime } from './relay.ts'
import { common, node, shift, topn } from './variables.ts'
import { BEFORE, DERP_REGIONS, EDGE_ONCE, NO_TRAFFIC, P95, PHYSICAL, RELAYED, SENT_ONCE, toNode } from './words.ts'

const RELAY: Condition = { tag: 'path', begins: 'derp-' }

export function paths() {
  const physical: From = { from: 'nodes', where: [kindIs('physical'), OF_NODES] }
  const relayed: From = { from: 'edges', where: [kindIs('physical'), RELAY, ENDPOINT_IS_NODE] }
  const about = `${SENT_ONCE} ${PHYSICAL} ${RELAYED}`
  const ofEdges = `${EDGE_ONCE} ${PHYSICAL}`

  return dashboardOf({
    uid: 'tailflux-paths',
    title: 'Tailnet paths',
    description: 'Direct paths, DERP relays and their regions. Everything here is kind physical.',
    variables: [...common('edges', 'nodes', 'step', 'mean'), node(true), topn(), shift()],
    bands: [
      {
        height: 4,
        panels: [
          [5, relayShare(1, `Percent of bytes that went through DERP relays. ${about}`, physical)],
          [
            5,
            stat({
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
              id: 4,
              title: '95th percentile',
              description: `${P95} All bytes on the wire, and those through relays. ${about}`,
              unit: 'bps',
              queries: [
                ['all', percentile95('sum("tx_bytes")', 'p95', physical)],
                ['relayed', percentile95('sum("derp_tx_bytes")', 'p95', physical)],
              ],
            }),
          ],
          [
            4,
            stat({
              id: 5,
              title: 'Relayed pairs',
              description: `Pairs of devices with any traffic through a relay. ${NO_TRAFFIC} Kind physical.`,
              unit: 'short',
              color: 'orange',
              queries: [['pairs', countRows('pairs', { ...relayed, by: ['src', 'dst'] })]],
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
              description: `Both directions. Cities of Tailscale's own relays; numbers from 900 on are the tailnet's own. ${ofEdges}`,
              unit: 'bps',
              stacked: true,
              names: DERP_REGIONS,
              queries: [['$tag_path', overTime(bitsPerSecondBothWays('bytes'), { ...relayed, by: ['path'] })]],
            }),
          ],
          [
            8,
            table({
              id: 22,
              title: 'DERP regions',
              description: `Per region. ${ofEdges}`,
              query: topRows(EDGE_BYTES, { ...relayed, by: ['path'] }),
              columns: [columns.region, ...columns.edgeBytes],
              sortBy: columns.bytes.title,
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
              id: 30,
              title: 'Relay share of each node',
              description: `Percent of the bytes that each device sent through relays. ${about}`,
              query: selectCounted([sum('tx_bytes', 'sent'), relayedShare, sum('derp_tx_bytes', 'relayed')], {
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
              description: `Pairs of devices, per region. ${ofEdges}`,
              query: topRows(EDGE_BYTES, { ...relayed, by: ['src_name', 'dst_name', 'path'] }),
              columns: [
                { ...columns.from, link: toNode },
                { ...columns.to, link: toNode },
                columns.region,
                ...columns.edgeBytes,
              ],
              sortBy: columns.bytes.title,
            }),
          ],
        ],
      },
    ],
  })
}
