/** Texts of tags as small numbers, so that raw points take little memory and are compared fast. The same text has the same number as long as the table
 * lives, and the same hash on every machine. */

export interface TextIds {
  readonly count: number
  idOf(text: string): number
  /** The text of a number that `idOf` gave. */
  textOf(id: number): string
  /** 64 bits in two halves, a pure function of the text: `low` and `high` by number. */
  readonly low: Int32Array
  readonly high: Int32Array
}

const FNV_PRIME = 0x01000193
const SEED_LOW = 0x811c9dc5 | 0
const SEED_HIGH = 0x2f0b4a73

export function createTextIds(): TextIds {
  const ids = new Map<string, number>()
  const texts: string[] = []
  let low = new Int32Array(1024)
  let high = new Int32Array(1024)

  function add(text: string): number {
    const id = texts.push(text) - 1
    if (id === low.length) {
      low = grown(low)
      high = grown(high)
    }
    low[id] = hashText(text, SEED_LOW)
    high[id] = hashText(text, SEED_HIGH)
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

/** Over UTF-16 units; the last step spreads every unit over all bits. */
function hashText(text: string, seed: number): number {
  let hash = seed
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

function grown(from: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const to = new Int32Array(from.length * 2)
  to.set(from)
  return to
}
