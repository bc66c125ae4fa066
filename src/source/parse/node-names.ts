/** A device that a message describes, as Go writes it. Like entries.ts one function without outer variables, for the same reason: with
 * device info these are a third of the bytes of an answer. */

import { hashWords } from '../../base/hash.ts'
import { ADDRESS_BYTES_MAX } from './address.ts'
import { type Columns, growNodeAddresses, growNodes } from './columns.ts'
import { NODE_ADDRESS_CELLS, NODE_CELLS } from './message.ts'
import { plainTextEnd, wordOf } from './words.ts'

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

const NODE = wordOf('node')
const ID = wordOf('Id":')
const NAME = wordOf('name')
const ADDR = wordOf('addr')
const ESSE = wordOf('esse')

const HAS_ID = 1
const HAS_NAME = 2
const HAS_ADDRESSES = 4

/** Reads the device at `first` and appends it to `columns`; `id` gets start and end of its nodeId, -1 without. Returns the position after it, or
 * `first` when it is unusual or not yet there to its end: a member that is neither text nor a list of texts, white space, an escape. */
export function readCompactDevice(
  bytes: Uint8Array,
  view: DataView,
  first: number,
  base: number,
  columns: Columns,
  id: Int32Array,
): number {
  const index = columns.nodeCount
  let addressCount = columns.nodeAddressCount
  let had = 0
  let idStart = -1
  let idEnd = -1
  let nameStart = base
  let nameEnd = base
  let p = first
  if (bytes[p] !== OPEN_OBJECT) return first
  do {
    // `p` is at the brace or comma before a member.
    p += 1
    if (bytes[p] !== QUOTE) return first
    const letters = view.getInt32(p + 1, true)
    let member = 0
    if (letters === NODE && view.getInt32(p + 5, true) === ID) member = HAS_ID
    else if (letters === NAME && bytes[p + 5] === QUOTE) member = HAS_NAME
    else if (
      letters === ADDR &&
      view.getInt32(p + 5, true) === ESSE &&
      bytes[p + 9] === 0x73 &&
      bytes[p + 10] === QUOTE
    )
      member = HAS_ADDRESSES
    if ((had & member) !== 0) return first
    had |= member
    p = plainTextEnd(view, p + 1)
    if (bytes[p] !== QUOTE || bytes[p + 1] !== COLON) return first
    p += 2
    if (bytes[p] === QUOTE) {
      const start = p + 1
      p = plainTextEnd(view, start)
      if (bytes[p] !== QUOTE || member === HAS_ADDRESSES) return first
      if (member === HAS_ID) {
        idStart = start
        idEnd = p
      } else if (member === HAS_NAME) {
        nameStart = start
        nameEnd = p
      }
      p += 1
    } else if (bytes[p] === OPEN_LIST) {
      if (member === HAS_ID || member === HAS_NAME) return first
      if (bytes[p + 1] === CLOSE_LIST) p += 1
      else {
        do {
          const start = p + 2
          if (bytes[p + 1] !== QUOTE) return first
          p = plainTextEnd(view, start)
          if (bytes[p] !== QUOTE) return first
          if (member === HAS_ADDRESSES) {
            if (p - start > ADDRESS_BYTES_MAX) return first
            growNodeAddresses(columns, addressCount)
            const cells = columns.nodeAddressCells
            const cell = addressCount * NODE_ADDRESS_CELLS
            cells[cell] = index
            cells[cell + 1] = start - base
            cells[cell + 2] = p - base
            cells[cell + 3] = hashWords(view, start, p)
            addressCount += 1
          }
          p += 1
        } while (bytes[p] === COMMA)
        if (bytes[p] !== CLOSE_LIST) return first
      }
      p += 1
    } else return first
  } while (bytes[p] === COMMA)
  if (bytes[p] !== CLOSE_OBJECT) return first
  growNodes(columns, index)
  columns.nodeCells[index * NODE_CELLS] = nameStart - base
  columns.nodeCells[index * NODE_CELLS + 1] = nameEnd - base
  columns.nodeCount = index + 1
  columns.nodeAddressCount = addressCount
  id[0] = idStart < 0 ? -1 : idStart - base
  id[1] = idEnd - base
  return p + 1
}
