/** Who talks to whom, and about what. */
import * as columns from './columns.ts'
import { dashboardOf } from './frame.ts'
import {
  bitsPerSecond,
  bothPeriods,
  countRows,
  FLOWS,
  type From,
  OF_KIND,
  OF_NODES,
  overTime,
  packetsPerSecond,
  percentile95,
  select,
  sum,
  topRows,
} from './influxql.ts'
import { type SeriesOptions, series, stat, table, withEarlier } from './panels.ts'
import { end, kind, type NodesPlace, node, shift, sources, tailnet, topn } from './variables.ts'
import { BEFORE, ONE_KIND, P95, SENT_ONCE, toNode, toPair, toTalkersOf } from './words.ts'

const OF_PAIR = '"src_name" =~ /^$src$/ AND "dst_name" =~ /^$dst$/'

export function talkers(place: NodesPlace) {
  const chosen: From = { from: FLOWS, where: [OF_KIND, OF_NODES, OF_PAIR] }
  const pair = { ...chosen, by: ['src_name', 'dst_name', 'node_name', 'node'] }
  const volumes = [
    ['rx_bytes', 'received'],
    ['flows', 'flows'],
  ] as const

  const rate: SeriesOptions = {
    id: 30,
    title: 'Throughput of the selection ($kind)',
    description: `Bytes that the near endpoint sent, and what it received on the same connections (below zero), as the near end reports them. Choose endpoints by a click in the tables. ${ONE_KIND}`,
    unit: 'bps',
    queries: [
      ['sent', overTime(bitsPerSecond('tx_bytes', 'sent'), chosen)],
      ['received', overTime(bitsPerSecond('rx_bytes', 'received'), chosen)],
    ],
    below: '^received$',
  }

  return dashboardOf({
    uid: 'tailflux-talkers',
    title: 'Tailnet talkers',
    description: 'Top pairs, sources, destinations and services of a tailnet.',
    variables: [
      ...sources(place),
      tailnet(),
      kind(),
      node(true),
      end('src', 'From'),
      end('dst', 'To'),
      topn(),
      shift(),
    ],
    bands: [
      {
        height: 4,
        panels: [
          [
            6,
            stat({
              id: 1,
              title: 'Volume of the selection ($kind)',
              description: `Total over the period. ${SENT_ONCE} ${ONE_KIND} ${BEFORE} What the top tables leave out is this number less their sum.`,
              unit: 'decbytes',
              queries: bothPeriods((of) => select(sum('tx_bytes', 'sent'), of), chosen),
            }),
          ],
          [
            6,
            stat({
              id: 2,
              title: '95th percentile ($kind)',
              description: `${P95} ${SENT_ONCE} ${ONE_KIND} ${BEFORE}`,
              unit: 'bps',
              queries: bothPeriods((of) => percentile95('tx_bytes', 'p95', of), chosen),
            }),
          ],
          [
            6,
            stat({
              id: 3,
              title: 'Pairs ($kind)',
              description: `Distinct directed pairs of near and far endpoints with traffic. Where both endpoints report, both directions are there. ${ONE_KIND} ${BEFORE}`,
              unit: 'short',
              color: 'green',
              queries: bothPeriods((of) => countRows('pairs', of), { ...chosen, by: ['src_name', 'dst_name'] }),
            }),
          ],
          [
            6,
            stat({
              id: 4,
              title: 'Mean packet ($kind)',
              description: `Bytes per packet sent. Far below 100 is keep-alives, scans or acknowledgements; above 1000 is bulk transfer. ${ONE_KIND}`,
              unit: 'decbytes',
              decimals: 0,
              queries: [['bytes per packet', select('sum("tx_bytes") / sum("tx_pkts") AS "bytes"', chosen)]],
            }),
          ],
        ],
      },
      {
        title: 'Pairs',
        height: 11,
        panels: [
          [
            14,
            table({
              id: 10,
              title: 'Top $topn pairs ($kind)',
              description: `Bytes from the first to the second as reported by the near endpoint, and what it received back. The far endpoint reports the same traffic in a row of its own with the columns swapped, so do not add sent and received. ${ONE_KIND}`,
              query: topRows(['tx_bytes', 'sent'], volumes, pair),
              columns: [
                { name: 'src_name', title: 'From', link: toPair },
                { name: 'dst_name', title: 'To', link: toPair },
                columns.sent,
                columns.received,
                columns.flows,
                columns.reporter,
                columns.nodeId,
              ],
              sortBy: 'Sent',
            }),
          ],
          [
            10,
            table({
              id: 11,
              title: 'Top $topn services ($kind)',
              description: `Bytes sent per protocol and service port, each reported by its sender, both directions together. Port "none": no port, or ports are switched off. ${ONE_KIND}`,
              query: topRows(
                ['tx_bytes', 'sent'],
                [
                  ['tx_pkts', 'packets'],
                  ['flows', 'flows'],
                ],
                {
                  ...chosen,
                  by: ['proto', 'port'],
                },
              ),
              columns: [
                columns.tag('proto', 'Protocol'),
                columns.tag('port', 'Port'),
                columns.sent,
                columns.packets,
                columns.flows,
              ],
              sortBy: 'Sent',
            }),
          ],
        ],
      },
      {
        title: 'Endpoints',
        height: 10,
        panels: [
          [
            12,
            table({
              id: 20,
              title: 'Top $topn sources ($kind)',
              description: `Bytes sent by each near endpoint, as it reports itself. ${ONE_KIND}`,
              query: topRows(['tx_bytes', 'sent'], volumes, { ...chosen, by: ['src_name', 'node_name', 'node'] }),
              columns: [
                { name: 'src_name', title: 'Source', link: toTalkersOf('node_name') },
                columns.sent,
                columns.received,
                columns.flows,
                columns.reporter,
                columns.nodeId,
              ],
              sortBy: 'Sent',
            }),
          ],
          [
            12,
            table({
              id: 21,
              title: 'Top $topn destinations ($kind)',
              description: `Bytes sent to each far endpoint, as reported by the senders. A device that does not report appears here all the same. ${ONE_KIND}`,
              query: topRows(['tx_bytes', 'sent'], volumes, { ...chosen, by: ['dst_name', 'dst'] }),
              columns: [
                { name: 'dst_name', title: 'Destination', link: toNode },
                columns.sent,
                columns.received,
                columns.flows,
                columns.tag('dst', 'Address'),
              ],
              sortBy: 'Sent',
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
        height: 7,
        panels: [
          [
            24,
            series({
              id: 32,
              title: 'Packets of the selection ($kind)',
              description: `Packets sent, each reported by its sender. ${ONE_KIND}`,
              unit: 'pps',
              queries: [['packets sent', overTime(packetsPerSecond('tx_pkts', 'packets'), chosen)]],
            }),
          ],
        ],
      },
    ],
  })
}
