/** What to do with lines that would exceed a limit of series or tag values: everything that fits is stored, and the node is found that most of the
 * others come from. InfluxDB 1.x at `max-series-per-database` writes nothing of a request with one new series in it, so lines are sent in
 * parts, by node, halved where a part is refused; a few tens of requests, not one per line. */
import type { CollectorError } from '../errors.ts'
import type { Limit } from './influx-answer.ts'
import type { LineSpan } from './line-spans.ts'

/** Requests of one batch for this; where the database has written what fits, they only tell whose the others are. */
const REQUESTS_MAX = 64
const NAMING_REQUESTS_MAX = 12
/** A part of one node of which both halves were refused, three times in a row, is left alone. */
const FRUITLESS_MAX = 3

interface LimitedPart {
  readonly lines: readonly LineSpan[]
  /** How many times in a row halving freed nothing. */
  fruitless: number
  /** How many of its lines the database says it refused. */
  readonly dropped: number | undefined
}

export interface LimitSearch {
  /** These lines were refused; they wait to be halved. */
  met(lines: readonly LineSpan[], limit: Limit, fruitless: number): void
  /** One of the halves that were tried last was taken: the other one is worth halving. */
  freed(): void
  /** Halves of the part to try next; undefined when none is worth a request, or there were enough. */
  next(): { readonly fruitless: number; readonly halves: readonly (readonly LineSpan[])[] } | undefined
  /** undefined: no limit was met. */
  error(): CollectorError | undefined
}

export function createLimitSearch(nodeOf: (line: LineSpan) => string): LimitSearch {
  let limit: Limit | undefined
  let requests = 0
  const waiting = new Set<LimitedPart>()
  /** Refused since parts were halved last. */
  let fresh: LimitedPart[] = []

  const isOfOneNode = ({ lines }: LimitedPart) => lines.every((line) => nodeOf(line) === nodeOf(lines[0]!))

  function isWorthHalving(part: LimitedPart): boolean {
    if (part.lines.length < 2) return false
    // The database has written what fits; more parts would only tell whose the others are.
    return !isOfOneNode(part) || (!limit?.isRestWritten && part.fruitless < FRUITLESS_MAX)
  }

  function halvesOf(lines: readonly LineSpan[]): (readonly LineSpan[])[] {
    const sorted = lines.toSorted((one, other) =>
      nodeOf(one) < nodeOf(other) ? -1 : nodeOf(one) > nodeOf(other) ? 1 : 0,
    )
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

  /** The node that most of the refused lines come from, as a sentence. */
  function whose(): string {
    const counts = new Map<string, number>()
    let all = 0
    for (const part of waiting) {
      const share = Math.min(1, (part.dropped ?? part.lines.length) / part.lines.length)
      all += part.lines.length * share
      for (const line of part.lines) counts.set(nodeOf(line), (counts.get(nodeOf(line)) ?? 0) + share)
    }
    const [node, count] = [...counts].reduce((most, one) => (one[1] > most[1] ? one : most), ['', 0])
    return node === ''
      ? ''
      : `Most of what does not fit comes from node ${node} (${Math.round(count)} of ${Math.round(all)} lines of this request).`
  }

  return {
    met(lines, given, fruitless) {
      limit ??= given
      // The number is right where the rest is written; else it counts less than what was refused.
      const part = { lines, fruitless, dropped: given.isRestWritten ? given.dropped : undefined }
      waiting.add(part)
      fresh.push(part)
    },
    freed() {
      for (const part of fresh) part.fruitless = 0
    },
    next() {
      if (requests >= (limit?.isRestWritten ? NAMING_REQUESTS_MAX : REQUESTS_MAX)) return undefined
      const best = [...waiting]
        .filter(isWorthHalving)
        .reduce<LimitedPart | undefined>(
          (most, one) =>
            most === undefined ||
            one.fruitless < most.fruitless ||
            (one.fruitless === most.fruitless && one.lines.length > most.lines.length)
              ? one
              : most,
          undefined,
        )
      if (best === undefined) return undefined
      waiting.delete(best)
      fresh = []
      requests += 2
      return { fruitless: best.fruitless, halves: halvesOf(best.lines) }
    },
    error: () => limit?.error(whose()),
  }
}
