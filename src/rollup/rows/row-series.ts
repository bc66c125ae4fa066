/** Rows of a minute on their way to the database. The tags of a row are three texts, which many rows share: each is made and hashed once. */
import { avalanche, hashStep, secondHashStep } from '../../base/hash.ts'
import { RowIndex } from '../../base/hash-tables.ts'
import { wordOf } from '../../base/int64.ts'
import { NO_PORT } from '../../flatten/ports.ts'
import { KINDS } from '../../source/parse/message.ts'
import type { TextIds } from '../points/text-ids.ts'
import type { Endpoint } from './endpoints.ts'
import {
  type Columns,
  EDGE_CELLS,
  EDGE_DST,
  EDGE_LABEL,
  EDGE_PORT,
  EDGE_SRC,
  fieldsOf,
  labelsOf,
  type MinuteColumns,
  NODE_CELLS,
  NODE_KIND,
  NODE_ROLE,
} from './minute-columns.ts'
import { ROLES } from './row.ts'
import { EDGE, edgeParts, edgeTags, NODE, nodeParts, nodeTags, type RowTable, type Shape } from './row-table.ts'
import { hasCounted, isExact, type Values } from './sums.ts'

/** Texts of the tags of a row. */
export const TAGS = 3

export interface SeriesRows extends Pick<Columns, 'count' | 'values'> {
  readonly shape: Shape
  /** TAGS per row, numbers of `texts`; one after the other they are the tags. */
  readonly tags: Int32Array
  readonly texts: TextIds
}

/** Both measurements of one time. */
export interface TierRows {
  readonly edges: SeriesRows
  readonly nodes: SeriesRows
}

/** Rows that stand in the database. */
export interface Tables {
  readonly edges: RowTable
  readonly nodes: RowTable
}

/** Those rows that count anything. */
export function seriesOf(shape: Shape, tags: Int32Array, values: Values, texts: TextIds): SeriesRows {
  const width = shape.fields.length
  let count = 0
  for (let row = 0; row * TAGS < tags.length; row++) {
    if (!hasCounted(values, row * width)) continue
    tags.copyWithin(count * TAGS, row * TAGS, (row + 1) * TAGS)
    values.copyWithin(count * width, row * width, (row + 1) * width)
    count += 1
  }
  return { shape, count, tags, values, texts }
}

function seriesOfTable(shape: Shape, table: RowTable, texts: TextIds): SeriesRows {
  const partsOf = shape === EDGE ? edgeParts : nodeParts
  const tags = Int32Array.from([...table.keys()].flatMap(partsOf), texts.idOf)
  const all = [...table.values()].flat()
  const values = Float64Array.from(all, Number)
  return seriesOf(shape, tags, isExact(values) ? values : BigInt64Array.from(all), texts)
}

/** The same in columns. */
export function seriesOfTables({ edges, nodes }: Tables, texts: TextIds): TierRows {
  return { edges: seriesOfTable(EDGE, edges, texts), nodes: seriesOfTable(NODE, nodes, texts) }
}

/** `texts` may be that of other minutes too. */
export function edgeSeries(minute: MinuteColumns, tailnet: string, texts: TextIds): SeriesRows {
  const { edges, endpoints } = minute
  const { cells, count, values } = edges
  const tags = new Int32Array(count * TAGS)
  const [srcTexts, dstTexts] = [new Int32Array(endpoints.length).fill(-1), new Int32Array(endpoints.length).fill(-1)]
  const middles = new Map<number, number>()
  const textOf = (known: Int32Array, index: number, make: (endpoint: Endpoint) => string) => {
    if (known[index] === -1) known[index] = texts.idOf(make(endpoints[index]!))
    return known[index]!
  }
  const { dst, src } = edgeTags(tailnet)
  for (let row = 0; row < count; row++) {
    const cell = row * EDGE_CELLS
    const key = cells[cell + EDGE_LABEL]! * 0x1_0001 + (cells[cell + EDGE_PORT]! - NO_PORT)
    let middle = middles.get(key)
    if (middle === undefined)
      middles.set(key, (middle = texts.idOf(edgeTags(tailnet).middle(labelsOf(minute.texts, cells, row)))))
    tags[row * TAGS] = textOf(dstTexts, cells[cell + EDGE_DST]!, dst)
    tags[row * TAGS + 1] = middle
    tags[row * TAGS + 2] = textOf(srcTexts, cells[cell + EDGE_SRC]!, src)
  }
  return { shape: EDGE, count, values, tags, texts }
}

export function nodeSeries({ nodes, endpoints, osOf }: MinuteColumns, tailnet: string, texts: TextIds): SeriesRows {
  const { cells, count, values } = nodes
  const { kind, node, role } = nodeTags(tailnet)
  const kinds = KINDS.map((one) => texts.idOf(kind(one)))
  const roles = ROLES.map((one) => texts.idOf(role(one)))
  const tags = new Int32Array(count * TAGS)
  for (let row = 0; row < count; row++) {
    const cell = row * NODE_CELLS
    const endpoint = endpoints[cells[cell]!]!
    tags[row * TAGS] = kinds[cells[cell + NODE_KIND]!]!
    tags[row * TAGS + 1] = texts.idOf(node(endpoint, osOf(endpoint.id)))
    tags[row * TAGS + 2] = roles[cells[cell + NODE_ROLE]!]!
  }
  return { shape: NODE, count, values, tags, texts }
}

export function seriesKey({ tags, texts }: SeriesRows, row: number): string {
  const at = row * TAGS
  return texts.textOf(tags[at]!) + texts.textOf(tags[at + 1]!) + texts.textOf(tags[at + 2]!)
}

function tableOf(rows: SeriesRows): RowTable {
  const table: RowTable = new Map()
  for (let row = 0; row < rows.count; row++)
    table.set(seriesKey(rows, row), fieldsOf(rows, row, rows.shape.fields.length))
  return table
}

export function tablesOf({ edges, nodes }: TierRows): Tables {
  return { edges: tableOf(edges), nodes: tableOf(nodes) }
}

/** Cells of a row in `rowHashes`: a hash of its tags, and one of its fields, 64 bits each. */
export const HASHES = 4

/** The same for a row with these tags and fields in whatever minute and process. */
export function rowHashes({ count, tags, texts, values, shape }: SeriesRows): Int32Array {
  const { low, high } = texts
  const width = shape.fields.length
  const hashes = new Int32Array(count * HASHES)
  for (let row = 0; row < count; row++) {
    const [first, second, third] = [tags[row * TAGS]!, tags[row * TAGS + 1]!, tags[row * TAGS + 2]!]
    const at = row * HASHES
    hashes[at] = avalanche(hashStep(hashStep(low[first]!, low[second]!), low[third]!))
    hashes[at + 1] = avalanche(secondHashStep(secondHashStep(high[first]!, high[second]!), high[third]!))
    let [one, other] = [hashes[at]!, hashes[at + 1]!]
    for (let i = row * width; i < (row + 1) * width; i++) {
      const word = wordOf(values[i]!)
      one = hashStep(one, word)
      other = secondHashStep(other, word)
    }
    hashes[at + 2] = avalanche(one)
    hashes[at + 3] = avalanche(other)
  }
  return hashes
}

/** By row of `now`: 1 where it is not as before. Undefined: a row of before is gone. */
export function changedRows(rowsBefore: SeriesRows, rows: SeriesRows): Uint8Array | undefined {
  const changed = new Uint8Array(rows.count).fill(1)
  if (rowsBefore.count === 0) return changed
  const [before, now] = [rowHashes(rowsBefore), rowHashes(rows)]
  const index = new RowIndex(rowsBefore.count)
  for (let at = 0; at < before.length; at += HASHES) {
    let place = index.first(before[at]!)
    while (index.rowAt(place) >= 0) place = index.next(place)
    index.put(place, at)
  }
  let found = 0
  for (let row = 0; row < rows.count; row++) {
    const own = row * HASHES
    let place = index.first(now[own]!)
    for (let at = index.rowAt(place); at >= 0; at = index.rowAt(place)) {
      if (before[at] === now[own] && before[at + 1] === now[own + 1]) {
        found += 1
        if (before[at + 2] === now[own + 2] && before[at + 3] === now[own + 3]) changed[row] = 0
        break
      }
      place = index.next(place)
    }
  }
  return found === rowsBefore.count ? changed : undefined
}
