/** Who talks to whom, and about what. Only tables read all edges, and each of them once: a graph over time of all edges would cost as much as all other
 * panels together. What graphs show is one pair. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Grafana's own placeholders.
import * as columns from './columns.ts'
import { dashboardOf } from './frame.ts'
import { type SeriesOptions, stat, table, withEarlier } from './panels.ts'
import {
  BOTH_WAYS,
  bitsPerSecond,
  bothPeriods,
  EDGE_BYTES,
  ENDPOINT_IS_NODE,
  ENDPOINT_IS_OWNED,
  type From,
  IS_MATCHED,
  NODE_BYTES,
  OF_KIND,
  OF_NODES,
  overTime,
  percentile95,
  select,
  topRows,
} from './query.ts'
import { common, endpoint, kind, node, owner, shift, topn } from './variables.ts'
import { BEFORE, EDGE_ONCE, EDGE_WAYS, ONE_KIND, P95, REPORTER_VIEW, toTalkersOf, WHOLE_STEPS } from './words.ts'

export function talkers() {
  const chosen: From = { from: 'edge_sums', where: [OF_KIND, IS_MATCHED, ENDPOINT_IS_NODE, ENDPOINT_IS_OWNED] }
  const pair: From = {
    from: 'edges',
    where: [OF_KIND, IS_MATCHED, { tag: 'src_name', text: 'src' }, { tag: 'dst_name', text: 'dst' }],
  }
  const reporters: From = { from: 'nodes', where: [OF_KIND, OF_NODES, { tag: 'owner', chosen: 'owner' }] }
  const about = `${EDGE_ONCE} ${ONE_KIND}`
  const ofPair = `Of the pair that is chosen by a click on "From" or "To" in the tables. ${about}`

  const rate: SeriesOptions = {
    id: 30,
    title: 'Throughput of the pair ($kind)',
    description: `There, and back below zero. ${ofPair}`,
    unit: 'bps',
    queries: [
      ['there', overTime(bitsPerSecond('tx_bytes', 'there'), pair)],
      ['back', overTime(bitsPerSecond('rx_bytes', 'back'), pair)],
    ],
    below: '^back$',
  }
  const volume = (id: number, title: string, bytes: string) =>
    stat({
      id,
      title,
      description: `Total over the period. ${ofPair} ${BEFORE}`,
      unit: 'decbytes',
      queries: bothPeriods((of) => select([bytes, 'bytes'], of), pair),
    })

  return dashboardOf({
    uid: 'tailflux-talkers',
    title: 'Tailnet talkers',
    description: 'Top pairs, services, owners and devices of a tailnet; one pair in detail.',
    variables: [
      ...common('edges', 'edge_sums', 'nodes', 'step', 'mean'),
      kind(),
      node(true),
      owner(),
      endpoint('src', 'From'),
      endpoint('dst', 'To'),
      topn(),
      shift(),
    ],
    bands: [
      {
        title: 'Pairs and services',
        height: 11,
        panels: [
          [
            14,
            table({
              id: 10,
              title: 'Top $topn pairs ($kind)',
              description: `${EDGE_WAYS} There: what "From" sent to "To"; back: what came from there. ${WHOLE_STEPS} ${about}`,
              query: topRows(EDGE_BYTES, { ...chosen, by: ['src_name', 'dst_name'] }),
              columns: [columns.from, columns.to, ...columns.edgeBytes],
              sortBy: columns.bytes.title,
            }),
          ],
          [
            10,
            table({
              id: 11,
              title: 'Top $topn services ($kind)',
              description: `Per protocol and port of the side that serves. Port "none": no port, or ports are switched off. ${WHOLE_STEPS} ${about}`,
              query: topRows(EDGE_BYTES, { ...chosen, by: ['proto', 'port'] }),
              columns: [columns.proto, columns.port, ...columns.edgeBytes],
              sortBy: columns.bytes.title,
            }),
          ],
        ],
      },
      {
        title: 'Owners and devices',
        height: 10,
        panels: [
          [
            14,
            table({
              id: 20,
              title: 'Top $topn pairs of owners ($kind)',
              description: `The tags of each endpoint, else its user. ${EDGE_WAYS} ${WHOLE_STEPS} ${about}`,
              query: topRows(EDGE_BYTES, { ...chosen, by: ['src_owner', 'dst_owner'] }),
              columns: [columns.fromOwner, columns.toOwners, ...columns.edgeBytes],
              sortBy: columns.bytes.title,
            }),
          ],
          [
            10,
            table({
              id: 21,
              title: 'Top $topn devices ($kind)',
              description: `${REPORTER_VIEW} Do not add the two columns of several devices: what one sent another received. ${ONE_KIND}`,
              query: topRows(NODE_BYTES, { ...reporters, by: ['node_name', 'node'] }),
              columns: [
                { ...columns.nodeName, link: toTalkersOf('node_name') },
                columns.sent,
                columns.received,
                columns.nodeId,
              ],
              sortBy: 'Sent',
            }),
          ],
        ],
      },
      {
        title: 'One pair: $src → $dst',
        height: 4,
        panels: [
          [6, volume(1, 'There', 'sum("tx_bytes")')],
          [6, volume(2, 'Back', 'sum("rx_bytes")')],
          [
            6,
            stat({
              id: 3,
              title: '95th percentile',
              description: `${P95} Both directions together, and the period before. ${ofPair} ${BEFORE}`,
              unit: 'bps',
              queries: bothPeriods((of) => percentile95(BOTH_WAYS, 'p95', of), pair),
            }),
          ],
          [
            6,
            stat({
              id: 4,
              title: 'Mean packet',
              description: `Bytes per packet there and back. Far below 100 is keep-alives, scans or acknowledgements; above 1000 is bulk transfer. ${ofPair}`,
              unit: 'decbytes',
              decimals: 0,
              queries: [
                ['there', select(['sum("tx_bytes") / sum("tx_pkts")', 'bytes'], pair)],
                ['back', select(['sum("rx_bytes") / sum("rx_pkts")', 'bytes'], pair)],
              ],
            }),
          ],
        ],
      },
      { height: 9, panels: withEarlier(rate) },
    ],
  })
}
