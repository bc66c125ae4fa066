/** Subnet routers: how much each carries, for whom, to which hosts behind it. */
import * as columns from './columns.ts'
import { dashboardOf } from './frame.ts'
import { AS_CLIENT, DST_IS_DEVICE, FLOWS, kindIs, SRC_IS_DEVICE, topRows } from './influxql.ts'
import { table } from './panels.ts'
import { download, loadOf, type Routed, routedBands, topOf, upload, VIEW } from './routed.ts'
import { type NodesPlace, router, shift, sources, tailnet, topn } from './variables.ts'
import { REPORTER_VIEW, toNode } from './words.ts'

const SUBNET: Routed = {
  kind: 'subnet',
  device: 'subnet router',
  devices: 'Subnet routers',
  chosen: '"node_name" =~ /^$router$/',
}

export function subnetRouters(place: NodesPlace) {
  const about = `Kind subnet only. ${VIEW}`

  return dashboardOf({
    uid: 'tailflux-subnet',
    title: 'Tailnet subnet routers',
    description: 'Traffic between the tailnet and the networks behind its subnet routers.',
    variables: [...sources(place), tailnet(), router('router', 'Subnet router', 'subnet'), topn(), shift()],
    bands: [
      ...routedBands(SUBNET),
      {
        title: 'As the routers report it',
        height: 10,
        panels: [
          [
            8,
            loadOf(
              SUBNET,
              'Load of the routers',
              `${about} Routers that share a network show here how evenly they share the load.`,
            ),
          ],
          [
            8,
            table({
              id: 21,
              title: 'Top $topn hosts behind the routers',
              description: `Hosts and ports in the routed networks. ${about}`,
              query: topOf(SUBNET, ['src', 'proto', 'port', 'node_name']),
              columns: [
                columns.tag('src', 'Host'),
                columns.tag('proto', 'Protocol'),
                columns.tag('port', 'Port'),
                download,
                upload,
                columns.flows,
                { ...columns.nodeName, title: 'Router' },
              ],
              sortBy: download.title,
            }),
          ],
          [
            8,
            table({
              id: 22,
              title: 'Top $topn clients',
              description: `Devices that use the routers. ${about}`,
              query: topOf(SUBNET, ['dst_name', 'dst', 'node_name']),
              columns: [
                { name: 'dst_name', title: 'Client', link: toNode },
                download,
                upload,
                columns.flows,
                columns.tag('dst', 'Address'),
                { ...columns.nodeName, title: 'Router' },
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
            12,
            table({
              id: 30,
              title: 'Top $topn hosts, by the clients’ reports',
              description: `Kind subnet only, the view of the clients: sent is their upload. It is the same traffic as above, reported by the other endpoint; it is here to compare, and for networks whose router does not report. Not filtered by router. ${REPORTER_VIEW}`,
              query: topRows(['rx_bytes', 'download'], [['tx_bytes', 'upload']], {
                from: FLOWS,
                where: [kindIs('subnet'), AS_CLIENT],
                by: ['dst', 'node_name', 'node'],
              }),
              columns: [
                columns.tag('dst', 'Host'),
                download,
                upload,
                { ...columns.nodeName, title: 'Client' },
                columns.nodeId,
              ],
              sortBy: download.title,
            }),
          ],
          [
            12,
            table({
              id: 31,
              title: 'Top $topn Tailscale Services',
              description: `Kind subnet with two tailnet addresses: traffic to service addresses, which belong to no device. Both endpoints report; a row is one report. ${REPORTER_VIEW} Not filtered by router.`,
              query: topRows(['tx_bytes', 'sent'], [['rx_bytes', 'received']], {
                from: FLOWS,
                where: [kindIs('subnet'), SRC_IS_DEVICE, DST_IS_DEVICE],
                by: ['src_name', 'dst_name', 'port', 'node_name', 'node'],
              }),
              columns: [
                columns.tag('src_name', 'From'),
                columns.tag('dst_name', 'To'),
                columns.tag('port', 'Port'),
                columns.sent,
                columns.received,
                columns.reporter,
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
