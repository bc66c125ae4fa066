/** Rows by their series, whatever they count: the form in which rows of one minute, hour or day are compared, summed and written. */
import { escapeTag, unescapeTag } from '../../sink/line-protocol/escape.ts'
import type { Kind } from '../../source/parse/message.ts'
import type { Endpoint } from './endpoints.ts'
import type { EdgeRow, NodeRow, Role } from './row.ts'
import { bounded } from './sums.ts'

/** Tags of a series as line protocol, and its fields in the order of the measurement. */
export type RowTable = Map<string, readonly bigint[]>

export interface Shape {
  /** In byte order, which is what InfluxDB wants. */
  readonly tags: readonly string[]
  readonly fields: readonly string[]
  /** The field of which a longer tier keeps the largest value; all others are summed. */
  readonly largest: string
}

export const EDGE: Shape = {
  tags: ['dst', 'dst_name', 'dst_owner', 'kind', 'path', 'port', 'proto', 'src', 'src_name', 'src_owner', 'tailnet'],
  fields: ['tx_bytes', 'rx_bytes', 'tx_pkts', 'rx_pkts', 'flows', 'reporters'],
  largest: 'reporters',
}
export const NODE: Shape = {
  tags: ['kind', 'node', 'node_name', 'os', 'owner', 'role', 'tailnet'],
  fields: ['tx_bytes', 'rx_bytes', 'tx_pkts', 'rx_pkts', 'flows', 'peers', 'derp_tx_bytes', 'derp_rx_bytes'],
  largest: 'peers',
}

/** Tiers have the shape of their measurement. */
export function shapeOf(measurement: string): Shape {
  return measurement.startsWith('tailnet_edge') ? EDGE : NODE
}

/** Fields that make a row exist: bytes and packets. */
const COUNTED = 4

/** The tags of an edge, as its lines have them, in three parts that many edges share. */
export function edgeTags(tailnet: string) {
  const end = `,tailnet=${escapeTag(tailnet)}`
  const tagsOf = (side: 'src' | 'dst', { id, name, owner }: Pick<Endpoint, 'id' | 'name' | 'owner'>) =>
    `${side}=${escapeTag(id)},${side}_name=${escapeTag(name)},${side}_owner=${escapeTag(owner)}`
  return {
    dst: (endpoint: Endpoint) => tagsOf('dst', endpoint),
    middle: ({ kind, path, port, proto }: Pick<EdgeRow, 'kind' | 'path' | 'port' | 'proto'>) =>
      `,kind=${kind},path=${path},port=${port},proto=${escapeTag(proto)},`,
    src: (endpoint: Endpoint) => tagsOf('src', endpoint) + end,
  }
}

/** The three parts of such tags. A value has no such text in it: there "=" is escaped. */
export function edgeParts(tags: string): [dst: string, middle: string, src: string] {
  const [kind, src] = [tags.indexOf(',kind='), tags.indexOf(',src=') + 1]
  return [tags.slice(0, kind), tags.slice(kind, src), tags.slice(src)]
}

export function nodeParts(tags: string): [kind: string, node: string, role: string] {
  const [node, role] = [tags.indexOf(',node='), tags.indexOf(',role=')]
  return [tags.slice(0, node), tags.slice(node, role), tags.slice(role)]
}

/** The tags of a row of a node, in such parts. */
export function nodeTags(tailnet: string) {
  const end = `,tailnet=${escapeTag(tailnet)}`
  return {
    kind: (kind: Kind) => `kind=${kind}`,
    node: ({ id, name, owner }: Endpoint, os: string) =>
      `,node=${escapeTag(id)},node_name=${escapeTag(name)},os=${escapeTag(os)},owner=${escapeTag(owner)}`,
    role: (role: Role) => `,role=${role}${end}`,
  }
}

export function edgeTable(tailnet: string, rows: readonly EdgeRow[]): RowTable {
  const { dst, middle, src } = edgeTags(tailnet)
  return new Map(rows.map((row) => [dst(row.dst) + middle(row) + src(row.src), edgeFields(row)]))
}

function edgeFields(row: EdgeRow): readonly bigint[] {
  return [row.txBytes, row.rxBytes, row.txPkts, row.rxPkts, row.flows, BigInt(row.reporters)]
}

export function nodeTable(tailnet: string, rows: readonly NodeRow[]): RowTable {
  const { kind, node, role } = nodeTags(tailnet)
  return new Map(
    rows.map((row) => [
      kind(row.kind) + node(row.node, row.os) + role(row.role),
      [
        ...[row.txBytes, row.rxBytes, row.txPkts, row.rxPkts],
        ...[row.flows, BigInt(row.peers), row.derpTxBytes, row.derpRxBytes],
      ],
    ]),
  )
}

/** The key of a row in a table: values in the order of `shape.tags`. */
export function seriesKey({ tags }: Shape, values: readonly string[]): string {
  let key = ''
  for (const [i, tag] of tags.entries()) key += `${i === 0 ? '' : ','}${tag}=${escapeTag(values[i]!)}`
  return key
}

/** The values of all tags of a series, in the order of its shape. */
export function unescapedTags(key: string): string[] {
  const pairs = key.includes('\\') ? (key.match(/(?:\\.|[^,\\])+/g) ?? []) : key.split(',')
  return pairs.map((pair) => unescapeTag(pair.slice(pair.indexOf('=') + 1)))
}

/** The value of a tag of a series; empty when it has none. */
export function tagOf(key: string, tag: string): string {
  const at = key.startsWith(`${tag}=`) ? 0 : key.indexOf(`,${tag}=`) + 1
  if (at === 0 && !key.startsWith(`${tag}=`)) return ''
  const start = at + tag.length + 1
  let end = start
  while (end < key.length && key[end] !== ',') end += key[end] === '\\' ? 2 : 1
  return unescapeTag(key.slice(start, end))
}

/** What must be written so that `standing` becomes `wanted`. A row that is no longer true is overwritten with zeros. */
export function changesOf(standing: RowTable, wanted: RowTable): RowTable {
  const changes: RowTable = new Map()
  for (const [key, fields] of wanted) if (!isEqual(standing.get(key), fields)) changes.set(key, fields)
  for (const [key, fields] of standing)
    if (!wanted.has(key) && exists(fields))
      changes.set(
        key,
        fields.map(() => 0n),
      )
  return changes
}

/** The same where a row that stands is not replaced by a different one. */
export function missingIn(standing: RowTable, wanted: RowTable): RowTable {
  return new Map([...wanted].filter(([key]) => !standing.has(key)))
}

/** A row stands with other values. */
export function differs(standing: RowTable, wanted: RowTable): boolean {
  for (const [key, fields] of wanted) if (standing.has(key) && !isEqual(standing.get(key), fields)) return true
  return false
}

/** Adds the rows of a shorter stretch of time to those of a longer one. */
export function addTo(sum: RowTable, rows: RowTable, shape: Shape): void {
  const largest = shape.fields.indexOf(shape.largest)
  for (const [key, fields] of rows) {
    if (!exists(fields)) continue
    const known = sum.get(key)
    sum.set(
      key,
      known === undefined
        ? fields
        : known.map((value, i) => {
            const more = fields[i]!
            return i === largest ? (value > more ? value : more) : bounded(value + more)
          }),
    )
  }
}

/** Lines of line protocol, each ended by "\n". `timeNs`: the begin of the minute, hour or day. */
export function linesOf(measurement: string, rows: RowTable, shape: Shape, timeNs: bigint): string {
  let text = ''
  const end = ` ${timeNs}\n`
  for (const [key, fields] of rows) {
    text += `${measurement},${key} `
    for (let i = 0; i < fields.length; i++) text += `${i === 0 ? '' : ','}${shape.fields[i]}=${fields[i]}i`
    text += end
  }
  return text
}

/** Only such rows exist; others are left out of tables. */
export function exists(fields: readonly bigint[]): boolean {
  return fields.slice(0, COUNTED).some((value) => value > 0n)
}

function isEqual(one: readonly bigint[] | undefined, other: readonly bigint[]): boolean {
  return one?.every((value, i) => value === other[i]) === true
}
