/** For every query of every panel: what it must return, said in plain JavaScript about the simulation's records. Written from what the panels
 * promise, not from their queries: a router is a device whose role is router here, and an address pattern there. */
import type { Answer, Range, Row, Spec, Truth } from './model.ts'
import { distinct, evaluate, lastOf, maxOf, nearestRank, percentile95, ratioOf, sumOf } from './model.ts'

export interface Choice {
  readonly kind: string
  /** Devices by name; undefined for all. */
  readonly node: readonly string[] | undefined
  readonly src: readonly string[] | undefined
  readonly dst: readonly string[] | undefined
  readonly topn: number
}

export interface Moment {
  readonly truth: Truth
  readonly choice: Choice
  /** The range shown (a panel's own shift is in it already), ns. */
  readonly range: Range
  readonly intervalNs: bigint
}

/** `panel id` + `refId` */
type Expectations = Readonly<Record<string, (moment: Moment) => Answer[]>>

type Keep = (row: Row, choice: Choice) => boolean
type Values = Spec['values']

const chosenKind: Keep = (row, { kind }) => row.tags['kind'] === kind
const kind =
  (name: string): Keep =>
  (row) =>
    row.tags['kind'] === name
const chosenNode: Keep = (row, { node }) => node?.includes(row.tags['node_name']!) ?? true
const chosenPair: Keep = (row, { src, dst }) =>
  (src?.includes(row.tags['src_name']!) ?? true) && (dst?.includes(row.tags['dst_name']!) ?? true)
const relayed: Keep = (row) => row.tags['path']!.startsWith('derp-')
const notPhysical: Keep = (row) => row.tags['kind'] !== 'physical'
const firstPass: Keep = (row) => row.tags['pass'] === '1'
/** The report of the device that carries the traffic. Service addresses belong to servers, which are no routers. */
const byRouter = (name: 'subnet' | 'exit'): Keep => {
  const role = name === 'subnet' ? 'router' : 'exit'
  return (row) => row.tags['kind'] === name && row.role === role && row.tags['dst'] !== 'none'
}
const isService = (address: string) => address.startsWith('100.127.')
const ofService: Keep = (row) =>
  row.tags['kind'] === 'subnet' && (isService(row.tags['src']!) || isService(row.tags['dst']!))
const bySubnetClient: Keep = (row, choice) =>
  row.tags['kind'] === 'subnet' && row.role !== 'router' && !ofService(row, choice)
const byExitClient: Keep = (row) => row.tags['kind'] === 'exit' && row.tags['src'] !== 'none'
const withoutEnds: Keep = (row) =>
  row.tags['kind'] === 'exit' && row.tags['src'] === 'none' && row.tags['dst'] === 'none'

const all =
  (...keeps: readonly Keep[]): Keep =>
  (row, choice) =>
    keeps.every((keep) => keep(row, choice))

type Source = keyof Truth

function plain(of: Source, keep: Keep, values: Values, by: readonly string[] = [], range = shown) {
  return ({ truth, choice, ...moment }: Moment) =>
    evaluate({ of: truth[of], keep: (row) => keep(row, choice), range: range(moment), by, values })
}
function overTime(of: Source, keep: Keep, values: Values, by: readonly string[] = [], fill: 0 | 'none' = 0) {
  return ({ truth, choice, range, intervalNs }: Moment) =>
    evaluate({ of: truth[of], keep: (row) => keep(row, choice), range, by, values, intervalNs, fill })
}
/** Rows with the `topn` largest values of the first column. */
function top(of: Source, keep: Keep, values: Values, by: readonly string[]) {
  return (moment: Moment) => {
    const column = Object.keys(values)[0]!
    const rows = plain(of, keep, values, by)(moment)
    return rows.sort((a, b) => Number(b[column]) - Number(a[column])).slice(0, moment.choice.topn)
  }
}

type Times = Pick<Moment, 'range'>
const shown = ({ range }: Times): Range => range
const previous = ({ range: { fromNs, toNs } }: Times): Range => ({
  fromNs: fromNs - (toNs - fromNs),
  toNs: fromNs,
  open: true,
})
const lastMinutes = ({ range: { toNs } }: Times): Range => ({ fromNs: toNs - 300_000_000_000n, toNs, open: true })

const perSecond = (factor: number, field: string) => (intervalNs: bigint) => (rows: readonly Row[]) =>
  (sumOf(field)(rows) * factor) / (Number(intervalNs) / 1e9)
/** A rate depends on the interval of the graph. */
function rate(of: Source, keep: Keep, column: string, factor: number, field: string, by: readonly string[] = []) {
  return (moment: Moment) => overTime(of, keep, { [column]: perSecond(factor, field)(moment.intervalNs) }, by)(moment)
}
const both = (of: Source, keep: Keep, values: Values) =>
  [plain(of, keep, values), plain(of, keep, values, [], previous)] as const

const sent = { sent: sumOf('tx_bytes') }
const p95 = { p95: percentile95('tx_bytes') }
const p95Received = { p95: percentile95('rx_bytes') }
const nodes = { nodes: distinct(['node']) }
const share = { share: ratioOf(100, 'derp_tx_bytes', 'tx_bytes') }
const direct = (rows: readonly Row[]) => sumOf('tx_bytes')(rows) - sumOf('derp_tx_bytes')(rows)
const directRate = (keep: Keep) => (moment: Moment) =>
  overTime('nodes', keep, { direct: (rows) => (direct(rows) * 8e9) / Number(moment.intervalNs) })(moment)

const [volumeNow, volumeBefore] = both('nodes', chosenKind, sent)
const [p95Now, p95Before] = both('nodes', chosenKind, p95)
const [nodesNow, nodesBefore] = both('nodes', () => true, nodes)
const [shareNow, shareBefore] = both('nodes', kind('physical'), share)
const byKind = rate('nodes', () => true, 'sent', 8, 'tx_bytes', ['kind'])

const overview: Expectations = {
  '1A': plain('nodes', chosenKind, { rate: (rows) => (sumOf('tx_bytes')(rows) * 8) / 300 }, [], lastMinutes),
  '2A': volumeNow,
  '2B': volumeBefore,
  '3A': p95Now,
  '3B': p95Before,
  '4A': nodesNow,
  '4B': nodesBefore,
  '5A': shareNow,
  '5B': shareBefore,
  '6A': plain('windows', () => true, { lag: lastOf('lag_ms') }),
  '10A': byKind,
  '11A': byKind,
  '20A': top('nodes', chosenKind, { ...sent, received: sumOf('rx_bytes') }, ['node_name', 'node']),
  '21A': top('flows', chosenKind, sent, ['src_name', 'dst_name', 'node_name', 'node']),
  '30A': overTime('nodes', kind('physical'), share, [], 'none'),
  '31A': rate('nodes', chosenKind, 'flows', 1, 'flows'),
}

const ofNode = all(chosenKind, chosenNode)
const physicalOfNode = all(kind('physical'), chosenNode)
const tunnelled = all(chosenNode, notPhysical)
const node: Expectations = {
  '1A': plain('nodes', ofNode, sent),
  '1B': plain('nodes', ofNode, sent, [], previous),
  '2A': plain('nodes', ofNode, { received: sumOf('rx_bytes') }),
  '2B': plain('nodes', ofNode, { received: sumOf('rx_bytes') }, [], previous),
  '3A': plain('nodes', ofNode, p95),
  '3B': plain('nodes', ofNode, p95Received),
  '4A': plain('nodes', physicalOfNode, share),
  '4B': plain('nodes', physicalOfNode, share, [], previous),
  '5A': plain('nodes', ofNode, { peers: maxOf('peers') }),
  '10A': rate('nodes', tunnelled, 'sent', 8, 'tx_bytes', ['kind']),
  '10B': rate('nodes', tunnelled, 'received', 8, 'rx_bytes', ['kind']),
  '11A': rate('nodes', tunnelled, 'sent', 8, 'tx_bytes', ['kind']),
  '11B': rate('nodes', tunnelled, 'received', 8, 'rx_bytes', ['kind']),
  '20A': top('flows', ofNode, { ...sent, received: sumOf('rx_bytes'), packets: sumOf('tx_pkts') }, [
    'dst_name',
    'dst',
    'src',
  ]),
  '21A': top('flows', ofNode, { ...sent, received: sumOf('rx_bytes'), flows: sumOf('flows') }, ['proto', 'port']),
  '30A': directRate(physicalOfNode),
  '30B': rate('nodes', physicalOfNode, 'relayed', 8, 'derp_tx_bytes'),
  '31A': top('flows', physicalOfNode, { ...sent, received: sumOf('rx_bytes') }, ['src_name', 'src', 'path', 'dst']),
  '40A': plain(
    'nodes',
    chosenNode,
    {
      flows: lastOf('flows'),
      Time: (rows) => Number(rows.reduce((ns, row) => (row.ns > ns ? row.ns : ns), 0n) / 1_000_000n),
    },
    ['node_name', 'node', 'tailnet', 'kind'],
  ),
  '41A': plain('flows', all(kind('virtual'), chosenNode), { ...sent, received: sumOf('rx_bytes') }, [
    'src',
    'src_name',
    'node',
  ]),
}

const selected = all(chosenKind, chosenNode, chosenPair)
const volumes = { ...sent, received: sumOf('rx_bytes'), flows: sumOf('flows') }
const pairs = { pairs: distinct(['src_name', 'dst_name']) }
const talkers: Expectations = {
  '1A': plain('flows', selected, sent),
  '1B': plain('flows', selected, sent, [], previous),
  '2A': plain('flows', selected, p95),
  '2B': plain('flows', selected, p95, [], previous),
  '3A': plain('flows', selected, pairs),
  '3B': plain('flows', selected, pairs, [], previous),
  '4A': plain('flows', selected, { bytes: ratioOf(1, 'tx_bytes', 'tx_pkts') }),
  '10A': top('flows', selected, volumes, ['src_name', 'dst_name', 'node_name', 'node']),
  '11A': top('flows', selected, { ...sent, packets: sumOf('tx_pkts'), flows: sumOf('flows') }, ['proto', 'port']),
  '20A': top('flows', selected, volumes, ['src_name', 'node_name', 'node']),
  '21A': top('flows', selected, volumes, ['dst_name', 'dst']),
  '30A': rate('flows', selected, 'sent', 8, 'tx_bytes'),
  '30B': rate('flows', selected, 'received', 8, 'rx_bytes'),
  '31A': rate('flows', selected, 'sent', 8, 'tx_bytes'),
  '31B': rate('flows', selected, 'received', 8, 'rx_bytes'),
  '32A': rate('flows', selected, 'packets', 1, 'tx_pkts'),
}

const carried = { download: sumOf('tx_bytes'), upload: sumOf('rx_bytes'), flows: sumOf('flows') }
function routed(name: 'subnet' | 'exit'): Expectations {
  const view = byRouter(name)
  return {
    '1A': plain('flows', view, { bytes: sumOf('tx_bytes') }),
    '1B': plain('flows', view, { bytes: sumOf('tx_bytes') }, [], previous),
    '2A': plain('flows', view, { bytes: sumOf('rx_bytes') }),
    '2B': plain('flows', view, { bytes: sumOf('rx_bytes') }, [], previous),
    '3A': plain('flows', view, p95),
    '3B': plain('flows', view, p95Received),
    '4A': plain('flows', view, { devices: distinct(['node']) }),
    '5A': plain('flows', view, { clients: distinct(['dst_name']) }),
    '10A': rate('flows', view, 'download', 8, 'tx_bytes', ['node_name']),
    '10B': rate('flows', view, 'upload', 8, 'rx_bytes', ['node_name']),
    '11A': rate('flows', view, 'download', 8, 'tx_bytes', ['node_name']),
    '11B': rate('flows', view, 'upload', 8, 'rx_bytes', ['node_name']),
    '20A': top('flows', view, carried, ['node_name', 'node']),
  }
}
const asClient = { download: sumOf('rx_bytes'), upload: sumOf('tx_bytes') }
const subnet: Expectations = {
  ...routed('subnet'),
  '21A': top('flows', byRouter('subnet'), carried, ['src', 'proto', 'port', 'node_name']),
  '22A': top('flows', byRouter('subnet'), carried, ['dst_name', 'dst', 'node_name']),
  '30A': top('flows', bySubnetClient, asClient, ['dst', 'node_name', 'node']),
  '31A': top('flows', ofService, { ...sent, received: sumOf('rx_bytes') }, [
    'src_name',
    'dst_name',
    'port',
    'node_name',
    'node',
  ]),
}
const exit: Expectations = {
  ...routed('exit'),
  '21A': top('flows', byRouter('exit'), carried, ['dst_name', 'dst', 'node_name']),
  '22A': top('flows', byRouter('exit'), carried, ['src', 'proto', 'port']),
  '30A': top('flows', byExitClient, { ...asClient, flows: sumOf('flows') }, ['node_name', 'node']),
  '31A': plain('flows', withoutEnds, sent),
}

const relayedOfNode = all(physicalOfNode, relayed)
const paths: Expectations = {
  '1A': plain('nodes', physicalOfNode, share),
  '1B': plain('nodes', physicalOfNode, share, [], previous),
  // The same number from the other measurement: relayed entries one by one.
  '2A': plain('flows', all(physicalOfNode, chosenNode), {
    sent: (rows) => sumOf('tx_bytes')(rows.filter((row) => row.tags['path'] !== 'direct')),
  }),
  '2B': plain('nodes', physicalOfNode, { sent: sumOf('derp_tx_bytes') }, [], previous),
  '3A': plain('flows', physicalOfNode, {
    direct: (rows) => sumOf('tx_bytes')(rows.filter((row) => row.tags['path'] === 'direct')),
  }),
  '3B': plain('nodes', physicalOfNode, { direct }, [], previous),
  '4A': plain('nodes', physicalOfNode, p95),
  '4B': plain('nodes', physicalOfNode, { p95: percentile95('derp_tx_bytes') }),
  '5A': plain('flows', relayedOfNode, { pairs: distinct(['node', 'src']) }),
  '10A': directRate(physicalOfNode),
  '10B': rate('nodes', physicalOfNode, 'relayed', 8, 'derp_tx_bytes'),
  '11A': directRate(physicalOfNode),
  '11B': rate('nodes', physicalOfNode, 'relayed', 8, 'derp_tx_bytes'),
  '20A': overTime('nodes', physicalOfNode, share, [], 'none'),
  '21A': rate('flows', relayedOfNode, 'sent', 8, 'tx_bytes', ['path']),
  '22A': top('flows', relayedOfNode, volumes, ['path']),
  '30A': plain('nodes', physicalOfNode, { ...share, relayed: sumOf('derp_tx_bytes'), ...sent }, ['node_name', 'node']),
  '31A': top('flows', relayedOfNode, { ...sent, received: sumOf('rx_bytes') }, [
    'node_name',
    'src_name',
    'path',
    'node',
  ]),
}

const amount = (field: string) => both('windows', firstPass, { [field]: sumOf(field) })
const [messagesNow, messagesBefore] = amount('messages')
const [entriesNow, entriesBefore] = amount('entries')
const [pointsNow, pointsBefore] = amount('points')
const health: Expectations = {
  '1A': plain('windows', () => true, { watermark: (rows) => lastOf('watermark')(rows) / 1e6 }),
  '2A': plain('windows', firstPass, { lag: lastOf('lag_ms') }),
  '3A': messagesNow,
  '3B': messagesBefore,
  '4A': entriesNow,
  '4B': entriesBefore,
  '5A': pointsNow,
  '5B': pointsBefore,
  '6A': nodesNow,
  '6B': nodesBefore,
  '10A': overTime('windows', firstPass, { lag: maxOf('lag_ms') }, [], 'none'),
  '11A': overTime('windows', () => true, { mean: (rows) => sumOf('duration_ms')(rows) / rows.length }, [], 'none'),
  '11B': overTime(
    'windows',
    () => true,
    {
      p95: (rows) =>
        nearestRank(
          rows.map((row) => row.fields['duration_ms']!),
          95,
        ),
    },
    [],
    'none',
  ),
  '20A': rate('windows', firstPass, 'entries', 1, 'entries'),
  '21A': overTime('windows', () => true, { windows: (rows) => rows.length }, ['pass']),
  '22A': overTime('nodes', () => true, nodes),
  '30A': plain('flows', () => true, {
    series: distinct(['node', 'kind', 'proto', 'src', 'dst', 'port', 'path', 'node_name', 'src_name', 'dst_name']),
  }),
  '31A': plain(
    'windows',
    () => true,
    {
      windows: (rows) => rows.length,
      messages: sumOf('messages'),
      entries: sumOf('entries'),
      points: sumOf('points'),
      duration: sumOf('duration_ms'),
    },
    ['pass'],
  ),
}

export const EXPECTED: Readonly<Record<string, Expectations>> = {
  'tailflux-overview': overview,
  'tailflux-node': node,
  'tailflux-talkers': talkers,
  'tailflux-subnet': subnet,
  'tailflux-exit': exit,
  'tailflux-paths': paths,
  'tailflux-health': health,
}
