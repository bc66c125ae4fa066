/** Peers as small numbers, as long as one of them is counted somewhere. */
export class PeerNumbers {
  private readonly byId = new Map<string, number>()
  private readonly ids: (string | undefined)[] = []
  private readonly freed: number[] = []
  /** Changes when numbers mean other peers. */
  version = 0
  private countMax = 2 ** 16

  numberOf(id: string): number {
    let number = this.byId.get(id)
    if (number !== undefined) return number
    number = this.freed.pop() ?? this.ids.length
    this.ids[number] = id
    this.byId.set(id, number)
    return number
  }

  /** Frees the numbers of those that are not in use, when there are many. */
  tidy(mark: (seen: Uint8Array) => void): void {
    if (this.byId.size < this.countMax) return
    const seen = new Uint8Array(this.ids.length)
    mark(seen)
    for (const [id, number] of this.byId) {
      if (seen[number] === 1) continue
      this.byId.delete(id)
      this.ids[number] = undefined
      this.freed.push(number)
    }
    this.version += 1
    this.countMax = Math.max(2 ** 16, this.byId.size * 2)
  }

  get bytes(): number {
    return this.ids.length * PEER_BYTES
  }
}

/** An id with its place in a map, roughly. */
const PEER_BYTES = 100
