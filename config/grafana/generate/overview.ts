/** The whole tailnet on one screen: how much, who, over which paths, and is the data fresh. */
import * as columns from './columns.ts'
import { dashboardOf } from './frame.ts'
import {
  bitsPerSecond,
  bothPeriods,
  countRows,
  currentRate,
  FLOWS,
  type From,
  kindIs,
  NODES,
  OF_KIND,
  overTime,
  percentile95,
  select,
  sum,
  topRows,
  WINDOWS,
} from './influxql.ts'
import { type SeriesOptions, series, stat, table, withEarlier } from './panels.ts'
import { relayShare, relayShareOverTime } from './relay.ts'
import { kind, NODES_DS, type NodesPlace, shift, sources, tailnet, topn } from './variables.ts'
import { BEFORE, KIND_COLORS, ONE_KIND, P95, PHYSICAL, RELAYED, SENT_ONCE, toPair } from './words.ts'

export function overview(place: NodesPlace) {
  const chosen: From = { from: NODES, where: [OF_KIND] }
  const physical: From = { from: NODES, where: [kindIs('physical')] }
  const everyNode: From = { from: NODES, where: [], by: ['node'] }
  const nodes = { datasource: NODES_DS }

  const byKind: SeriesOptions = {
    ...nodes,
    id: 10,
    title: 'Throughput by kind',
    description: `${SENT_ONCE} One line per kind, never stacked. ${PHYSICAL}`,
    unit: 'bps',
    queries: [['$tag_kind', overTime(bitsPerSecond('tx_bytes', 'sent'), { from: NODES, where: [], by: ['kind'] })]],
    colors: Object.fromEntries(Object.entries(KIND_COLORS).map(([name, color]) => [`^${name}$`, color])),
    dashed: '^physical$',
  }

  return dashboardOf({
    uid: 'tailflux-overview',
    title: 'Tailnet overview',
    description: 'Throughput, volume, top talkers and relay share of a tailnet, from its flow logs.',
    variables: [...sources(place), tailnet(), kind(), topn(), shift()],
    bands: [
      {
        height: 4,
        panels: [
          [
            3,
            stat({
              ...nodes,
              id: 1,
              title: 'Throughput ($kind)',
              description: `Mean of the last five minutes of the range. ${SENT_ONCE} ${ONE_KIND}`,
              unit: 'bps',
              queries: [['now', currentRate('tx_bytes', 'rate', chosen)]],
            }),
          ],
          [
            5,
            stat({
              ...nodes,
              id: 2,
              title: 'Volume ($kind)',
              description: `Total over the period. ${SENT_ONCE} ${ONE_KIND} ${BEFORE}`,
              unit: 'decbytes',
              queries: bothPeriods((of) => select(sum('tx_bytes', 'sent'), of), chosen),
            }),
          ],
          [
            5,
            stat({
              ...nodes,
              id: 3,
              title: '95th percentile ($kind)',
              description: `${P95} ${SENT_ONCE} ${ONE_KIND} ${BEFORE}`,
              unit: 'bps',
              queries: bothPeriods((of) => percentile95('tx_bytes', 'p95', of), chosen),
            }),
          ],
          [
            4,
            stat({
              ...nodes,
              id: 4,
              title: 'Active nodes',
              description: `Devices that reported any traffic of any kind, each counted once. ${BEFORE}`,
              unit: 'short',
              color: 'green',
              queries: bothPeriods((of) => countRows('nodes', of), everyNode),
            }),
          ],
          [
            4,
            relayShare(
              5,
              `Percent of physical bytes sent that went through DERP relays. ${PHYSICAL} ${RELAYED}`,
              physical,
            ),
          ],
          [
            3,
            stat({
              id: 6,
              title: 'Lag',
              description:
                'How far the data was behind the current time when tailflux acknowledged its newest window: no traffic is counted here. About a minute and a half is normal.',
              unit: 'ms',
              queries: [['lag', select('last("lag_ms") AS "lag"', { from: WINDOWS, where: [] })]],
            }),
          ],
        ],
      },
      {
        title: 'Throughput',
        height: 9,
        panels: withEarlier(byKind),
      },
      {
        title: 'Who',
        height: 10,
        panels: [
          [
            12,
            table({
              ...nodes,
              id: 20,
              title: 'Top $topn nodes ($kind)',
              description: `Bytes that each device sent and received, by its own report. Do not add the two columns of several nodes: what one sent another received. ${ONE_KIND}`,
              query: topRows(['tx_bytes', 'sent'], [['rx_bytes', 'received']], {
                ...chosen,
                by: ['node_name', 'node'],
              }),
              columns: [columns.nodeName, columns.sent, columns.received, columns.nodeId],
              sortBy: 'Sent',
            }),
          ],
          [
            12,
            table({
              id: 21,
              title: 'Top $topn pairs ($kind)',
              description: `Bytes from the first to the second, as reported by the sender; the way back is a row of its own. ${ONE_KIND} A name "none" is an endpoint that Tailscale leaves out of exit traffic.`,
              query: topRows(['tx_bytes', 'sent'], [], {
                from: FLOWS,
                where: [OF_KIND],
                by: ['src_name', 'dst_name', 'node_name', 'node'],
              }),
              columns: [
                { name: 'src_name', title: 'From', link: toPair },
                { name: 'dst_name', title: 'To', link: toPair },
                columns.sent,
                columns.reporter,
                columns.nodeId,
              ],
              sortBy: 'Sent',
            }),
          ],
        ],
      },
      {
        title: 'Paths and activity',
        height: 8,
        panels: [
          [
            12,
            relayShareOverTime(
              30,
              'Relay share',
              `Percent of physical bytes sent that went through DERP relays. ${PHYSICAL} ${RELAYED}`,
              physical,
            ),
          ],
          [
            12,
            series({
              ...nodes,
              id: 31,
              title: 'Flows ($kind)',
              description: `Connection entries in the flow logs per second, of both endpoints where both report. A jump without a jump in bytes is what a scan looks like. ${ONE_KIND}`,
              unit: 'cps',
              queries: [['flows', overTime('sum("flows") * 1000.0 / $__interval_ms AS "flows"', chosen)]],
            }),
          ],
        ],
      },
    ],
  })
}
