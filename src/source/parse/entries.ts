/** The hot loop of the compact parser: entries as Go writes them, one after the other, until one looks any different.
 *
 * Written for the machine, because most of the time of reading is spent here:
 * - One function without variables of an outer one. As closures the same steps took twice as long: every variable outside is memory that is
 *   loaded again after each step.
 * - Keys are recognised four letters at a time, quote and colon among them: `"txPkts":` is `txPk` and `ts":`.
 * - Where an address or a number ends is computed from four letters at once. A loop that leaves at the first letter that does not fit makes the
 *   processor guess their length, and it guesses wrong most of the time (a fifth of the time on a tailnet of 5,000 nodes). */

import { HASH_SEED, hashBytes, hashStep, TAILS } from '../../base/hash.ts'
import { ADDRESS_BYTES_MAX } from './address.ts'
import { growEntries } from './columns.ts'
import { type CompactInput, otherAddress, otherNumber } from './compact-input.ts'
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
  PROTO,
  SRC,
} from './message.ts'
import {
  firstByte,
  fourDigits,
  leadingDigits,
  overDots,
  overHex,
  overNine,
  plainTextEnd,
  spaceEnd,
  textOf,
  wordOf,
} from './text.ts'

const QUOTE = 0x22
const COMMA = 0x2c
const ZERO = 0x30
const NINE = 0x39
const COLON = 0x3a
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

const TX_PK = wordOf('txPk')
const RX_PK = wordOf('rxPk')
const TS = wordOf('ts":')
const TX_BY = wordOf('txBy')
const RX_BY = wordOf('rxBy')
const TES = wordOf('tes"')
const SRC_KEY = wordOf('src"')
const DST_KEY = wordOf('dst"')
const PROT = wordOf('prot')
const TO = wordOf('to":')

// Members of an entry, a bit each.
const HAS_TX_PKTS = 1
const HAS_RX_PKTS = 2
const HAS_TX_BYTES = 4
const HAS_RX_BYTES = 8
const HAS_SRC = 16
const HAS_DST = 32
const HAS_PROTO = 64
const HAS_ADDRESS = HAS_SRC | HAS_DST
const HAS_UNKNOWN = 128
/** For keys that do not look as Go writes them. */
const MEMBERS = new Map(
  Object.entries({
    ...{ txPkts: HAS_TX_PKTS, rxPkts: HAS_RX_PKTS, txBytes: HAS_TX_BYTES, rxBytes: HAS_RX_BYTES },
    ...{ src: HAS_SRC, dst: HAS_DST, proto: HAS_PROTO },
  }),
)

const ZEROS = 0x30303030
const PORT_OVER = 65_536
const POWERS = Int32Array.of(1, 10, 100, 1000)
const NOTHING_HASH = hashBytes(new Uint8Array(0), 0, 0)

/** Reads entries of one kind from the `{` at `first` on and appends them to the columns, their counters also to the sum. Returns the position after
 * the last one that was read, which is `first` when there was none: then the entry there is unusual, or not yet there to its end. Reads up to 8
 * bytes beyond what it takes. */
export function readCompactEntries(input: CompactInput, first: number, kind: number): number {
  const { bytes, view, base, columns, sum } = input
  let { entryCount, cells, counters } = columns
  let total = 0
  /** After the last whole entry. */
  let done = first
  let p = first
  reading: for (;;) {
    if (bytes[p] !== OPEN_OBJECT) {
      p = spaceEnd(bytes, p)
      if (bytes[p] !== OPEN_OBJECT) break
    }
    const cell = entryCount * ENTRY_CELLS
    if (cell + ENTRY_CELLS > cells.length) {
      growEntries(columns, entryCount)
      ;({ cells, counters } = columns)
    }
    let had = 0
    let proto = 0
    let txBytes = 0
    let txPkts = 0
    let rxBytes = 0
    let rxPkts = 0
    members: for (;;) {
      do {
        // `p` is at the brace or comma before a member.
        p += 1
        if (bytes[p] !== QUOTE) {
          p = spaceEnd(bytes, p)
          if (bytes[p] === CLOSE_OBJECT && had === 0) break members
          if (bytes[p] !== QUOTE) break reading
        }
        const letters = view.getInt32(p + 1, true)
        let member = 0
        if ((letters === TX_PK || letters === RX_PK) && view.getInt32(p + 5, true) === TS) {
          member = letters === TX_PK ? HAS_TX_PKTS : HAS_RX_PKTS
          p += 9
        } else if (
          (letters === TX_BY || letters === RX_BY) &&
          view.getInt32(p + 5, true) === TES &&
          bytes[p + 9] === COLON
        ) {
          member = letters === TX_BY ? HAS_TX_BYTES : HAS_RX_BYTES
          p += 10
        } else if ((letters === SRC_KEY || letters === DST_KEY) && bytes[p + 5] === COLON) {
          member = letters === SRC_KEY ? HAS_SRC : HAS_DST
          p += 6
        } else if (letters === PROT && view.getInt32(p + 4, true) === TO) {
          member = HAS_PROTO
          p += 8
        } else {
          member = otherMember(input, p)
          if (member === 0) break reading
          p = input.at
          if (member === HAS_UNKNOWN) {
            had |= HAS_UNKNOWN
            continue
          }
        }
        if ((had & member) !== 0) break reading // twice
        had |= member

        if ((member & HAS_ADDRESS) === 0) {
          // A number: up to 7 digits as an integer, up to 15 as a double.
          const start = p
          let digits = view.getInt32(p, true) ^ ZEROS
          let over = overNine(digits)
          let value = 0
          if (over === 0) {
            value = fourDigits(digits)
            p += 4
            digits = view.getInt32(p, true) ^ ZEROS
            over = overNine(digits)
            while (over === 0 && p <= start + 8) {
              value = value * 10_000 + fourDigits(digits)
              p += 4
              digits = view.getInt32(p, true) ^ ZEROS
              over = overNine(digits)
            }
            if (over === 0) break reading
            value *= POWERS[firstByte(over)]!
          }
          const count = firstByte(over)
          value += leadingDigits(digits, count)
          p += count
          if (p === start) {
            value = otherNumber(input, p)
            if (value < 0) break reading
            p = input.at
          } else if (bytes[start] === ZERO && p > start + 1) break reading
          if (member === HAS_TX_PKTS) txPkts = value
          else if (member === HAS_RX_PKTS) rxPkts = value
          else if (member === HAS_TX_BYTES) txBytes = value
          else if (member === HAS_RX_BYTES) rxBytes = value
          else if (value > 255) break reading
          else proto = value
        } else {
          if (bytes[p] !== QUOTE) {
            p = spaceEnd(bytes, p)
            if (bytes[p] !== QUOTE) break reading
          }
          const to = cell + (member === HAS_SRC ? SRC : DST)
          // `"ip:port"`, `"[ip]:port"`, with or without the port.
          let q = p + 1
          let letters = view.getInt32(q, true)
          const bracket = (letters & 0xff) === OPEN_LIST ? 1 : 0
          q += bracket
          const start = q
          let hash = HASH_SEED
          let over = 0
          if (bracket === 0) {
            for (over = overDots(letters); over === 0; over = overDots(letters)) {
              hash = hashStep(hash, letters)
              q += 4
              letters = view.getInt32(q, true)
            }
          } else {
            letters = view.getInt32(q, true)
            for (over = overHex(letters); over === 0; over = overHex(letters)) {
              hash = hashStep(hash, letters)
              q += 4
              letters = view.getInt32(q, true)
            }
          }
          const rest = firstByte(over)
          hash = hashStep(hash, letters & TAILS[rest]!)
          const stop = q + rest
          q = stop + bracket
          let port = -1
          if (bytes[q] === COLON) {
            const digits = view.getInt32(++q, true) ^ ZEROS
            over = overNine(digits)
            if (over === 0) {
              port = fourDigits(digits)
              q += 4
              const c = bytes[q]!
              if (c >= ZERO && c <= NINE) {
                port = port * 10 + c - ZERO
                q += 1
              }
            } else {
              const count = firstByte(over)
              port = count === 0 ? PORT_OVER : leadingDigits(digits, count)
              q += count
            }
          }
          const isUsual = bytes[q] === QUOTE && stop !== start && stop - start <= ADDRESS_BYTES_MAX && port < PORT_OVER
          if (isUsual && (bracket === 0 || bytes[stop] === CLOSE_LIST)) {
            cells[to + END_TEXT_START] = p + 1 - base
            cells[to + END_TEXT_END] = q - base
            cells[to + END_ADDRESS_START] = start - base
            cells[to + END_ADDRESS_END] = stop - base
            cells[to + END_PORT] = port
            cells[to + END_HASH] = hash
          } else {
            q = otherAddress(input, p, to)
            if (q < 0) break reading
          }
          p = q + 1
        }
      } while (bytes[p] === COMMA)
      if (bytes[p] === CLOSE_OBJECT) break
      p = spaceEnd(bytes, p)
      if (bytes[p] === CLOSE_OBJECT) break
      if (bytes[p] !== COMMA) break reading
    }
    p += 1
    cells[cell + KIND] = kind
    cells[cell + PROTO] = proto
    if ((had & HAS_SRC) === 0) absentEnd(cells, cell + SRC)
    if ((had & HAS_DST) === 0) absentEnd(cells, cell + DST)
    const counter = entryCount * 4
    counters[counter] = txBytes
    counters[counter + 1] = txPkts
    counters[counter + 2] = rxBytes
    counters[counter + 3] = rxPkts
    total += txBytes + txPkts + rxBytes + rxPkts
    entryCount += 1
    done = p
    if (bytes[p] !== COMMA) {
      p = spaceEnd(bytes, p)
      if (bytes[p] !== COMMA) break
    }
    p += 1
  }
  columns.entryCount = entryCount
  sum[0] = sum[0]! + total
  return done
}

/** Six cells for an endpoint that a message does not name. */
function absentEnd(cells: Int32Array, at: number): void {
  cells[at + END_TEXT_START] = 0
  cells[at + END_TEXT_END] = 0
  cells[at + END_ADDRESS_START] = 0
  cells[at + END_ADDRESS_END] = 0
  cells[at + END_PORT] = -1
  cells[at + END_HASH] = NOTHING_HASH
}

/** The member at `p` that does not look as Go writes it: which one it is, and from where on to read. An unknown one is passed over. 0: it is no member,
 * or not there to its end. */
function otherMember(input: CompactInput, p: number): number {
  const { bytes, view, end } = input
  const keyEnd = plainTextEnd(view, p + 1)
  const colon = spaceEnd(bytes, keyEnd + 1)
  if (bytes[keyEnd] !== QUOTE || bytes[colon] !== COLON) return 0
  input.at = colon + 1
  const member = MEMBERS.get(textOf(bytes, p + 1, keyEnd)) ?? HAS_UNKNOWN
  if (member !== HAS_UNKNOWN) return member
  input.at = input.scanner.endOf(bytes, view, spaceEnd(bytes, colon + 1), end, input.memberDepthMax)
  return input.at < 0 ? 0 : HAS_UNKNOWN
}
