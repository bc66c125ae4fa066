/** Parts of a scope as rows of the state file: of a piece of time, or a part of one, so that little is written when little came. Numbers are little-endian, as on every machine that Node.js runs on. */
import type { Distinct } from './distinct.ts'
import type { DistinctPiece } from './distinct-piece.ts'
import type { Scope } from './scope.ts'
import type { Sighting } from './sightings.ts'

export interface StoredPart {
  readonly name: string
  sinceNs: bigint
  /** Rows that changed; undefined for those to delete. */
  changed(): Iterable<[row: number, cells: Uint8Array | undefined]>
  saved(): void
  restore(row: number, cells: Uint8Array): void
}

export function partsOf(scope: Scope): StoredPart[] {
  return [
    ...scope.summed.map((by) =>
      storedPart(`sums ${by.sum} ${by.stepMinutes * 60}`, by, {
        changed: () => mapped(by.sums.changed(), (cells) => bytesOf(cells)),
        saved: () => by.sums.saved(),
        restore: (block, cells) => by.sums.restore(block, new Float64Array(copyOf(cells))),
      }),
    ),
    ...scope.present.map((by) =>
      storedPart(
        `presence ${by.slotMinutes * 60}`,
        { sinceNs: 0n },
        {
          changed: () => mapped(by.presence.changed(), (seen) => seen),
          saved: () => by.presence.saved(),
          restore: (slot, cells) => by.presence.restore(slot, Uint8Array.from(cells)),
        },
      ),
    ),
    ...scope.distinct.map((by) =>
      storedPart(`items ${by.distinct.of} ${by.stepMinutes * 60}`, by, {
        changed: () => mapped(by.distinct.changed(), (piece) => itemsToBytes(by.distinct, piece)),
        saved: () => by.distinct.saved(),
        restore: (part, cells) => by.distinct.restore(part, itemsOf(by.distinct, cells)),
      }),
    ),
    ...scope.seen.map((by) =>
      storedPart(`seen ${by.rule.name}`, by, {
        changed: () => mapped(by.sightings.changedWaiting(), (waiting) => Buffer.from(JSON.stringify(waiting))),
        saved: () => by.sightings.saved(),
        restore(_slot, cells) {
          for (const one of JSON.parse(Buffer.from(cells).toString()) as Sighting[]) by.sightings.add(one, one.piece)
        },
      }),
    ),
  ]
}

function storedPart(
  name: string,
  by: { sinceNs: bigint },
  rows: Pick<StoredPart, 'changed' | 'saved' | 'restore'>,
): StoredPart {
  return {
    name,
    get sinceNs() {
      return by.sinceNs
    },
    set sinceNs(ns) {
      by.sinceNs = ns
    },
    ...rows,
  }
}

function* mapped<T>(
  rows: Iterable<[number, T | undefined]>,
  toBytes: (row: T) => Uint8Array,
): Iterable<[number, Uint8Array | undefined]> {
  for (const [piece, row] of rows) yield [piece, row === undefined ? undefined : toBytes(row)]
}

/** What is not saved yet: pairs of a group and an item, as int32; behind them the texts of the items, as JSON. Ports need no text: the item is the
 * port. */
function itemsToBytes(distinct: Distinct, piece: DistinctPiece): Uint8Array {
  const count = piece.count - piece.savedRows
  const numbers = new Int32Array(1 + count * 2)
  numbers[0] = count
  const texts: string[] = []
  const places = new Map<number, number>()
  let at = 1
  piece.eachRow(piece.savedRows, (id, item) => {
    let place = item
    if (distinct.of === 'dst') {
      place = places.get(item) ?? texts.push(distinct.textOf(item)) - 1
      places.set(item, place)
    }
    numbers[at++] = id
    numbers[at++] = place
  })
  return Buffer.concat([bytesOf(numbers), Buffer.from(JSON.stringify(texts))])
}

function* itemsOf(distinct: Distinct, cells: Uint8Array): Iterable<readonly [number, number]> {
  const bytes = Buffer.from(cells)
  const end = 4 + bytes.readInt32LE(0) * 8
  const texts = JSON.parse(bytes.subarray(end).toString()) as string[]
  const items = texts.map((text) => distinct.itemOf(text))
  for (let at = 4; at < end; at += 8) {
    const place = bytes.readInt32LE(at + 4)
    yield [bytes.readInt32LE(at), distinct.of === 'dst' ? (items[place] ?? 0) : place]
  }
}

/** The bytes of numbers. */
export function bytesOf(numbers: Int32Array | Float64Array | BigUint64Array): Uint8Array {
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength)
}

/** Memory of its own, from its beginning, as arrays of numbers need it. */
export function copyOf(bytes: Uint8Array): ArrayBuffer {
  return Uint8Array.from(bytes).buffer
}
