/** Texts of tags as small numbers, so that raw points take little memory and are compared fast. The same text has the same number as long as the table
 * lives, and the same hash on every machine. */
import { avalanche, HASH_SEED, hashStep, secondHashStep } from '../base/hash.ts'
import { doubled } from '../base/typed-array.ts'

export interface TextIds {
  readonly count: number
  idOf(text: string): number
  /** The text of a number that `idOf` gave. */
  textOf(id: number): string
  /** 64 bits in two halves, a pure function of the text: `low` and `high` by number. */
  readonly low: Int32Array
  readonly high: Int32Array
}

export function createTextIds(): TextIds {
  const ids = new Map<string, number>()
  const texts: string[] = []
  let low = new Int32Array(1024)
  let high = new Int32Array(1024)

  function add(text: string): number {
    const id = texts.push(text) - 1
    if (id === low.length) {
      low = doubled(low, Int32Array)
      high = doubled(high, Int32Array)
    }
    const [one, other] = hashesOf(text)
    low[id] = one
    high[id] = other
    ids.set(text, id)
    return id
  }

  return {
    get count() {
      return texts.length
    },
    idOf: (text) => ids.get(text) ?? add(text),
    textOf(id) {
      const text = texts[id]
      if (text === undefined) throw new RangeError(`no text ${id} of ${texts.length}`)
      return text
    },
    get low() {
      return low
    },
    get high() {
      return high
    },
  }
}

/** Two independent hashes of a text, over its UTF-16 code units. */
export function hashesOf(text: string): readonly [number, number] {
  let one = HASH_SEED
  let other = HASH_SEED
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    one = hashStep(one, unit)
    other = secondHashStep(other, unit)
  }
  return [avalanche(one), avalanche(other)]
}
