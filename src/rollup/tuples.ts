/** A table of distinct tuples of 32-bit numbers: each has an index, from 0 in order of arrival. */

export interface Tuples {
  readonly count: number
  /** `width` numbers per tuple, by index. */
  readonly cells: Int32Array
  /** Index of the tuple; `count` grows by one when it is new. */
  indexOf(tuple: Int32Array): number
}

const COUNT_MIN = 64

export function createTuples(width: number): Tuples {
  let count = 0
  let cells = new Int32Array(COUNT_MIN * width)
  /** Index plus 1; 0 is empty. At most half of them are taken. */
  let places = new Int32Array(COUNT_MIN * 2)

  function hashOf(from: Int32Array, at: number): number {
    let hash = 0x811c9dc5
    for (let i = at; i < at + width; i++) {
      hash = Math.imul(hash ^ from[i]!, 0x9e3779b1)
      hash ^= hash >>> 15
    }
    return hash
  }

  function isAt(index: number, tuple: Int32Array): boolean {
    const at = index * width
    for (let i = 0; i < width; i++) if (cells[at + i] !== tuple[i]) return false
    return true
  }

  function grow(): void {
    const more = new Int32Array(cells.length * 2)
    more.set(cells)
    cells = more
    places = new Int32Array((cells.length / width) * 2)
    const mask = places.length - 1
    for (let index = 0; index < count; index++) {
      let place = hashOf(cells, index * width) & mask
      while (places[place] !== 0) place = (place + 1) & mask
      places[place] = index + 1
    }
  }

  return {
    get count() {
      return count
    },
    get cells() {
      return cells
    },
    indexOf(tuple) {
      const mask = places.length - 1
      let place = hashOf(tuple, 0) & mask
      for (let found = places[place]!; found !== 0; found = places[place]!) {
        if (isAt(found - 1, tuple)) return found - 1
        place = (place + 1) & mask
      }
      places[place] = count + 1
      cells.set(tuple, count * width)
      count += 1
      if (count * width === cells.length) grow()
      return count - 1
    },
  }
}
