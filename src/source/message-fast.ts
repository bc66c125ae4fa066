/** The usual message, read in one pass from the bytes of the answer into columns.
 *
 * It takes what the API sends day by day: members in any order, any whitespace, unknown members. Whatever it is not sure about
 * (escapes or non-ASCII in texts that matter, members twice, counters beyond 15 digits, wrong types, invalid JSON) it calls ODD, and
 * message-exact.ts reads the message instead; so it never decides that something is bad. What it takes, message-exact.ts would
 * take the same way: a property test compares the two.
 *
 * The bytes may end anywhere. `bytes[end]` is 0, which no JSON holds outside of a mistake, so every loop stops there by itself: a
 * mismatch at or after `end` means MORE bytes are needed, before it ODD. Progress is kept after each entry, node and member. */

import {
  DST,
  END_ADDRESS_END,
  END_ADDRESS_START,
  END_HASH,
  END_PORT,
  END_TEXT_END,
  END_TEXT_START,
  ENTRY_CELLS,
  KIND,
  NODE_ADDRESS_CELLS,
  NODE_CELLS,
  PROTO,
  SRC,
} from './message.ts'
import { HASH_PRIME, HASH_SEED, hashBytes, splitAddress } from './message-address.ts'
import { type Columns, clear, growEntries, growNodeAddresses, growNodes } from './message-columns.ts'
import { ADDRESS_COUNT, ADDRESSES, ID_END, ID_START, KnownNodes, NAME_END, NAME_START } from './message-nodes.ts'
import { textOf } from './message-text.ts'
import { createTimeParser } from './message-time.ts'

/** Results of `run` that are not a position. */
export const MORE = -1
export const ODD = -2

/** The deepest nesting of a usual message: message, list, node, addresses. */
export const USUAL_DEPTH = 4

export interface FastParser {
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

/** Four letters as they are read at once. */
function word(letters: string): number {
  return new DataView(ascii(letters).buffer).getInt32(0, true)
}

/** Names of members, each with its closing quote and its first four letters. */
interface Keys {
  readonly words: Int32Array
  readonly texts: readonly Uint8Array[]
}

function keys(...names: string[]): Keys {
  const texts = names.map((name) => `${name}"`)
  return { words: Int32Array.from(texts, (text) => word(text.slice(0, 4))), texts: texts.map(ascii) }
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

// Keys of entries are recognised four letters at a time, quote and colon among them: `"txPkts":` is `txPk` and `ts":`. That halved the
// time of the hot loop, which is mostly spent on keys.
const TX_PK = word('txPk')
const RX_PK = word('rxPk')
const TS = word('ts":')
const TX_BY = word('txBy')
const RX_BY = word('rxBy')
const TES = word('tes"')
const SRC_KEY = word('src"')
const DST_KEY = word('dst"')
const PROT = word('prot')
const TO = word('to":')

// Where reading goes on: inside the message, at the first or at a later member, or inside a list.
const AT_OPEN = 0
const AT_FIRST_MEMBER = 1
const AT_MEMBER = 2
const AT_FIRST_ENTRY = 3
const AT_ENTRY = 4
const AT_FIRST_NODE = 5
const AT_NODE = 6

const EXACT_MAX = 2 ** 53 - 1

export function createFastParser(columns: Columns, depthMax: number): FastParser {
  const parseTime = createTimeParser()
  const nodes = new KnownNodes()
  let bytes: Uint8Array = new Uint8Array(0)
  let view = new DataView(bytes.buffer)
  let limit = 0
  let place = AT_OPEN
  /** Where `place` is, from the message's first byte on. */
  let at = 0
  let base = 0
  /** The byte that did not fit. */
  let fault = 0
  let kind = 0
  /** Members of the message seen so far, a bit each. */
  let seen = 0
  let sum = 0
  let nodeIdStart = -1
  let nodeIdEnd = -1
  let startStart = -1
  let startEnd = -1
  let loggedStart = -1
  let loggedEnd = -1
  /** nodeId of the node just read, and of srcNode. */
  let idStart = -1
  let idEnd = -1
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
    sum = 0
    nodeIdStart = startStart = loggedStart = srcIdStart = -1
  }

  function run(b: Uint8Array, from: number, end: number): number {
    base = from
    limit = end
    if (b !== bytes) {
      bytes = b
      view = new DataView(b.buffer, b.byteOffset, b.length)
    }
    const p = depthMax < USUAL_DEPTH ? fail(base) : members(b, base + at)
    if (p >= 0) return finish(b, p) ? p : ODD
    return fault >= end ? MORE : ODD
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
        srcIdStart = idStart
        srcIdEnd = idEnd
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

  /** The hot loop: entries of one list up to its closing bracket. */
  function entries(b: Uint8Array, p: number): number {
    let n = columns.entryCount
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
      growEntries(columns, n)
      p = entry(b, p + 1, n)
      if (p < 0) return -1
      place = AT_ENTRY
      at = p - base
      columns.entryCount = ++n
    }
  }

  function entry(b: Uint8Array, p: number, n: number): number {
    const v = view
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
        // 0: unknown, otherwise one bit per member
        let key = 0
        const letters = v.getInt32(p + 1, true)
        if (letters === TX_PK || letters === RX_PK) {
          if (v.getInt32(p + 5, true) === TS) {
            key = letters === TX_PK ? 1 : 2
            p += 9
          }
        } else if (letters === TX_BY || letters === RX_BY) {
          if (v.getInt32(p + 5, true) === TES && b[p + 9] === COLON) {
            key = letters === TX_BY ? 4 : 8
            p += 10
          }
        } else if (letters === SRC_KEY || letters === DST_KEY) {
          if (b[p + 5] === COLON) {
            key = letters === SRC_KEY ? 16 : 32
            p += 6
          }
        } else if (letters === PROT && v.getInt32(p + 4, true) === TO) {
          key = 64
          p += 8
        }
        if (key === 0) {
          // Another member, or a colon that does not follow at once.
          const index = keyOf(b, p, ENTRY_MEMBERS)
          if (index === -2) return -1
          if (index >= 0) key = 1 << index
          p = space(b, keyEnd + 1)
          if (b[p] !== COLON) return fail(p)
          p += 1
        }
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
    if ((had & 16) === 0) absent(cells, cell + SRC)
    if ((had & 32) === 0) absent(cells, cell + DST)
    const counters = columns.counters
    counters[n * 4] = txBytes
    counters[n * 4 + 1] = txPkts
    counters[n * 4 + 2] = rxBytes
    counters[n * 4 + 3] = rxPkts
    sum += txBytes + txPkts + rxBytes + rxPkts
    return p
  }

  /** `"ip:port"` into the six cells from `to`; returns the position after the closing quote. */
  function address(b: Uint8Array, p: number, cells: Int32Array, to: number): number {
    if (b[p] !== QUOTE) return fail(p)
    let q = p + 1
    let c = b[q]!
    let hash = HASH_SEED
    let start = q
    let stop = 0
    if (c === OPEN_LIST) {
      start = ++q
      c = b[q]!
      // hexadecimal digits, colons, dots
      while ((c >= 0x2e && c <= 0x3a) || (c >= 0x61 && c <= 0x66)) {
        hash = Math.imul(hash ^ c, HASH_PRIME)
        c = b[++q]!
      }
      if (c === CLOSE_LIST && q > start) {
        stop = q
        c = b[++q]!
      }
    } else {
      // digits and dots
      while (c >= 0x2e && c <= 0x39) {
        hash = Math.imul(hash ^ c, HASH_PRIME)
        c = b[++q]!
      }
      if (q > start) stop = q
    }
    let port = -1
    if (c === COLON && stop > 0) {
      const first = ++q
      port = 0
      c = b[q]!
      while (c >= ZERO && c <= NINE && q < first + 5) {
        port = port * 10 + (c - ZERO)
        c = b[++q]!
      }
      if (q === first || port > 65535) stop = 0
    }
    if (c !== QUOTE || stop === 0 || q - p > 256) {
      // Not what Go writes: the general rules decide.
      q = plainText(b, p)
      if (q < 0) return -1
      if (q - p > 256) return fail(p)
      splitAddress(b, p + 1, q, base, cells, to)
      return q + 1
    }
    cells[to + END_TEXT_START] = p + 1 - base
    cells[to + END_TEXT_END] = q - base
    cells[to + END_ADDRESS_START] = start - base
    cells[to + END_ADDRESS_END] = stop - base
    cells[to + END_PORT] = port
    cells[to + END_HASH] = hash
    return q + 1
  }

  function absent(cells: Int32Array, to: number): void {
    cells[to + END_TEXT_START] = 0
    cells[to + END_TEXT_END] = 0
    cells[to + END_ADDRESS_START] = 0
    cells[to + END_ADDRESS_END] = 0
    cells[to + END_PORT] = -1
    cells[to + END_HASH] = HASH_SEED
  }

  /** A node of srcNode or dstNodes, appended to the columns once it is complete. */
  function node(b: Uint8Array, p: number): number {
    if (b[p] !== OPEN_OBJECT) return fail(p)
    const known = nodes.find(view, p, limit)
    if (known > 0) return knownNode(p, known)
    const first = p
    const firstAddress = columns.nodeAddressCount
    const index = columns.nodeCount
    let addressCount = columns.nodeAddressCount
    let had = 0
    let nameStart = 0
    let nameEnd = 0
    idStart = idEnd = -1
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
                cells[cell + 3] = hashBytes(b, p + 1, q)
                if (q - p > 256) return fail(p)
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
              idStart = p + 1 - base
              idEnd = q - base
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
    remember(b, first, p, index, firstAddress)
    return p
  }

  function knownNode(p: number, known: number): number {
    const from = nodes.cells
    const index = columns.nodeCount
    const shift = p - base
    idStart = idEnd = -1
    if (from[known + ID_START]! >= 0) {
      idStart = from[known + ID_START]! + shift
      idEnd = from[known + ID_END]! + shift
    }
    growNodes(columns, index)
    columns.nodeCells[index * NODE_CELLS] = from[known + NAME_START]! + shift
    columns.nodeCells[index * NODE_CELLS + 1] = from[known + NAME_END]! + shift
    const count = from[known + ADDRESS_COUNT]!
    for (let i = 0; i < count; i++) {
      const at = known + ADDRESSES + i * 3
      const address = columns.nodeAddressCount++
      growNodeAddresses(columns, address)
      const cells = columns.nodeAddressCells
      const cell = address * NODE_ADDRESS_CELLS
      cells[cell] = index
      cells[cell + 1] = from[at]! + shift
      cells[cell + 2] = from[at + 1]! + shift
      cells[cell + 3] = from[at + 2]!
    }
    columns.nodeCount = index + 1
    return nodes.endOf(known, p)
  }

  /** Keeps what was read at `p`; all offsets become those from its first byte. */
  function remember(b: Uint8Array, p: number, end: number, index: number, firstAddress: number): void {
    const shift = p - base
    const count = columns.nodeAddressCount - firstAddress
    const at = nodes.add(b, view, p, end - p, count)
    if (at < 0) return
    const to = nodes.cells
    to[at + ID_START] = idStart < 0 ? -1 : idStart - shift
    to[at + ID_END] = idEnd - shift
    to[at + NAME_START] = columns.nodeCells[index * NODE_CELLS]! - shift
    to[at + NAME_END] = columns.nodeCells[index * NODE_CELLS + 1]! - shift
    to[at + ADDRESS_COUNT] = count
    for (let i = 0; i < count; i++) {
      const cell = (firstAddress + i) * NODE_ADDRESS_CELLS
      to[at + ADDRESSES + i * 3] = columns.nodeAddressCells[cell + 1]! - shift
      to[at + ADDRESSES + i * 3 + 1] = columns.nodeAddressCells[cell + 2]! - shift
      to[at + ADDRESSES + i * 3 + 2] = columns.nodeAddressCells[cell + 3]!
    }
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
    let c = b[++p]!
    while (c !== QUOTE) {
      if (c < 0x20 || c > 0x7e || c === BACKSLASH) return fail(p)
      c = b[++p]!
    }
    return p
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
      const c = b[++p]!
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

  /** The whole message was read: its identity. False when something is missing or wrong, so that message-exact.ts decides. */
  function finish(b: Uint8Array, p: number): boolean {
    if (sum > EXACT_MAX || nodeIdStart < 0 || nodeIdEnd === nodeIdStart || startStart < 0) return false
    const text = b.subarray(base, p)
    const startNs = parseTime(text, startStart, startEnd)
    if (startNs === undefined) return false
    columns.text = text
    columns.nodeId = textOf(text, nodeIdStart, nodeIdEnd)
    columns.startNs = startNs
    columns.loggedNs = (loggedStart < 0 ? undefined : parseTime(text, loggedStart, loggedEnd)) ?? startNs
    columns.srcNodeIsReporter = srcIdStart >= 0 && same(text, srcIdStart, srcIdEnd, nodeIdStart, nodeIdEnd)
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
