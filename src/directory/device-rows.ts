/** The memory of the directory: 200,000 devices that lived for an hour must not cost more than what is written about them. So each device is one text, which
 * is read when somebody asks for it, and addresses are found by their hashes. */
import { hashText, spreadHash } from '../base/hash.ts'
import type { DeviceSource, DeviceVersion } from './device-version.ts'

/** All versions of a device, ascending by `from`, which differ. Nearly all have one. */
interface Known {
  readonly versions: readonly DeviceVersion[]
  /** When its addresses were first claimed, as far as this process saw it: `logged`, ns. */
  readonly sinceNs: bigint
}

export interface DeviceRows {
  readonly count: number
  get(node: string): Known | undefined
  set(node: string, known: Known): void
  delete(node: string): void
  /** The nodes that have this address in one of their versions. */
  nodesWith(address: string): readonly string[]
  nodes(): Iterable<string>
}

/** Devices that are also kept as objects: those that were asked for last. */
const UNPACKED_MAX = 10_000
const PLACES_MIN = 1_024

export function createDeviceRows(): DeviceRows {
  const rowOf = new Map<string, number>()
  const nodeOf: string[] = []
  const texts: string[] = []
  const free: number[] = []
  const unpacked = new Map<string, Known>()
  /** Row + 1 by the hash of an address; 0 is free. What is no longer true stays until the table is made again. */
  let places = new Int32Array(PLACES_MIN)
  let taken = 0

  function index(address: string, row: number): void {
    const mask = places.length - 1
    let place = spreadHash(hashText(address)) & mask
    while (places[place] !== 0) {
      if (places[place] === row + 1) return
      place = (place + 1) & mask
    }
    places[place] = row + 1
    taken += 1
  }

  function indexAll(): void {
    let count = 0
    for (const row of rowOf.values()) count += addressesIn(texts[row]!).length
    let length = PLACES_MIN
    while (length < count * 4) length *= 2
    places = new Int32Array(length)
    taken = 0
    for (const row of rowOf.values()) for (const address of addressesIn(texts[row]!)) index(address, row)
  }

  return {
    get count() {
      return rowOf.size
    },
    get(node) {
      const found = unpacked.get(node)
      if (found !== undefined) return found
      const row = rowOf.get(node)
      if (row === undefined) return undefined
      const known = unpack(node, texts[row]!)
      if (unpacked.size >= UNPACKED_MAX) unpacked.clear()
      unpacked.set(node, known)
      return known
    },
    set(node, known) {
      const row = rowOf.get(node) ?? free.pop() ?? texts.length
      rowOf.set(node, row)
      nodeOf[row] = node
      texts[row] = pack(known)
      if (unpacked.has(node)) unpacked.set(node, known)
      for (const { addresses } of known.versions) for (const address of addresses) index(address, row)
      if (taken * 2 > places.length) indexAll()
    },
    delete(node) {
      const row = rowOf.get(node)
      if (row === undefined) return
      rowOf.delete(node)
      unpacked.delete(node)
      nodeOf[row] = ''
      texts[row] = ''
      free.push(row)
    },
    nodesWith(address) {
      const found: string[] = []
      const mask = places.length - 1
      for (let place = spreadHash(hashText(address)) & mask; places[place] !== 0; place = (place + 1) & mask) {
        const row = places[place]! - 1
        if (texts[row]!.includes(` ${address} `)) found.push(nodeOf[row]!)
      }
      return found
    },
    nodes: () => rowOf.keys(),
  }
}

type Packed = [
  sinceNs: string,
  ...versions: [from: number, name: string, owner: string, os: string, source: string, loggedNs: string][],
]

/** Texts of the directory hold no control characters: addresses stand behind the last one. */
const ADDRESSES = '\n'

/** First what JSON holds, then the addresses of each version on a line of its own, with a blank before and after each. */
function pack({ versions, sinceNs }: Known): string {
  const packed: Packed = [
    String(sinceNs),
    ...versions.map(({ from, name, owner, os, source, loggedNs }): Packed[1] & {} => [
      from,
      name,
      owner,
      os,
      source,
      String(loggedNs),
    ]),
  ]
  return [JSON.stringify(packed), ...versions.map(({ addresses }) => ` ${addresses.join('  ')} `)].join(ADDRESSES)
}

function unpack(node: string, text: string): Known {
  const [json = '', ...lists] = text.split(ADDRESSES)
  const [sinceNs, ...versions] = JSON.parse(json) as Packed
  return {
    sinceNs: BigInt(sinceNs),
    versions: versions.map(([from, name, owner, os, source, loggedNs], i) => ({
      ...{ node, name, owner, os, source: source as DeviceSource },
      addresses: lists[i]!.split(' ').filter(Boolean),
      loggedNs: BigInt(loggedNs),
      from,
    })),
  }
}

function addressesIn(text: string): string[] {
  return text
    .slice(text.indexOf(ADDRESSES) + 1)
    .split(/[ \n]+/)
    .filter(Boolean)
}
