/** Cuts an answer `{"logs":[…]}` into messages while its bytes come in. Holds one unfinished message and no more: other members
 * of the answer are skipped as they stream, whatever their shape and size. A message is read in place (compact-parser.ts); one of an
 * unusual shape is first cut out by its brackets and strings, then read by JSON.parse (exact-parser.ts). */
import { type Code, CollectorError, excerpt, type Reaction } from '../../base/errors.ts'
import { type ClockLimits, createClockBounds } from '../clock-bounds.ts'
import type { Window } from '../source.ts'
import { createColumns } from './columns.ts'
import { createCompactParser, MORE, ODD } from './compact-parser.ts'
import { createExactReader, quarantineMessage } from './exact-parser.ts'
import type { Message } from './message.ts'
import { createValueScanner } from './scan.ts'
import { headOf, headWithLength, textOf } from './text.ts'

/** A message whose clock is out of bounds is quarantined as `clock_out_of_bounds`. */
export interface ReaderLimits extends ClockLimits {
  /** Decoded bytes of one answer; more throws `api_too_large`. */
  readonly answerBytesMax: number
  /** Bytes of one message; a larger one is quarantined as `too_large`, held no further than its first 64 KiB. */
  readonly messageBytesMax: number
  /** Nesting inside a message, its own braces included; a deeper one is quarantined as `too_deep`. Usual messages have 4. */
  readonly depthMax: number
}

export interface MessageReader {
  /** Takes the next bytes (copied at once) and returns the messages that they complete. Take them all before the next call: a
   * message is valid only until the next one is taken. Throws, here or while messages are taken, a CollectorError of stage `source`:
   * `api_not_json` (retry), `api_truncated` (split) for damage inside the list, `api_too_large` (split); and again at every later call. */
  push(chunk: Uint8Array): Iterable<Message>
  /** The body is over. Throws `api_truncated` (split) when the JSON is not, `api_not_json` (retry) when there was none. */
  end(): void
  /** Decoded bytes taken so far. */
  bytesRead(): number
  /** Forgets the answer, whole or not; the next bytes are those of another one. `window`: what it was asked for; it stands in for `logged`
   * in messages that have none. */
  reset(window?: Window): void
}

const STATES = {
  open: 0, // before the answer's brace
  firstKey: 1,
  key: 2, // after a comma
  keyText: 3,
  colon: 4,
  value: 5,
  skip: 6, // inside a member that nobody needs
  next: 7, // after a member
  firstElement: 8,
  element: 9, // after a comma
  nextElement: 10, // after an element
  fast: 11, // inside a message that looks usual
  cut: 12, // inside one that does not
  drop: 13, // inside one that is too large
  done: 14,
} as const

/** `logs`, each letter written as an escape, and its quotes: no longer key can be it. */
const KEY_BYTES_MAX = 4 * 6 + 2
const BUFFER_BYTES = 256 * 1024
const KEPT_BYTES_MAX = 1 << 20
/** Zeros after the bytes, so that a parser may look ahead. */
const PADDING = 32

export function createMessageReader(limits: ReaderLimits): MessageReader {
  const columns = createColumns()
  const fast = createCompactParser(columns, limits.depthMax)
  const exact = createExactReader(columns)
  const scanner = createValueScanner()
  const isOutOfBounds = createClockBounds(limits)
  let buffer = new Uint8Array(BUFFER_BYTES)
  /** What is not used up yet: `buffer[pos, end)`; `buffer[end]` is 0. */
  let pos = 0
  let end = 0
  let total = 0
  let state: number = STATES.open
  let sawLogs = false
  let isLogs = false
  let key = ''
  /** In `cut`: bytes from `pos` on that the scanner has seen. */
  let scanned = 0
  let head = ''
  /** Of a message that is too large, as far as they are not held any more. */
  let dropped = 0
  /** What our own code threw at the message that is now looked through for its end. */
  let thrown: unknown
  let window: Window | undefined
  let failure: CollectorError | undefined

  function push(chunk: Uint8Array): Iterable<Message> {
    if (failure) throw failure
    total += chunk.length
    if (total > limits.answerBytesMax) {
      throw fail(
        'api_too_large',
        'split',
        `The answer is larger than ${limits.answerBytesMax} bytes; it is retried with a shorter window.`,
      )
    }
    take(chunk)
    return messages
  }

  const result: IteratorResult<Message> = { done: false, value: columns }
  const over: IteratorResult<Message> = { done: true, value: undefined }
  const iterator: Iterator<Message> = { next: () => (next() ? result : over) }
  const messages: Iterable<Message> = { [Symbol.iterator]: () => iterator }

  function take(chunk: Uint8Array): void {
    if (pos > 0) {
      buffer.copyWithin(0, pos, end)
      end -= pos
      pos = 0
    }
    const needed = end + chunk.length + PADDING
    if (needed > buffer.length) {
      const grown = new Uint8Array(Math.max(needed, Math.min(buffer.length * 2, limits.messageBytesMax + needed)))
      grown.set(buffer.subarray(0, end))
      buffer = grown
    }
    buffer.set(chunk, end)
    end += chunk.length
    buffer.fill(0, end, end + PADDING)
  }

  /** Works on until a message is complete (true) or the bytes are used up (false). */
  function next(): boolean {
    if (failure) throw failure
    for (;;) {
      switch (state) {
        case STATES.fast: {
          const stop = runFast()
          if (stop === MORE && end - pos <= limits.messageBytesMax) return false
          if (stop === MORE || stop === ODD || stop - pos > limits.messageBytesMax) {
            state = STATES.cut
            scanner.begin()
            scanned = 0
            continue
          }
          return took(stop)
        }
        case STATES.cut: {
          const stop = scanner.run(buffer, pos + scanned, end)
          scanned = (stop < 0 ? end : stop) - pos
          if (scanned > limits.messageBytesMax) {
            head = headOf(buffer, pos, pos + scanned)
            dropped = scanned
            pos += scanned
            if (stop < 0) {
              state = STATES.drop
              return false
            }
            return tooLarge()
          }
          if (stop < 0) return false
          return unusual(stop)
        }
        case STATES.drop: {
          const stop = scanner.run(buffer, pos, end)
          dropped += (stop < 0 ? end : stop) - pos
          pos = stop < 0 ? end : stop
          if (stop < 0) return false
          return tooLarge()
        }
        case STATES.skip: {
          const stop = scanner.run(buffer, pos, end)
          pos = stop < 0 ? end : stop
          if (stop < 0) return false
          if (!scanner.isValue()) throw garbage()
          state = STATES.next
          continue
        }
        case STATES.keyText: {
          const stop = scanner.run(buffer, pos, end)
          const upTo = stop < 0 ? end : stop
          if (key.length <= KEY_BYTES_MAX) key += textOf(buffer, pos, Math.min(upTo, pos + KEY_BYTES_MAX + 1))
          pos = upTo
          if (stop < 0) return false
          isLogs = key.length <= KEY_BYTES_MAX && isLogsKey(key)
          state = STATES.colon
          continue
        }
        default:
          if (!mark()) return false
      }
    }
  }

  /** One mark between values: a bracket, comma, colon, or the first byte of a value. False when the bytes are used up. */
  function mark(): boolean {
    if (state === STATES.open && total === end - pos && buffer[pos] === 0xef) {
      if (end - pos < 3) return false
      if (buffer[pos + 1] === 0xbb && buffer[pos + 2] === 0xbf) pos += 3
    }
    while (pos < end && isSpace(buffer[pos]!)) pos += 1
    if (pos === end) return false
    const c = buffer[pos]!
    switch (state) {
      case STATES.open:
        if (c !== 0x7b) throw garbage()
        state = STATES.firstKey
        break
      case STATES.firstKey:
      case STATES.key:
        if (c === 0x7d && state === STATES.firstKey) return close()
        if (c !== 0x22) throw garbage()
        scanner.begin()
        key = ''
        state = STATES.keyText
        return true
      case STATES.colon:
        if (c !== 0x3a) throw garbage()
        state = STATES.value
        break
      case STATES.value:
        if (isLogs && c === 0x5b) {
          sawLogs = true
          state = STATES.firstElement
          break
        }
        // null is an empty list; anything else is not what was asked for.
        if (isLogs && c !== 0x6e) throw garbage()
        sawLogs ||= isLogs
        scanner.begin()
        state = STATES.skip
        return true
      case STATES.next:
        if (c === 0x7d) return close()
        if (c !== 0x2c) throw garbage()
        state = STATES.key
        break
      case STATES.firstElement:
      case STATES.element:
        if (c === 0x5d && state === STATES.firstElement) {
          state = STATES.next
          break
        }
        if (c === 0x7b) {
          fast.begin()
          state = STATES.fast
        } else {
          scanner.begin()
          scanned = 0
          state = STATES.cut
        }
        return true
      case STATES.nextElement:
        if (c !== 0x2c && c !== 0x5d) throw garbage()
        state = c === 0x2c ? STATES.element : STATES.next
        break
      default:
        throw garbage()
    }
    pos += 1
    return true
  }

  function close(): boolean {
    if (!sawLogs) throw garbage()
    pos += 1
    state = STATES.done
    return true
  }

  function tooLarge(): true {
    if (!scanner.isValue()) throw garbage()
    quarantineMessage(columns, { reason: 'too_large', text: head, bytes: dropped })
    head = ''
    thrown = undefined
    state = STATES.nextElement
    return true
  }

  function unusual(stop: number): true {
    if (!scanner.isValue()) throw garbage()
    if (scanner.deepest() > limits.depthMax) {
      quarantineMessage(columns, { reason: 'too_deep', ...headWithLength(buffer, pos, stop) })
    } else if (thrown === undefined) {
      try {
        exact.read(buffer, pos, stop)
      } catch (error) {
        thrown = error
      }
    }
    if (thrown !== undefined) {
      const detail = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
      quarantineMessage(columns, { reason: 'read_failed', ...headWithLength(buffer, pos, stop), detail })
      thrown = undefined
    }
    return took(stop)
  }

  /** An exception of the parser is a bug of ours that one message brings to light: it is set aside alone, once its end is known. */
  function runFast(): number {
    try {
      return fast.run(buffer, pos, end)
    } catch (error) {
      thrown = error
      return ODD
    }
  }

  /** The columns hold the message that ends at `stop`. */
  function took(stop: number): true {
    if (columns.nodeId !== '') {
      if (isOutOfBounds(columns, window)) {
        quarantineMessage(columns, { reason: 'clock_out_of_bounds', ...headWithLength(buffer, pos, stop) })
      }
      columns.json = buffer
      columns.jsonStart = pos
      columns.jsonEnd = stop
    }
    pos = stop
    state = STATES.nextElement
    return true
  }

  /** Something at `pos` that does not belong there. Inside the list the rest of the answer cannot be trusted: asking for less helps
   * when an answer broke off and went on as something else. Elsewhere it is not the answer of the API at all. */
  function garbage(): CollectorError {
    const seen = excerpt(textOf(buffer, pos, Math.min(end, pos + 512)))
    if (state >= STATES.firstElement && state !== STATES.done) {
      return fail(
        'api_truncated',
        'split',
        `The answer is damaged inside its list of messages, at "${seen}"; it is retried with a shorter window.`,
      )
    }
    const what = state === STATES.done ? 'continues after its end' : 'is not the JSON of network flow logs'
    return fail(
      'api_not_json',
      'retry',
      `The answer ${what}, at "${seen}"; look for a proxy or portal in between, and check the API URL.`,
    )
  }

  function fail(code: Code, reaction: Reaction, text: string): CollectorError {
    failure = new CollectorError(text, { stage: 'source', code, reaction })
    return failure
  }

  return {
    push,
    end() {
      if (failure) throw failure
      if (next()) throw new Error('end() was called before all messages were taken')
      if (state === STATES.done) return
      if (state === STATES.open && pos === end) {
        throw fail(
          'api_not_json',
          'retry',
          'The answer is empty; look for a proxy or portal in between, and check the API URL.',
        )
      }
      throw fail(
        'api_truncated',
        'split',
        `The answer ended after ${total} bytes, before its JSON did; it is retried with a shorter window.`,
      )
    },
    bytesRead: () => total,
    reset(asked) {
      window = asked
      thrown = undefined
      // A huge message must not keep its memory for ever.
      if (buffer.length > KEPT_BYTES_MAX) buffer = new Uint8Array(BUFFER_BYTES)
      pos = end = total = 0
      state = STATES.open
      sawLogs = false
      failure = undefined
    },
  }
}

function isSpace(c: number): boolean {
  return c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09
}

/** `logs`, however it is escaped. */
function isLogsKey(key: string): boolean {
  if (key === '"logs"') return true
  if (!key.includes('\\')) return false
  try {
    return JSON.parse(key) === 'logs'
  } catch {
    // A key that is no JSON text is not `logs`; what it belongs to is skipped all the same.
    return false
  }
}
