/** For every query of every panel: what it must return, said in plain JavaScript about the rows. Written from what the panels promise, not from their
 * queries. */
import type { Answer, Range, Row, Spec, Truth } from './model.ts'
import {
  distinct,
  evaluate,
  lastOf,
  lastTime,
  maxOf,
  meanOf,
  nearestRank,
  percentile95,
  ratioOf,
  sumOf,
} from './model.ts'

export interface Choice {
  readonly kind: string
  /** Devices by name; undefined for all. */
  readonly node: readonly string[] | undefined
  /** Ids that these had at any time. */
  readonly nodeIds: readonly string[] | undefined
  readonly owner: readonly string[] | undefined
  /** The pair that is looked at. */
  readonly src: string
  readonly dst: string
  readonly topn: number
}

export interface Moment {
  readonly truth: Truth
  readonly choice: Choice
  /** The range shown (a panel's own shift is in it already). */
  readonly range: Range
  readonly intervalMs: number
}

/** `panel id` + `refId` */
type Expectations = Readonly<Record<string, (moment: Moment) => Answer[]>>

type Keep = (row: Row, choice: Choice) => boolean
type Values = Spec['values']
type Source = keyof Truth

const any: Keep = () => true
const all =
  (...keeps: readonly Keep[]): Keep =>
  (row, choice) =>
    keeps.every((keep) => keep(row, choice))
const has =
  (tag: string, ...values: readonly string[]): Keep =>
  (row) =>
    values.includes(row.tags[tag]!)
const hasNot =
  (tag: string, value: string): Keep =>
  (row) =>
    row.tags[tag] !== value
const chosenKind: Keep = (row, { kind }) => row.tags['kind'] === kind
const isChosen = (names: readonly string[] | undefined, ...values: readonly (string | undefined)[]) =>
  names === undefined || values.some((value) => names.includes(value!))
const chosenNode: Keep = (row, { node }) => isChosen(node, row.tags['node_name'])
const chosenOwner: Keep = (row, { owner }) => isChosen(owner, row.tags['owner'])
const endIsNode: Keep = (row, { node }) => isChosen(node, row.tags['src_name'], row.tags['dst_name'])
const endIsOwned: Keep = (row, { owner }) => isChosen(owner, row.tags['src_owner'], row.tags['dst_owner'])
const chosenPair: Keep = (row, { src, dst }) => row.tags['src_name'] === src && row.tags['dst_name'] === dst
const matched = hasNot('path', 'unknown')

function plain(of: Source, keep: Keep, values: Values, by: readonly string[] = [], range = shown) {
  return ({ truth, choice, ...moment }: Moment) =>
    evaluate({ of: truth[of], keep: (row) => keep(row, choice), range: range(moment), by, values })
}
function overTime(of: Source, keep: Keep, values: Values, by: readonly string[] = [], fill: 0 | 'none' = 0) {
  return ({ truth, choice, range, intervalMs }: Moment) =>
    evaluate({ of: truth[of], keep: (row) => keep(row, choice), range, by, values, intervalMs, fill })
}
/** Rows that count anything. */
function counted(of: Source, keep: Keep, values: Values, by: readonly string[]) {
  const column = Object.keys(values)[0]!
  return (moment: Moment) => plain(of, keep, values, by)(moment).filter((row) => Number(row[column]) > 0)
}
/** Of these the `topn` with the largest values of the first column. */
function top(of: Source, keep: Keep, values: Values, by: readonly string[]) {
  const column = Object.keys(values)[0]!
  return (moment: Moment) =>
    counted(
      of,
      keep,
      values,
      by,
    )(moment)
      .sort((a, b) => Number(b[column]) - Number(a[column]))
      .slice(0, moment.choice.topn)
}

type Times = Pick<Moment, 'range'>
const shown = ({ range }: Times): Range => range
const previous = ({ range: { fromMs, toMs } }: Times): Range => ({
  fromMs: fromMs - (toMs - fromMs),
  toMs: fromMs,
  open: true,
})
const twoDays = ({ range: { toMs } }: Times): Range => ({ fromMs: toMs - 2 * 86_400_000, toMs, open: true })

const both = (of: Source, keep: Keep, values: Values) =>
  [plain(of, keep, values), plain(of, keep, values, [], previous)] as const
/** A rate depends on the interval of the graph. */
function rate(
  of: Source,
  keep: Keep,
  column: string,
  factor: number,
  fields: readonly string[],
  by: readonly string[] = [],
) {
  return (moment: Moment) =>
    overTime(of, keep, { [column]: (rows) => (sumOf(...fields)(rows) * factor * 1000) / moment.intervalMs }, by)(moment)
}
/** So do the means of a percentile. */
const p95 =
  (of: Source, keep: Keep, fields: readonly string[], range = shown) =>
  (moment: Moment) =>
    plain(of, keep, { p95: percentile95(moment.intervalMs, ...fields) }, [], range)(moment)

const TX = ['tx_bytes']
const RX = ['rx_bytes']
const BOTH_WAYS = ['tx_bytes', 'rx_bytes']
const sent = { sent: sumOf('tx_bytes') }
const nodeBytes = { ...sent, received: sumOf('rx_bytes') }
const edgeBytes = { bytes: sumOf(...BOTH_WAYS), forth: sumOf('tx_bytes'), back: sumOf('rx_bytes') }
const nodes = { nodes: distinct(['node']) }
const share = { share: ratioOf(100, 'derp_tx_bytes', 'tx_bytes') }
const direct = (rows: readonly Row[]) => sumOf('tx_bytes')(rows) - sumOf('derp_tx_bytes')(rows)
const directRate = (keep: Keep) => (moment: Moment) =>
  overTime('nodes', keep, { direct: (rows) => (direct(rows) * 8000) / moment.intervalMs })(moment)
const physical = has('kind', 'physical')
const byExitNode = all(has('kind', 'exit'), has('role', 'exit'))

const [virtualNow, virtualBefore] = both('nodes', has('kind', 'virtual'), sent)
const [subnetNow, subnetBefore] = both('nodes', has('kind', 'subnet'), sent)
const [exitNow, exitBefore] = both('nodes', byExitNode, { sent: sumOf(...BOTH_WAYS) })
const [wireNow, wireBefore] = both('nodes', physical, sent)
const [nodesNow, nodesBefore] = both('nodes', any, nodes)
const [shareNow, shareBefore] = both('nodes', physical, share)
const byKind = rate('nodes', hasNot('kind', 'exit'), 'sent', 8, TX, ['kind'])
const ofExit = rate('nodes', byExitNode, 'sent', 8, BOTH_WAYS, ['kind'])
const reporting = plain('minutes', any, {
  reporting: (rows) => ((sumOf('nodes')(rows) - sumOf('nodes_silent')(rows)) * 100) / sumOf('nodes')(rows),
})
const bothEnds = { both: ratioOf(100, 'edges_both', 'edges') }

const overview: Expectations = {
  '1A': virtualNow,
  '1B': virtualBefore,
  '2A': subnetNow,
  '2B': subnetBefore,
  '3A': exitNow,
  '3B': exitBefore,
  '4A': wireNow,
  '4B': wireBefore,
  '5A': p95('nodes', has('kind', 'virtual'), TX),
  '5B': p95('nodes', physical, TX),
  '6A': nodesNow,
  '6B': nodesBefore,
  '7A': shareNow,
  '7B': shareBefore,
  '8A': reporting,
  '8B': plain('minutes', any, bothEnds),
  '9A': plain('windows', any, { lag: lastOf('lag_ms') }),
  '10A': byKind,
  '10B': ofExit,
  '11A': byKind,
  '11B': ofExit,
  '20A': top('nodes', chosenKind, nodeBytes, ['node_name']),
  '21A': top('nodes', chosenKind, nodeBytes, ['owner']),
  '22A': top('sums', all(chosenKind, matched), edgeBytes, ['src_name', 'dst_name']),
  '30A': overTime('nodes', physical, share, [], 'none'),
  '31A': rate('nodes', chosenKind, 'flows', 1, ['flows']),
}

const ofNode = all(chosenKind, chosenNode)
const physicalOfNode = all(physical, chosenNode)
const tunnelled = all(chosenNode, hasNot('kind', 'physical'))
const near =
  (side: string): Keep =>
  (row, { node }) =>
    isChosen(node, row.tags[side])
const node: Expectations = {
  '1A': plain('nodes', ofNode, sent),
  '1B': plain('nodes', ofNode, sent, [], previous),
  '2A': plain('nodes', ofNode, { received: sumOf('rx_bytes') }),
  '2B': plain('nodes', ofNode, { received: sumOf('rx_bytes') }, [], previous),
  '3A': p95('nodes', ofNode, TX),
  '3B': p95('nodes', ofNode, RX),
  '4A': plain('nodes', physicalOfNode, share),
  '4B': plain('nodes', physicalOfNode, share, [], previous),
  '5A': plain('nodes', ofNode, { peers: maxOf('peers') }),
  '10A': rate('nodes', tunnelled, 'sent', 8, TX, ['kind']),
  '10B': rate('nodes', tunnelled, 'received', 8, RX, ['kind']),
  '11A': rate('nodes', tunnelled, 'sent', 8, TX, ['kind']),
  '11B': rate('nodes', tunnelled, 'received', 8, RX, ['kind']),
  '20A': top('edges', all(chosenKind, matched, near('src_name')), edgeBytes, [
    'dst_name',
    'dst_owner',
    'proto',
    'port',
  ]),
  '21A': top('edges', all(chosenKind, matched, near('dst_name')), edgeBytes, [
    'src_name',
    'src_owner',
    'proto',
    'port',
  ]),
  '30A': directRate(physicalOfNode),
  '30B': rate('nodes', physicalOfNode, 'relayed', 8, ['derp_tx_bytes']),
  '31A': top('edges', all(physical, endIsNode), edgeBytes, ['src_name', 'dst_name', 'path']),
  '32A': counted('nodes', chosenNode, { flows: sumOf('flows'), ...nodeBytes }, ['kind', 'role']),
  '40A': (moment) =>
    plain(
      'devices',
      (row, choice) => isChosen(choice.node, String(row.fields['name'])),
      {
        ...Object.fromEntries(
          ['logged', 'name', 'owner', 'os', 'addresses', 'source'].map((field) => [field, lastOf(field)]),
        ),
        Time: lastTime,
      },
      ['node'],
      twoDays,
    )(moment),
  '50A': top(
    'flows',
    (row, { kind, nodeIds }) => row.tags['kind'] === kind && isChosen(nodeIds, row.tags['node']),
    { ...nodeBytes, flows: sumOf('flows') },
    ['node', 'proto', 'src', 'src_port', 'dst', 'dst_port', 'path'],
  ),
}

const selected = all(chosenKind, matched, endIsNode, endIsOwned)
const ofPair = all(chosenKind, matched, chosenPair)
const talkers: Expectations = {
  '10A': top('sums', selected, edgeBytes, ['src_name', 'dst_name']),
  '11A': top('sums', selected, edgeBytes, ['proto', 'port']),
  '20A': top('sums', selected, edgeBytes, ['src_owner', 'dst_owner']),
  '21A': top('nodes', all(ofNode, chosenOwner), nodeBytes, ['node_name', 'node']),
  '1A': plain('edges', ofPair, { bytes: sumOf('tx_bytes') }),
  '1B': plain('edges', ofPair, { bytes: sumOf('tx_bytes') }, [], previous),
  '2A': plain('edges', ofPair, { bytes: sumOf('rx_bytes') }),
  '2B': plain('edges', ofPair, { bytes: sumOf('rx_bytes') }, [], previous),
  '3A': p95('edges', ofPair, BOTH_WAYS),
  '3B': p95('edges', ofPair, BOTH_WAYS, previous),
  '4A': plain('edges', ofPair, { bytes: ratioOf(1, 'tx_bytes', 'tx_pkts') }),
  '4B': plain('edges', ofPair, { bytes: ratioOf(1, 'rx_bytes', 'rx_pkts') }),
  '30A': rate('edges', ofPair, 'there', 8, TX),
  '30B': rate('edges', ofPair, 'back', 8, RX),
  '31A': rate('edges', ofPair, 'there', 8, TX),
  '31B': rate('edges', ofPair, 'back', 8, RX),
}

function routed(name: 'subnet' | 'exit'): Expectations {
  const view = all(has('kind', name), has('role', name === 'subnet' ? 'router' : 'exit'))
  const carried = { download: sumOf('tx_bytes'), upload: sumOf('rx_bytes') }
  return {
    '1A': plain('nodes', view, { bytes: sumOf('tx_bytes') }),
    '1B': plain('nodes', view, { bytes: sumOf('tx_bytes') }, [], previous),
    '2A': plain('nodes', view, { bytes: sumOf('rx_bytes') }),
    '2B': plain('nodes', view, { bytes: sumOf('rx_bytes') }, [], previous),
    '3A': p95('nodes', view, TX),
    '3B': p95('nodes', view, RX),
    '4A': plain('nodes', view, { devices: distinct(['node']) }),
    '5A': plain('nodes', all(has('kind', name), has('role', 'client')), { clients: distinct(['node']) }),
    '10A': rate('nodes', view, 'download', 8, TX, ['node_name']),
    '10B': rate('nodes', view, 'upload', 8, RX, ['node_name']),
    '11A': rate('nodes', view, 'download', 8, TX, ['node_name']),
    '11B': rate('nodes', view, 'upload', 8, RX, ['node_name']),
    '20A': top('nodes', view, carried, ['node_name', 'node']),
  }
}
const ofKind = (name: string, by: readonly string[]) => top('edges', all(has('kind', name), matched), edgeBytes, by)
const subnet: Expectations = {
  ...routed('subnet'),
  '21A': ofKind('subnet', ['src_name', 'src_owner']),
  '22A': ofKind('subnet', ['dst_name', 'dst', 'proto', 'port']),
  '23A': top(
    'edges',
    all(has('kind', 'subnet', 'exit'), matched, (row) => row.tags['dst']!.startsWith('100.127.')),
    edgeBytes,
    ['src_name', 'dst_name', 'kind', 'port'],
  ),
}
const exit: Expectations = {
  ...routed('exit'),
  '21A': ofKind('exit', ['src_name', 'src_owner']),
  '22A': ofKind('exit', ['dst_name', 'port']),
  '31A': plain('edges', all(has('kind', 'exit'), has('path', 'unknown')), { bytes: sumOf(...BOTH_WAYS) }),
}

const relayedOfNode = all(physical, endIsNode, (row) => row.tags['path']!.startsWith('derp-'))
const paths: Expectations = {
  '1A': plain('nodes', physicalOfNode, share),
  '1B': plain('nodes', physicalOfNode, share, [], previous),
  '2A': plain('nodes', physicalOfNode, { sent: sumOf('derp_tx_bytes') }),
  '2B': plain('nodes', physicalOfNode, { sent: sumOf('derp_tx_bytes') }, [], previous),
  '3A': plain('nodes', physicalOfNode, { direct }),
  '3B': plain('nodes', physicalOfNode, { direct }, [], previous),
  '4A': p95('nodes', physicalOfNode, TX),
  '4B': p95('nodes', physicalOfNode, ['derp_tx_bytes']),
  '5A': plain('edges', relayedOfNode, { pairs: distinct(['src', 'dst']) }),
  '10A': directRate(physicalOfNode),
  '10B': rate('nodes', physicalOfNode, 'relayed', 8, ['derp_tx_bytes']),
  '11A': directRate(physicalOfNode),
  '11B': rate('nodes', physicalOfNode, 'relayed', 8, ['derp_tx_bytes']),
  '20A': overTime('nodes', physicalOfNode, share, [], 'none'),
  '21A': rate('edges', relayedOfNode, 'bytes', 8, BOTH_WAYS, ['path']),
  '22A': top('edges', relayedOfNode, edgeBytes, ['path']),
  '30A': (moment) =>
    counted('nodes', physicalOfNode, { ...sent, ...share, relayed: sumOf('derp_tx_bytes') }, ['node_name', 'node'])(
      moment,
    ),
  '31A': top('edges', relayedOfNode, edgeBytes, ['src_name', 'dst_name', 'path']),
}

const firstPass = has('pass', '1')
const amount = (of: Source, field: string, keep: Keep) => both(of, keep, { [field]: sumOf(field) })
const [messagesNow, messagesBefore] = amount('windows', 'messages', firstPass)
const [entriesNow, entriesBefore] = amount('windows', 'entries', firstPass)
const [pointsNow, pointsBefore] = amount('windows', 'points', firstPass)
const [rowsNow, rowsBefore] = amount('minutes', 'rows', any)
const count = (rows: readonly Row[]) => rows.length
const health: Expectations = {
  '1A': plain('windows', any, { watermark: (rows) => Number(lastOf('watermark')(rows)) / 1e6 }),
  '2A': plain('windows', firstPass, { lag: lastOf('lag_ms') }),
  '3A': messagesNow,
  '3B': messagesBefore,
  '4A': entriesNow,
  '4B': entriesBefore,
  '5A': pointsNow,
  '5B': pointsBefore,
  '6A': rowsNow,
  '6B': rowsBefore,
  '40A': reporting,
  '40B': plain('minutes', any, bothEnds),
  '41A': plain('minutes', any, { silent: lastOf('nodes_silent') }),
  '41B': plain('minutes', any, { off: lastOf('clock_off') }),
  '42A': plain('minutes', any, { minutes: count }),
  '42B': plain('minutes', (row) => row.fields['gap'] === true, { minutes: count }),
  '43A': overTime('minutes', any, { nodes: maxOf('nodes') }, [], 'none'),
  '43B': overTime('minutes', any, { silent: maxOf('nodes_silent') }, [], 'none'),
  '44A': overTime('minutes', any, bothEnds, [], 'none'),
  '10A': overTime('windows', firstPass, { lag: maxOf('lag_ms') }, [], 'none'),
  '11A': overTime('windows', any, { mean: meanOf('duration_ms') }, [], 'none'),
  '11B': overTime(
    'windows',
    any,
    {
      p95: (rows) =>
        nearestRank(
          rows.map((row) => Number(row.fields['duration_ms'])),
          95,
        ),
    },
    [],
    'none',
  ),
  '20A': rate('windows', firstPass, 'entries', 1, ['entries']),
  '21A': overTime('windows', any, { windows: count }, ['pass']),
  '22A': overTime('minutes', any, { points: meanOf('points') }, [], 'none'),
  '22B': overTime('minutes', any, { rows: meanOf('rows') }, [], 'none'),
  '31A': plain(
    'windows',
    any,
    {
      windows: count,
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
