/** Exit nodes: how much each carries, for whom, and where to, where that is logged. */
import * as columns from './columns.ts'
import { dashboardOf } from './frame.ts'
import { stat } from './panels.ts'
import { BOTH_WAYS, kindIs, select } from './query.ts'
import { edgesOf, loadOf, type Routed, routedBands } from './routed.ts'
import { common, router, shift, topn } from './variables.ts'
import { toNode, toOwner } from './words.ts'

const EXIT: Routed = {
  kind: 'exit',
  role: 'exit',
  device: 'exit node',
  devices: 'Exit nodes',
  chosen: 'exit_node',
}

export function exitNodes() {
  return dashboardOf({
    uid: 'tailflux-exit',
    title: 'Tailnet exit nodes',
    description:
      'Traffic to the internet through exit nodes. Tailscale leaves destinations out unless the tailnet logs them.',
    variables: [...common('edges', 'nodes', 'step', 'mean'), router('exit_node', 'Exit node', 'exit'), topn(), shift()],
    bands: [
      ...routedBands(EXIT),
      {
        title: 'Who carries, for whom, and where to',
        height: 10,
        panels: [
          [6, loadOf(EXIT)],
          [
            9,
            edgesOf(EXIT, {
              id: 21,
              title: 'Top $topn users of exit nodes',
              description: 'Devices that go out through an exit node.',
              by: [
                { ...columns.from, link: toNode },
                { ...columns.fromOwner, title: 'Owner', link: toOwner('var-kind=exit') },
              ],
            }),
          ],
          [
            6,
            edgesOf(EXIT, {
              id: 22,
              title: 'Top $topn destinations',
              description:
                'Destinations on the internet. One row "none" is normal: Tailscale leaves destinations out unless the node attribute log-exit-flows is set.',
              by: [columns.tag('dst_name', 'Destination'), columns.port],
            }),
          ],
          [
            3,
            stat({
              id: 31,
              title: 'Unmatched',
              description:
                'Kind exit entries without any address. Client and exit node cannot be matched, so these bytes are counted here and in no other panel of edges: they may be the same as those of the exit nodes.',
              unit: 'decbytes',
              color: 'text',
              queries: [
                [
                  'bytes',
                  select([BOTH_WAYS, 'bytes'], {
                    from: 'edges',
                    where: [kindIs('exit'), { tag: 'path', is: 'unknown' }],
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
