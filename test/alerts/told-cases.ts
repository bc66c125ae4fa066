/** One case for each form of rule, and for everything that a rule may group by: what fires, and what just does not. */
import { both, type DemoPoint, type DemoTruth, field, type Minutes, minutesOf, tag } from './demo-truth.ts'
import {
  belowCase,
  distinctCase,
  ends,
  forCase,
  newCase,
  quotaCase,
  rateCase,
  ratioCase,
  recoverCase,
  shareCase,
  silentCase,
  sumCase,
} from './told-forms.ts'
import { bytes, count, type Evening, type ToldCase } from './told-pick.ts'

/** By name. Undefined where no group of this tailnet does what the case needs. */
export type ToldCases = ReadonlyMap<string, ToldCase | undefined>

const pairOf = ({ tags }: DemoPoint) => `${tags['src_name']} to ${tags['dst_name']}`
const TAILNET = /^(100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|fd7a:115c:a1e0:)/
const isRouter = ({ tags }: DemoPoint) => TAILNET.test(tags['dst'] ?? '') && !TAILNET.test(tags['src'] ?? '')
export function nodeBytesOf({ points }: DemoTruth): Minutes {
  return minutesOf(
    points.filter(({ measurement, tags }) => measurement === 'message' && tags['kind'] === 'virtual'),
    tag('node'),
    field('tx_bytes'),
  )
}

/** Everything but what is compared with days before. */
export function eveningCases(truth: DemoTruth, evening: Evening): ToldCases {
  const of = (measurement: string, kind: string) =>
    truth.points.filter((point) => point.measurement === measurement && point.tags['kind'] === kind)
  const virtual = of('flow', 'virtual')
  const totals = truth.points.filter(({ measurement }) => measurement === 'message')
  const owners = new Map(
    truth.tailnet.nodes.map(({ nodeId, tags, user }) => [nodeId, tags ? tags.toSorted().join() : (user ?? '')]),
  )
  const nodes = nodeBytesOf(truth)
  // Who talked to whom, each byte once.
  const { edges } = truth
  const pairs = minutesOf(edges, pairOf, both)
  const owned = minutesOf(of('message', 'virtual'), ({ tags }) => owners.get(tags['node'] ?? ''), field('tx_bytes'))
  const exits = minutesOf(of('flow', 'exit').filter(isRouter), tag('node'), both)
  const routers = minutesOf(of('flow', 'subnet').filter(isRouter), tag('node'), both)
  const kinds = minutesOf(totals, tag('kind'), field('tx_bytes'))
  const ports = minutesOf(
    edges.filter(({ tags }) => tags['port'] !== 'none'),
    tag('port'),
    both,
  )
  const rejected = minutesOf(
    virtual.filter(({ tags }) => tags['proto'] === 'tsmp'),
    tag('node'),
    field('tx_pkts'),
  )
  const heard = minutesOf(of('message', 'physical'), tag('node'), () => 1)
  const node = (group: string) => ({ where: { node: group } })
  const between = (pair: string) => ({ by: 'pair', where: ends(pair) })
  const sum = (minutes: Minutes, common: (group: string) => object, thresholds = bytes('above')) =>
    sumCase(evening, minutes, common, thresholds)
  return new Map([
    ['above, by node', sum(nodes, node)],
    ['above, by pair', sum(pairs, between)],
    ['above, by owner', sum(owned, (owner) => ({ by: 'owner', where: { owner } }))],
    ['above, by exit node', sum(exits, (group) => ({ by: 'exitNode', ...node(group) }))],
    ['above, by subnet router', sum(routers, (group) => ({ by: 'subnetRouter', ...node(group) }))],
    ['above, by kind', sum(kinds, (kind) => ({ by: 'kind', kind }))],
    ['above, by port', sum(ports, (port) => ({ by: 'port', where: { port: Number(port) } }))],
    ['above, a rate', rateCase(evening, nodes)],
    ['above, with recoverBelow', recoverCase(evening, nodes)],
    ['above, with for', forCase(evening, nodes)],
    ['below', belowCase(evening, nodes)],
    ['silentFor', silentCase(evening, heard)],
    ['relayShareAbove', shareCase(evening, of('message', 'physical'))],
    ['ratioToPreviousAbove, hour', ratioCase(evening, 'hour', nodes)],
    [
      'newFor',
      newCase(
        evening,
        minutesOf(edges, pairOf, () => 1),
      ),
    ],
    ['distinctPeersAbove', distinctCase(evening, virtual, tag('node'), tag('dst_name'), node, 'distinctPeersAbove')],
    ['distinctPortsAbove', distinctCase(evening, edges, pairOf, tag('port'), between, 'distinctPortsAbove')],
    ['rejectedAbove', sum(rejected, node, count('rejectedAbove'))],
    ['quotaAbove, day, by node', quotaCase(evening, 'day', 'node', nodes)],
    ['quotaAbove, day, by exit node', quotaCase(evening, 'day', 'exitNode', exits)],
    ['quotaAbove, month, by node', quotaCase(evening, 'month', 'node', nodes)],
    ['quotaAbove, month, by exit node', quotaCase(evening, 'month', 'exitNode', exits)],
  ])
}
