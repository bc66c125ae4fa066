/** The whole tailnet on one screen: how much, who, over which paths, and is the data fresh and complete. */
import * as columns from './columns.ts'
import { completeness } from './completeness.ts'
import { dashboardOf } from './frame.ts'
import { type Panel, type SeriesOptions, series, stat, table, withEarlier } from './panels.ts'
import {
  BOTH_WAYS,
  bitsPerSecond,
  bitsPerSecondBothWays,
  bothPeriods,
  countRows,
  EDGE_BYTES,
  type From,
  IS_MATCHED,
  kindIs,
  kindIsNot,
  NODE_BYTES,
  OF_KIND,
  overTime,
  percentile95,
  roleIs,
  select,
  topRows,
} from './query.ts'
import { relayShare, relayShareOverTime } from './relay.ts'
import { common, kind, shift, topn } from './variables.ts'
import {
  BEFORE,
  CARRIED,
  EDGE_ONCE,
  EDGE_WAYS,
  KIND_COLORS,
  NO_TRAFFIC,
  ONE_KIND,
  P95,
  PHYSICAL,
  RELAYED,
  REPORTER_VIEW,
  SENT_ONCE,
  WHOLE_STEPS,
} from './words.ts'

export function overview() {
  const chosen: From = { from: 'nodes', where: [OF_KIND] }
  const ofKind = (name: 'virtual' | 'subnet' | 'physical'): From => ({ from: 'nodes', where: [kindIs(name)] })
  /** Exit nodes report both directions of all that they carry. What clients say of exit traffic has no endpoints to match it by. */
  const exit: From = { from: 'nodes', where: [kindIs('exit'), roleIs('exit')] }
  const physical = ofKind('physical')

  const volume = (id: number, title: string, description: string, bytes: string, of: From, color: string): Panel =>
    stat({
      id,
      title,
      description: `Total over the period. ${description} ${BEFORE}`,
      unit: 'decbytes',
      color,
      queries: bothPeriods((one) => select([bytes, 'sent'], one), of),
    })
  const byKind: SeriesOptions = {
    id: 10,
    title: 'Throughput by kind',
    description: `${SENT_ONCE} Of exit traffic: what the exit nodes carried, both directions by their own report. One line per kind, never stacked. ${PHYSICAL}`,
    unit: 'bps',
    queries: [
      [
        '$tag_kind',
        overTime(bitsPerSecond('tx_bytes', 'sent'), { from: 'nodes', where: [kindIsNot('exit')], by: ['kind'] }),
      ],
      ['$tag_kind', overTime(bitsPerSecondBothWays('sent'), { ...exit, by: ['kind'] })],
    ],
    colors: Object.fromEntries(Object.entries(KIND_COLORS).map(([name, color]) => [`^${name}$`, color])),
    dashed: '^physical$',
  }

  return dashboardOf({
    uid: 'tailflux-overview',
    title: 'Tailnet overview',
    description: 'Throughput, volume, top talkers and relay share of a tailnet, from its flow logs.',
    variables: [...common('edge_sums', 'nodes', 'step', 'mean'), kind(), topn(), shift()],
    bands: [
      {
        height: 4,
        panels: [
          [
            6,
            volume(
              1,
              'Between devices',
              `Kind virtual. ${SENT_ONCE}`,
              'sum("tx_bytes")',
              ofKind('virtual'),
              KIND_COLORS.virtual,
            ),
          ],
          [
            6,
            volume(2, 'Subnets', `Kind subnet. ${SENT_ONCE}`, 'sum("tx_bytes")', ofKind('subnet'), KIND_COLORS.subnet),
          ],
          [
            6,
            volume(
              3,
              'Through exit nodes',
              `Kind exit, both directions. ${CARRIED}`,
              BOTH_WAYS,
              exit,
              KIND_COLORS.exit,
            ),
          ],
          [6, volume(4, 'On the wire', `${PHYSICAL} ${SENT_ONCE}`, 'sum("tx_bytes")', physical, KIND_COLORS.physical)],
        ],
      },
      {
        height: 4,
        panels: [
          [
            5,
            stat({
              id: 5,
              title: '95th percentile',
              description: `${P95} Of kind virtual, and of kind physical, which is the same traffic on the wire. ${SENT_ONCE}`,
              unit: 'bps',
              queries: [
                ['virtual', percentile95('sum("tx_bytes")', 'p95', ofKind('virtual'))],
                ['physical', percentile95('sum("tx_bytes")', 'p95', physical)],
              ],
            }),
          ],
          [
            5,
            stat({
              id: 6,
              title: 'Active nodes',
              description: `Devices that reported any traffic of any kind, each counted once. ${BEFORE}`,
              unit: 'short',
              color: 'green',
              queries: bothPeriods((of) => countRows('nodes', of), { from: 'nodes', where: [], by: ['node'] }),
            }),
          ],
          [
            5,
            relayShare(
              7,
              `Percent of physical bytes sent that went through DERP relays. ${PHYSICAL} ${RELAYED}`,
              physical,
            ),
          ],
          [6, completeness(8)],
          [
            3,
            stat({
              id: 9,
              title: 'Lag',
              description: `How far the data was behind the current time when tailflux acknowledged its newest window: no traffic is counted here. About a minute and a half is normal.`,
              unit: 'ms',
              queries: [['lag', select(['last("lag_ms")', 'lag'], { from: 'windows', where: [] })]],
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
            7,
            table({
              id: 20,
              title: 'Top $topn nodes ($kind)',
              description: `Bytes that each device sent and received. ${REPORTER_VIEW} Do not add the two columns of several nodes: what one sent another received. ${ONE_KIND}`,
              query: topRows(NODE_BYTES, { ...chosen, by: ['node_name'] }),
              columns: [columns.nodeName, columns.sent, columns.received],
              sortBy: 'Sent',
            }),
          ],
          [
            7,
            table({
              id: 21,
              title: 'Top $topn owners ($kind)',
              description: `What the devices of each owner sent and received: by their tags, else by their user. ${REPORTER_VIEW} Do not add the two columns of several owners. ${ONE_KIND}`,
              query: topRows(NODE_BYTES, { ...chosen, by: ['owner'] }),
              columns: [columns.owner, columns.sent, columns.received],
              sortBy: 'Sent',
            }),
          ],
          [
            10,
            table({
              id: 22,
              title: 'Top $topn pairs ($kind)',
              description: `${EDGE_ONCE} ${EDGE_WAYS} ${WHOLE_STEPS} ${ONE_KIND} A name "none" is an endpoint that Tailscale leaves out of exit traffic.`,
              query: topRows(EDGE_BYTES, {
                from: 'edge_sums',
                where: [OF_KIND, IS_MATCHED],
                by: ['src_name', 'dst_name'],
              }),
              columns: [columns.from, columns.to, ...columns.edgeBytes],
              sortBy: columns.bytes.title,
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
              id: 31,
              title: 'Flows ($kind)',
              description: `Connection entries in the flow logs per second, of both endpoints where both report. A jump without a jump in bytes is what a scan looks like. ${NO_TRAFFIC} ${ONE_KIND}`,
              unit: 'cps',
              queries: [['flows', overTime(['sum("flows") * 1000.0 / $__interval_ms', 'flows'], chosen)]],
            }),
          ],
        ],
      },
    ],
  })
}
