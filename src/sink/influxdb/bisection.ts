/** Finds the lines of a batch that cannot be written: halves the batch after a 413, and isolates lines that will never fit, lines older than
 * the retention, and lines that exceed a limit. Good lines may be sent more than once: writing them again changes nothing.
 *
 * Refused lines are removed where the answer names them. 1.x and 2.x name all of them. 3.x names the first one, so the search continues after
 * it, and the good lines before it follow in one request. Lines are halved only where none is named. What one node
 * can cost is bounded in refused-nodes.ts. */
import type { Clock } from '../../base/clock.ts'
import { CollectorError } from '../../base/errors.ts'
import { bytesOf, type LineSpan, linesOf, nodeOf, oldestFirst, textOf } from '../line-protocol/line-spans.ts'
import type { Batch, DeadLetter } from '../sink.ts'
import type { Brake } from './backpressure.ts'
import type { Reason } from './error-message.ts'
import { type Cause, causeOf } from './error-texts.ts'
import type { Known } from './known-values.ts'
import { createRefusedNodes } from './refused-nodes.ts'
import type { WriteOutcome } from './response-policy.ts'
import { createLimitSearch } from './series-limit.ts'

/** Sends parts of a batch. */
export interface LineSender {
  /** Retries until there is an answer about the lines; rejects with the error that ends the batch. */
  send(bytes: Uint8Array): Promise<WriteOutcome>
  /** Sends a plain line of tailflux itself. False: it is refused with an unknown text as well. Rejects with any other error. */
  control(): Promise<boolean>
}

export interface Search {
  readonly label: string
  readonly batch: Batch
  /** By the monotonic clock, ms. */
  readonly deadlineMs: number
  readonly sender: LineSender
  /** The answer to the whole batch, if it was sent. */
  readonly first: WriteOutcome | undefined
  /** Lines that an earlier search found refused, with the reason. */
  readonly found: ReadonlyMap<string, string>
  readonly brake: Brake
  readonly known: Known
  readonly clock: Clock
  bytesMax(): number
  lowerCeiling(bytes: number, isPassing: boolean): void
  /** The search ends before it is complete; `refused` by text, with the reason. */
  onUnfinished(refused: ReadonlyMap<string, string>, error: CollectorError): void
}

export interface SearchResult {
  readonly letters: readonly DeadLetter[]
  readonly written: number
  readonly expired: number
}

/** Maximum requests of one batch once some lines are refused; and after how many the brake may end the search. */
const REQUESTS_MAX = 1_000
const BRAKE_REQUESTS_MIN = 64

interface Piece {
  readonly lines: readonly LineSpan[]
  /** None of its lines waits for the other nodes. */
  readonly isWhole?: boolean
  /** The node whose lines waited. */
  readonly node?: string
  /** How many lines had expired before newer lines of the same piece were tried. If there are more now, all lines of this piece expire. */
  readonly expiredBefore?: number
  /** It was refused for a limit, and is a half of what was refused for it. */
  readonly fruitless?: number
}

/** Rejects with `db_limit`, `db_rejected` (`hold` by the brake, `retry` when the search is not complete), or the error that ended a request. */
export async function searchBatch(search: Search): Promise<SearchResult> {
  const { batch, brake, sender, clock } = search
  const { bytes } = batch
  const letters: DeadLetter[] = []
  let written = 0
  let expired = 0
  let isAnyTaken = false
  let isSearching = search.found.size > 0
  let requests = 0
  /** The number of expired lines that the database reported was wrong. */
  let isCountWrong = false
  let isControlled = false
  /** The other nodes' lines are written. */
  let isApartNext = false

  const todo: Piece[] = []
  /** The database has parsed these without an error, and written none of them. */
  const checked: LineSpan[] = []
  const nodes = new Map<LineSpan, string | undefined>()
  const textIn = ({ start, end }: LineSpan) => textOf(bytes.subarray(start, end))
  const limits = createLimitSearch({ textOf: textIn, nodeOf: (line) => nodeIn(line) ?? 'none', known: search.known })

  const refusedNodes = createRefusedNodes(nodeIn)

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
    // The good lines of other nodes go first; good lines found among waiting lines go last, all together.
    if (!isApartNext && checked.length > 0) return { lines: checked.splice(0), isWhole: true }
    const waiting = refusedNodes.nextWaiting()
    if (waiting !== undefined) {
      isApartNext = true
      return { ...waiting, isWhole: true }
    }
    return checked.length > 0 ? { lines: checked.splice(0), isWhole: true } : undefined
  }

  async function deliver(piece: Piece): Promise<void> {
    const lines = piece.isWhole ? piece.lines : refusedNodes.withoutWaiting(piece.lines)
    if (lines.length === 0) return
    const plan = refusedNodes.plan(piece.node, lines.length)
    if (plan.kind === 'give-up') return untried(lines, plan.tries)
    if (plan.kind === 'skip') {
      const middle = lines.length >> 1
      todo.push({ ...piece, lines: lines.slice(0, middle) })
      return await send(piece, lines.slice(middle))
    }
    return await send(piece, lines)
  }

  async function send(piece: Piece, lines: readonly LineSpan[]): Promise<void> {
    const body = bytesOf(bytes, lines)
    if (body.length > search.bytesMax() && lines.length > 1) return halve(piece, lines)
    guard()
    await meet(piece, lines, await sender.send(body))
  }

  async function meet(piece: Piece, lines: readonly LineSpan[], outcome: WriteOutcome): Promise<void> {
    switch (outcome.kind) {
      case 'ack':
        written += lines.length
        limits.taken(lines)
        return took(lines)
      case 'split': {
        const size = bytesOf(bytes, lines).length
        if (lines.length === 1) return refuse(lines[0]!, 'too_large', outcome.error.message, 'content')
        search.lowerCeiling(size, outcome.isPassing)
        return halve(piece, lines)
      }
      case 'expired': {
        isSearching = true
        const isOld = piece.expiredBefore !== undefined && expired > piece.expiredBefore
        return await deliverUnexpired(piece, lines, isOld ? Number.POSITIVE_INFINITY : outcome.dropped)
      }
      case 'limit':
        isSearching = true
        limits.met(lines, outcome, piece.fruitless ?? 0)
        return
      case 'refused':
        isSearching = true
        return await takeOut(piece, lines, outcome)
      default:
        throw outcome.error
    }
  }

  async function takeOut(
    piece: Piece,
    lines: readonly LineSpan[],
    outcome: Extract<WriteOutcome, { kind: 'refused' }>,
  ): Promise<void> {
    if (outcome.cause === 'unknown') await control(outcome.detail)
    const named = outcome.named(lines.map(textIn))
    if (named === undefined) {
      if (lines.length > 1) return halve(piece, lines)
      refuse(lines[0]!, 'rejected', outcome.detail, outcome.cause)
      return refusedNodes.found(nodeIn(lines[0]!))
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
      refusedNodes.found(nodeIn(lines[index]!))
      todo.push({ ...piece, lines: lines.slice(index + 1) })
    }
  }

  /** A refusal with an unknown text may be about the request: then a line that is certainly good is refused as well. */
  async function control(detail: string): Promise<void> {
    if (isAnyTaken || isControlled) return
    if (!(await sender.control())) throw brake.error(detail)
    isControlled = true
  }

  function took(lines: readonly LineSpan[]): void {
    if (lines.length === 0 || (isAnyTaken && refusedNodes.isEmpty())) return
    for (const line of lines) {
      const node = nodeIn(line)
      if (node === undefined) continue
      isAnyTaken = true
      refusedNodes.taken(node)
    }
    if (isAnyTaken) brake.taken()
  }

  function refuse(line: LineSpan, reason: 'rejected' | 'too_large', detail: string, cause: Cause): void {
    const node = nodeIn(line)
    letters.push({ stage: 'sink', reason, detail, text: textIn(line), node })
    if (node !== undefined && !isAnyTaken) brake.refused(node, cause)
  }

  function untried(lines: readonly LineSpan[], tries: number): void {
    const last = letters.at(-1)?.detail
    for (const line of lines) {
      const detail = `not tried, because the last ${tries} lines of this node were refused, the last one with: ${last}`
      refuse(line, 'rejected', detail, 'content')
    }
  }

  function halve(piece: Piece, lines: readonly LineSpan[]): void {
    const middle = lines.length >> 1
    const { expiredBefore: _, ...rest } = piece
    todo.push({ ...rest, lines: lines.slice(middle) }, { ...rest, lines: lines.slice(0, middle) })
  }

  /** The database drops lines older than the retention and writes the others. Its count is used if it means the oldest lines, which is
   * checked by writing the others again; otherwise the bound is searched. */
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
      const outcome = await sender.send(bytesOf(bytes, sorted.slice(dropped)))
      if (outcome.kind === 'ack') {
        written += lines.length - dropped
        expired += dropped
        return took(lines)
      }
      if (outcome.kind === 'error' || outcome.kind === 'unconfirmed') throw outcome.error
      isCountWrong = true
    }
    const middle = sorted.length >> 1
    const { expiredBefore: _, ...rest } = piece
    todo.push({ ...rest, lines: sorted.slice(0, middle), expiredBefore: expired })
    todo.push({ ...rest, lines: sorted.slice(middle) })
  }

  /** One step of storing the lines that fit under a limit. False when there is nothing left to do. */
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
      `${search.label} refuses lines of a batch without saying which: ${letters.length} of ${batch.lineCount} were found in ${requests - 1} requests (${letters.at(-1)?.detail ?? 'no reason given'}). The search continues with the next attempt, and other lines wait for it. Check whether a proxy in between changes or shortens the answers of the database.`,
      { stage: 'sink', code: 'db_rejected', reaction: 'retry' },
    )
    search.onUnfinished(new Map(letters.map(({ text, detail = '' }) => [text, detail])), error)
    throw error
  }
}
