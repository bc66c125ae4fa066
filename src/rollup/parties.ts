/** The two sides of each raw point of a minute, as endpoints: who reports it, and who is at the other end. */
import type { DirectoryView } from '../directory/view.ts'
import { KINDS } from '../source/parse/message.ts'
import { CONTESTED, claimsOf } from './claims.ts'
import { type Endpoint, endpointOfAddress, endpointOfNode, NO_ENDPOINT, NONE } from './endpoints.ts'
import { CELLS, DST, KIND, NODE, type RawPoints, SRC } from './raw-points.ts'
import type { HourBefore } from './row.ts'
import type { TextIds } from './text-ids.ts'

export interface Parties {
  readonly endpoints: readonly Endpoint[]
  /** Index of the reporting node. */
  reporter(point: number): number
  /** Index of the endpoint that stands in `src` of the entry: what it sends is `tx`. */
  near(point: number): number
  far(point: number): number
  /** An exit entry that names neither end. */
  isUnnamed(point: number): boolean
}

const VIRTUAL = KINDS.indexOf('virtual')
const EXIT = KINDS.indexOf('exit')
const PHYSICAL = KINDS.indexOf('physical')

export function createParties(
  points: RawPoints,
  texts: TextIds,
  directory: DirectoryView,
  before: Pick<HourBefore, 'wasUsedByOther'>,
): Parties {
  const { cells } = points
  const endpoints: Endpoint[] = [NO_ENDPOINT]
  const byId = new Map<string, number>()
  const nodes = new Map<number, number>()
  const addresses = new Map<number, number>()
  const claims = claimsOf(points)

  /** The node to which the points of this minute give an address that the directory does not know. */
  function claimed(address: string): string | undefined {
    const claim = claims.get(texts.idOf(address)) ?? CONTESTED
    if (claim === CONTESTED) return undefined
    const node = texts.textOf(claim)
    return before.wasUsedByOther(address, node) ? undefined : node
  }

  /** The same endpoint has one index, whichever of its addresses was written. */
  function indexOf(endpoint: Endpoint): number {
    if (endpoint.id === NONE) return 0
    const id = `${endpoint.isNode ? 'node' : 'other'} ${endpoint.id}`
    const known = byId.get(id)
    if (known !== undefined) return known
    const index = endpoints.push(endpoint) - 1
    byId.set(id, index)
    return index
  }

  function ofNode(text: number): number {
    let index = nodes.get(text)
    if (index === undefined) {
      index = indexOf(endpointOfNode(texts.textOf(text), directory))
      nodes.set(text, index)
    }
    return index
  }

  function ofAddress(text: number): number {
    let index = addresses.get(text)
    if (index === undefined) {
      index = indexOf(endpointOfAddress(texts.textOf(text), directory, claimed))
      addresses.set(text, index)
    }
    return index
  }

  const cell = (point: number, which: number) => cells[point * CELLS + which]!
  const none = texts.idOf(NONE)
  const isUnnamed = (point: number) =>
    cell(point, KIND) === EXIT && cell(point, SRC) === none && cell(point, DST) === none
  return {
    endpoints,
    reporter: (point) => ofNode(cell(point, NODE)),
    near(point) {
      const kind = cell(point, KIND)
      // The reporter's end is the reporter, whatever address it wrote.
      const isReporter = kind === VIRTUAL || kind === PHYSICAL || isUnnamed(point)
      return isReporter ? ofNode(cell(point, NODE)) : ofAddress(cell(point, SRC))
    },
    // In physical traffic `src` is the peer, and `dst` the underlay address that was used to reach it.
    far: (point) => ofAddress(cell(point, cell(point, KIND) === PHYSICAL ? SRC : DST)),
    isUnnamed,
  }
}
