/** The bytes of an answer that are held, and where one element of its list ends in them: read in place by the compact parser, or cut by its brackets
 * and texts, or dropped because it is too large. */
import { type CompactParser, MORE } from './compact-parser.ts'
import { headOf } from './text.ts'
import { createValueScanner } from './value-scanner.ts'

const BYTES_MIN = 256 * 1024
/** A huge element must not keep its memory forever. */
const KEPT_BYTES_MAX = 1 << 20
/** Zeros after the bytes, so that a parser may look ahead. */
const PADDING = 32

/** What is not used up yet of an answer, in one piece of memory however it came in. */
export class ChunkBuffer {
  bytes = new Uint8Array(BYTES_MIN)
  /** Of the same bytes. */
  view = new DataView(this.bytes.buffer)
  /** Not used up: `bytes[pos, end)`. `bytes[end]` is 0, as are 31 bytes after it. */
  pos = 0
  end = 0
  /** Of all chunks. */
  bytesRead = 0

  /** Copies a chunk; what lies before `from` goes. `elementBytesMax`: how much may have to be held. */
  push(chunk: Uint8Array, from: number, elementBytesMax: number): void {
    this.bytesRead += chunk.length
    if (from > 0) {
      this.bytes.copyWithin(0, from, this.end)
      this.end -= from
      this.pos -= from
    }
    const needed = this.end + chunk.length + PADDING
    if (needed > this.bytes.length) {
      const grown = new Uint8Array(Math.max(needed, Math.min(this.bytes.length * 2, elementBytesMax + needed)))
      grown.set(this.bytes.subarray(0, this.end))
      this.take(grown)
    }
    this.bytes.set(chunk, this.end)
    this.end += chunk.length
    this.bytes.fill(0, this.end, this.end + PADDING)
  }

  reset(): void {
    if (this.bytes.length > KEPT_BYTES_MAX) this.take(new Uint8Array(BYTES_MIN))
    this.pos = this.end = this.bytesRead = 0
  }

  private take(bytes: Uint8Array<ArrayBuffer>): void {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer)
  }
}

/** What reading on came to. */
export const NOTHING = 0 // the bytes are used up
const PARSED = 1 // an element that was read in place
export const CUT = 2 // an element, whole
export const TOO_LARGE = 3 // the end of an element over the limit
export const NO_VALUE = 4 // here is no JSON value

/** An element: `bytes[start, stop)` of the buffer, until more of it is read. */
export interface Element {
  start: number
  stop: number
  /** It is a document, in no list that was asked for. */
  isDocument: boolean
  /** Of one that is too large: how it begins, and its length. */
  head: string
  size: number
}

export interface ElementReader {
  /** An element begins at `buffer.pos`. */
  begin(isObject: boolean): void
  /** Reads on; `buffer.pos` is then after what was used up. */
  run(): number
  readonly element: Element
  /** Nesting of the element, when it was cut. */
  deepest(): number
  /** Of the element that is not over: what came of it is no JSON. */
  isDamaged(): boolean
}

const IN_PLACE = 0
const CUTTING = 1
const DROPPING = 2

/** `elementBytesMax`: a larger element is held no further than its first 64 KiB. `inPlace`: reads objects where they lie; what it takes for unusual is
 * cut. */
export function createElementReader(
  buffer: ChunkBuffer,
  elementBytesMax: number,
  inPlace: CompactParser | undefined,
): ElementReader {
  const scanner = createValueScanner()
  const element: Element = { start: 0, stop: 0, isDocument: false, head: '', size: 0 }
  let state = CUTTING
  /** Bytes of the element that the scanner has seen. */
  let scanned = 0

  function beginCut(): void {
    scanner.begin()
    scanned = 0
    state = CUTTING
  }

  function run(): number {
    const { bytes, view, pos, end } = buffer
    if (state === IN_PLACE) {
      const stop = inPlace!.run(bytes, view, pos, end)
      if (stop === MORE && end - pos <= elementBytesMax) return NOTHING
      if (stop >= 0 && stop - pos <= elementBytesMax) return take(PARSED, stop)
      beginCut()
    }
    if (state === DROPPING) return drop(scanner.run(bytes, view, pos, end))
    const stop = scanner.run(bytes, view, pos + scanned, end)
    scanned = (stop < 0 ? end : stop) - pos
    if (scanned > elementBytesMax) {
      element.head = headOf(bytes, pos, pos + scanned)
      element.size = 0
      state = DROPPING
      return drop(stop)
    }
    if (stop < 0) return NOTHING
    return scanner.isValue() ? take(CUT, stop) : NO_VALUE
  }

  function drop(stop: number): number {
    const upTo = stop < 0 ? buffer.end : stop
    element.size += upTo - buffer.pos
    buffer.pos = upTo
    if (stop < 0) return NOTHING
    return scanner.isValue() ? take(TOO_LARGE, upTo) : NO_VALUE
  }

  function take(what: number, stop: number): number {
    element.start = buffer.pos
    element.stop = stop
    buffer.pos = stop
    return what
  }

  return {
    begin(isObject) {
      if (!isObject || inPlace === undefined) return beginCut()
      inPlace.begin()
      state = IN_PLACE
    },
    run,
    element,
    deepest: () => scanner.deepest(),
    isDamaged: () => state !== IN_PLACE && scanner.isDamaged(),
  }
}
