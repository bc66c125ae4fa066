/** The series budget of one UTC day: at most so many edges of one endpoint, and of the tailnet. Beyond it the far end becomes `other`, so that a scan
 * costs the database a bounded number of series. Sums stay exact; only names are lost. */
import { NO_PORT } from '../../flatten/ports.ts'
import { createTextIds } from '../points/text-ids.ts'
import { createTuples } from '../points/tuples.ts'
import { compareBytes, type Endpoint, NONE, OTHER } from '../rows/endpoints.ts'
import { EDGE_CELLS, EDGE_DST, EDGE_LABEL, EDGE_PORT, EDGE_SRC, type MinuteColumns } from '../rows/minute-columns.ts'
import { HASHES, rowHashes, type SeriesRows, seriesKey } from '../rows/row-series.ts'
import { EDGE, edgeParts, tagOf } from '../rows/row-table.ts'
import { bounded, isExact } from '../rows/sums.ts'

export interface BudgetLimits {
  readonly edgesPerEndpoint: number
  readonly edgesPerDay: number
}

export interface Budget {
  /** Edges that have a row of this day already, by their series. They are admitted, whatever the limits are. */
  admit(series: Iterable<string>): void
  /** The rows of a minute of this day, with `other` where the budget is used up; the same ones where it is not. `series` and `hashes` are those of its
   * edges. New edges are admitted in order of their bytes. */
  apply(minute: MinuteColumns, series: SeriesRows, hashes: Int32Array, limits: BudgetLimits): MinuteColumns
  /** Edges admitted so far. */
  readonly edges: number
  /** Edges that were folded so far. */
  readonly refused: number
  /** The endpoint that most edges were refused of, for the operator; undefined while none was. */
  readonly largestCause: { readonly name: string; readonly refused: number } | undefined
}

const TAILNET = 'tailnet'
/** Values of an edge; the last one is its reporters, of which the largest counts. */
const FIELDS = 6
const REPORTERS = 5

export function createBudget(): Budget {
  /** By the hash of its tags. More than the limit may be admitted: those that have a row already. */
  const admitted = createTuples(2)
  const counts = new Map<string, number>()
  let refusedCount = 0
  const refused = new Map<string, { readonly name: string; refused: number }>()

  function add(src: string, dst: string, hashes: Int32Array, at: number): void {
    const before = admitted.count
    if (admitted.indexOf(hashes, at) < before) return
    for (const id of [src, dst]) counts.set(id, (counts.get(id) ?? 0) + 1)
  }

  const isFull = ({ id }: Endpoint, { edgesPerEndpoint }: BudgetLimits) =>
    id !== NONE && (counts.get(id) ?? 0) >= edgesPerEndpoint

  function refuse(id: string, name: string): void {
    const cause = refused.get(id) ?? { name, refused: 0 }
    cause.refused += 1
    refused.set(id, cause)
  }

  /** Admits an edge, or says which of its ends becomes `other`. */
  function admitOrFold(src: Endpoint, dst: Endpoint, hashes: Int32Array, at: number, limits: BudgetLimits): Folded {
    const isTailnetFull = admitted.count >= limits.edgesPerDay
    const [isSrcFull, isDstFull] = [isFull(src, limits), isFull(dst, limits)]
    if (!isTailnetFull && !isSrcFull && !isDstFull) {
      add(src.id, dst.id, hashes, at)
      return { src: false, dst: false }
    }
    refusedCount += 1
    if (isTailnetFull) refuse(TAILNET, 'the tailnet')
    if (isSrcFull) refuse(src.id, src.name)
    if (isDstFull) refuse(dst.id, dst.name)
    return { src: isDstFull || isTailnetFull, dst: isSrcFull || isTailnetFull }
  }

  return {
    get edges() {
      return admitted.count
    },
    get refused() {
      return refusedCount
    },
    get largestCause() {
      return [...refused.values()].toSorted((one, other) => other.refused - one.refused)[0]
    },
    admit(keys) {
      const texts = createTextIds()
      for (const key of keys) {
        const [src, dst] = [tagOf(key, 'src'), tagOf(key, 'dst')]
        if (src === OTHER.id || dst === OTHER.id) continue
        const tags = Int32Array.from(edgeParts(key), texts.idOf)
        add(
          src,
          dst,
          rowHashes({ shape: EDGE, count: 1, values: new Float64Array(EDGE.fields.length), tags, texts }),
          0,
        )
      }
    },
    apply(minute, series, hashes, limits) {
      const { endpoints, edges } = minute
      const { cells, values } = edges
      const bytesOf = (row: number) => Number(values[row * FIELDS]!) + Number(values[row * FIELDS + 1]!)
      const candidates: number[] = []
      for (let row = 0; row < edges.count; row++) if (admitted.find(hashes, row * HASHES) < 0) candidates.push(row)
      candidates.sort(
        (one, other) => bytesOf(other) - bytesOf(one) || compareBytes(seriesKey(series, one), seriesKey(series, other)),
      )
      const folded = new Map<number, Folded>()
      for (const row of candidates) {
        const [src, dst] = [EDGE_SRC, EDGE_DST].map((side) => endpoints[cells[row * EDGE_CELLS + side]!]!)
        const fold = admitOrFold(src!, dst!, hashes, row * HASHES, limits)
        if (fold.src || fold.dst) folded.set(row, fold)
      }
      return folded.size === 0 ? minute : withOther(minute, folded)
    },
  }
}

/** Ends that become `other`. */
interface Folded {
  readonly src: boolean
  readonly dst: boolean
}

/** The edges of a minute, those that are folded summed by what is left of their tags. */
function withOther(minute: MinuteColumns, folded: ReadonlyMap<number, Folded>): MinuteColumns {
  const { edges, texts } = minute
  const endpoints = [...minute.endpoints, OTHER]
  const rows = createTuples(EDGE_CELLS)
  const sums = new BigInt64Array(edges.count * FIELDS)
  const key = new Int32Array(EDGE_CELLS)
  for (let row = 0; row < edges.count; row++) {
    key.set(edges.cells.subarray(row * EDGE_CELLS, (row + 1) * EDGE_CELLS))
    const fold = folded.get(row)
    if (fold !== undefined) {
      const label = key[EDGE_LABEL]! * 3
      key[EDGE_LABEL] = texts.labelOf(texts.labels[label]!, texts.labels[label + 1]!, texts.idOf(NONE))
      key[EDGE_PORT] = NO_PORT
      if (fold.src) key[EDGE_SRC] = endpoints.length - 1
      if (fold.dst) key[EDGE_DST] = endpoints.length - 1
    }
    const to = rows.indexOf(key) * FIELDS
    for (let i = 0; i < REPORTERS; i++) sums[to + i] = bounded(sums[to + i]! + BigInt(edges.values[row * FIELDS + i]!))
    const reporters = BigInt(edges.values[row * FIELDS + REPORTERS]!)
    if (reporters > sums[to + REPORTERS]!) sums[to + REPORTERS] = reporters
  }
  const all = sums.subarray(0, rows.count * FIELDS)
  const doubles = Float64Array.from(all, Number)
  return {
    ...minute,
    endpoints,
    edges: { count: rows.count, cells: rows.cells, values: isExact(doubles) ? doubles : all },
  }
}
