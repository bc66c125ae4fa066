/** What subnet routers and exit nodes have in common: a device carries traffic of others, and both report it. */
import * as columns from './columns.ts'
import type { Band } from './frame.ts'
import {
  AS_ROUTER,
  bitsPerSecond,
  bothPeriods,
  countRows,
  FLOWS,
  type From,
  kindIs,
  overTime,
  percentile95,
  select,
  sum,
  topRows,
} from './influxql.ts'
import { type Column, type PanelBuilder, type SeriesOptions, stat, table, withEarlier } from './panels.ts'
import { BEFORE, P95 } from './words.ts'

export interface Routed {
  readonly kind: 'subnet' | 'exit'
  /** `subnet router` */
  readonly device: string
  /** `Subnet routers` */
  readonly devices: string
  /** Condition on the variable that chooses devices. */
  readonly chosen: string
}

export const VIEW =
  'The view of the device that carries the traffic: sent is what it sent to the clients (their download), received is what it got from them (their upload). The clients report the same bytes once more, which is not added.'

/** Columns, as the clients see it. */
export const download: Column = { name: 'download', title: 'Download', unit: 'decbytes', bar: true }
export const upload: Column = { name: 'upload', title: 'Upload', unit: 'decbytes' }

function routerView({ kind, chosen }: Routed): From {
  return { from: FLOWS, where: [kindIs(kind), AS_ROUTER, chosen] }
}

/** Five numbers, 24 columns wide. */
function numbers(routed: Routed): readonly (readonly [number, PanelBuilder])[] {
  const view = routerView(routed)
  const about = `Kind ${routed.kind} only. ${VIEW}`
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
          ['download', percentile95('tx_bytes', 'p95', view)],
          ['upload', percentile95('rx_bytes', 'p95', view)],
        ],
      }),
    ],
    [
      4,
      stat({
        id: 4,
        title: routed.devices,
        description: `Devices that carried ${routed.kind} traffic of others in the period. No bytes are counted here.`,
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
        description: `Devices that used one in the period, as the ${routed.device}s report them. No bytes are counted here.`,
        unit: 'short',
        color: 'green',
        queries: [['clients', countRows('clients', { ...view, by: ['dst_name'] })]],
      }),
    ],
  ]
}

/** One line up and one down per device. */
function perDevice(routed: Routed): SeriesOptions {
  const view: From = { ...routerView(routed), by: ['node_name'] }
  return {
    id: 10,
    title: `Throughput per ${routed.device}`,
    description: `Kind ${routed.kind} only; upload is drawn below zero. ${VIEW}`,
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

/** The largest by download, as the devices report it that carry the traffic. */
export function topOf(routed: Routed, by: readonly string[]): string {
  return topRows(
    ['tx_bytes', 'download'],
    [
      ['rx_bytes', 'upload'],
      ['flows', 'flows'],
    ],
    { ...routerView(routed), by },
  )
}

/** How much each device carries. */
export function loadOf(routed: Routed, title: string, description: string): PanelBuilder {
  return table({
    id: 20,
    title,
    description,
    query: topOf(routed, ['node_name', 'node']),
    columns: [...deviceColumns, columns.flows, columns.nodeId],
    sortBy: download.title,
  })
}

export const deviceColumns = [columns.nodeName, download, upload] as const
