/** Cuts the elements of one list out of JSON while its bytes come in: messages out of an answer `{"logs":[…]}`, devices out of `{"devices":[…]}`, and
 * with `documents` whatever stands in a saved file. Holds one unfinished element and no more: other members of an answer are skipped as they
 * stream, whatever their shape and size. */
import { excerpt } from '../../base/errors.ts'
import type { CompactParser } from './compact-parser.ts'
import { ChunkBuffer, CUT, createElementReader, type Element, NO_VALUE, NOTHING, TOO_LARGE } from './element-reader.ts'
import { HeldDocument } from './held-document.ts'
import { spaceEnd, textOf } from './text.ts'
import { createValueScanner } from './value-scanner.ts'

/** Where the bytes stop being what was asked for. */
export interface CutFault {
  readonly what:
    | 'nothing' // no JSON at all
    | 'foreign' // no answer with that list
    | 'damaged' // inside the list
    | 'followed' // by something, although the answer is over
    | 'ended' // before its JSON did
  /** The text there. */
  readonly seen: string
  /** Decoded bytes so far. */
  readonly bytesRead: number
}

export interface CutterOptions {
  /** The member of the answer that is the list; null counts as empty. */
  readonly list: string
  /** Bytes of an element; a larger one is held no further than its first 64 KiB. */
  readonly elementBytesMax: number
  /** Reads the objects of the list where they lie. What it takes for unusual is cut. */
  readonly inPlace?: CompactParser
  /** The bytes are documents, one after the other. An answer is cut as ever; each other one is an element, also in a list. */
  readonly documents?: boolean
  fault(fault: CutFault): Error
}

export interface ArrayCutter {
  /** Copies the next bytes. Take all elements before the next call. */
  push(chunk: Uint8Array): void
  /** Works on until an element is complete (PARSED, CUT, TOO_LARGE) or the bytes are used up (NOTHING). Throws what `fault` makes, and again at each
   * later call. */
  next(): number
  /** The bytes are over. Throws what `fault` makes when the JSON is not. */
  end(): void
  /** Forgets the answer, whole or not; the next bytes are those of another one. */
  reset(): void
  readonly buffer: Readonly<Pick<ChunkBuffer, 'bytes' | 'view' | 'bytesRead'>>
  /** What was found, until `next` is called again. */
  readonly element: Readonly<Element>
  /** Nesting of the element, when it was cut out of the list. */
  deepest(): number
  /** Inside: what came so far of the element or document is no JSON, although its end is not reached. */
  isDamaged(): boolean
  /** Where reading stands: outside of every document, between the elements of a list, or inside an element or document. */
  place(): 'outside' | 'between' | 'inside'
  /** The list of an answer, or one of documents, has begun and what holds it is not over. */
  isInList(): boolean
}

const STATES = {
  open: 0, // before the brace of an answer or document
  firstKey: 1,
  key: 2, // after a comma
  keyText: 3,
  colon: 4,
  value: 5,
  skip: 6, // inside a member that is not needed
  next: 7, // after a member
  firstElement: 8,
  element: 9, // after a comma
  nextElement: 10, // after an element
  inElement: 11,
  done: 12,
} as const

/** Of a key, with each letter written as an escape; what is longer has another name. */
const KEY_BYTES_MAX = 64
const GO_ON = -1

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

export function createArrayCutter(options: CutterOptions): ArrayCutter {
  const { list, elementBytesMax, documents = false } = options
  const scanner = createValueScanner()
  const buffer = new ChunkBuffer()
  const elements = createElementReader(buffer, elementBytesMax, options.inPlace)
  let state: number = STATES.open
  let key = ''
  let hasList = false
  /** Inside the list that was asked for; in a list of documents. */
  let inList = false
  let inDocuments = false
  const held = new HeldDocument()
  let failure: Error | undefined
  const { element } = elements

  function push(chunk: Uint8Array): void {
    if (failure) throw failure
    buffer.push(chunk, held.keepFrom(buffer.pos, buffer.end, elementBytesMax), elementBytesMax)
  }

  function next(): number {
    if (failure) throw failure
    for (;;) {
      const { bytes, view, pos, end } = buffer
      switch (state) {
        case STATES.inElement: {
          const came = elements.run()
          if (came === NOTHING) return NOTHING
          if (came === NO_VALUE) throw garbage()
          state = STATES.nextElement
          element.isDocument = !inList
          return came
        }
        case STATES.skip: {
          const stop = scanner.run(bytes, view, pos, end)
          buffer.pos = stop < 0 ? end : stop
          if (stop < 0) return NOTHING
          if (!scanner.isValue()) throw garbage()
          held.memberEnds(stop)
          state = STATES.next
          break
        }
        case STATES.keyText: {
          const stop = scanner.run(bytes, view, pos, end)
          const upTo = stop < 0 ? end : stop
          if (key.length <= KEY_BYTES_MAX) key += textOf(bytes, pos, Math.min(upTo, pos + KEY_BYTES_MAX + 1))
          buffer.pos = upTo
          if (stop < 0) return NOTHING
          key = nameIn(key)
          state = STATES.colon
          break
        }
        default: {
          const came = mark()
          if (came !== GO_ON) return came
        }
      }
    }
  }

  /** One mark between values: a bracket, comma, colon, or the first byte of a value. */
  function mark(): number {
    const { bytes, end } = buffer
    if (state === STATES.open && bytes[buffer.pos] === 0xef && (documents || buffer.bytesRead === end - buffer.pos)) {
      if (end - buffer.pos < 3) return NOTHING
      if (bytes[buffer.pos + 1] === 0xbb && bytes[buffer.pos + 2] === 0xbf) buffer.pos += 3
    }
    buffer.pos = spaceEnd(bytes, buffer.pos)
    if (buffer.pos === end) return NOTHING
    const c = bytes[buffer.pos]!
    switch (state) {
      case STATES.open:
        if (c === OPEN_OBJECT) beginDocument()
        else if (!documents || c === CLOSE_OBJECT || c === CLOSE_LIST) throw garbage()
        else if (c === OPEN_LIST) {
          inDocuments = true
          state = STATES.firstElement
        }
        break
      case STATES.firstKey:
      case STATES.key:
        if (c === CLOSE_OBJECT && state === STATES.firstKey) return close()
        if (c !== QUOTE) throw garbage()
        key = ''
        return begin(STATES.keyText)
      case STATES.colon:
        if (c !== COLON) throw garbage()
        state = STATES.value
        break
      case STATES.value:
        if (!value(c)) return begin(STATES.skip)
        break
      case STATES.next:
        if (c === CLOSE_OBJECT) return close()
        if (c !== COMMA) throw garbage()
        state = STATES.key
        break
      case STATES.firstElement:
      case STATES.element:
        if (c === CLOSE_LIST && state === STATES.firstElement) endList()
        else if (inList || c !== OPEN_OBJECT) {
          elements.begin(c === OPEN_OBJECT)
          state = STATES.inElement
          return GO_ON
        } else beginDocument()
        break
      case STATES.nextElement:
        if (c !== COMMA && c !== CLOSE_LIST) throw garbage()
        if (c === COMMA) state = STATES.element
        else endList()
        break
      default:
        throw garbage()
    }
    buffer.pos += 1
    return GO_ON
  }

  /** The scanner reads on from here. */
  function begin(what: number): typeof GO_ON {
    scanner.begin()
    state = what
    return GO_ON
  }

  function beginDocument(): void {
    hasList = false
    if (documents) held.begin(buffer.pos)
    state = STATES.firstKey
  }

  /** A member's value begins with this byte. True when it is the list. */
  function value(c: number): boolean {
    if (key === list) {
      inList = c === OPEN_LIST
      // null is an empty list; anything else is not what was asked for.
      if (!inList && c !== 0x6e && !documents) throw garbage()
      hasList ||= inList || c === 0x6e
      if (!inList) return false
      held.drop()
      state = STATES.firstElement
    } else held.memberBegins(key, c === OPEN_OBJECT, buffer.pos)
    return inList
  }

  function endList(): void {
    state = inList ? STATES.next : STATES.open
    if (!inList) inDocuments = false
    inList = false
  }

  /** The brace that ends the answer or document. */
  function close(): number {
    if (!documents && !hasList) throw garbage()
    buffer.pos += 1
    state = documents ? (inDocuments ? STATES.nextElement : STATES.open) : STATES.done
    if (!documents || hasList) {
      held.drop()
      return GO_ON
    }
    const isTooLarge = held.isTooLong || buffer.pos - held.start > elementBytesMax
    element.isDocument = true
    ;[element.start, element.stop] = held.messageSpan(buffer.pos)
    held.drop()
    return isTooLarge ? TOO_LARGE : CUT
  }

  /** Something that does not belong where it is. */
  function garbage(): Error {
    const what = state === STATES.done ? 'followed' : state >= STATES.firstElement ? 'damaged' : 'foreign'
    return fail(what, excerpt(textOf(buffer.bytes, buffer.pos, Math.min(buffer.end, buffer.pos + 512))))
  }

  function fail(what: CutFault['what'], seen = ''): Error {
    failure = options.fault({ what, seen, bytesRead: buffer.bytesRead })
    return failure
  }

  return {
    push,
    next,
    end() {
      if (failure) throw failure
      if (next() !== NOTHING) throw new Error('end() was called before all elements were taken')
      if (state === STATES.done || (state === STATES.open && documents)) return
      throw fail(state === STATES.open && buffer.pos === buffer.end ? 'nothing' : 'ended')
    },
    reset() {
      buffer.reset()
      state = STATES.open
      hasList = inList = inDocuments = false
      held.drop()
      failure = undefined
    },
    buffer,
    element,
    deepest: elements.deepest,
    isDamaged() {
      if (state === STATES.inElement) return elements.isDamaged()
      return (state === STATES.skip || state === STATES.keyText) && scanner.isDamaged()
    },
    place() {
      if (state === STATES.open || state === STATES.done) return 'outside'
      const isBetween = state === STATES.firstElement || state === STATES.element || state === STATES.nextElement
      return isBetween ? 'between' : 'inside'
    },
    isInList: () => inList || inDocuments || (hasList && state !== STATES.open && state !== STATES.done),
  }
}

/** What a key is called, however it is escaped. '' when that is no name that matters. */
function nameIn(key: string): string {
  if (key.length > KEY_BYTES_MAX) return ''
  if (!key.includes('\\')) return key.slice(1, -1)
  try {
    return String(JSON.parse(key))
  } catch {
    // A key that is no JSON text has no name; what it belongs to is skipped all the same.
    return ''
  }
}
