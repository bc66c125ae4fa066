/** Stored traffic of a range, largest first: who talked to whom, each byte once, from the rows of minutes, hours or days; or raw points, as each node
 * reported them. */
import { isIP } from 'node:net'
import { type Clock, DAY, HOUR, MINUTE } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { isoOf } from '../base/format.ts'
import { compare } from '../base/order.ts'
import type { DeviceVersion } from '../directory/device-version.ts'
import type { RawPoint } from '../rollup/points/raw-points.ts'
import type { RowMeasurement } from '../rollup/rows/row-store.ts'
import { EDGE, type RowTable } from '../rollup/rows/row-table.ts'
import type { Kind } from '../source/parse/message.ts'
import { createLargest, type FlowCounters } from './largest.ts'
import { isWanted, type RowFilter, type TagMatch } from './row-filter.ts'
import { tagsOf } from './stored-fields.ts'
import { type StoredRows, TIERS, type Tier, type TierRecord } from './stored-rows.ts'

export interface FlowsRequest {
  /** [fromNs, toNs) of `start`. */
  readonly fromNs: bigint
  readonly toNs: bigint
  /** Name, address or stable id of one endpoint; with `isRaw` of the reporting node too. */
  readonly node?: string | undefined
  /** Of one endpoint: a user, or one of its tags. */
  readonly owner?: string | undefined
  /** Without it all kinds but physical: those are the same bytes, encrypted. */
  readonly kind?: Kind | undefined
  /** Values of tags. */
  readonly port?: string | undefined
  readonly proto?: string | undefined
  readonly limit: number
  readonly isRaw: boolean
}

/** Traffic between two endpoints. */
export interface Edge extends FlowCounters {
  readonly kind: string
  readonly proto: string
  /** Service port; `none` without. */
  readonly port: string
  readonly path: string
  /** Stable id of a node, or an address, a network, `none` or `other`. */
  readonly src: string
  readonly dst: string
  readonly srcName: string
  readonly dstName: string
  /** Tags of the device, else its user, else `none`. */
  readonly srcOwner: string
  readonly dstOwner: string
}

/** A raw point. */
export interface RawFlow extends FlowCounters {
  /** `start`, ns. */
  readonly timeNs: bigint
  /** Stable id of the reporting node. */
  readonly node: string
  readonly kind: string
  readonly proto: string
  readonly src: string
  readonly srcPort: string
  readonly dst: string
  readonly dstPort: string
  readonly path: string
}

/** The range is that of the flows: where the request asks for a part of a minute, hour or day, the whole of it. */
export type FoundFlows = { readonly fromNs: bigint; readonly toNs: bigint } & (
  | { readonly tier: Tier; readonly flows: readonly Edge[] }
  | { readonly tier: 'raw'; readonly flows: readonly RawFlow[] }
)

type Texts<T> = { readonly [Key in keyof T]: string }

/** Counters are texts, because they can exceed what numbers of JSON hold. */
export interface FlowsAnswer {
  readonly tailnet: string
  /** Rows of which the flows were summed; `raw`: points as they stand. */
  readonly tier: Tier | 'raw'
  readonly from: string
  /** Exclusive. */
  readonly to: string
  /** Most bytes first. */
  readonly flows: readonly (Texts<Edge> | Texts<RawFlow>)[]
}

interface TierShape {
  readonly measurement: RowMeasurement
  readonly stepNs: bigint
  /** The longest range that is read from it, unless the service says otherwise. */
  readonly rangeMaxNs: bigint
}
const SHAPES: Readonly<Record<Tier, TierShape>> = {
  minutes: { measurement: 'tailnet_edge', stepNs: MINUTE, rangeMaxNs: 2n * DAY },
  hours: { measurement: 'tailnet_edge_1h', stepNs: HOUR, rangeMaxNs: 30n * DAY },
  days: { measurement: 'tailnet_edge_1d', stepNs: DAY, rangeMaxNs: 3_650n * DAY },
}
/** For all queries of one request. */
const FIND_MS_MAX = 60_000
/** More would make the URL of a query too long: they are looked for in the answer. */
const MATCHES_MAX = 100

export interface FlowsDeps {
  readonly store: StoredRows
  readonly clock: Pick<Clock, 'now'>
  /** Names of networks in the settings: `node` may be one of them. */
  readonly networks?: readonly string[]
}

/** Rejects with a CollectorError (`config_invalid` when nobody is called as the request says, others of stage `sink`), or with the signal's reason. */
export async function findFlows(deps: FlowsDeps, request: FlowsRequest, signal: AbortSignal): Promise<FoundFlows> {
  const over = AbortSignal.timeout(FIND_MS_MAX)
  try {
    const both = AbortSignal.any([signal, over])
    const found = await find(deps, request, both)
    if (found.flows.length === 0) await refuseUnknown(deps, request, both)
    return found
  } catch (error) {
    if (signal.aborted || !over.aborted) throw error
    throw new CollectorError(
      `The database did not answer within ${FIND_MS_MAX / 1000} s. Request a shorter range, or for one node, kind or port.`,
      { stage: 'sink', code: 'db_timeout', reaction: 'retry', cause: error },
    )
  }
}

export function answerOf(tailnet: string, { tier, fromNs, toNs, flows }: FoundFlows): FlowsAnswer {
  const texts = <T extends object>(flow: T) =>
    Object.fromEntries(Object.entries(flow).map(([name, value]) => [name, String(value)])) as Texts<T>
  return {
    tailnet,
    tier,
    from: isoOf(fromNs),
    to: isoOf(toNs),
    flows: flows.map((flow) => texts<Edge | RawFlow>(flow)),
  }
}

async function find({ store, clock }: FlowsDeps, request: FlowsRequest, signal: AbortSignal): Promise<FoundFlows> {
  const { isRaw, node, owner, limit } = request
  const needsDevices = node !== undefined || (isRaw && owner !== undefined)
  const devices = needsDevices ? await devicesOf(store, request.toNs, clock.now(), signal) : []
  if (isRaw) {
    const { fromNs, toNs } = request
    const wanted = rawFilter(request, devices)
    const largest = createLargest<RawFlow>(limit, (flow) => `${flow.timeNs} ${flow.node} ${flow.src} ${flow.dst}`)
    const add = (point: RawPoint) => {
      const flow = rawFlowOf(point)
      if (isWanted(wanted, tagsOfRaw(flow))) largest.add(flow)
    }
    await store.rawRange(fromNs, toNs, askable(wanted), add, signal)
    return { tier: 'raw', fromNs, toNs, flows: largest.take() }
  }
  const tier = chooseTier(await store.tiers(clock.now(), signal), request)
  const { measurement, stepNs } = SHAPES[tier]
  const fromNs = request.fromNs - (request.fromNs % stepNs)
  const toNs = request.toNs + ((stepNs - (request.toNs % stepNs)) % stepNs)
  const wanted = edgeFilter(request, devices)
  const rows = await store.summed(measurement, fromNs, toNs, signal, askable(wanted))
  return { tier, fromNs, toNs, flows: largestEdges(rows, wanted, limit) }
}

/** Nothing was found: because there was no traffic, or because nobody is called so? */
async function refuseUnknown(
  { store, clock, networks = [] }: FlowsDeps,
  { node, owner, toNs }: FlowsRequest,
  signal: AbortSignal,
): Promise<void> {
  if (node === undefined && owner === undefined) return
  const devices = await devicesOf(store, toNs, clock.now(), signal)
  // Without any, nothing is known of names.
  if (devices.length === 0) return
  const isAddress = node !== undefined && isIP(node) !== 0
  const isOther = node !== undefined && ['none', 'other', ...networks].includes(node)
  if (node !== undefined && !isAddress && !isOther && !devices.some((one) => isNamed(one, node)))
    throw unknown(`No device is called ${JSON.stringify(node)}`)
  if (owner !== undefined && owner !== 'none' && !devices.some((one) => isOwnedBy(one, owner)))
    throw unknown(`No device belongs to ${JSON.stringify(owner)}`)
}

function unknown(text: string): CollectorError {
  return new CollectorError(`${text}. Take a name as it is shown without this filter.`, {
    stage: 'config',
    code: 'config_invalid',
    reaction: 'hold',
  })
}

/** The finest tier that is made for a range of this length and holds its beginning, or all that any tier holds of it. */
export function chooseTier(
  records: readonly TierRecord[],
  { fromNs, toNs }: { readonly fromNs: bigint; readonly toNs: bigint },
): Tier {
  const recordOf = (tier: Tier) => records.find((one) => one.tier === tier)
  const suited = TIERS.filter((tier) => toNs - fromNs <= (recordOf(tier)?.rangeMaxNs ?? SHAPES[tier].rangeMaxNs))
  const held = suited.flatMap((tier) => recordOf(tier) ?? [])
  // A longer tier begins with the hour or day in which the shorter ones begin.
  const begins = held.map(({ tier, oldestNs }) => oldestNs + SHAPES[tier].stepNs)
  const beginNs = begins.reduce((least, one) => (one < least ? one : least), begins[0] ?? fromNs)
  return held.find(({ oldestNs }) => oldestNs <= fromNs || oldestNs <= beginNs)?.tier ?? suited[0] ?? 'days'
}

/** Devices as of the end of the range; those that became known later as they are now. */
async function devicesOf(
  store: StoredRows,
  toNs: bigint,
  nowNs: bigint,
  signal: AbortSignal,
): Promise<readonly DeviceVersion[]> {
  const then = await store.newestDevices(toNs, signal)
  if (toNs >= nowNs) return then
  const known = new Set(then.map(({ node }) => node))
  const later = await store.newestDevices(nowNs, signal)
  return [...then, ...later.filter(({ node }) => !known.has(node))]
}

/** A name may be given without its domain. */
function isNamed({ node, name, addresses }: DeviceVersion, wanted: string): boolean {
  return node === wanted || name === wanted || name.startsWith(`${wanted}.`) || addresses.includes(wanted)
}

function isOwnedBy({ owner }: DeviceVersion, wanted: string): boolean {
  return owner === wanted || owner.split(',').includes(wanted)
}

function edgeFilter(request: FlowsRequest, devices: readonly DeviceVersion[]): RowFilter {
  const { node, owner, port } = request
  const clauses = commonClauses(request)
  const ofBoth = (name: string, match: Omit<TagMatch, 'tag'>) => [
    { tag: `src${name}`, ...match },
    { tag: `dst${name}`, ...match },
  ]
  if (node !== undefined) {
    const ids = devices.filter((one) => isNamed(one, node)).map((one) => one.node)
    const any = new Set([node, ...ids])
    clauses.push([...[...any].flatMap((value) => ofBoth('', { value })), ...ofBoth('_name', { value: node })])
  }
  if (owner !== undefined) clauses.push(ofBoth('_owner', { value: owner, isListed: true }))
  if (port !== undefined) clauses.push([{ tag: 'port', value: port }])
  return clauses
}

function rawFilter(request: FlowsRequest, devices: readonly DeviceVersion[]): RowFilter {
  const { node, owner, port } = request
  const clauses = commonClauses(request)
  const ofDevices = (found: readonly DeviceVersion[], also: readonly string[]) => {
    const ids = new Set([...found.map((one) => one.node), ...also])
    const addresses = new Set([...found.flatMap((one) => one.addresses), ...also])
    clauses.push([
      ...[...ids].map((value) => ({ tag: 'node', value })),
      ...[...addresses].flatMap((value) => [
        { tag: 'src', value },
        { tag: 'dst', value },
      ]),
    ])
  }
  if (node !== undefined) {
    const found = devices.filter((one) => isNamed(one, node))
    ofDevices(found, [node])
  }
  if (owner !== undefined) {
    const found = devices.filter((one) => isOwnedBy(one, owner))
    ofDevices(found, [])
  }
  if (port !== undefined)
    clauses.push([
      { tag: 'src_port', value: port },
      { tag: 'dst_port', value: port },
    ])
  return clauses
}

function commonClauses({ kind, proto }: FlowsRequest): TagMatch[][] {
  const kinds = kind === undefined ? ['virtual', 'subnet', 'exit'] : [kind]
  const clauses = [kinds.map((value) => ({ tag: 'kind', value }))]
  if (proto !== undefined) clauses.push([{ tag: 'proto', value: proto }])
  return clauses
}

function askable(filter: RowFilter): RowFilter {
  return filter.filter((clause) => clause.length <= MATCHES_MAX)
}

/** Rows of one pair under different names, such as before and after a rename, are one; its names are those of most of its bytes. */
function largestEdges(rows: RowTable, wanted: RowFilter, limit: number): readonly Edge[] {
  const sums = new Map<string, { readonly edge: Edge; readonly bytes: bigint }>()
  for (const [key, fields] of rows) {
    const tags = tagsOf(`,${key}`)
    if (!isWanted(wanted, tags)) continue
    const edge = edgeOf(tags, fields)
    const bytes = edge.txBytes + edge.rxBytes
    const identity = identityOf(edge)
    const known = sums.get(identity)
    if (known === undefined) {
      sums.set(identity, { edge, bytes })
      continue
    }
    const isLarger = bytes > known.bytes || (bytes === known.bytes && compare(namesOf(edge), namesOf(known.edge)) < 0)
    const larger = isLarger ? { edge, bytes } : known
    sums.set(identity, { edge: { ...larger.edge, ...sumOf(known.edge, edge) }, bytes: larger.bytes })
  }
  const largest = createLargest<Edge>(limit, identityOf)
  for (const { edge } of sums.values()) largest.add(edge)
  return largest.take()
}

function identityOf({ kind, proto, port, path, src, dst }: Edge): string {
  return [kind, proto, port, path, src, dst].join('\n')
}

function namesOf({ srcName, dstName, srcOwner, dstOwner }: Edge): string {
  return [srcName, dstName, srcOwner, dstOwner].join('\n')
}

function sumOf(one: FlowCounters, other: FlowCounters): FlowCounters {
  return {
    txBytes: one.txBytes + other.txBytes,
    rxBytes: one.rxBytes + other.rxBytes,
    txPkts: one.txPkts + other.txPkts,
    rxPkts: one.rxPkts + other.rxPkts,
  }
}

function edgeOf(tags: ReadonlyMap<string, string>, fields: readonly bigint[]): Edge {
  const tag = (name: string) => tags.get(name) ?? 'none'
  const field = (name: string) => fields[EDGE.fields.indexOf(name)] ?? 0n
  return {
    kind: tag('kind'),
    proto: tag('proto'),
    port: tag('port'),
    path: tag('path'),
    src: tag('src'),
    dst: tag('dst'),
    srcName: tag('src_name'),
    dstName: tag('dst_name'),
    srcOwner: tag('src_owner'),
    dstOwner: tag('dst_owner'),
    txBytes: field('tx_bytes'),
    rxBytes: field('rx_bytes'),
    txPkts: field('tx_pkts'),
    rxPkts: field('rx_pkts'),
  }
}

function rawFlowOf({ startNs, node, kind, proto, src, dst, srcPort, dstPort, path, ...counters }: RawPoint): RawFlow {
  const { txBytes, rxBytes, txPkts, rxPkts } = counters
  const portOf = (port: number) => (port < 0 ? 'none' : String(port))
  return {
    timeNs: startNs,
    node,
    kind,
    proto,
    src,
    srcPort: portOf(srcPort),
    dst,
    dstPort: portOf(dstPort),
    path,
    txBytes,
    rxBytes,
    txPkts,
    rxPkts,
  }
}

function tagsOfRaw({ node, kind, proto, src, srcPort, dst, dstPort }: RawFlow): ReadonlyMap<string, string> {
  return new Map([
    ['node', node],
    ['kind', kind],
    ['proto', proto],
    ['src', src],
    ['src_port', srcPort],
    ['dst', dst],
    ['dst_port', dstPort],
  ])
}
