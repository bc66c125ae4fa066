/** Texts of tags as small numbers, so that raw points take little memory and are compared fast. The same text has the same number as long as the table
 * lives, and the same hash on every machine. */
import { avalanche, HASH_SEED, hashBytes, isSameText, secondHashStep, TAILS } from '../../base/hash.ts'
import { RowIndex } from '../../base/hash-tables.ts'
import { doubled } from '../../base/typed-array.ts'
import { copyWords } from '../../sink/line-protocol/batches.ts'
import { createTuples } from './tuples.ts'

export interface TextIds {
  readonly count: number
  idOf(text: string): number
  /** The same for the UTF-8 bytes from `start` to `end`; `hash` is their `hashBytes`. Up to three bytes behind them are read, whatever they hold. */
  idOfBytes(view: DataView, start: number, end: number, hash: number): number
  /** The text of a number that `idOf` gave. */
  textOf(id: number): string
  /** Writes the text of a number as UTF-8 and returns the position after it; up to 16 bytes after that are written too. */
  copy(id: number, to: DataView, at: number): number
  /** 64 bits in two halves, a pure function of the text: `low` and `high` by number. */
  readonly low: Int32Array
  readonly high: Int32Array
  /** The number of a kind (index into KINDS) with a protocol and a path (texts): few that many points share. */
  labelOf(kind: number, proto: number, path: number): number
  readonly labelCount: number
  /** Kind, protocol and path of each label: three cells. */
  readonly labels: Int32Array
  /** Memory that it takes. */
  readonly bytes: number
}

const COUNT_MIN = 64
/** Words are read beyond the end of a text. */
const SPARE = 16
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** `sizeHint`: so many texts are expected. */
export function createTextIds(sizeHint = COUNT_MIN): TextIds {
  const index = new RowIndex(sizeHint)
  /** Where each text ends in `bytes`; it begins where the one before ends. */
  let ends = new Int32Array(sizeHint)
  /** `hashBytes` of each text, not spread. */
  let hashes = new Int32Array(sizeHint)
  let low = new Int32Array(sizeHint)
  let high = new Int32Array(sizeHint)
  let bytes: Uint8Array = new Uint8Array(sizeHint * 16)
  let view = new DataView(bytes.buffer)
  let count = 0
  /** Texts as strings, made when they are asked for. */
  const strings: (string | undefined)[] = []

  const labelIds = createTuples(3)
  const label = new Int32Array(3)

  const startOf = (id: number) => (id === 0 ? 0 : ends[id - 1]!)

  function add(from: DataView, start: number, end: number, hash: number): number {
    const id = count++
    const at = startOf(id)
    const length = end - start
    while (at + length + SPARE > bytes.length) {
      bytes = doubled(bytes, Uint8Array)
      view = new DataView(bytes.buffer)
    }
    let other = HASH_SEED
    let i = 0
    for (; i + 4 <= length; i += 4) {
      const word = from.getInt32(start + i, true)
      view.setInt32(at + i, word, true)
      other = secondHashStep(other, word)
    }
    const last = from.getInt32(start + i, true) & TAILS[length - i]!
    view.setInt32(at + i, last, true)
    ends[id] = at + length
    hashes[id] = hash
    low[id] = avalanche(hash)
    high[id] = avalanche(secondHashStep(other, last ^ length))
    if (count === ends.length) grow()
    return id
  }

  function grow(): void {
    ends = doubled(ends, Int32Array)
    hashes = doubled(hashes, Int32Array)
    low = doubled(low, Int32Array)
    high = doubled(high, Int32Array)
    index.clear(ends.length)
    for (let id = 0; id < count; id++) {
      let place = index.first(hashes[id]!)
      while (index.rowAt(place) >= 0) place = index.next(place)
      index.put(place, id)
    }
  }

  function idOfBytes(from: DataView, start: number, end: number, hash: number): number {
    const length = end - start
    let place = index.first(hash)
    for (let id = index.rowAt(place); id >= 0; id = index.rowAt(place)) {
      const at = startOf(id)
      if (hashes[id] === hash && ends[id]! - at === length && isSameText(view, at, from, start, length)) return id
      place = index.next(place)
    }
    index.put(place, count)
    return add(from, start, end, hash)
  }

  let scratch = new Uint8Array(sizeHint * 16)
  let scratchView = new DataView(scratch.buffer)

  return {
    get count() {
      return count
    },
    idOfBytes,
    idOf(text) {
      if (scratch.length < text.length * 3 + SPARE) {
        scratch = new Uint8Array(text.length * 3 + SPARE)
        scratchView = new DataView(scratch.buffer)
      }
      const { written } = encoder.encodeInto(text, scratch)
      return idOfBytes(scratchView, 0, written, hashBytes(scratch, 0, written))
    },
    textOf(id) {
      if (!(id >= 0 && id < count)) throw new RangeError(`no text ${id} of ${count}`)
      return (strings[id] ??= decoder.decode(bytes.subarray(startOf(id), ends[id])))
    },
    copy: (id, to, at) => copyWords(to, at, view, startOf(id), ends[id]!),
    get low() {
      return low
    },
    get high() {
      return high
    },
    labelOf(kind, proto, path) {
      label[0] = kind
      label[1] = proto
      label[2] = path
      return labelIds.indexOf(label)
    },
    get labelCount() {
      return labelIds.count
    },
    get labels() {
      return labelIds.cells
    },
    get bytes() {
      return bytes.length + 16 * ends.length + index.bytes
    },
  }
}
