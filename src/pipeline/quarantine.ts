/** Quarantines what cannot be stored: messages and entries are collected while a window is read, and are in the dead letters before the
 * window is done.
 *
 * A message is quarantined alone, and the line continues. That holds for what the parser refuses, for entries whose counters do not fit, and
 * for a message on which our own code throws: it is kept as it was received, and none of its points is sent. Of a message that lacks a setting, such as
 * the key of its masks, only node and start are kept. */
import { CollectorError } from '../base/errors.ts'
import type { PipelineMetrics } from '../observe/metrics.ts'
import { idOf } from '../sink/dead-letter-quota.ts'
import type { DeadLetter, DeadLetters } from '../sink/sink.ts'
import type { Message, QuarantinedPart } from '../source/parse/message.ts'
import { HEAD_BYTES_MAX, headWithLength } from '../source/parse/text.ts'
import { claimsOf } from './claims.ts'

export interface Quarantine {
  /** Messages and entries that were quarantined so far. */
  readonly count: number
  /** True when enough bytes are collected that they should be written. */
  isFull(): boolean
  /** Parts of a message, or all of it, that the parser (`source`) or `flatten` refused. */
  parts(stage: 'source' | 'flatten', message: Message, parts: readonly QuarantinedPart[]): void
  /** A message on which our own code threw, while its points (`flatten_failed`) or its lines (`encode_failed`) were made. Throws the error
   * again when its cause is not the message. */
  failed(message: Message, reason: 'flatten_failed' | 'encode_failed', error: unknown): void
  /** Writes what is collected to the dead letters. Rejects with a CollectorError when they cannot be written. */
  post(): Promise<void>
}

const WAITING_BYTES_MAX = 1 << 20
/** Kept of a message on which our own code throws: all that a client sends at once, so that the bug can be found. */
const FAILED_BYTES_MAX = 512 << 10
const NODE_LENGTH_MAX = 256

export function createQuarantine(
  digest: { add(hash: bigint): void },
  deps: { readonly deadLetters: Pick<DeadLetters, 'append'>; readonly metrics: Pick<PipelineMetrics, 'quarantined'> },
): Quarantine {
  let letters: DeadLetter[] = []
  let waitingBytes = 0
  let count = 0

  function add(letter: DeadLetter & { readonly id: string }): void {
    letters.push(letter)
    waitingBytes += letter.text.length
    count += letter.count ?? 1
    // So that a late pass also sees a change in what made no point.
    digest.add(BigInt(`0x${letter.id}`))
  }

  return {
    get count() {
      return count
    },
    isFull: () => waitingBytes > WAITING_BYTES_MAX,

    parts(stage, message, parts) {
      const { nodeId, startNs, loggedNs, hasLogged } = message
      // All entries of a message with the same reason and kind are one letter: there may be tens of thousands.
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
          // Two that are too large may begin with the same text.
          id: idOf(stage, reason, kind, ...identity, ...texts, ...group.map(({ bytes = '' }) => `${bytes}`)),
          isOurFault: reason === 'read_failed',
        })
      }
    },

    failed(message, thrownAt, error) {
      if (error instanceof CollectorError && error.stage !== 'flatten') throw error
      const { nodeId, startNs, loggedNs, hasLogged, json, jsonStart, jsonEnd } = message
      const reason = error instanceof CollectorError ? error.code : thrownAt
      // It lacks something that a person must set, and can be read again then. What a mask would hide is not kept.
      const isOurFault = !(error instanceof CollectorError && error.reaction === 'hold')
      const text = isOurFault
        ? headWithLength(json, jsonStart, jsonEnd, FAILED_BYTES_MAX)
        : { text: JSON.stringify({ nodeId: nodeId.slice(0, NODE_LENGTH_MAX), startNs: String(startNs) }) }
      add({
        stage: 'flatten',
        reason,
        node: nodeId,
        ...(hasLogged ? { loggedNs } : {}),
        detail: error instanceof Error ? (isOurFault && error.stack) || error.message : String(error),
        ...text,
        id: idOf('flatten', reason, nodeId, text.text),
        isOurFault,
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

/** JSON texts as one list, cut after 64 KiB; if cut, with the length of the whole. */
function listOf(texts: readonly string[]): { readonly text: string; readonly bytes?: number } {
  const kept: string[] = []
  let length = 2
  for (const text of texts) {
    length += Buffer.byteLength(text) + 1
    if (length <= HEAD_BYTES_MAX) kept.push(text)
  }
  return kept.length === texts.length ? { text: `[${kept.join()}]` } : { text: `[${kept.join()}`, bytes: length - 1 }
}
