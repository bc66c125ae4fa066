/** Reads the messages of an answer `{"logs":[…]}`, or of a saved file, while its bytes come in. A message is read in place by the compact parser; one of
 * an unusual form is first cut out, then read by the exact parser. */
import { type Code, CollectorError, type Reaction } from '../../base/errors.ts'
import { type ClockLimits, createClockBounds } from '../clock-bounds.ts'
import type { Window } from '../source.ts'
import { type ArrayCutter, type CutFault, createArrayCutter } from './array-cutter.ts'
import { createColumns } from './columns.ts'
import { type CompactParser, createCompactParser, ODD } from './compact-parser.ts'
import { CUT, type Element, NOTHING, TOO_LARGE } from './element-reader.ts'
import { createExactParser, quarantineMessage } from './exact-parser.ts'
import type { Message } from './message.ts'
import { createNodeReader, type NodeReader } from './node-info.ts'
import { headWithLength } from './text.ts'
import { createValueScanner } from './value-scanner.ts'

/** A message whose clock is out of bounds is quarantined as `clock_out_of_bounds`. */
export interface ReaderLimits extends ClockLimits {
  /** Decoded bytes of one answer; more throws `api_too_large`. A saved file may have any number. */
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
  /** For saved files: where reading stands; see ArrayCutter. */
  readonly position: Pick<ArrayCutter, 'place' | 'isInList' | 'isDamaged'>
  /** Forgets the answer, whole or not; the next bytes are those of another one. `window`: what it was asked for; it stands in for `logged`
   * in messages that have none. */
  reset(window?: Window): void
}

/** For what a saved file may have besides one answer. */
export interface SavedForm {
  /** Called for JSON that is no message, or longer than any may be. */
  onOther(): void
  /** The error for a file that is damaged. */
  fault(fault: CutFault): Error
}

const TRAFFIC = /^(virtual|subnet|exit|physical)Traffic$/

/** `saved`: the bytes are those of a file: answers, lists of messages, messages, and those wrapped by log streaming, one after the other. Several
 * readers may share `readNode`. */
export function createMessageReader(
  limits: ReaderLimits,
  saved?: SavedForm,
  readNode: NodeReader = createNodeReader(),
): MessageReader {
  const columns = createColumns()
  const compact = createCompactParser(columns, limits.depthMax, readNode)
  const exact = createExactParser(columns)
  const isOutOfBounds = createClockBounds(limits)
  let window: Window | undefined
  let tooLarge: CollectorError | undefined
  /** What our own code threw at the message that is now looked through for its end. */
  let thrown: unknown
  const guarded: CompactParser = {
    begin: () => compact.begin(),
    run(bytes, view, base, end) {
      try {
        return compact.run(bytes, view, base, end)
      } catch (error) {
        // A bug of ours that one message brings to light: it is quarantined alone, once its end is known.
        thrown = error
        return ODD
      }
    },
  }
  const cutter = createArrayCutter({
    list: 'logs',
    elementBytesMax: limits.messageBytesMax,
    inPlace: guarded,
    documents: saved !== undefined,
    fault: saved?.fault ?? describeFault,
  })
  const { buffer, element } = cutter
  const scanner = createValueScanner()

  const result: IteratorResult<Message> = { done: false, value: columns }
  const over: IteratorResult<Message> = { done: true, value: undefined }
  const iterator: Iterator<Message> = { next: () => (next() ? result : over) }
  const messages: Iterable<Message> = { [Symbol.iterator]: () => iterator }

  /** Works on until a message is complete (true) or the bytes are used up (false). */
  function next(): boolean {
    if (tooLarge) throw tooLarge
    for (;;) {
      const found = cutter.next()
      if (found === NOTHING) return false
      if (saved === undefined) return readElement(found, element)
      const isMessage = element.isDocument
        ? found === CUT && readDocument(element)
        : readElement(found, element) && !isOther(found, element)
      if (isMessage) return true
      saved.onOther()
    }
  }

  function readElement(found: number, { start, stop, head, size }: Element): true {
    if (found === TOO_LARGE) quarantineMessage(columns, { reason: 'too_large', text: head, bytes: size })
    else if (found === CUT) readExactly(start, stop, cutter.deepest())
    return finish(start, stop)
  }

  /** The element of a list that was just read: what is no message at all is not one that is wrong. Lists of the audit log are called `logs` too. */
  function isOther(found: number, { start, stop }: Element): boolean {
    return found === CUT && columns.nodeId === '' && columns.quarantined.length > 0 && !isFlowLog(start, stop)
  }

  /** False when the document is no message. */
  function readDocument({ start, stop }: Element): boolean {
    compact.begin()
    if (guarded.run(buffer.bytes, buffer.view, start, stop) !== stop) {
      if (!isFlowLog(start, stop)) return false
      scanner.begin()
      scanner.run(buffer.bytes, buffer.view, start, stop)
      readExactly(start, stop, scanner.deepest())
    }
    return finish(start, stop)
  }

  /** What cannot be parsed may be one: the exact parser says what is wrong with it. */
  function isFlowLog(start: number, stop: number): boolean {
    let value: unknown
    try {
      value = JSON.parse(Buffer.from(buffer.bytes.buffer, start, stop - start).toString())
    } catch {
      return true
    }
    if (typeof value !== 'object' || value === null) return false
    return 'nodeId' in value || Object.keys(value).some((key) => TRAFFIC.test(key))
  }

  function readExactly(start: number, stop: number, depth: number): void {
    const { bytes } = buffer
    if (depth > limits.depthMax) {
      return quarantineMessage(columns, { reason: 'too_deep', ...headWithLength(bytes, start, stop) })
    }
    try {
      if (thrown === undefined) return exact.read(bytes, start, stop)
    } catch (error) {
      thrown = error
    }
    const detail = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
    quarantineMessage(columns, { reason: 'read_failed', ...headWithLength(bytes, start, stop), detail })
  }

  /** The columns hold the message at `start`. */
  function finish(start: number, stop: number): true {
    thrown = undefined
    if (columns.nodeId === '') return true
    if (isOutOfBounds(columns, window)) {
      quarantineMessage(columns, { reason: 'clock_out_of_bounds', ...headWithLength(buffer.bytes, start, stop) })
    }
    columns.json = buffer.bytes
    columns.jsonStart = start
    columns.jsonEnd = stop
    return true
  }

  return {
    push(chunk) {
      if (tooLarge) throw tooLarge
      if (saved === undefined && buffer.bytesRead + chunk.length > limits.answerBytesMax) {
        const text = `The answer is larger than ${limits.answerBytesMax} bytes; it is retried with a shorter window.`
        tooLarge = fault('api_too_large', 'split', text)
        throw tooLarge
      }
      cutter.push(chunk)
      return messages
    },
    end() {
      if (tooLarge) throw tooLarge
      cutter.end()
    },
    bytesRead: () => buffer.bytesRead,
    position: cutter,
    reset(asked) {
      window = asked
      thrown = tooLarge = undefined
      cutter.reset()
    },
  }
}

/** Inside the list the rest of the answer cannot be trusted: asking for less helps when an answer broke off and continued as something else.
 * Elsewhere it is not the answer of the API at all. */
function describeFault({ what, seen, bytesRead }: CutFault): CollectorError {
  const again = 'it is retried with a shorter window.'
  const look = 'look for a proxy or portal in between, and check the API URL.'
  switch (what) {
    case 'damaged':
      return fault(
        'api_truncated',
        'split',
        `The answer is damaged inside its list of messages, at "${seen}"; ${again}`,
      )
    case 'ended':
      return fault('api_truncated', 'split', `The answer ended after ${bytesRead} bytes, before its JSON did; ${again}`)
    case 'nothing':
      return fault('api_not_json', 'retry', `The answer is empty; ${look}`)
    case 'followed':
      return fault('api_not_json', 'retry', `The answer continues after its end, at "${seen}"; ${look}`)
    case 'foreign':
      return fault('api_not_json', 'retry', `The answer is not the JSON of network flow logs, at "${seen}"; ${look}`)
  }
}

function fault(code: Code, reaction: Reaction, text: string): CollectorError {
  return new CollectorError(text, { stage: 'source', code, reaction })
}
