/** Finds out what becomes of each line of one batch: halves after a 413, the lines that will never fit, those that are older than the retention,
 * and those that exceed a limit. Good lines may be sent more than once on the way: writing them again changes nothing.
 *
 * Refused lines are taken out where the answer names them (1.x and 2.x: all of them; 3.x: the first one, so the search goes on behind it and the
 * good lines before it follow in one request); only where none is named, the lines are halved. When a node has a few refused lines, the rest of its
 * lines is set apart, so that the other nodes' lines go first; and when many of a node's lines were refused with none taken in between, the search leaps over
 * half of the rest, and what no leap has shown to be better lies in the dead letters untried: one node costs some forty requests. */
import type { Clock } from '../../base/clock.ts'
import { CollectorError } from '../../base/errors.ts'
import { bytesOf, type LineSpan, linesOf, nodeOf, oldestFirst, textOf } from '../line-protocol/line-spans.ts'
import type { Batch, DeadLetter } from '../sink.ts'
import type { Brake } from './backpressure.ts'
import type { Reason } from './error-message.ts'
import { type Cause, causeOf } from './error-texts.ts'
import type { Known } from './known-values.ts'
import type { Verdict } from './response-policy.ts'
import { createLimitSearch } from './series-limit.ts'

/** How pieces of a batch are sent. */
export interface Way {
  /** Insists until there is an answer about the lines; rejects with the error that ends the batch. */
  send(bytes: Uint8Array): Promise<Verdict>
  /** Sends a plain line of tailflux itself. False: it is refused in unknown words as well. Rejects with any other trouble. */
  control(): Promise<boolean>
}

export interface Search {
  readonly label: string
  readonly batch: Batch
  /** By the monotonic clock, ms. */
  readonly deadlineMs: number
  readonly way: Way
  /** The answer to the whole batch, if it was sent. */
  readonly first: Verdict | undefined
  /** Lines that an earlier search found refused, with why. */
  readonly found: ReadonlyMap<string, string>
  readonly brake: Brake
  readonly known: Known
  readonly clock: Clock
  bytesMax(): number
  lowerCeiling(bytes: number, isPassing: boolean): void
  /** The search ends before it is through; `refused` by text, with why. */
  onUnfinished(refused: ReadonlyMap<string, string>, error: CollectorError): void
}

export interface Outcome {
  readonly letters: readonly DeadLetter[]
  readonly written: number
  readonly expired: number
}

/** Requests of one batch, once it is known that some lines are refused; and after how many the brake may end it. */
const REQUESTS_MAX = 1_000
const BRAKE_REQUESTS_MIN = 64
/** Refused lines of one node, found one by one, after which the rest of its lines is set apart. */
const APART_MIN = 3
/** Refused lines of one node in a row, none taken in between, after which the search leaps; and after so many leaps its others are not tried. */
const NODE_TRIES_MAX = 24
const LEAPS_MAX = 8

interface Piece {
  readonly lines: readonly LineSpan[]
  /** No line of it is set apart. */
  readonly isWhole?: boolean
  /** The node whose lines were set apart. */
  readonly node?: string
  /** How many lines had expired before newer lines of the same piece were tried: when there are more now, whatever expires in here, all of it does. */
  readonly expiredBefore?: number
  /** It was refused for a limit, and is a half of what was refused for it. */
  readonly fruitless?: number
}

/** Rejects with `db_limit`, `db_rejected` (`hold` by the brake, `retry` when the search is not through), or what ends the sending. */
export async function searchBatch(search: Search): Promise<Outcome> {
  const { batch, brake, way, clock } = search
  const { bytes } = batch
  const letters: DeadLetter[] = []
  let written = 0
  let expired = 0
  let isAnyTaken = false
  let isSearching = search.found.size > 0
  let requests = 0
  /** The number of expired lines that the database told was proven wrong. */
  let isCountWrong = false
  let isControlled = false
  /** The other nodes' lines are written. */
  let isApartNext = false

  const todo: Piece[] = []
  /** The database has read them without a fault, and written none of them. */
  const checked: LineSpan[] = []
  const apart = new Map<string, LineSpan[]>()
  /** By node: refused lines found one by one, and how many of them since one of its lines was taken, and leaps since. */
  const refusals = new Map<string, { all: number; inRow: number; leaps: number }>()
  const nodes = new Map<LineSpan, string | undefined>()
  const textIn = ({ start, end }: LineSpan) => textOf(bytes.subarray(start, end))
  const limits = createLimitSearch({ textOf: textIn, nodeOf: (line) => nodeIn(line) ?? 'none', known: search.known })

  function nodeIn(line: LineSpan): string | undefined {
    if (!nodes.has(line)) nodes.set(line, nodeOf(textIn(line)))
    return nodes.get(line)
  }

  const known = linesOf(bytes).filter((line) => !isFound(line))
  if (search.first === undefined) todo.push({ lines: known })
  else await meet({ lines: known }, known, search.first)
  for (;;) {
    const piece = next()
    if (piece !== undefined) await deliver(piece)
    else if (!(await halveLimited())) break
  }
  const limit = limits.error()
  if (limit !== undefined) throw limit
  if (!isAnyTaken && brake.isOn()) throw brake.error(letters.at(-1)?.detail ?? '')
  return { letters, written, expired }

  function isFound(line: LineSpan): boolean {
    const detail = search.found.get(textIn(line))
    if (detail === undefined) return false
    letters.push({ stage: 'sink', reason: 'rejected', detail, text: textIn(line), node: nodeIn(line) })
    return true
  }

  function next(): Piece | undefined {
    const piece = todo.pop()
    if (piece !== undefined) return piece
    // The good lines of other nodes go first; those found among lines that are set apart go last, all together.
    if (!isApartNext && checked.length > 0) return { lines: checked.splice(0), isWhole: true }
    for (const [node, lines] of apart) {
      if (lines.length === 0) continue
      isApartNext = true
      return { lines: lines.splice(0), isWhole: true, node }
    }
    return checked.length > 0 ? { lines: checked.splice(0), isWhole: true } : undefined
  }

  async function deliver(piece: Piece): Promise<void> {
    const lines = piece.isWhole ? piece.lines : withoutApart(piece.lines)
    if (lines.length === 0) return
    const count = refusals.get(piece.node ?? '')
    if (count !== undefined && count.inRow >= NODE_TRIES_MAX) {
      if (lines.length > 1 && count.leaps < LEAPS_MAX) {
        count.leaps += 1
        const middle = lines.length >> 1
        todo.push({ ...piece, lines: lines.slice(0, middle) })
        return await send(piece, lines.slice(middle))
      }
      return untried(lines, count.inRow)
    }
    return await send(piece, lines)
  }

  async function send(piece: Piece, lines: readonly LineSpan[]): Promise<void> {
    const body = bytesOf(bytes, lines)
    if (body.length > search.bytesMax() && lines.length > 1) return halve(piece, lines)
    guard()
    await meet(piece, lines, await way.send(body))
  }

  async function meet(piece: Piece, lines: readonly LineSpan[], verdict: Verdict): Promise<void> {
    switch (verdict.kind) {
      case 'ack':
        written += lines.length
        limits.taken(lines)
        return took(lines)
      case 'split': {
        const size = bytesOf(bytes, lines).length
        if (lines.length === 1) return refuse(lines[0]!, 'too_large', verdict.error.message, 'content')
        search.lowerCeiling(size, verdict.isPassing)
        return halve(piece, lines)
      }
      case 'expired': {
        isSearching = true
        const isOld = piece.expiredBefore !== undefined && expired > piece.expiredBefore
        return await deliverUnexpired(piece, lines, isOld ? Number.POSITIVE_INFINITY : verdict.dropped)
      }
      case 'limit':
        isSearching = true
        limits.met(lines, verdict, piece.fruitless ?? 0)
        return
      case 'refused':
        isSearching = true
        return await takeOut(piece, lines, verdict)
      default:
        throw verdict.error
    }
  }

  async function takeOut(
    piece: Piece,
    lines: readonly LineSpan[],
    verdict: Extract<Verdict, { kind: 'refused' }>,
  ): Promise<void> {
    if (verdict.cause === 'unknown') await control(verdict.detail)
    const named = verdict.named(lines.map(textIn))
    if (named === undefined) {
      if (lines.length > 1) return halve(piece, lines)
      refuse(lines[0]!, 'rejected', verdict.detail, verdict.cause)
      return searched(lines[0]!)
    }
    const reject = (line: LineSpan, { detail, why }: Reason) => refuse(line, 'rejected', detail, causeOf(why))
    for (const [index, reason] of named.lines) reject(lines[index]!, reason)
    if (named.kind === 'every') {
      todo.push({ ...piece, lines: lines.filter((_, index) => !named.lines.has(index)), isWhole: true })
      return
    }
    for (const index of named.lines.keys()) {
      const before = lines.slice(0, index)
      checked.push(...before)
      took(before)
      searched(lines[index]!)
      todo.push({ ...piece, lines: lines.slice(index + 1) })
    }
  }

  /** A refusal in unknown words may be about the request: then a line that cannot be at fault is refused as well. */
  async function control(detail: string): Promise<void> {
    if (isAnyTaken || isControlled) return
    if (!(await way.control())) throw brake.error(detail)
    isControlled = true
  }

  function took(lines: readonly LineSpan[]): void {
    if (lines.length === 0 || (isAnyTaken && refusals.size === 0)) return
    for (const line of lines) {
      const node = nodeIn(line)
      if (node === undefined) continue
      isAnyTaken = true
      const count = refusals.get(node)
      if (count !== undefined) Object.assign(count, { inRow: 0, leaps: 0 })
    }
    if (isAnyTaken) brake.taken()
  }

  function refuse(line: LineSpan, reason: 'rejected' | 'too_large', detail: string, cause: Cause): void {
    const node = nodeIn(line)
    letters.push({ stage: 'sink', reason, detail, text: textIn(line), node })
    if (node !== undefined && !isAnyTaken) brake.refused(node, cause)
  }

  /** It took a request to find this line. */
  function searched(line: LineSpan): void {
    const node = nodeIn(line)
    if (node === undefined) return
    const { all, inRow, leaps } = refusals.get(node) ?? { all: 0, inRow: 0, leaps: 0 }
    refusals.set(node, { all: all + 1, inRow: inRow + 1, leaps })
    if (all + 1 >= APART_MIN && !apart.has(node)) apart.set(node, [])
  }

  function untried(lines: readonly LineSpan[], tries: number): void {
    const last = letters.at(-1)?.detail
    for (const line of lines) {
      const detail = `not tried, because the ${tries} lines of this node that were tried last were refused, the last one: ${last}`
      refuse(line, 'rejected', detail, 'content')
    }
  }

  function withoutApart(lines: readonly LineSpan[]): readonly LineSpan[] {
    if (apart.size === 0) return lines
    return lines.filter((line) => {
      const own = apart.get(nodeIn(line) ?? '')
      own?.push(line)
      return own === undefined
    })
  }

  function halve(piece: Piece, lines: readonly LineSpan[]): void {
    const middle = lines.length >> 1
    const { expiredBefore: _, ...rest } = piece
    todo.push({ ...rest, lines: lines.slice(middle) }, { ...rest, lines: lines.slice(0, middle) })
  }

  /** Lines older than the retention are dropped by the database's own policy, the others are written. How many: as it says, if they are
   * the oldest ones, which is proven by writing the others again; else the bound is searched. */
  async function deliverUnexpired(
    piece: Piece,
    lines: readonly LineSpan[],
    dropped: number | undefined,
  ): Promise<void> {
    if (lines.length === 1 || (dropped ?? 0) >= lines.length) {
      expired += lines.length
      return took(lines)
    }
    const sorted = oldestFirst(lines)
    if (dropped !== undefined && !isCountWrong) {
      guard()
      const verdict = await way.send(bytesOf(bytes, sorted.slice(dropped)))
      if (verdict.kind === 'ack') {
        written += lines.length - dropped
        expired += dropped
        return took(lines)
      }
      if (verdict.kind === 'error' || verdict.kind === 'unconfirmed') throw verdict.error
      isCountWrong = true
    }
    const middle = sorted.length >> 1
    const { expiredBefore: _, ...rest } = piece
    todo.push({ ...rest, lines: sorted.slice(0, middle), expiredBefore: expired })
    todo.push({ ...rest, lines: sorted.slice(middle) })
  }

  /** One step of storing what fits under a limit. False when there is nothing left to do. */
  async function halveLimited(): Promise<boolean> {
    const part = clock.monotonicMs() > search.deadlineMs ? undefined : limits.next()
    if (part === undefined) return false
    for (const [index, lines] of part.halves.entries())
      if (index === 0 || !limits.isRefused(lines))
        await deliver({ lines, isWhole: true, fruitless: part.fruitless + 1 })
    return true
  }

  function guard(): void {
    if (!isSearching) return
    requests += 1
    if (requests > BRAKE_REQUESTS_MIN && !isAnyTaken && brake.isOn()) throw brake.error(letters.at(-1)?.detail ?? '')
    if (requests <= REQUESTS_MAX && clock.monotonicMs() <= search.deadlineMs) return
    const limit = limits.error()
    if (limit !== undefined) throw limit
    const error = new CollectorError(
      `${search.label} refuses lines of a batch without saying which: ${letters.length} of ${batch.lineCount} were found in ${requests - 1} requests (${letters.at(-1)?.detail ?? 'no reason given'}). The search goes on with the next attempt, and other lines wait for it; check whether a proxy in between changes or shortens what the database answers.`,
      { stage: 'sink', code: 'db_rejected', reaction: 'retry' },
    )
    search.onUnfinished(new Map(letters.map(({ text, detail = '' }) => [text, detail])), error)
    throw error
  }
}
