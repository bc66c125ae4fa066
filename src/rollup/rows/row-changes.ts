/** What must be written so that rows stand as they were made. */
import { writeInt64, writeNumber } from '../../sink/line-protocol/numbers.ts'
import { changedRows, type SeriesRows, TAGS, type Tables, type TierRows } from './row-series.ts'
import { changesOf, EDGE, linesOf, missingIn, NODE } from './row-table.ts'

/** The end of the name of a measurement. */
export type Suffix = '' | '_1h' | '_1d'

export interface Changes {
  readonly rows: number
  /** In pieces, each valid until the next is asked for. */
  readonly lines: Iterable<Uint8Array>
}

/** One piece of lines has about this many bytes. */
const PIECE_BYTES = 1 << 20
/** More than a line has: its tags have at most 10 values of 256 bytes, escaped. */
const LINE_BYTES_MAX = 8192
const encoder = new TextEncoder()

/** From the rows that stand in the database. `isOnce`: none of them is written again. */
export function changesOfTables(
  standing: Tables,
  wanted: Tables,
  suffix: Suffix,
  timeNs: bigint,
  isOnce: boolean,
): Changes {
  const differing = isOnce ? missingIn : changesOf
  const edges = differing(standing.edges, wanted.edges)
  const nodes = differing(standing.nodes, wanted.nodes)
  const lines =
    linesOf(`tailnet_edge${suffix}`, edges, EDGE, timeNs) + linesOf(`tailnet_node${suffix}`, nodes, NODE, timeNs)
  return { rows: edges.size + nodes.size, lines: [encoder.encode(lines)] }
}

/** From rows that were written before; undefined when one of them is gone. Lines are made in memory that is used again. */
export function createChanges(): (
  before: TierRows,
  now: TierRows,
  suffix: Suffix,
  timeNs: bigint,
) => Changes | undefined {
  const bytes = new Uint8Array(PIECE_BYTES + LINE_BYTES_MAX)
  const view = new DataView(bytes.buffer)

  return (before, now, suffix, timeNs) => {
    const edges = changedRows(before.edges, now.edges)
    const nodes = changedRows(before.nodes, now.nodes)
    if (edges === undefined || nodes === undefined) return undefined
    function* lines(): Generator<Uint8Array> {
      yield* linesOfRows(`tailnet_edge${suffix}`, now.edges, edges!, timeNs)
      yield* linesOfRows(`tailnet_node${suffix}`, now.nodes, nodes!, timeNs)
    }
    return { rows: countOf(edges) + countOf(nodes), lines: lines() }
  }

  /** Lines of those rows that `isWanted` marks with 1, each ended by "\n". */
  function* linesOfRows(
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
      for (let i = 0; i < TAGS; i++) p = texts.copy(tags[row * TAGS + i]!, view, p)
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

function countOf(marks: Uint8Array): number {
  let count = 0
  for (const mark of marks) count += mark
  return count
}
