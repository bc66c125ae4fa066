/** One number for each group, in as few bytes as the largest of them needs. Whole numbers below 2^53 are exact. */

type Cells = Uint8Array | Uint32Array | Float64Array

export class Column {
  private cells: Cells

  constructor(size: number) {
    this.cells = new Uint8Array(size)
  }

  /** Keeps what `values` has at the moment. */
  static of(values: Float64Array, size: number): Column {
    let [last, most] = [0, 0]
    for (let id = 0; id < size; id++) {
      const value = values[id]!
      if (value === 0) continue
      last = id + 1
      if (value > most) most = value
    }
    const column = new Column(0)
    column.cells = cellsFor(most, last)
    for (let id = 0; id < last; id++) column.cells[id] = values[id]!
    return column
  }

  get length(): number {
    return this.cells.length
  }
  get bytes(): number {
    return this.cells.byteLength
  }
  at(id: number): number {
    return this.cells[id] ?? 0
  }
  /** `value` may be negative; the sum is not. */
  add(id: number, value: number): void {
    const sum = this.at(id) + value
    const size = id >= this.cells.length ? Math.max(id + 1, Math.ceil(this.cells.length * 1.25)) : this.cells.length
    if (size > this.cells.length || sum > mostOf(this.cells)) {
      const wider = cellsFor(Math.max(sum, mostOf(this.cells)), size)
      wider.set(this.cells)
      this.cells = wider
    }
    this.cells[id] = sum
  }
  /** Adds all of them to `sums`, `sign` times. */
  addTo(sums: Float64Array, sign: 1 | -1): void {
    const { cells } = this
    for (let id = 0; id < cells.length; id++) sums[id]! += sign * cells[id]!
  }
}

function cellsFor(most: number, size: number): Cells {
  if (most < 2 ** 8) return new Uint8Array(size)
  return most < 2 ** 32 ? new Uint32Array(size) : new Float64Array(size)
}

function mostOf(cells: Cells): number {
  if (cells instanceof Uint8Array) return 2 ** 8 - 1
  return cells instanceof Uint32Array ? 2 ** 32 - 1 : Number.MAX_VALUE
}
