/** The series budget of one UTC day: at most so many edges of one endpoint, and of the tailnet. Beyond it the far end becomes `other`, so that a scan
 * costs the database a bounded number of series. Sums stay exact; only names are lost. */
import { avalanche, HASH_SEED, hashStep, secondHashStep } from '../base/hash.ts'
import { createHashSet } from '../base/hash-tables.ts'
import { compareBytes, type Endpoint, NONE, OTHER } from './endpoints.ts'
import type { EdgeRow } from './row.ts'
import { edgeSeries, tagOf } from './row-table.ts'
import { bounded } from './sums.ts'

export interface BudgetLimits {
  readonly edgesPerEndpoint: number
  readonly edgesPerDay: number
}

export interface Budget {
  /** Edges that have a row of this day already, by their series. They are admitted, whatever the limits are. */
  admit(series: Iterable<string>): void
  /** The rows of a minute of this day by their series, with `other` where the budget is used up. New edges are admitted in order of their bytes. */
  apply(rows: readonly EdgeRow[], limits: BudgetLimits, tailnet: string): ReadonlyMap<string, EdgeRow>
  /** Edges admitted so far. */
  readonly edges: number
  /** Edges that were folded so far. */
  readonly refused: number
  /** The endpoint that most edges were refused of, for the operator; undefined while none was. */
  readonly largestCause: { readonly name: string; readonly refused: number } | undefined
}

const TAILNET = 'tailnet'

export function createBudget(): Budget {
  /** More than the limit may be admitted: those that have a row already. */
  const admitted = createHashSet(2 ** 24)
  const counts = new Map<string, number>()
  let refusedCount = 0
  const refused = new Map<string, { readonly name: string; refused: number }>()

  function add(src: string, dst: string, hash: bigint): void {
    if (!admitted.add(hash)) return
    for (const id of [src, dst]) counts.set(id, (counts.get(id) ?? 0) + 1)
  }

  const isFull = ({ id }: Endpoint, { edgesPerEndpoint }: BudgetLimits) =>
    id !== NONE && (counts.get(id) ?? 0) >= edgesPerEndpoint

  function refuse(id: string, name: string): void {
    const cause = refused.get(id) ?? { name, refused: 0 }
    cause.refused += 1
    refused.set(id, cause)
  }

  function admitOrFold({ row, hash }: Candidate, limits: BudgetLimits): EdgeRow {
    const isTailnetFull = admitted.size >= limits.edgesPerDay
    const [src, dst] = [isFull(row.src, limits), isFull(row.dst, limits)]
    if (!isTailnetFull && !src && !dst) {
      add(row.src.id, row.dst.id, hash)
      return row
    }
    refusedCount += 1
    if (isTailnetFull) refuse(TAILNET, 'the tailnet')
    if (src) refuse(row.src.id, row.src.name)
    if (dst) refuse(row.dst.id, row.dst.name)
    return {
      ...row,
      port: NONE,
      path: NONE,
      src: dst || isTailnetFull ? OTHER : row.src,
      dst: src || isTailnetFull ? OTHER : row.dst,
    }
  }

  return {
    get edges() {
      return admitted.size
    },
    get refused() {
      return refusedCount
    },
    get largestCause() {
      return [...refused.values()].toSorted((one, other) => other.refused - one.refused)[0]
    },
    admit(series) {
      for (const key of series) {
        const of = (tag: string) => tagOf(key, tag)
        const [src, dst] = (['src', 'dst'] as const).map((side): EndpointNames => {
          return { id: of(side), name: of(`${side}_name`), owner: of(`${side}_owner`) }
        }) as [EndpointNames, EndpointNames]
        if (src.id === OTHER.id || dst.id === OTHER.id) continue
        const [kind, proto, port, path] = [of('kind'), of('proto'), of('port'), of('path')]
        add(src.id, dst.id, hashOf({ kind, proto, port, path, src, dst }))
      }
    },
    apply(rows, limits, tailnet) {
      const named = new Map<string, EdgeRow>()
      const candidates: Candidate[] = []
      for (const row of rows) {
        const key = edgeSeries(tailnet, row)
        const hash = hashOf(row)
        if (admitted.has(hash)) named.set(key, row)
        else candidates.push({ row, key, hash, bytes: row.txBytes + row.rxBytes })
      }
      for (const candidate of candidates.sort(byBytes)) {
        const row = admitOrFold(candidate, limits)
        const key = row === candidate.row ? candidate.key : edgeSeries(tailnet, row)
        const known = named.get(key)
        named.set(key, known === undefined ? row : sumOf(known, row))
      }
      return named
    },
  }
}

/** An edge that has no row of this day yet. */
interface Candidate {
  readonly row: EdgeRow
  readonly key: string
  readonly hash: bigint
  readonly bytes: bigint
}

/** Most bytes first, then byte order. */
function byBytes(one: Candidate, other: Candidate): number {
  if (one.bytes !== other.bytes) return one.bytes < other.bytes ? 1 : -1
  return compareBytes(one.key, other.key)
}

function sumOf(one: EdgeRow, other: EdgeRow): EdgeRow {
  return {
    ...one,
    txBytes: bounded(one.txBytes + other.txBytes),
    txPkts: bounded(one.txPkts + other.txPkts),
    rxBytes: bounded(one.rxBytes + other.rxBytes),
    rxPkts: bounded(one.rxPkts + other.rxPkts),
    flows: bounded(one.flows + other.flows),
    reporters: Math.max(one.reporters, other.reporters),
  }
}

type EndpointNames = Pick<Endpoint, 'id' | 'name' | 'owner'>

/** 64 bits in two halves. */
type Hash = readonly [one: number, other: number]

/** Few endpoints have many edges. */
const endpointHashes = new WeakMap<EndpointNames, Hash>()

function hashOfEndpoint(endpoint: EndpointNames): Hash {
  let hash = endpointHashes.get(endpoint)
  if (hash === undefined) {
    hash = hashOfText(`${endpoint.id}\n${endpoint.name}\n${endpoint.owner}`)
    endpointHashes.set(endpoint, hash)
  }
  return hash
}

/** Of the whole tag set. */
function hashOf(edge: {
  readonly kind: string
  readonly proto: string
  readonly port: string
  readonly path: string
  readonly src: EndpointNames
  readonly dst: EndpointNames
}): bigint {
  const [srcOne, srcOther] = hashOfEndpoint(edge.src)
  const [dstOne, dstOther] = hashOfEndpoint(edge.dst)
  const [one, other] = hashOfText(`${edge.kind}\n${edge.proto}\n${edge.port}\n${edge.path}`)
  const low = avalanche(hashStep(hashStep(one, srcOne), dstOne))
  const high = avalanche(secondHashStep(secondHashStep(other, srcOther), dstOther))
  return (BigInt(low >>> 0) << 32n) | BigInt(high >>> 0)
}

function hashOfText(text: string): Hash {
  let one = HASH_SEED
  let other = HASH_SEED
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    one = hashStep(one, unit)
    other = secondHashStep(other, unit)
  }
  return [one, other]
}
