/** Parts of a scope as rows of the state file: one row per piece of time. Numbers are little-endian, as on every machine that Node.js runs on. */
import type { Distinct } from './distinct.ts'
import type { DistinctPiece } from './distinct-piece.ts'
import type { Scope } from './scope.ts'
import type { Sighting } from './sightings.ts'

export interface StoredPart {
  readonly name: string
  sinceNs: bigint
  /** Rows that changed; undefined for those to delete. */
  changed(): Iterable<[piece: number, cells: Uint8Array | undefined]>
  saved(): void
  restore(piece: number, cells: Uint8Array): void
}

export function partsOf(scope: Scope): StoredPart[] {
  return [
    ...scope.summed.map((by) =>
      storedPart(`sum ${by.sum} ${by.stepMinutes * 60}`, by, {
        changed: () => mapped(by.sums.changed(), (column) => bytesOf(column)),
        saved: () => by.sums.saved(),
        restore: (piece, cells) => by.sums.restore(piece, new Float64Array(copyOf(cells))),
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
        restore: (piece, cells) => restoreItems(by.distinct, piece, cells),
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
  rows: ReadonlyMap<number, T | undefined>,
  toBytes: (row: T) => Uint8Array,
): Iterable<[number, Uint8Array | undefined]> {
  for (const [piece, row] of rows) yield [piece, row === undefined ? undefined : toBytes(row)]
}

/** Pairs of a group and an item, as int32; behind them the texts of the items, as JSON. Ports need no text: the item is the port. */
function itemsToBytes(distinct: Distinct, piece: DistinctPiece): Uint8Array {
  const pairs = new Int32Array(piece.count * 2)
  const texts: string[] = []
  const places = new Map<number, number>()
  let row = 0
  piece.eachRow((id, item) => {
    let place = item
    if (distinct.of === 'dst') {
      place = places.get(item) ?? texts.push(distinct.textOf(item)) - 1
      places.set(item, place)
    }
    pairs[row++] = id
    pairs[row++] = place
  })
  const count = Int32Array.of(piece.count)
  return Buffer.concat([bytesOf(count), bytesOf(pairs), Buffer.from(JSON.stringify(texts))])
}

function restoreItems(distinct: Distinct, piece: number, cells: Uint8Array): void {
  const bytes = Buffer.from(cells)
  const count = bytes.readInt32LE(0)
  const end = 4 + count * 8
  const texts = JSON.parse(bytes.subarray(end).toString()) as string[]
  const items = texts.map((text) => distinct.itemOf(text))
  for (let at = 4; at < end; at += 8) {
    const place = bytes.readInt32LE(at + 4)
    distinct.add(piece, bytes.readInt32LE(at), distinct.of === 'dst' ? (items[place] ?? 0) : place)
  }
  distinct.saved()
}

/** The bytes of numbers. */
export function bytesOf(numbers: Int32Array | Float64Array | BigUint64Array): Uint8Array {
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength)
}

/** Memory of its own, from its beginning, as arrays of numbers need it. */
export function copyOf(bytes: Uint8Array): ArrayBuffer {
  return Uint8Array.from(bytes).buffer
}
