/** The ends of flows as small numbers that stay the same from message to message. An end is an address with the name that the message has for it.
 * Everything that is asked about an end is answered once and remembered by its number. */
import type { Points } from '../flatten/points.ts'
import { ADDRESS_CELLS, ADDRESS_END, ADDRESS_NAME_END, ADDRESS_NAME_START, ADDRESS_START } from '../flatten/points.ts'
import { doubled } from '../source/message-columns.ts'
import { TAILNET_ADDRESS } from './scope.ts'
import { TextTable } from './text-table.ts'

export type Matcher = (...names: string[]) => boolean

export interface Ends {
  /** A message begins. */
  begin(points: Points): void
  /** The number of the end with this address (index into the message's address cells). */
  endOf(address: number): number
  /** Numbers of texts: the address of an end, and its name; the address again where it has none. */
  addressOf(end: number): number
  nameOf(end: number): number
  isInTailnet(end: number): boolean
  textOf(text: number): string
  /** The number of a text that is not among the message's. */
  numberOf(text: string): number
  matches(matcher: Matcher, text: number): boolean
  /** So many are known that it is time to `forget`: a port scan over addresses brings new ones for ever. */
  readonly isFull: boolean
  /** Numbers given before mean nothing any more. */
  forget(): void
  readonly bytes: number
}

const TEXTS_MAX = 200_000
const UNKNOWN = -1

export function createEnds(textsMax = TEXTS_MAX): Ends {
  const tailnet = new RegExp(TAILNET_ADDRESS)
  const inTailnet: Matcher = (address) => tailnet.test(address ?? '')
  const texts = new TextTable()
  // By end: its address and name.
  let addresses = new Int32Array(256)
  let names = new Int32Array(256)
  let count = 0
  /** By the address's text: the end that it was last. */
  let lastEnds = new Int32Array(256).fill(UNKNOWN)
  /** Ends by address and name, where an address has had several. */
  let ends = new Map<number, number>()
  let memories = new Map<Matcher, Int8Array<ArrayBuffer>>()
  // By address of the message; valid where `rounds` has the number of the message.
  let known = new Int32Array(256)
  let rounds = new Float64Array(256)
  let round = 0
  let points: Points

  function numberOf(address: number): number {
    const { addressCells: cells, textsView: view } = points
    const cell = address * ADDRESS_CELLS
    const text = texts.numberOf(view, cells[cell + ADDRESS_START]!, cells[cell + ADDRESS_END]!)
    const start = cells[cell + ADDRESS_NAME_START]!
    const name = start < 0 ? text : texts.numberOf(view, start, cells[cell + ADDRESS_NAME_END]!)
    while (lastEnds.length < texts.count) lastEnds = grown(lastEnds)
    const last = lastEnds[text]!
    if (last !== UNKNOWN && names[last] === name) return last
    const key = text * 2 ** 26 + name
    let end = ends.get(key)
    if (end === undefined) {
      end = count++
      if (end === names.length) {
        addresses = doubled(addresses, Int32Array)
        names = doubled(names, Int32Array)
      }
      addresses[end] = text
      names[end] = name
      ends.set(key, end)
    }
    lastEnds[text] = end
    return end
  }

  function matches(matcher: Matcher, text: number): boolean {
    let memory = memories.get(matcher)
    if (memory === undefined || memory.length <= text) {
      const wider = new Int8Array(2 ** Math.ceil(Math.log2(text + 64))).fill(UNKNOWN)
      if (memory) wider.set(memory)
      memory = wider
      memories.set(matcher, memory)
    }
    if (memory[text] === UNKNOWN) memory[text] = matcher(texts.textOf(text)) ? 1 : 0
    return memory[text] === 1
  }

  return {
    begin(next) {
      points = next
      round += 1
    },
    endOf(address) {
      while (address >= known.length) {
        known = doubled(known, Int32Array)
        rounds = doubled(rounds, Float64Array)
      }
      if (rounds[address] !== round) {
        known[address] = numberOf(address)
        rounds[address] = round
      }
      return known[address]!
    },
    addressOf: (end) => addresses[end]!,
    nameOf: (end) => names[end]!,
    isInTailnet: (end) => matches(inTailnet, addresses[end]!),
    textOf: (text) => texts.textOf(text),
    numberOf(text) {
      const bytes = Buffer.alloc(Buffer.byteLength(text) + 16)
      return texts.numberOf(new DataView(bytes.buffer, bytes.byteOffset), 0, bytes.write(text))
    },
    matches,
    get isFull() {
      return texts.count > textsMax || count > textsMax
    },
    forget() {
      texts.clear()
      count = 0
      lastEnds.fill(UNKNOWN)
      ends = new Map()
      memories = new Map()
      // What the message in work was told is asked again.
      round += 1
    },
    get bytes() {
      return texts.memoryBytes + 3 * names.byteLength + ends.size * 40
    },
  }
}

function grown(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const wider = new Int32Array(array.length * 2).fill(UNKNOWN)
  wider.set(array)
  return wider
}
