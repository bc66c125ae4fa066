/** The compact parser: a message as Go's encoder writes it, read in one pass from the bytes of the answer into columns.
 *
 * Members may come in any order, with white space between them, and with unknown members. Whatever it is not sure about (escapes or
 * non-ASCII in texts that matter, members twice, counters beyond 15 digits, wrong types, invalid JSON) it calls ODD, and the exact parser reads
 * the message instead; so it never decides that something is bad. What it takes, the exact parser would take the same way.
 *
 * The bytes may end anywhere. `bytes[end]` is 0, which no JSON holds outside of a mistake, so every loop stops there by itself: a mismatch at or
 * after `end` means MORE bytes are needed, before it ODD. Progress is kept after each entry, node and member, and inside an unknown member at any
 * byte; what lies behind it is read again when more bytes are there. So an entry or node that does not end soon is ODD as well: one of 20 MB would
 * be read again from its begin with each piece of the network, which takes the square of its size. */

import { type Columns, clear } from './columns.ts'
import type { CompactInput } from './compact-input.ts'
import { readCompactEntries } from './entries.ts'
import { KINDS } from './message.ts'
import { createNodeReader, type NodeReader } from './node-info.ts'
import { plainTextEnd, StringInterner, spaceEnd, wordOf } from './text.ts'
import { createTimeParser } from './time.ts'
import { createValueScanner } from './value-scanner.ts'

/** Results of `run` that are not a position. */
export const MORE = -1
export const ODD = -2

/** Bytes of an entry, node or member that may be read again. Usual ones have less than 1 KiB. */
const AGAIN_BYTES_MAX = 16 * 1024

/** The nesting of a usual message (message, list, node, addresses), and around a member of an entry or node. */
const COMPACT_DEPTH = 4
const MEMBER_DEPTH = 3

export interface CompactParser {
  /** A message begins. */
  begin(): void
  /** Reads on. `base`: where the message's `{` is now; `view`: of the same bytes; `bytes[end]` must be 0 and 32 bytes after it must exist. Returns
   * the position after the message, whose columns are then filled; or MORE; or ODD. */
  run(bytes: Uint8Array, view: DataView, base: number, end: number): number
}

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** Members of a message; the index of a traffic list is its kind's. */
const MEMBERS = [...KINDS.map((kind) => `${kind}Traffic`), ...['nodeId', 'start', 'logged', 'srcNode', 'dstNodes']]
const NODE_ID = 4
const START = 5
const LOGGED = 6
const SRC_NODE = 7
const DST_NODES = 8
const UNKNOWN = -1

/** Each with its closing quote, and its first four letters as a word. */
const NAMES = MEMBERS.map((name) => new TextEncoder().encode(`${name}"`))
const FIRST_LETTERS = Int32Array.from(MEMBERS, (name) => wordOf(`${name}"`.slice(0, 4)))
const NULL = new TextEncoder().encode('null')

// Where reading continues.
const AT_OPEN = 0
const AT_FIRST_MEMBER = 1
const AT_MEMBER = 2
const AT_FIRST_ELEMENT = 3
const AT_ELEMENT = 4
const IN_UNKNOWN = 5

const EXACT_MAX = 2 ** 53 - 1

export function createCompactParser(
  columns: Columns,
  depthMax: number,
  readNode: NodeReader = createNodeReader(),
): CompactParser {
  const parseTime = createTimeParser()
  const ids = new StringInterner()
  const scanner = createValueScanner()
  const input: CompactInput = {
    bytes: new Uint8Array(0),
    view: new DataView(new ArrayBuffer(0)),
    base: 0,
    end: 0,
    at: 0,
    columns,
    scanner: createValueScanner(),
    memberDepthMax: depthMax - MEMBER_DEPTH,
    sum: new Float64Array(1),
  }
  let place = AT_OPEN
  /** Where `place` is, from the message's first byte on. */
  let at = 0
  /** Index of the member whose list is read. */
  let list = 0
  /** Members of the message seen so far, a bit each. */
  let seen = 0
  /** Closing quote of the key that was read last. */
  let keyEnd = 0
  /** Start and end of texts of the message: nodeId, start and logged. A start of -1: it has none. */
  const spans = new Int32Array(6)

  function begin(): void {
    clear(columns)
    place = AT_OPEN
    at = 0
    seen = 0
    input.sum[0] = 0
    for (let span = 0; span < spans.length; span += 2) spans[span] = -1
  }

  function run(bytes: Uint8Array, view: DataView, base: number, end: number): number {
    if (depthMax < COMPACT_DEPTH) return ODD
    input.bytes = bytes
    input.view = view
    input.base = base
    input.end = end
    const p = members(bytes, base + at)
    if (p >= 0) return finish() ? p : ODD
    return p === MORE && end - base - at <= AGAIN_BYTES_MAX ? MORE : ODD
  }

  /** What a byte that does not fit means. */
  function miss(p: number): number {
    return p >= input.end ? MORE : ODD
  }

  function members(b: Uint8Array, p: number): number {
    for (;;) {
      switch (place) {
        case AT_OPEN:
          if (b[p] !== OPEN_OBJECT) return miss(p)
          place = AT_FIRST_MEMBER
          p += 1
          break
        case AT_FIRST_MEMBER:
        case AT_MEMBER:
          p = spaceEnd(b, p)
          if (b[p] === CLOSE_OBJECT) return p + 1
          if (place === AT_MEMBER) {
            if (b[p] !== COMMA) return miss(p)
            p = spaceEnd(b, p + 1)
          }
          p = member(b, p)
          break
        case IN_UNKNOWN:
          p = unknown(b, p)
          break
        default:
          p = elements(b, p)
      }
      if (p < 0) return p
      at = p - input.base
    }
  }

  /** One member of the message, or the begin of a list or of an unknown one. */
  function member(b: Uint8Array, p: number): number {
    const key = keyAt(b, p)
    if (key < UNKNOWN) return miss(keyEnd)
    p = spaceEnd(b, keyEnd + 1)
    if (b[p] !== COLON) return miss(p)
    p = spaceEnd(b, p + 1)
    if (key === UNKNOWN) {
      // Most are short texts, such as `end`.
      const end = b[p] === QUOTE ? plainTextEnd(input.view, p + 1) : p
      if (b[end] === QUOTE && end > p) {
        place = AT_MEMBER
        return end + 1
      }
      if (p >= input.end) return MORE // more white space may come
      scanner.begin()
      place = IN_UNKNOWN
      return p
    }
    if ((seen >> key) & 1) return ODD // twice
    let next = AT_MEMBER
    if (key === SRC_NODE) {
      p = node(b, p)
      if (p < 0) return p
      columns.srcNode = columns.nodeCount - 1
    } else if (key === NODE_ID || key === START || key === LOGGED) {
      const end = b[p] === QUOTE ? plainTextEnd(input.view, p + 1) : p
      if (b[end] !== QUOTE || end === p) return miss(end)
      spans[(key - NODE_ID) * 2] = p + 1 - input.base
      spans[(key - NODE_ID) * 2 + 1] = end - input.base
      p = end + 1
    } else if (b[p] === OPEN_LIST) {
      list = key
      next = AT_FIRST_ELEMENT
      p += 1
    } else {
      for (const letter of NULL) if (b[p++] !== letter) return miss(p - 1)
    }
    seen |= 1 << key
    place = next
    return p
  }

  /** A member that is not needed, checked all the same: what this takes, JSON.parse would take. */
  function unknown(b: Uint8Array, p: number): number {
    const stop = scanner.run(b, input.view, p, input.end)
    if (stop < 0) {
      at = input.end - input.base
      return MORE
    }
    if (!scanner.isJson() || scanner.deepest() >= depthMax) return ODD
    place = AT_MEMBER
    return stop
  }

  /** Elements of a list up to its closing bracket. */
  function elements(b: Uint8Array, p: number): number {
    for (;;) {
      p = spaceEnd(b, p)
      if (b[p] === CLOSE_LIST) {
        place = AT_MEMBER
        return p + 1
      }
      if (place === AT_ELEMENT) {
        if (b[p] !== COMMA) return miss(p)
        p = spaceEnd(b, p + 1)
      }
      if (list === DST_NODES) p = node(b, p)
      else {
        const after = readCompactEntries(input, p, list)
        p = after > p ? after : missObject(b, p)
      }
      if (p < 0) return p
      place = AT_ELEMENT
      at = p - input.base
    }
  }

  /** A node of srcNode or dstNodes, appended to the columns. */
  function node(b: Uint8Array, p: number): number {
    const after = readNode(input, p)
    return after > p ? after : missObject(b, p)
  }

  /** What an object means that was not taken: ODD if it is there to its end. */
  function missObject(b: Uint8Array, p: number): number {
    if (b[p] !== OPEN_OBJECT) return miss(p)
    input.scanner.begin()
    return input.scanner.run(b, input.view, p, input.end) < 0 ? MORE : ODD
  }

  /** Index of the member whose key is at `p`, UNKNOWN, or less when it is no plain key; then `keyEnd` is where it stops being one. */
  function keyAt(b: Uint8Array, p: number): number {
    keyEnd = p
    if (b[p] !== QUOTE) return UNKNOWN - 1
    const word = input.view.getInt32(p + 1, true)
    for (let i = 0; i < FIRST_LETTERS.length; i++) {
      if (FIRST_LETTERS[i] !== word) continue
      const name = NAMES[i]!
      let k = 4
      while (k < name.length && name[k] === b[p + 1 + k]) k += 1
      if (k < name.length) continue
      keyEnd = p + k
      return i
    }
    keyEnd = plainTextEnd(input.view, p + 1)
    return b[keyEnd] === QUOTE ? UNKNOWN : UNKNOWN - 1
  }

  /** The whole message was read: its identity. False when something is missing or wrong, so that the exact parser decides. */
  function finish(): boolean {
    const { bytes, view, base } = input
    const idStart = spans[0]!
    const idEnd = spans[1]!
    if (input.sum[0]! > EXACT_MAX || idStart < 0 || idEnd === idStart) return false
    const startNs = timeAt(START)
    if (startNs === undefined) return false
    columns.text = bytes
    columns.textStart = base
    columns.view = view
    columns.nodeId = ids.of(bytes, view, base + idStart, base + idEnd)
    columns.startNs = startNs
    const loggedNs = timeAt(LOGGED)
    columns.loggedNs = loggedNs ?? startNs
    columns.hasLogged = loggedNs !== undefined
    return true
  }

  function timeAt(key: number): bigint | undefined {
    const start = spans[(key - NODE_ID) * 2]!
    if (start < 0) return undefined
    return parseTime(input.bytes, input.base + start, input.base + spans[(key - NODE_ID) * 2 + 1]!)
  }

  return { begin, run }
}
