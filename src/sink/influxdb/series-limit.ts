/** Handles lines that would exceed a limit of series or tag values: stores everything that fits, and finds the node from which most of the other
 * lines come. InfluxDB 1.6.7 also drops lines that fit when others in the same request do not: at `max-series-per-database` all of them, at
 * `max-values-per-tag` as many as it refuses. So only a request that was acknowledged as a whole counts. Lines whose series or values are known
 * to fit go first, all together; the others in parts, by node, halved where a part is refused. This takes a few tens of requests for the first
 * batch, then about two. */

import { compare } from '../../base/order.ts'
import type { LimitError } from '../limit-error.ts'
import type { LineSpan } from '../line-protocol/line-spans.ts'
import { hashOf, type Known, seriesOf } from './known-values.ts'
import type { Limit } from './response-policy.ts'

/** Maximum requests of one batch for this. */
const REQUESTS_MAX = 64
/** A part of one node is not halved any more when both halves were refused this many times in a row. */
const FRUITLESS_MAX = 3

interface LimitedPart {
  readonly lines: readonly LineSpan[]
  /** How many times in a row halving freed nothing. */
  fruitless: number
  /** At least this many of its lines are refused. */
  readonly dropped: number
}

export interface LimitSearch {
  /** These lines were refused; they wait to be halved. */
  met(lines: readonly LineSpan[], limit: Limit, fruitless: number): void
  /** These lines were acknowledged. If they are one of the last two halves, the other one should be halved again. */
  taken(lines: readonly LineSpan[]): void
  /** Halves of the part to try next; undefined when no part is left to halve, or the maximum of requests is reached. */
  next(): { readonly fruitless: number; readonly halves: readonly (readonly LineSpan[])[] } | undefined
  /** By the answer to the other half all of these lines are refused, and need not be sent. */
  isRefused(half: readonly LineSpan[]): boolean
  /** Undefined when no limit was met. */
  error(): LimitError | undefined
}

export function createLimitSearch(line: {
  readonly textOf: (line: LineSpan) => string
  readonly nodeOf: (line: LineSpan) => string
  readonly known: Known
}): LimitSearch {
  const { textOf, nodeOf, known } = line
  let limit: Limit | undefined
  let requests = 0
  const waiting = new Set<LimitedPart>()
  /** Refused since parts were halved last. */
  let fresh: LimitedPart[] = []
  let isAnyFreed = false
  /** Refused lines of the part that was halved last that none of its halves accounts for yet. */
  let droppedLeft = 0

  const isOfOneNode = ({ lines }: LimitedPart) => lines.every((line) => nodeOf(line) === nodeOf(lines[0]!))

  function isWorthHalving(part: LimitedPart): boolean {
    if (part.lines.length < 2 || part.dropped >= part.lines.length) return false
    // The reported number of refused values is exact, so other lines of this part fit.
    return limit?.counts === 'values' || !isOfOneNode(part) || part.fruitless < FRUITLESS_MAX
  }

  /** For values the smallest part is best: it soon shows values that fit, and those are in the other parts too. */
  function isBetter(one: LimitedPart, other: LimitedPart): boolean {
    if (limit?.counts === 'values') return one.lines.length < other.lines.length
    return (
      one.fruitless < other.fruitless || (one.fruitless === other.fruitless && one.lines.length > other.lines.length)
    )
  }

  function isKnown(line: LineSpan): boolean {
    return limit !== undefined && known.has(textOf(line), limit.counts)
  }

  function halvesOf(lines: readonly LineSpan[]): (readonly LineSpan[])[] {
    const { fits = [], rest = [] } = Object.groupBy(lines, (line) => (isKnown(line) ? 'fits' : 'rest'))
    if (fits.length > 0 && rest.length > 0) return [fits, rest]
    const sorted = lines.toSorted((one, other) => compare(nodeOf(one), nodeOf(other)))
    const middle = sorted.length >> 1
    // At the border between two nodes that is nearest to the middle.
    const borders = sorted.keys().filter((at) => at > 0 && nodeOf(sorted[at]!) !== nodeOf(sorted[at - 1]!))
    const nearest = borders.reduce(
      (best, at) => (Math.abs(at - middle) < Math.abs(best - middle) ? at : best),
      Number.POSITIVE_INFINITY,
    )
    const at = Number.isFinite(nearest) ? nearest : middle
    return [sorted.slice(0, at), sorted.slice(at)]
  }

  /** Where not all of a part is refused, its new series are those that were never taken. */
  function newSeries(): Map<string, Set<bigint>> {
    const found = new Map<string, Set<bigint>>()
    for (const { lines } of waiting) {
      for (const line of lines) {
        if (isKnown(line)) continue
        const node = nodeOf(line)
        const series = found.get(node) ?? new Set()
        found.set(node, series.add(hashOf(seriesOf(textOf(line)))))
      }
    }
    return found
  }

  return {
    met(lines, given, fruitless) {
      limit ??= given
      known.refused(given.detail, lines.every(isKnown))
      const part = { lines, fruitless, dropped: given.dropped ?? 0 }
      droppedLeft -= part.dropped
      waiting.add(part)
      fresh.push(part)
    },
    taken(lines) {
      if (limit === undefined) return
      for (const line of lines) known.learn(textOf(line), limit.counts)
      isAnyFreed = true
    },
    next() {
      if (isAnyFreed) for (const part of fresh) part.fruitless = 0
      isAnyFreed = false
      if (requests >= REQUESTS_MAX) return undefined
      const best = [...waiting]
        .filter(isWorthHalving)
        .reduce<LimitedPart | undefined>(
          (most, one) => (most === undefined || isBetter(one, most) ? one : most),
          undefined,
        )
      if (best === undefined) return undefined
      waiting.delete(best)
      fresh = []
      requests += 2
      droppedLeft = best.dropped
      return { fruitless: best.fruitless, halves: halvesOf(best.lines) }
    },
    isRefused(half) {
      if (limit?.counts !== 'values' || droppedLeft < half.length) return false
      waiting.add({ lines: half, fruitless: 0, dropped: half.length })
      requests -= 1
      return true
    },
    error: () => limit?.error(newSeries()),
  }
}
