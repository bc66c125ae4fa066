/** What rules compare, added up from the lines of rows in the plainest way: the oracle of what is exported. */
import type { Rule } from '../../src/alerts/rules/rule.ts'
import { partsOfLine } from '../../src/sink/line-protocol/line-parts.ts'
import { MIN } from './world.ts'

type Tags = Readonly<Record<string, string>>
export interface Row {
  readonly measurement: string
  readonly tags: Tags
  readonly timeNs: bigint
  readonly field: (name: string) => number
}

export function rowsOf(lines: readonly string[]): Row[] {
  return lines.map((line) => {
    const { key, tags, fields, timestampNs } = partsOfLine(line)
    const field = (name: string) => Number(fields[name] ?? 0n)
    return { measurement: key.slice(0, key.indexOf(',')), tags, timeNs: timestampNs, field }
  })
}

/** One group: its labels (`src` and `dst` are names), and the number. */
export interface GroupValue {
  readonly group: Tags
  readonly value: number
}

/** A row as one endpoint sees it. */
interface Seen {
  readonly group: Tags
  readonly sent: (of: string) => number
  readonly received: (of: string) => number
  readonly row: Row
  readonly peer: string
}

/** By rule at this time. `side`: only what an endpoint does as client (`src`) or server (`dst`). */
export function rowValues(
  rows: readonly Row[],
  rule: Rule,
  atNs: bigint,
  options: { readonly side?: 'src' | 'dst' | undefined; readonly networks: readonly string[] },
): GroupValue[] {
  const { needs } = rule.form
  const seen = rows.filter(({ field }) => field('flows') > 0).flatMap((row) => seenOf(row, rule, options))
  const inWindow = (offsetNs = 0n) => {
    const toNs = atNs - offsetNs
    const fromNs = needs.since === undefined ? toNs - rule.windowNs : toNs - (toNs % (1440n * MIN))
    return seen.filter(({ row }) => row.timeNs >= fromNs && row.timeNs < toNs)
  }
  const byGroup = (some: readonly Seen[]) => Map.groupBy(some, ({ group }) => JSON.stringify(group))
  const sum = (some: readonly Seen[] = [], of: string = rule.measure) =>
    some.reduce((all, one) => all + measured(one, rule, of), 0)

  const withinNs = needs.withinMs === undefined ? undefined : BigInt(needs.withinMs) * 1_000_000n
  // When a group was there is remembered in slots of ten minutes, or of one for short windows.
  const slotNs = rule.windowNs >= 10n * MIN ? 10n * MIN : MIN
  const slotOf = (ns: bigint) => ns - (ns % slotNs)
  const there =
    withinNs === undefined
      ? inWindow()
      : seen.filter(({ row }) => row.timeNs >= slotOf(atNs - withinNs) && row.timeNs < atNs)
  const [now, before] = [byGroup(inWindow()), byGroup(inWindow(needs.offsetNs ?? 0n))]
  return [...byGroup(there).keys()].map((key) => {
    const mine = now.get(key) ?? []
    const numbers = needs.distinct
      ? [
          new Set(
            mine
              .map(({ peer, row }) => (needs.distinct?.of === 'peer' ? peer : row.tags['port']))
              .filter((one) => one !== 'none'),
          ).size,
          0,
        ]
      : (needs.sums ?? []).map((of) =>
          of === 'seen' ? new Set(mine.map(({ row }) => row.timeNs)).size : sum(mine, of),
        )
    const second = needs.offsetNs === undefined ? (numbers[1] ?? 0) : sum(before.get(key))
    return { group: JSON.parse(key) as Tags, value: rule.form.number(numbers[0] ?? 0, second) }
  })
}

function measured({ sent, received, row }: Seen, rule: Rule, of: string): number {
  if (of === 'derp_bytes') return row.field('derp_tx_bytes') + row.field('derp_rx_bytes')
  const unit = of.replace(/^[tr]x_/, '')
  const { by, where } = rule
  const isAlone = ![by.includes('node'), by.includes('owner'), by.includes('network'), where.node, where.owner].some(
    Boolean,
  )
  const isBoth = of === unit || (rule.source === 'edges' && isAlone && by.includes('src') === by.includes('dst'))
  if (isBoth) return sent(unit) + received(unit)
  return of.startsWith('tx_') ? sent(unit) : received(unit)
}

function seenOf(
  row: Row,
  rule: Rule,
  { side, networks }: { readonly side?: 'src' | 'dst' | undefined; readonly networks: readonly string[] },
): Seen[] {
  const { tags, field } = row
  const { by, where } = rule
  const fits = (
    patterns: { wanted: readonly string[]; excluded: readonly string[] } | undefined,
    ...texts: string[]
  ) => {
    const like = (one: string) => new RegExp(`^${one.replaceAll('*', '.*')}$`)
    if (patterns === undefined) return true
    if (patterns.excluded.some((one) => texts.some((text) => like(one).test(text)))) return false
    return patterns.wanted.length === 0 || patterns.wanted.some((one) => texts.some((text) => like(one).test(text)))
  }
  const of = (name: string) => tags[name] ?? ''
  if (row.measurement !== (rule.source === 'nodes' ? 'tailnet_node' : 'tailnet_edge')) return []
  if (!(rule.kinds as readonly string[]).includes(of('kind'))) return []
  const read = (way: string) => (unit: string) => field(`${way}_${unit}`)
  if (rule.source === 'nodes') {
    if (rule.isRouter && !['router', 'exit'].includes(of('role'))) return []
    if (!fits(where.node, of('node_name'), of('node')) || !fits(where.owner, of('owner'))) return []
    const all: Tags = { node: of('node'), owner: of('owner'), kind: of('kind') }
    const group = Object.fromEntries(by.map((dim) => [dim, all[dim] ?? '']))
    return [{ group, sent: read('tx'), received: read('rx'), row, peer: '' }]
  }
  if (where.port && !where.port.map(String).includes(of('port'))) return []
  if (where.proto && !where.proto.includes(of('proto'))) return []
  if (!fits(where.src, of('src_name')) || !fits(where.dst, of('dst_name'))) return []
  const common: Tags = {
    src: of('src_name'),
    dst: of('dst_name'),
    port: of('port'),
    proto: of('proto'),
    kind: of('kind'),
  }
  const isOfNodes = by.includes('node') || by.includes('owner') || where.node !== undefined || where.owner !== undefined
  const isOfNetworks = !isOfNodes && by.includes('network')
  const isNetworkAt = (end: string) =>
    !/^n\w+CNTRL$/.test(of(end)) && networks.includes(of(`${end}_name`)) && fits(where.network, of(`${end}_name`))
  if (where.network && !isNetworkAt('src') && !isNetworkAt('dst')) return []
  const ends = (['src', 'dst'] as const).filter((one) => side === undefined || side === one)
  const seen = ends.flatMap((own): Seen[] => {
    const far = own === 'src' ? 'dst' : 'src'
    const isNode = /^n\w+CNTRL$/.test(of(own))
    if (isOfNodes && !(isNode && fits(where.node, of(`${own}_name`), of(own)) && fits(where.owner, of(`${own}_owner`))))
      return []
    if (isOfNetworks && !isNetworkAt(own)) return []
    if (isOfNodes && by.includes('network') && !isNetworkAt(far)) return []
    const all: Tags = {
      ...common,
      node: of(own),
      owner: of(`${own}_owner`),
      network: of(`${isOfNodes ? far : own}_name`),
    }
    const group = Object.fromEntries(by.map((dim) => [dim, all[dim] ?? '']))
    const isForth = (own === 'src') === isOfNodes || (!isOfNodes && !isOfNetworks)
    const [sent, received] = isForth ? [read('tx'), read('rx')] : [read('rx'), read('tx')]
    return [{ group, sent, received, row, peer: of(`${far}_name`) }]
  })
  // What is about an edge itself counts once.
  return (isOfNodes || isOfNetworks) && of('src') !== of('dst') ? seen : seen.slice(0, 1)
}
