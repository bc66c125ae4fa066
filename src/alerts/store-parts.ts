/** Parts of a scope as rows of the state file: one row per piece of time. Numbers are little-endian, as on every machine that Node.js runs on. */
import type { ItemsByGroup } from './distinct.ts'
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
      storedPart(`sum ${by.sum} ${by.stepSeconds}`, by, {
        changed: () => mapped(by.sums.changed(), (column) => bytesOf(column)),
        saved: () => by.sums.saved(),
        restore: (piece, cells) => by.sums.restore(piece, new Float64Array(copyOf(cells))),
      }),
    ),
    ...scope.present.map((by) =>
      storedPart(
        `presence ${by.slotSeconds}`,
        { sinceNs: 0n },
        {
          changed: () => mapped(by.presence.changed(), (seen) => seen),
          saved: () => by.presence.saved(),
          restore: (slot, cells) => by.presence.restore(slot, Uint8Array.from(cells)),
        },
      ),
    ),
    ...scope.distinct.map((by) =>
      storedPart(`distinct ${by.distinct.of} ${by.stepSeconds}`, by, {
        changed: () => mapped(by.distinct.changed(), itemsToBytes),
        saved: () => by.distinct.saved(),
        restore: (piece, cells) => by.distinct.restore(piece, itemsOf(cells)),
      }),
    ),
    ...scope.seen.map((by) =>
      storedPart(`seen ${by.rule.name}`, by, {
        changed: () => mapped(by.sightings.changedWaiting(), (waiting) => Buffer.from(JSON.stringify(waiting))),
        saved: () => by.sightings.saved(),
        restore: (_slot, cells) => by.sightings.add(JSON.parse(Buffer.from(cells).toString()) as Sighting[]),
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

function itemsToBytes(groups: ItemsByGroup): Uint8Array {
  return Buffer.from(JSON.stringify([...groups].map(([id, items]) => [id, ...items])))
}

function itemsOf(cells: Uint8Array): ItemsByGroup {
  const rows = JSON.parse(Buffer.from(cells).toString()) as [number, ...string[]][]
  return new Map(rows.map(([id, ...items]) => [id, new Set(items)]))
}

/** The bytes of numbers. */
export function bytesOf(numbers: Float64Array | BigUint64Array): Uint8Array {
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength)
}

/** Memory of its own, from its beginning, as arrays of numbers need it. */
export function copyOf(bytes: Uint8Array): ArrayBuffer {
  return Uint8Array.from(bytes).buffer
}
