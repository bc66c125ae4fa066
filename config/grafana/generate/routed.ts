/** What subnet routers and exit nodes have in common: a device carries traffic of others. What each of them carries is its own report; who the clients are
 * and whom they reach is in the edges, which do not say through which device. */
import * as columns from './columns.ts'
import type { Band } from './frame.ts'
import { type Column, type Panel, type SeriesOptions, stat, table, withEarlier } from './panels.ts'
import {
  bitsPerSecond,
  bothPeriods,
  countRows,
  EDGE_BYTES,
  type From,
  IS_MATCHED,
  kindIs,
  overTime,
  percentile95,
  roleIs,
  select,
  sum,
  topRows,
} from './query.ts'
import { BEFORE, CARRIED, EDGE_ONCE, NO_TRAFFIC, P95 } from './words.ts'

export interface Routed {
  readonly kind: 'subnet' | 'exit'
  readonly role: 'router' | 'exit'
  /** `subnet router` */
  readonly device: string
  /** `Subnet routers` */
  readonly devices: string
  /** The variable that chooses devices. */
  readonly chosen: string
}

/** Columns, as the clients see it. */
const download: Column = { name: 'download', title: 'Download', unit: 'decbytes', bar: true }
const upload: Column = { name: 'upload', title: 'Upload', unit: 'decbytes' }

function carriedBy({ kind, role, chosen }: Routed): From {
  return { from: 'nodes', where: [kindIs(kind), roleIs(role), { tag: 'node_name', chosen }] }
}

/** Five numbers, 24 columns wide. */
function numbers(routed: Routed): readonly (readonly [number, Panel])[] {
  const view = carriedBy(routed)
  const about = `Kind ${routed.kind} only. ${CARRIED}`
  const volume = (id: number, title: string, field: string) =>
    stat({
      id,
      title,
      description: `Total over the period. ${about} ${BEFORE}`,
      unit: 'decbytes',
      queries: bothPeriods((of) => select(sum(field, 'bytes'), of), view),
    })
  return [
    [6, volume(1, 'Download of clients', 'tx_bytes')],
    [6, volume(2, 'Upload of clients', 'rx_bytes')],
    [
      5,
      stat({
        id: 3,
        title: '95th percentile',
        description: `${P95} ${about}`,
        unit: 'bps',
        queries: [
          ['download', percentile95('sum("tx_bytes")', 'p95', view)],
          ['upload', percentile95('sum("rx_bytes")', 'p95', view)],
        ],
      }),
    ],
    [
      4,
      stat({
        id: 4,
        title: routed.devices,
        description: `Devices that carried ${routed.kind} traffic of others in the period. ${NO_TRAFFIC}`,
        unit: 'short',
        color: 'green',
        queries: [['devices', countRows('devices', { ...view, by: ['node'] })]],
      }),
    ],
    [
      3,
      stat({
        id: 5,
        title: 'Clients',
        description: `Devices with ${routed.kind} traffic of their own in the period, by their own report. ${NO_TRAFFIC}`,
        unit: 'short',
        color: 'green',
        queries: [
          [
            'clients',
            countRows('clients', { from: 'nodes', where: [kindIs(routed.kind), roleIs('client')], by: ['node'] }),
          ],
        ],
      }),
    ],
  ]
}

/** One line up and one down per device. */
function perDevice(routed: Routed): SeriesOptions {
  const view: From = { ...carriedBy(routed), by: ['node_name'] }
  return {
    id: 10,
    title: `Throughput per ${routed.device}`,
    description: `Kind ${routed.kind} only; upload is drawn below zero. ${CARRIED}`,
    unit: 'bps',
    queries: [
      ['download $tag_node_name', overTime(bitsPerSecond('tx_bytes', 'download'), view)],
      ['upload $tag_node_name', overTime(bitsPerSecond('rx_bytes', 'upload'), view)],
    ],
    below: '^upload',
  }
}

/** The first bands of both dashboards. */
export function routedBands(routed: Routed): readonly Band[] {
  return [
    { height: 4, panels: numbers(routed) },
    { title: 'Throughput', height: 9, panels: withEarlier(perDevice(routed)) },
  ]
}

/** How much each device carries. */
export function loadOf(routed: Routed): Panel {
  return table({
    id: 20,
    title: `Load of the ${routed.device}s`,
    description: `Kind ${routed.kind} only. ${CARRIED} Devices that stand in for each other show here how evenly they share the load.`,
    query: topRows(
      [
        ['sum("tx_bytes")', 'download'],
        ['sum("rx_bytes")', 'upload'],
      ],
      { ...carriedBy(routed), by: ['node_name', 'node'] },
    ),
    columns: [columns.nodeName, download, upload, columns.nodeId],
    sortBy: download.title,
  })
}

export interface EdgeTable {
  readonly id: number
  readonly title: string
  readonly description: string
  /** Tags that make a row. */
  readonly by: readonly Column[]
}

/** The largest edges of the kind, of all devices that carry it. */
export function edgesOf({ kind, device }: Routed, { id, title, description, by }: EdgeTable): Panel {
  return table({
    id,
    title,
    description: `${description} Kind ${kind} only, whichever ${device} carried it. ${EDGE_ONCE}`,
    query: topRows(EDGE_BYTES, {
      from: 'edges',
      where: [kindIs(kind), IS_MATCHED],
      by: by.map(({ name }) => name),
    }),
    columns: [...by, ...columns.edgeBytes],
    sortBy: columns.bytes.title,
  })
}
