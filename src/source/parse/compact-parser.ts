/** The usual message, read in one pass from the bytes of the answer into columns.
 *
 * It takes what the API sends day by day: members in any order, any whitespace, unknown members. Whatever it is not sure about
 * (escapes or non-ASCII in texts that matter, members twice, counters beyond 15 digits, wrong types, invalid JSON) it calls ODD, and
 * exact-parser.ts reads the message instead; so it never decides that something is bad. What it takes, exact-parser.ts would
 * take the same way: a property test compares the two.
 *
 * The bytes may end anywhere. `bytes[end]` is 0, which no JSON holds outside of a mistake, so every loop stops there by itself: a
 * mismatch at or after `end` means MORE bytes are needed, before it ODD. Progress is kept after each entry, node and member, and what lies
 * behind it is read again when more bytes are there. So a part that does not end soon is ODD as well: a member of 20 MB would be read again
 * from its begin with each piece of the network, which takes the square of its size. */

import { hashWords } from '../../base/hash.ts'
import { ADDRESS_BYTES_MAX, splitAddress } from './address.ts'
import { type Columns, clear, growEntries, growNodeAddresses, growNodes } from './columns.ts'
import { absentEnd, readCompactEntries } from './entries.ts'
import { DST, ENTRY_CELLS, KIND, NODE_ADDRESS_CELLS, NODE_CELLS, PROTO, SRC } from './message.ts'
import { readCompactDevice } from './node-names.ts'
import { StringInterner } from './string-interner.ts'
import { createTimeParser } from './time.ts'
import { plainTextEnd, wordOf } from './words.ts'

/** Results of `run` that are not a position. */
export const MORE = -1
export const ODD = -2

/** Bytes of an entry, node or member that may be read again. Usual ones have less than 1 KiB. */
const AGAIN_BYTES_MAX = 16 * 1024

/** The deepest nesting of a usual message: message, list, node, addresses. */
const COMPACT_DEPTH = 4

export interface CompactParser {
  /** A message begins. */
  begin(): void
  /** Reads on. `base`: where the message's `{` is now; `bytes[end]` must be 0 and 32 bytes after it must exist. Returns the
   * position after the message, whose columns are then filled; or MORE; or ODD. */
  run(bytes: Uint8Array, base: number, end: number): number
}

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_LIST = 0x5b
const BACKSLASH = 0x5c
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const ZERO = 0x30
const NINE = 0x39

const ascii = (text: string) => new TextEncoder().encode(text)

/** Names of members, each with its closing quote and its first four letters. */
interface Keys {
  readonly words: Int32Array
  readonly texts: readonly Uint8Array[]
}

function keys(...names: string[]): Keys {
  const texts = names.map((name) => `${name}"`)
  return { words: Int32Array.from(texts, (text) => wordOf(text.slice(0, 4))), texts: texts.map(ascii) }
}

/** Members of a message; the index of a traffic list is its kind's. */
const MEMBERS = keys(
  ...['virtualTraffic', 'subnetTraffic', 'exitTraffic', 'physicalTraffic'],
  ...['nodeId', 'start', 'logged', 'srcNode', 'dstNodes'],
)
const NODE_ID = 4
const START = 5
const SRC_NODE = 7
const DST_NODES = 8
const NODE_MEMBERS = keys('nodeId', 'name', 'addresses')
/** Members of an entry; the bit of each is `1 << index`. */
const ENTRY_MEMBERS = keys('txPkts', 'rxPkts', 'txBytes', 'rxBytes', 'src', 'dst', 'proto')
const UNKNOWN = -1

// Where reading goes on: inside the message, at the first or at a later member, or inside a list.
const AT_OPEN = 0
const AT_FIRST_MEMBER = 1
const AT_MEMBER = 2
const AT_FIRST_ENTRY = 3
const AT_ENTRY = 4
const AT_FIRST_NODE = 5
const AT_NODE = 6

const EXACT_MAX = 2 ** 53 - 1

export function createCompactParser(columns: Columns, depthMax: number): CompactParser {
  const parseTime = createTimeParser()
  const ids = new StringInterner()
  let bytes: Uint8Array = new Uint8Array(0)
  let view = new DataView(bytes.buffer)
  let place = AT_OPEN
  /** Where `place` is, from the message's first byte on. */
  let at = 0
  let base = 0
  /** The byte that did not fit. */
  let fault = 0
  let kind = 0
  /** Members of the message seen so far, a bit each. */
  let seen = 0
  /** Of all counters. In an array, because a variable of a closure would be a new object for each entry. */
  const sum = new Float64Array(1)
  let nodeIdStart = -1
  let nodeIdEnd = -1
  let startStart = -1
  let startEnd = -1
  let loggedStart = -1
  let loggedEnd = -1
  /** nodeId of the node just read, start and end. */
  const nodeIdSpan = new Int32Array(2)
  /** nodeId of srcNode. */
  let srcIdStart = -1
  let srcIdEnd = -1

  function fail(p: number): -1 {
    fault = p
    return -1
  }

  function begin(): void {
    clear(columns)
    place = AT_OPEN
    at = 0
    seen = 0
    sum[0] = 0
    nodeIdStart = startStart = loggedStart = srcIdStart = -1
  }

  function run(b: Uint8Array, from: number, end: number): number {
    base = from
    if (b !== bytes) {
      bytes = b
      view = new DataView(b.buffer, b.byteOffset, b.length)
    }
    const p = depthMax < COMPACT_DEPTH ? fail(base) : members(b, base + at)
    if (p >= 0) return finish(b) ? p : ODD
    return fault >= end && end - base - at <= AGAIN_BYTES_MAX ? MORE : ODD
  }

  function members(b: Uint8Array, p: number): number {
    for (;;) {
      switch (place) {
        case AT_OPEN:
          if (b[p] !== OPEN_OBJECT) return fail(p)
          place = AT_FIRST_MEMBER
          p += 1
          break
        case AT_FIRST_MEMBER:
        case AT_MEMBER:
          p = space(b, p)
          if (b[p] === CLOSE_OBJECT) return p + 1
          if (place === AT_MEMBER) {
            if (b[p] !== COMMA) return fail(p)
            p = space(b, p + 1)
          }
          p = member(b, p)
          if (p < 0) return -1
          break
        case AT_FIRST_ENTRY:
        case AT_ENTRY:
          p = entries(b, p)
          if (p < 0) return -1
          place = AT_MEMBER
          break
        default:
          p = space(b, p)
          if (b[p] === CLOSE_LIST) {
            p += 1
            place = AT_MEMBER
            break
          }
          if (place === AT_NODE) {
            if (b[p] !== COMMA) return fail(p)
            p = space(b, p + 1)
          }
          p = node(b, p)
          if (p < 0) return -1
          place = AT_NODE
      }
      at = p - base
    }
  }

  /** One member of the message, or the opening of a list. */
  function member(b: Uint8Array, p: number): number {
    let next = AT_MEMBER
    const key = keyOf(b, p, MEMBERS)
    if (key === -2) return -1
    p = space(b, keyEnd + 1)
    if (b[p] !== COLON) return fail(p)
    p = space(b, p + 1)
    let q = -1
    if (key === UNKNOWN) {
      q = skip(b, p, 1)
      if (q >= 0) place = AT_MEMBER
      return q
    }
    if ((seen >> key) & 1) return fail(p - 1) // twice
    if (key <= 3 || key === DST_NODES) {
      if (b[p] === OPEN_LIST) {
        q = p + 1
        next = key === DST_NODES ? AT_FIRST_NODE : AT_FIRST_ENTRY
        kind = key
      } else q = literal(b, p, NULL)
    } else if (key === SRC_NODE) {
      q = node(b, p)
      if (q >= 0) {
        columns.srcNode = columns.nodeCount - 1
        srcIdStart = nodeIdSpan[0]!
        srcIdEnd = nodeIdSpan[1]!
      }
    } else {
      q = plainText(b, p)
      if (q >= 0) {
        if (key === NODE_ID) {
          nodeIdStart = p + 1 - base
          nodeIdEnd = q - base
        } else if (key === START) {
          startStart = p + 1 - base
          startEnd = q - base
        } else {
          loggedStart = p + 1 - base
          loggedEnd = q - base
        }
        q += 1
      }
    }
    if (q < 0) return -1
    seen |= 1 << key
    place = next
    return q
  }

  /** Entries of one list up to its closing bracket: as many as possible in the hot loop, what stops it one by one. */
  function entries(b: Uint8Array, p: number): number {
    for (;;) {
      let c = b[p]!
      if (c <= 0x20) {
        p = space(b, p)
        c = b[p]!
      }
      if (c === CLOSE_LIST) return p + 1
      if (place === AT_ENTRY) {
        if (c !== COMMA) return fail(p)
        c = b[++p]!
        if (c <= 0x20) {
          p = space(b, p)
          c = b[p]!
        }
      }
      if (c !== OPEN_OBJECT) return fail(p)
      const after = readCompactEntries(b, view, p, base, kind, columns, sum)
      p = after > p ? after : entry(b, p + 1)
      if (p < 0) return -1
      place = AT_ENTRY
      at = p - base
    }
  }

  function entry(b: Uint8Array, p: number): number {
    const n = columns.entryCount
    growEntries(columns, n)
    const cells = columns.cells
    const cell = n * ENTRY_CELLS
    let had = 0
    let proto = 0
    let txBytes = 0
    let txPkts = 0
    let rxBytes = 0
    let rxPkts = 0
    let c = b[p]!
    if (c <= 0x20) {
      p = space(b, p)
      c = b[p]!
    }
    if (c === CLOSE_OBJECT) {
      p += 1
    } else {
      for (;;) {
        if (c !== QUOTE) return fail(p)
        const index = keyOf(b, p, ENTRY_MEMBERS)
        if (index === -2) return -1
        const key = index >= 0 ? 1 << index : 0
        p = space(b, keyEnd + 1)
        if (b[p] !== COLON) return fail(p)
        p += 1
        if ((had & key) !== 0) return fail(p - 1) // twice
        had |= key
        c = b[p]!
        if (c <= 0x20) {
          p = space(b, p)
          c = b[p]!
        }
        if ((key & 0x4f) !== 0) {
          // A number: up to 15 digits, exact in a double.
          let value = c - ZERO
          if (value < 0 || value > 9) return fail(p)
          const first = p
          c = b[++p]!
          if (value !== 0) {
            while (c >= ZERO && c <= NINE) {
              value = value * 10 + (c - ZERO)
              c = b[++p]!
            }
            if (p - first > 15) return fail(first)
          }
          if (key === 1) txPkts = value
          else if (key === 2) rxPkts = value
          else if (key === 4) txBytes = value
          else if (key === 8) rxBytes = value
          else {
            if (value > 255) return fail(first)
            proto = value
          }
        } else {
          p = key === 0 ? skip(b, p, 3) : address(b, p, cells, cell + (key === 16 ? SRC : DST))
          if (p < 0) return -1
          c = b[p]!
        }
        if (c <= 0x20) {
          p = space(b, p)
          c = b[p]!
        }
        if (c === COMMA) {
          c = b[++p]!
          if (c <= 0x20) {
            p = space(b, p)
            c = b[p]!
          }
        } else if (c === CLOSE_OBJECT) {
          p += 1
          break
        } else return fail(p)
      }
    }
    cells[cell + KIND] = kind
    cells[cell + PROTO] = proto
    if ((had & 16) === 0) absentEnd(cells, cell + SRC)
    if ((had & 32) === 0) absentEnd(cells, cell + DST)
    const counters = columns.counters
    counters[n * 4] = txBytes
    counters[n * 4 + 1] = txPkts
    counters[n * 4 + 2] = rxBytes
    counters[n * 4 + 3] = rxPkts
    sum[0] = sum[0]! + txBytes + txPkts + rxBytes + rxPkts
    columns.entryCount = n + 1
    return p
  }

  /** The text of an address into the six cells from `to`; returns the position after the closing quote. */
  function address(b: Uint8Array, p: number, cells: Int32Array, to: number): number {
    const q = plainText(b, p)
    if (q < 0) return -1
    if (q - p > ADDRESS_BYTES_MAX) return fail(p)
    splitAddress(b, p + 1, q, base, cells, to)
    return q + 1
  }

  /** A node of srcNode or dstNodes, appended to the columns once it is complete. */
  function node(b: Uint8Array, p: number): number {
    const after = readCompactDevice(b, view, p, base, columns, nodeIdSpan)
    if (after > p) return after
    if (b[p] !== OPEN_OBJECT) return fail(p)
    const index = columns.nodeCount
    let addressCount = columns.nodeAddressCount
    let had = 0
    let nameStart = 0
    let nameEnd = 0
    nodeIdSpan.fill(-1)
    p = space(b, p + 1)
    if (b[p] === CLOSE_OBJECT) p += 1
    else {
      for (;;) {
        const key = keyOf(b, p, NODE_MEMBERS)
        if (key === -2) return -1
        p = space(b, keyEnd + 1)
        if (b[p] !== COLON) return fail(p)
        p = space(b, p + 1)
        if (key === UNKNOWN) {
          p = skip(b, p, 3)
          if (p < 0) return -1
        } else {
          if ((had >> key) & 1) return fail(p - 1) // twice
          had |= 1 << key
          if (key === 2) {
            if (b[p] !== OPEN_LIST) return fail(p)
            p = space(b, p + 1)
            if (b[p] !== CLOSE_LIST) {
              for (;;) {
                const q = plainText(b, p)
                if (q < 0) return -1
                growNodeAddresses(columns, addressCount)
                const cells = columns.nodeAddressCells
                const cell = addressCount * NODE_ADDRESS_CELLS
                cells[cell] = index
                cells[cell + 1] = p + 1 - base
                cells[cell + 2] = q - base
                cells[cell + 3] = hashWords(view, p + 1, q)
                if (q - p > ADDRESS_BYTES_MAX) return fail(p)
                addressCount += 1
                p = space(b, q + 1)
                if (b[p] === CLOSE_LIST) break
                if (b[p] !== COMMA) return fail(p)
                p = space(b, p + 1)
              }
            }
            p += 1
          } else {
            const q = plainText(b, p)
            if (q < 0) return -1
            if (key === 0) {
              nodeIdSpan[0] = p + 1 - base
              nodeIdSpan[1] = q - base
            } else {
              nameStart = p + 1 - base
              nameEnd = q - base
            }
            p = q + 1
          }
        }
        p = space(b, p)
        if (b[p] === CLOSE_OBJECT) {
          p += 1
          break
        }
        if (b[p] !== COMMA) return fail(p)
        p = space(b, p + 1)
      }
    }
    growNodes(columns, index)
    columns.nodeCells[index * NODE_CELLS] = nameStart
    columns.nodeCells[index * NODE_CELLS + 1] = nameEnd
    columns.nodeCount = index + 1
    columns.nodeAddressCount = addressCount
    return p
  }

  /** Closing quote of the key that keyOf read last. */
  let keyEnd = 0

  /** Index of the key at `p` in `known`, UNKNOWN, or -2 when it is no plain key. */
  function keyOf(b: Uint8Array, p: number, known: Keys): number {
    if (b[p] === QUOTE) {
      const { words, texts } = known
      const word = view.getInt32(p + 1, true)
      for (let i = 0; i < words.length; i++) {
        if (words[i] !== word) continue
        const text = texts[i]!
        let k = 4
        while (k < text.length && text[k] === b[p + 1 + k]) k += 1
        if (k < text.length) continue
        keyEnd = p + k
        return i
      }
    }
    const end = plainText(b, p)
    if (end < 0) return -2
    keyEnd = end
    return UNKNOWN
  }

  /** A string of printable ASCII without escapes; returns the position of its closing quote. */
  function plainText(b: Uint8Array, p: number): number {
    if (b[p] !== QUOTE) return fail(p)
    const end = plainTextEnd(view, p + 1)
    return b[end] === QUOTE ? end : fail(end)
  }

  /** Any JSON value that nobody needs, checked all the same: what this takes, JSON.parse would take. `depth`: of what it is in. */
  function skip(b: Uint8Array, p: number, depth: number): number {
    const c = b[p]!
    if (c === QUOTE) return skipText(b, p)
    if (c === OPEN_OBJECT || c === OPEN_LIST) {
      if (depth >= depthMax) return fail(p)
      const close = c + 2
      p = space(b, p + 1)
      if (b[p] === close) return p + 1
      for (;;) {
        if (close === CLOSE_OBJECT) {
          p = skipText(b, p)
          if (p < 0) return -1
          p = space(b, p)
          if (b[p] !== COLON) return fail(p)
          p = space(b, p + 1)
        }
        p = skip(b, p, depth + 1)
        if (p < 0) return -1
        p = space(b, p)
        if (b[p] === close) return p + 1
        if (b[p] !== COMMA) return fail(p)
        p = space(b, p + 1)
      }
    }
    if (c === 0x74) return literal(b, p, TRUE)
    if (c === 0x66) return literal(b, p, FALSE)
    if (c === 0x6e) return literal(b, p, NULL)
    return skipNumber(b, p)
  }

  function skipText(b: Uint8Array, p: number): number {
    if (b[p] !== QUOTE) return fail(p)
    for (;;) {
      p = plainTextEnd(view, p + 1)
      const c = b[p]!
      if (c === QUOTE) return p + 1
      if (c < 0x20) return fail(p)
      if (c === BACKSLASH) {
        const letter = b[++p]!
        if (letter === 0x75) {
          for (let i = 0; i < 4; i++) if (!isHex(b[++p]!)) return fail(p)
        } else if (!isEscape(letter)) return fail(p)
      }
    }
  }

  function skipNumber(b: Uint8Array, p: number): number {
    if (b[p] === 0x2d) p += 1
    if (b[p] === ZERO) p += 1
    else if ((p = skipDigits(b, p)) < 0) return -1
    if (b[p] === 0x2e && (p = skipDigits(b, p + 1)) < 0) return -1
    if (b[p] === 0x65 || b[p] === 0x45) {
      p += 1
      if (b[p] === 0x2b || b[p] === 0x2d) p += 1
      p = skipDigits(b, p)
    }
    return p
  }

  function skipDigits(b: Uint8Array, p: number): number {
    const first = p
    while (b[p]! >= ZERO && b[p]! <= NINE) p += 1
    return p === first ? fail(p) : p
  }

  function literal(b: Uint8Array, p: number, letters: Uint8Array): number {
    for (let i = 0; i < letters.length; i++) if (b[p + i] !== letters[i]) return fail(p + i)
    return p + letters.length
  }

  /** The whole message was read: its identity. False when something is missing or wrong, so that exact-parser.ts decides. */
  function finish(b: Uint8Array): boolean {
    if (sum[0]! > EXACT_MAX || nodeIdStart < 0 || nodeIdEnd === nodeIdStart || startStart < 0) return false
    const startNs = parseTime(b, base + startStart, base + startEnd)
    if (startNs === undefined) return false
    columns.text = b
    columns.textStart = base
    columns.view = view
    columns.nodeId = ids.of(b, view, base + nodeIdStart, base + nodeIdEnd)
    columns.startNs = startNs
    const loggedNs = loggedStart < 0 ? undefined : parseTime(b, base + loggedStart, base + loggedEnd)
    columns.loggedNs = loggedNs ?? startNs
    columns.hasLogged = loggedNs !== undefined
    columns.srcNodeIsReporter =
      srcIdStart >= 0 && same(b, base + srcIdStart, base + srcIdEnd, base + nodeIdStart, base + nodeIdEnd)
    return true
  }

  return { begin, run }
}

const TRUE = ascii('true')
const FALSE = ascii('false')
const NULL = ascii('null')

/** JSON's white space and no more. */
function space(b: Uint8Array, p: number): number {
  let c = b[p]!
  while (c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09) c = b[++p]!
  return p
}

function isHex(c: number): boolean {
  return (c >= ZERO && c <= NINE) || (c >= 0x41 && c <= 0x46) || (c >= 0x61 && c <= 0x66)
}

/** `"` `\` `/` `b` `f` `n` `r` `t` */
function isEscape(c: number): boolean {
  return (
    c === QUOTE || c === BACKSLASH || c === 0x2f || c === 0x62 || c === 0x66 || c === 0x6e || c === 0x72 || c === 0x74
  )
}

function same(b: Uint8Array, start: number, end: number, otherStart: number, otherEnd: number): boolean {
  if (end - start !== otherEnd - otherStart) return false
  for (let i = 0; i < end - start; i++) if (b[start + i] !== b[otherStart + i]) return false
  return true
}
