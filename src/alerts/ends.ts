/** The ends of flows as small numbers that stay the same from message to message. An end is an address with the name that the directory has for it
 * when it is read. Everything that is asked about an end is answered once and remembered by its number. */

import { isTailnetAddress } from '../base/tailnet-address.ts'
import { doubled } from '../base/typed-array.ts'
import type { NodeNames } from '../directory/node-names.ts'
import { ADDRESS_CELLS, ADDRESS_END, ADDRESS_START, type Points } from '../flatten/points.ts'
import { textOf } from '../source/parse/text.ts'
import { EndTable } from './end-table.ts'

type Matcher = (...names: string[]) => boolean

export interface Ends {
  /** Names may have changed: each end is looked up again when it is next seen. With another name it is another end. */
  refreshNames(): void
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

const ENDS_MAX = 200_000
/** A text with its places, roughly. */
const TEXT_BYTES = 100
const UNKNOWN = -1

export function createEnds(directory: NodeNames, endsMax = ENDS_MAX): Ends {
  const inTailnet: Matcher = (address) => isTailnetAddress(address ?? '')
  const table = new EndTable()
  // By number in `table`: its newest end, and in which round of names that was looked up.
  let newest = new Int32Array(256)
  let lookedUp = new Int32Array(256)
  let namesRound = 1
  let count = 0
  /** By end: its address and name, as numbers of texts. */
  let addresses = new Int32Array(256)
  let names = new Int32Array(256)
  let numbers = new Map<string, number>()
  let texts: string[] = []
  let memories = new Map<Matcher, Int8Array<ArrayBuffer>>()
  // By address of the message; valid where `rounds` has the number of the message.
  let known = new Int32Array(256)
  let rounds = new Float64Array(256)
  let round = 0
  let points: Points

  function numberOf(address: number): number {
    const { addressCells: cells, textsView: view } = points
    const cell = address * ADDRESS_CELLS
    const start = cells[cell + ADDRESS_START]!
    const end = cells[cell + ADDRESS_END]!
    const before = table.count
    const place = table.numberOf(view, start, end)
    const isNew = place === before
    if (isNew && place === newest.length) {
      newest = doubled(newest, Int32Array)
      lookedUp = doubled(lookedUp, Int32Array)
    }
    if (isNew || lookedUp[place] !== namesRound) {
      const text = isNew ? textNumberOf(textOf(points.texts, start, end)) : addresses[newest[place]!]!
      const name = textNumberOf(directory.nameOf(texts[text]!) ?? texts[text]!)
      if (isNew || names[newest[place]!] !== name) newest[place] = add(text, name)
      lookedUp[place] = namesRound
    }
    return newest[place]!
  }

  function add(address: number, name: number): number {
    if (count === names.length) {
      addresses = doubled(addresses, Int32Array)
      names = doubled(names, Int32Array)
    }
    addresses[count] = address
    names[count] = name
    return count++
  }

  function textNumberOf(text: string): number {
    const known = numbers.get(text)
    if (known !== undefined) return known
    numbers.set(text, texts.length)
    return texts.push(text) - 1
  }

  function matches(matcher: Matcher, text: number): boolean {
    let memory = memories.get(matcher)
    if (memory === undefined || memory.length <= text) {
      const wider = new Int8Array(2 ** Math.ceil(Math.log2(text + 64))).fill(UNKNOWN)
      if (memory) wider.set(memory)
      memory = wider
      memories.set(matcher, memory)
    }
    if (memory[text] === UNKNOWN) memory[text] = matcher(texts[text]!) ? 1 : 0
    return memory[text] === 1
  }

  return {
    refreshNames() {
      namesRound += 1
    },
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
    textOf: (text) => texts[text]!,
    numberOf: textNumberOf,
    matches,
    get isFull() {
      return count >= endsMax || texts.length >= endsMax
    },
    forget() {
      table.clear()
      count = 0
      numbers = new Map()
      texts = []
      memories = new Map()
      // What the message in work was told is asked again.
      round += 1
    },
    get bytes() {
      return table.memoryBytes + 2 * (names.byteLength + newest.byteLength) + texts.length * TEXT_BYTES
    },
  }
}
