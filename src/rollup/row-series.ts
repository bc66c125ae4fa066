/** Rows of a minute on their way to the database. The tags of a row are three texts, which many rows share: each is made and hashed once. */
import { avalanche, hashStep, secondHashStep } from '../base/hash.ts'
import { RowIndex } from '../base/hash-tables.ts'
import { wordOf } from '../base/int64.ts'
import { NO_PORT } from '../flatten/ports.ts'
import { writeInt64, writeNumber } from '../sink/line-protocol/numbers.ts'
import { KINDS } from '../source/parse/message.ts'
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
import { EDGE, edgeTags, NODE, nodeTags, type RowTable, type Shape } from './row-table.ts'
import type { TextIds } from './text-ids.ts'

const TEXTS = 3

export interface SeriesRows extends Pick<Columns, 'count' | 'values'> {
  readonly shape: Shape
  /** TEXTS per row, numbers of `texts`; one after the other they are the tags. */
  readonly tags: Int32Array
  readonly texts: TextIds
}

/** `texts` may be that of other minutes too. */
export function edgeSeries(minute: MinuteColumns, tailnet: string, texts: TextIds): SeriesRows {
  const { edges, endpoints } = minute
  const { cells, count, values } = edges
  const tags = new Int32Array(count * TEXTS)
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
    tags[row * TEXTS] = textOf(dstTexts, cells[cell + EDGE_DST]!, dst)
    tags[row * TEXTS + 1] = middle
    tags[row * TEXTS + 2] = textOf(srcTexts, cells[cell + EDGE_SRC]!, src)
  }
  return { shape: EDGE, count, values, tags, texts }
}

export function nodeSeries({ nodes, endpoints, osOf }: MinuteColumns, tailnet: string, texts: TextIds): SeriesRows {
  const { cells, count, values } = nodes
  const { kind, node, role } = nodeTags(tailnet)
  const kinds = KINDS.map((one) => texts.idOf(kind(one)))
  const roles = ROLES.map((one) => texts.idOf(role(one)))
  const tags = new Int32Array(count * TEXTS)
  for (let row = 0; row < count; row++) {
    const cell = row * NODE_CELLS
    const endpoint = endpoints[cells[cell]!]!
    tags[row * TEXTS] = kinds[cells[cell + NODE_KIND]!]!
    tags[row * TEXTS + 1] = texts.idOf(node(endpoint, osOf(endpoint.id)))
    tags[row * TEXTS + 2] = roles[cells[cell + NODE_ROLE]!]!
  }
  return { shape: NODE, count, values, tags, texts }
}

export function seriesKey({ tags, texts }: SeriesRows, row: number): string {
  const at = row * TEXTS
  return texts.textOf(tags[at]!) + texts.textOf(tags[at + 1]!) + texts.textOf(tags[at + 2]!)
}

export function tableOf(rows: SeriesRows): RowTable {
  const table: RowTable = new Map()
  for (let row = 0; row < rows.count; row++)
    table.set(seriesKey(rows, row), fieldsOf(rows, row, rows.shape.fields.length))
  return table
}

/** Cells of a row in `rowHashes`: a hash of its tags, and one of its fields, 64 bits each. */
export const HASHES = 4

/** The same for a row with these tags and fields in whatever minute and process. */
export function rowHashes({ count, tags, texts, values, shape }: SeriesRows): Int32Array {
  const { low, high } = texts
  const width = shape.fields.length
  const hashes = new Int32Array(count * HASHES)
  for (let row = 0; row < count; row++) {
    const [first, second, third] = [tags[row * TEXTS]!, tags[row * TEXTS + 1]!, tags[row * TEXTS + 2]!]
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
export function changedRows(before: Int32Array, now: Int32Array): Uint8Array | undefined {
  const count = now.length / HASHES
  const changed = new Uint8Array(count).fill(1)
  if (before.length === 0) return changed
  const index = new RowIndex(before.length / HASHES)
  for (let at = 0; at < before.length; at += HASHES) {
    let place = index.first(before[at]!)
    while (index.rowAt(place) >= 0) place = index.next(place)
    index.put(place, at)
  }
  let found = 0
  for (let row = 0; row < count; row++) {
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
  return found * HASHES === before.length ? changed : undefined
}

/** One piece of lines has about this many bytes. */
const PIECE_BYTES = 1 << 20
/** More than a line has: its tags have at most 10 values of 256 bytes, escaped. */
const LINE_BYTES_MAX = 8192

/** Writes lines into memory that is used again: each piece is valid until the next is asked for. */
export function createRowLines() {
  const bytes = new Uint8Array(PIECE_BYTES + LINE_BYTES_MAX)
  const view = new DataView(bytes.buffer)
  const encoder = new TextEncoder()

  /** Lines of those rows that `isWanted` marks with 1, each ended by "\n". `timeNs`: the begin of the minute. */
  return function* linesOf(
    measurement: string,
    { count, values, tags, texts, shape }: SeriesRows,
    isWanted: Uint8Array,
    timeNs: bigint,
  ): Generator<Uint8Array> {
    const width = shape.fields.length
    const begin = encoder.encode(`${measurement},`)
    const names = shape.fields.map((name, i) => encoder.encode(`${i === 0 ? ' ' : 'i,'}${name}=`))
    const end = encoder.encode(`i ${timeNs}\n`)
    let p = 0
    const put = (text: Uint8Array) => {
      for (let i = 0; i < text.length; i++) bytes[p + i] = text[i]!
      p += text.length
    }
    for (let row = 0; row < count; row++) {
      if (isWanted[row] === 0) continue
      if (p > PIECE_BYTES) {
        yield bytes.subarray(0, p)
        p = 0
      }
      put(begin)
      for (let i = 0; i < TEXTS; i++) p = texts.copy(tags[row * TEXTS + i]!, view, p)
      for (let i = 0; i < width; i++) {
        put(names[i]!)
        const value = values[row * width + i]!
        p = typeof value === 'number' ? writeNumber(view, p, value) : writeInt64(view, p, value)
      }
      put(end)
    }
    if (p > 0) yield bytes.subarray(0, p)
  }
}
