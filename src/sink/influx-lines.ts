/** Finds out what becomes of each line of one batch when the database does not simply take them all: halves after a 413, a search for the
 * lines that will never fit, and the lines that are older than its retention.
 *
 * Good lines may be sent more than once on the way: writing them again changes nothing. Nothing goes to the dead letters before the whole
 * batch is settled, so a batch that is given up leaves no trace and is looked at afresh the next time. */
import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import { CollectorError } from '../errors.ts'
import type { Verdict } from './influx-answer.ts'
import { type LineSpan, lineCountOf, linesOf, textOf } from './line-spans.ts'
import type { Batch, DeadLetter, DeadLetters, Receipt, SinkMetrics } from './sink.ts'

export interface LinesDeps {
  readonly label: string
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: SinkMetrics
  readonly deadLetters: Pick<DeadLetters, 'append'>
}

export interface Lines {
  /** `send` insists until there is an answer about the lines; it rejects with the error that ends the batch. */
  deliver(batch: Batch, deadlineMs: number, send: (bytes: Uint8Array) => Promise<Verdict>): Promise<Receipt>
}

/** A line that is refused lies in the dead letters; when so many of the last lines are, it is not the lines' fault. */
const REFUSED_MIN = 20
const REFUSED_SHARE = 0.05
/** Of how many lines the share is taken, at most: what was long ago says little. */
const RECENT_LINES_MAX = 200_000
/** Requests of one batch, once it is known that some lines are refused; and how many of them without any line accepted. */
const SEARCH_REQUESTS_MAX = 1_000
const FRUITLESS_REQUESTS_MAX = 64
/** A proxy that refuses everything must not leave us with one line per request for ever. */
const BYTES_CEILING_MIN = 16_384

export function createLines(deps: LinesDeps): Lines {
  /** Batches larger than this were refused once. */
  let bytesCeiling = Number.POSITIVE_INFINITY
  const recent = { lines: 0, refused: 0 }

  function remember(lines: number, refused: number): void {
    recent.lines += lines
    recent.refused += refused
    if (recent.lines <= RECENT_LINES_MAX) return
    recent.lines /= 2
    recent.refused /= 2
  }

  function isTooMany(refused: number, batchLines: number): boolean {
    const all = recent.refused + refused
    return all > REFUSED_MIN && all > (recent.lines + batchLines) * REFUSED_SHARE
  }

  function systematic(why: string, detail: string): CollectorError {
    return new CollectorError(
      `${deps.label} refuses ${why} (${detail}). That is no matter of single lines: check for a field type conflict, a schema limit, or another service on this URL; nothing is lost meanwhile.`,
      { stage: 'sink', code: 'db_rejected', reaction: 'hold' },
    )
  }

  return {
    async deliver(batch, deadlineMs, send) {
      const letters: DeadLetter[] = []
      let written = 0
      let expired = 0
      let isSearching = false
      let searchRequests = 0
      /** The number of expired lines that the database told was proven wrong. */
      let isCountWrong = false
      /** A refusal in unknown words, which may be about the request and not about the line. */
      let unclear: string | undefined

      /** `isOld`: some newer lines expired, so whatever expires in here, all of it does. */
      async function deliverPiece(bytes: Uint8Array, isOld = false): Promise<void> {
        if (bytes.length > bytesCeiling) {
          const lines = linesOf(bytes)
          if (lines.length > 1) return await deliverHalves(bytes, lines)
        }
        guardSearch()
        const verdict = await send(bytes)
        switch (verdict.kind) {
          case 'ack':
            written += lineCountOf(bytes)
            return
          case 'split': {
            const lines = linesOf(bytes)
            if (lines.length === 1) return refuse(bytes, 'too_large', verdict.error.message)
            lowerCeiling(bytes.length)
            return await deliverHalves(bytes, lines)
          }
          case 'expired':
            isSearching = true
            return await deliverUnexpired(bytes, isOld ? Number.POSITIVE_INFINITY : verdict.dropped)
          case 'isolate': {
            isSearching = true
            const lines = linesOf(bytes)
            if (!verdict.isAboutLines) unclear = verdict.detail
            if (lines.length === 1) return refuse(bytes, 'rejected', verdict.detail)
            return await deliverHalves(bytes, lines)
          }
          default:
            throw verdict.error
        }
      }

      function guardSearch(): void {
        if (!isSearching) return
        searchRequests += 1
        const isFruitless = written + expired === 0 && searchRequests > FRUITLESS_REQUESTS_MAX
        if (isFruitless || searchRequests > SEARCH_REQUESTS_MAX || deps.clock.monotonicMs() > deadlineMs) {
          throw systematic('many lines of one batch', letters.at(-1)?.detail ?? 'no end of the search')
        }
      }

      function lowerCeiling(bytes: number): void {
        const ceiling = Math.max(BYTES_CEILING_MIN, Math.floor(bytes / 2))
        if (ceiling >= bytesCeiling) return
        bytesCeiling = ceiling
        deps.log.warn({ bytesCeiling }, 'database refused a batch as too large, batches are smaller from now on')
      }

      async function deliverHalves(bytes: Uint8Array, lines: readonly LineSpan[]): Promise<void> {
        const middle = lines[lines.length >> 1]?.start ?? 0
        await deliverPiece(bytes.subarray(0, middle))
        await deliverPiece(bytes.subarray(middle))
      }

      /** Lines older than the retention are dropped by the database's own policy, the others are written. How many: as it says, if they are
       * the oldest ones, which is proven by writing the others again; else the bound is searched. */
      async function deliverUnexpired(bytes: Uint8Array, dropped: number | undefined): Promise<void> {
        const lines = linesOf(bytes)
        if (lines.length === 1 || (dropped ?? 0) >= lines.length) {
          expired += lines.length
          return
        }
        const sorted = oldestFirst(bytes, lines)
        const spans = linesOf(sorted)
        if (dropped !== undefined && !isCountWrong) {
          guardSearch()
          const verdict = await send(sorted.subarray(spans[dropped]?.start))
          if (verdict.kind === 'ack') {
            written += lines.length - dropped
            expired += dropped
            return
          }
          if (verdict.kind === 'error' || verdict.kind === 'unconfirmed') throw verdict.error
          isCountWrong = true
        }
        const middle = spans[spans.length >> 1]?.start ?? 0
        const before = expired
        await deliverPiece(sorted.subarray(middle))
        await deliverPiece(sorted.subarray(0, middle), expired > before)
      }

      function refuse(line: Uint8Array, reason: 'rejected' | 'too_large', detail: string): void {
        letters.push({ stage: 'sink', reason, detail, text: textOf(line) })
        if (isTooMany(letters.length, batch.lineCount))
          throw systematic(`more than ${letters.length - 1} lines`, detail)
      }

      await deliverPiece(batch.bytes)
      if (unclear !== undefined && written + expired === 0) throw systematic('every line of a batch', unclear)
      if (letters.length > 0) {
        const fresh = await deps.deadLetters.append(letters)
        if (fresh.length > 0) {
          deps.metrics.rejected(fresh.length, 'rejected')
          deps.log.error(
            { lineCount: fresh.length, reason: fresh[0]?.reason, detail: fresh[0]?.detail },
            'lines refused by the database lie in the dead letters now',
          )
        }
      }
      if (expired > 0) {
        deps.metrics.rejected(expired, 'expired')
        deps.log.info({ lineCount: expired }, 'lines older than the retention of the database are not kept there')
      }
      remember(batch.lineCount, letters.length)
      return { written, rejected: letters.length, expired }
    },
  }
}

/** The same lines in order of time. */
function oldestFirst(bytes: Uint8Array, lines: readonly LineSpan[]): Uint8Array {
  const order = lines.toSorted((one, other) =>
    one.timestampNs < other.timestampNs ? -1 : one.timestampNs > other.timestampNs ? 1 : 0,
  )
  return Buffer.concat(order.map(({ start, end }) => bytes.subarray(start, end)))
}
