/** Reporting nodes as small numbers. A node with another name is another number: patterns look at what it was called when it reported. */

export interface Nodes {
  numberOf(id: string, name: string): number
  idOf(number: number): string
  nameOf(number: number): string
  readonly count: number
  /** So many are known that it is time to `forget`. */
  readonly isFull: boolean
  /** Numbers given before mean nothing any more. */
  forget(): void
}

/** More than any tailnet has: ids that nobody vouches for must not fill the memory. */
const NODES_MAX = 200_000

export function createNodes(nodesMax = NODES_MAX): Nodes {
  /** By id: the number with the name that it had last. */
  const last = new Map<string, number>()
  const others = new Map<string, number>()
  let ids: string[] = []
  let names: string[] = []

  return {
    numberOf(id, name) {
      const known = last.get(id)
      if (known !== undefined && names[known] === name) return known
      const key = JSON.stringify([id, name])
      let number = others.get(key)
      if (number === undefined) {
        number = ids.push(id) - 1
        names.push(name)
        others.set(key, number)
      }
      last.set(id, number)
      return number
    },
    idOf: (number) => ids[number]!,
    nameOf: (number) => names[number]!,
    get count() {
      return ids.length
    },
    get isFull() {
      return ids.length >= nodesMax
    },
    forget() {
      last.clear()
      others.clear()
      ids = []
      names = []
    },
  }
}
