/** Addresses and names of the message in work as small numbers, with what matchers said about them. Decoded only when a scope asks. */

import type { Points } from '../flatten/points.ts'
import { ADDRESS_CELLS, ADDRESS_END, ADDRESS_NAME_END, ADDRESS_NAME_START, ADDRESS_START } from '../flatten/points.ts'
import { textOf } from '../source/message-text.ts'
import { TAILNET_ADDRESS } from './scope.ts'

type Matcher = (...names: string[]) => boolean

export interface FeedTexts {
  /** A message begins. True: all numbers given before mean nothing any more. */
  begin(points: Points): boolean
  /** Number of an address of the message (index into its address cells) as a text. */
  addressOf(address: number): number
  /** Number of its name; of the address itself where it has none. */
  nameOf(address: number): number
  isInTailnet(address: number): boolean
  textOf(number: number): string
  matches(matcher: Matcher, number: number): boolean
}

/** So many texts are kept; a port scan over addresses brings new ones for ever. */
const TEXTS_MAX = 100_000
const UNKNOWN = -1

export function createTexts(): FeedTexts {
  const tailnet = new RegExp(TAILNET_ADDRESS)
  const inTailnet: Matcher = (address) => tailnet.test(address ?? '')
  let numbers = new Map<string, number>()
  let list: string[] = []
  let memories = new Map<Matcher, Int8Array<ArrayBuffer>>()
  // By address of the message; valid where `rounds` has the number of the message.
  let addresses = new Int32Array(256)
  let names = new Int32Array(256)
  let addressRounds = new Float64Array(256)
  let nameRounds = new Float64Array(256)
  let round = 0
  let points: Points

  function numberOf(text: string): number {
    const known = numbers.get(text)
    if (known !== undefined) return known
    numbers.set(text, list.length)
    return list.push(text) - 1
  }

  function decoded(start: number, end: number): number {
    return numberOf(textOf(points.texts, start, end))
  }

  function makeRoom(address: number): void {
    let room = addresses.length
    while (room <= address) room *= 2
    addresses = new Int32Array(room)
    names = new Int32Array(room)
    addressRounds = new Float64Array(room)
    nameRounds = new Float64Array(room)
  }

  function addressOf(address: number): number {
    if (address >= addresses.length) makeRoom(address)
    if (addressRounds[address] !== round) {
      const cell = address * ADDRESS_CELLS
      addresses[address] = decoded(points.addressCells[cell + ADDRESS_START]!, points.addressCells[cell + ADDRESS_END]!)
      addressRounds[address] = round
    }
    return addresses[address]!
  }

  function nameOf(address: number): number {
    if (address >= addresses.length) makeRoom(address)
    if (nameRounds[address] !== round) {
      const cell = address * ADDRESS_CELLS
      const start = points.addressCells[cell + ADDRESS_NAME_START]!
      names[address] = start < 0 ? addressOf(address) : decoded(start, points.addressCells[cell + ADDRESS_NAME_END]!)
      nameRounds[address] = round
    }
    return names[address]!
  }

  function matches(matcher: Matcher, number: number): boolean {
    let memory = memories.get(matcher)
    if (memory === undefined || memory.length <= number) {
      const wider = new Int8Array(2 ** Math.ceil(Math.log2(number + 64))).fill(UNKNOWN)
      if (memory) wider.set(memory)
      memory = wider
      memories.set(matcher, memory)
    }
    if (memory[number] === UNKNOWN) memory[number] = matcher(list[number]!) ? 1 : 0
    return memory[number] === 1
  }

  return {
    begin(next) {
      points = next
      round += 1
      if (list.length <= TEXTS_MAX) return false
      numbers = new Map()
      list = []
      memories = new Map()
      return true
    },
    addressOf,
    nameOf,
    isInTailnet: (address) => matches(inTailnet, addressOf(address)),
    textOf: (number) => list[number]!,
    matches,
  }
}
