/** Exit nodes: how much each carries, for whom, and where to, where that is logged. */
import * as columns from './columns.ts'
import { dashboardOf } from './frame.ts'
import { AS_CLIENT, FLOWS, kindIs, select, sum, topRows } from './influxql.ts'
import { stat, table } from './panels.ts'
import { deviceColumns, download, loadOf, type Routed, routedBands, topOf, upload, VIEW } from './routed.ts'
import { type NodesPlace, router, shift, sources, tailnet, topn } from './variables.ts'
import { REPORTER_VIEW, toNode } from './words.ts'

const EXIT: Routed = {
  kind: 'exit',
  device: 'exit node',
  devices: 'Exit nodes',
  chosen: '"node_name" =~ /^$exit_node$/',
}

export function exitNodes(place: NodesPlace) {
  const about = `Kind exit only. ${VIEW}`

  return dashboardOf({
    uid: 'tailflux-exit',
    title: 'Tailnet exit nodes',
    description:
      'Traffic to the internet through exit nodes. Tailscale leaves destinations out unless the tailnet logs them.',
    variables: [...sources(place), tailnet(), router('exit_node', 'Exit node', 'exit'), topn(), shift()],
    bands: [
      ...routedBands(EXIT),
      {
        title: 'As the exit nodes report it',
        height: 10,
        panels: [
          [8, loadOf(EXIT, 'Load of the exit nodes', about)],
          [
            8,
            table({
              id: 21,
              title: 'Top $topn users of exit nodes',
              description: `Devices that go out through each exit node. ${about}`,
              query: topOf(EXIT, ['dst_name', 'dst', 'node_name']),
              columns: [
                { name: 'dst_name', title: 'Client', link: toNode },
                download,
                upload,
                columns.flows,
                columns.tag('dst', 'Address'),
                { ...columns.nodeName, title: 'Exit node' },
              ],
              sortBy: download.title,
            }),
          ],
          [
            8,
            table({
              id: 22,
              title: 'Top $topn destinations',
              description: `Destinations on the internet. One row "none" is normal: Tailscale leaves destinations out unless the node attribute log-exit-flows is set. ${about}`,
              query: topOf(EXIT, ['src', 'proto', 'port']),
              columns: [
                columns.tag('src', 'Destination'),
                columns.tag('proto', 'Protocol'),
                columns.tag('port', 'Port'),
                download,
                upload,
                columns.flows,
              ],
              sortBy: download.title,
            }),
          ],
        ],
      },
      {
        title: 'As the other side reports it',
        height: 9,
        panels: [
          [
            16,
            table({
              id: 30,
              title: 'Top $topn users, by their own reports',
              description: `Kind exit only, the view of the clients: it is the same traffic as above, reported by the other endpoint, here to compare and for exit nodes that do not report. Not filtered by exit node. ${REPORTER_VIEW}`,
              query: topRows(
                ['rx_bytes', 'download'],
                [
                  ['tx_bytes', 'upload'],
                  ['flows', 'flows'],
                ],
                {
                  from: FLOWS,
                  where: [kindIs('exit'), AS_CLIENT],
                  by: ['node_name', 'node'],
                },
              ),
              columns: [...deviceColumns, columns.flows, columns.nodeId],
              sortBy: download.title,
            }),
          ],
          [
            8,
            stat({
              id: 31,
              title: 'Neither endpoint known',
              description:
                'Kind exit entries without any address: multicast, rejects and the like, which Tailscale files here. They are no sign that an exit node is in use. Bytes sent, by the reports of all devices.',
              unit: 'decbytes',
              color: 'text',
              queries: [
                [
                  'sent',
                  select(sum('tx_bytes', 'sent'), {
                    from: FLOWS,
                    where: [kindIs('exit'), '"src" = \'none\'', '"dst" = \'none\''],
                  }),
                ],
              ],
            }),
          ],
        ],
      },
    ],
  })
}
