/** Subnet routers: how much each carries, for whom, to which hosts behind it. */
import * as columns from './columns.ts'
import { dashboardOf } from './frame.ts'
import { table } from './panels.ts'
import { DST_IS_SERVICE, EDGE_BYTES, IS_MATCHED, OF_SERVICES, topRows } from './query.ts'
import { edgesOf, loadOf, type Routed, routedBands } from './routed.ts'
import { common, router, shift, topn } from './variables.ts'
import { EDGE_ONCE, EDGE_WAYS, toNode, toOwner } from './words.ts'

const SUBNET: Routed = {
  kind: 'subnet',
  role: 'router',
  device: 'subnet router',
  devices: 'Subnet routers',
  chosen: 'router',
}
const from = { ...columns.from, link: toNode }
const to = columns.tag('dst_name', 'To')

export function subnetRouters() {
  return dashboardOf({
    uid: 'tailflux-subnet',
    title: 'Tailnet subnet routers',
    description: 'Traffic between the tailnet and the networks behind its subnet routers.',
    variables: [
      ...common('edges', 'nodes', 'step', 'mean'),
      router('router', 'Subnet router', 'router'),
      topn(),
      shift(),
    ],
    bands: [
      ...routedBands(SUBNET),
      {
        title: 'Who carries, and for whom',
        height: 10,
        panels: [
          [12, loadOf(SUBNET)],
          [
            12,
            edgesOf(SUBNET, {
              id: 21,
              title: 'Top $topn clients',
              description: 'Devices that reach into the networks, and hosts there that reach devices.',
              by: [from, { ...columns.fromOwner, title: 'Owner', link: toOwner('var-kind=subnet') }],
            }),
          ],
        ],
      },
      {
        title: 'What is reached',
        height: 10,
        panels: [
          [
            14,
            edgesOf(SUBNET, {
              id: 22,
              title: 'Top $topn hosts and services',
              description:
                'Addresses and ports that are reached, with the name of their network where the settings name it.',
              by: [to, columns.tag('dst', 'Address'), columns.proto, columns.port],
            }),
          ],
          [
            10,
            table({
              id: 23,
              title: 'Top $topn Tailscale Services',
              description: `Traffic to service addresses, which belong to no device. Clients call it subnet if the address is among their routes, else exit. ${EDGE_WAYS} ${EDGE_ONCE}`,
              query: topRows(EDGE_BYTES, {
                from: 'edges',
                where: [OF_SERVICES, IS_MATCHED, DST_IS_SERVICE],
                by: ['src_name', 'dst_name', 'kind', 'port'],
              }),
              columns: [from, to, columns.tag('kind', 'Kind'), columns.port, ...columns.edgeBytes],
              sortBy: columns.bytes.title,
            }),
          ],
        ],
      },
    ],
  })
}
