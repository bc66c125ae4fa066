/** What of a window cannot be taken: collected while it is read, and in the dead letters before the window is done.
 *
 * One message is set aside alone. That holds for what the reader refuses, for entries whose counters do not fit, and for a message on which
 * our own code throws: it is kept as it was received, none of its points is sent, and the line goes on. */
import { CollectorError } from '../base/errors.ts'
import { idOf } from '../sink/dead-letter-quota.ts'
import type { DeadLetter, DeadLetters } from '../sink/sink.ts'
import { claimsOf } from '../source/parse/claims.ts'
import type { Message, QuarantinedPart } from '../source/parse/message.ts'
import { HEAD_BYTES_MAX, headWithLength } from '../source/parse/text.ts'
import type { Digest } from './digest.ts'
import type { PipelineMetrics } from './metrics.ts'

export interface Quarantine {
  /** Messages and entries that could not be taken so far. */
  readonly count: number
  /** So many bytes wait that they should be posted. */
  isFull(): boolean
  /** Parts of a message, or the whole of it, that the reader (`source`) or the making of points (`flatten`) could not take. */
  parts(stage: 'source' | 'flatten', message: Message, parts: readonly QuarantinedPart[]): void
  /** A message on which our own code threw: while its points were made (`flatten_failed`) or its lines (`encode_failed`). Throws the error
   * again when it is about something else than the message. */
  failed(message: Message, reason: 'flatten_failed' | 'encode_failed', error: unknown): void
  /** Writes what waits. Rejects with a CollectorError when the dead letters cannot be written. */
  post(): Promise<void>
}

const WAITING_BYTES_MAX = 1 << 20
/** Of a message on which our own code throws: all that a client sends at once, to find the fault with. */
const FAILED_BYTES_MAX = 512 << 10

export function createQuarantine(
  digest: Pick<Digest, 'add'>,
  deps: { readonly deadLetters: Pick<DeadLetters, 'append'>; readonly metrics: Pick<PipelineMetrics, 'quarantined'> },
): Quarantine {
  let letters: DeadLetter[] = []
  let waitingBytes = 0
  let count = 0

  function add(letter: DeadLetter & { readonly id: string }): void {
    letters.push(letter)
    waitingBytes += letter.text.length
    count += letter.count ?? 1
    // So that a late pass sees a change in what is in no point.
    digest.add(BigInt(`0x${letter.id}`))
  }

  return {
    get count() {
      return count
    },
    isFull: () => waitingBytes > WAITING_BYTES_MAX,

    parts(stage, message, parts) {
      const { nodeId, startNs, loggedNs, hasLogged } = message
      // Of one reason and kind, all entries of a message are one letter: there may be tens of thousands.
      for (const group of Map.groupBy(parts, ({ reason, kind = '' }) => `${reason} ${kind}`).values()) {
        const [{ reason, kind = '', detail }] = group as [QuarantinedPart]
        const texts = group.map(({ text }) => text)
        const isRead = nodeId !== ''
        const identity = isRead ? [nodeId, String(startNs)] : []
        add({
          stage,
          reason,
          ...(isRead ? { node: nodeId, ...(hasLogged ? { loggedNs } : {}) } : claimsOf(texts[0] ?? '')),
          detail,
          count: group.length,
          ...(group.length === 1 ? { text: texts[0] ?? '', bytes: group[0]?.bytes } : listOf(texts)),
          // Two that are too large may begin alike.
          id: idOf(stage, reason, kind, ...identity, ...texts, ...group.map(({ bytes = '' }) => `${bytes}`)),
          isOurFault: reason === 'read_failed',
        })
      }
    },

    failed(message, thrownAt, error) {
      if (error instanceof CollectorError && error.stage !== 'flatten') throw error
      const { nodeId, loggedNs, hasLogged, json, jsonStart, jsonEnd } = message
      const reason = error instanceof CollectorError ? error.code : thrownAt
      const text = headWithLength(json, jsonStart, jsonEnd, FAILED_BYTES_MAX)
      add({
        stage: 'flatten',
        reason,
        node: nodeId,
        ...(hasLogged ? { loggedNs } : {}),
        detail: error instanceof Error ? (error.stack ?? error.message) : String(error),
        ...text,
        id: idOf('flatten', reason, nodeId, text.text),
        isOurFault: true,
      })
    },

    async post() {
      const fresh = await deps.deadLetters.append(letters)
      for (const letter of fresh) deps.metrics.quarantined(letter.reason, letter.count ?? 1)
      letters = []
      waitingBytes = 0
    },
  }
}

/** Texts of JSON as one list, cut after 64 KiB; then with the length of the whole. */
function listOf(texts: readonly string[]): { readonly text: string; readonly bytes?: number } {
  const kept: string[] = []
  let length = 2
  for (const text of texts) {
    length += Buffer.byteLength(text) + 1
    if (length <= HEAD_BYTES_MAX) kept.push(text)
  }
  return kept.length === texts.length ? { text: `[${kept.join()}]` } : { text: `[${kept.join()}`, bytes: length - 1 }
}
