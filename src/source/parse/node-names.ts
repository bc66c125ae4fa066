/** A node that a message describes, as Go writes it. Like entries.ts one function without outer variables, for the same reason: with node info
 * these are a third of the bytes of an answer. */

import { hashWords } from '../../base/hash.ts'
import { ADDRESS_BYTES_MAX } from './address.ts'
import { growNodeAddresses, growNodes } from './columns.ts'
import type { CompactInput } from './compact-input.ts'
import { NODE_ADDRESS_CELLS, NODE_CELLS } from './message.ts'
import { plainTextEnd, spaceEnd, wordOf } from './text.ts'

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

const NODE = wordOf('node')
const ID = wordOf('Id"\0')
const NAME = wordOf('name')
const ADDR = wordOf('addr')
const ESSE = wordOf('esse')

const HAS_ID = 1
const HAS_NAME = 2
const HAS_ADDRESSES = 4
const HAS_UNKNOWN = 8

/** Reads the node at `first` and appends it to the columns; its nodeId goes to `input.nodeId`. Returns the position after it, or `first` when it is
 * unusual or not yet there to its end: then addresses may have been appended. */
export function readCompactNode(input: CompactInput, first: number): number {
  const { bytes, view, base, columns } = input
  const index = columns.nodeCount
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
    if (bytes[p] !== QUOTE) {
      p = spaceEnd(bytes, p)
      if (bytes[p] === CLOSE_OBJECT && had === 0) break
      if (bytes[p] !== QUOTE) return first
    }
    const letters = view.getInt32(p + 1, true)
    let member = HAS_UNKNOWN
    if (letters === NODE && (view.getInt32(p + 5, true) & 0xffffff) === ID) member = HAS_ID
    else if (letters === NAME && bytes[p + 5] === QUOTE) member = HAS_NAME
    else if (
      letters === ADDR &&
      view.getInt32(p + 5, true) === ESSE &&
      bytes[p + 9] === 0x73 &&
      bytes[p + 10] === QUOTE
    )
      member = HAS_ADDRESSES
    if ((had & member) !== 0 && member !== HAS_UNKNOWN) return first
    had |= member
    p = plainTextEnd(view, p + 1)
    if (bytes[p] !== QUOTE) return first
    if (bytes[++p] !== COLON) {
      p = spaceEnd(bytes, p)
      if (bytes[p] !== COLON) return first
    }
    if (bytes[++p]! <= 0x20) p = spaceEnd(bytes, p)
    if (bytes[p] === QUOTE && member !== HAS_ADDRESSES) {
      const end = plainTextEnd(view, p + 1)
      if (bytes[end] === QUOTE) {
        if (member === HAS_ID) {
          idStart = p + 1
          idEnd = end
        } else if (member === HAS_NAME) {
          nameStart = p + 1
          nameEnd = end
        }
        p = end + 1
        continue
      }
    }
    if (member !== HAS_ADDRESSES && member !== HAS_UNKNOWN) return first
    let after = bytes[p] === OPEN_LIST ? readTexts(input, p, member === HAS_ADDRESSES) : -1
    if (after < 0 && member === HAS_UNKNOWN) {
      after = input.scanner.endOf(bytes, view, p, input.end, input.memberDepthMax)
    }
    if (after < 0) return first
    p = after
  } while (bytes[p] === COMMA || (bytes[p]! <= 0x20 && bytes[(p = spaceEnd(bytes, p))] === COMMA))
  if (bytes[p] !== CLOSE_OBJECT) return first
  growNodes(columns, index)
  columns.nodeCells[index * NODE_CELLS] = nameStart - base
  columns.nodeCells[index * NODE_CELLS + 1] = nameEnd - base
  columns.nodeCount = index + 1
  input.nodeId[0] = idStart < 0 ? -1 : idStart - base
  input.nodeId[1] = idEnd - base
  return p + 1
}

/** The list of texts at `p`: addresses, which are appended, or others. Returns the position after it; -1 when it is unusual. */
function readTexts({ bytes, view, base, columns }: CompactInput, p: number, areAddresses: boolean): number {
  p = spaceEnd(bytes, p + 1)
  if (bytes[p] === CLOSE_LIST) return p + 1
  for (;;) {
    if (bytes[p] !== QUOTE) return -1
    const start = p + 1
    const end = plainTextEnd(view, start)
    if (bytes[end] !== QUOTE || end - start > ADDRESS_BYTES_MAX) return -1
    if (areAddresses) {
      const index = columns.nodeAddressCount++
      growNodeAddresses(columns, index)
      const cells = columns.nodeAddressCells
      const cell = index * NODE_ADDRESS_CELLS
      cells[cell] = columns.nodeCount
      cells[cell + 1] = start - base
      cells[cell + 2] = end - base
      cells[cell + 3] = hashWords(view, start, end)
    }
    p = end + 1
    if (bytes[p]! <= 0x20) p = spaceEnd(bytes, p)
    if (bytes[p] === CLOSE_LIST) return p + 1
    if (bytes[p] !== COMMA) return -1
    if (bytes[++p]! <= 0x20) p = spaceEnd(bytes, p)
  }
}
