/** The two sides of each series of raw points of a minute, as endpoints: who reports it, and who is at the other end. */
import type { DirectoryView } from '../../directory/view.ts'
import { KINDS } from '../../source/parse/message.ts'
import { CELLS, DST, LABEL, NODE, type RawPoints, SRC } from '../points/raw-points.ts'
import type { TextIds } from '../points/text-ids.ts'
import { type Endpoint, endpointOfAddress, endpointOfNode, NO_ENDPOINT, NONE } from '../rows/endpoints.ts'
import type { HourBefore } from '../rows/row.ts'
import { CONTESTED, claimsOf } from './claims.ts'

/** Endpoints by index, and for each series three of these indices. */
export interface Parties {
  readonly endpoints: readonly Endpoint[]
  /** The reporting node. */
  readonly reporter: Int32Array
  /** The endpoint that stands in `src` of the entry: what it sends is `tx`. */
  readonly near: Int32Array
  readonly far: Int32Array
  /** 1 for an exit entry that names neither end. */
  readonly isUnnamed: Uint8Array
}

const VIRTUAL = KINDS.indexOf('virtual')
const EXIT = KINDS.indexOf('exit')
const PHYSICAL = KINDS.indexOf('physical')
const UNKNOWN = -1

export function createParties(
  points: RawPoints,
  texts: TextIds,
  directory: DirectoryView,
  before: Pick<HourBefore, 'wasUsedByOther'>,
): Parties {
  const { cells, seriesCount } = points
  const none = texts.idOf(NONE)
  const { labels } = texts
  const endpoints: Endpoint[] = [NO_ENDPOINT]
  const byId = new Map<string, number>()
  /** By text: the index of the endpoint that is the node, or has the address, with this text. */
  const ofNode = new Int32Array(texts.count).fill(UNKNOWN)
  const ofAddress = new Int32Array(texts.count).fill(UNKNOWN)
  const claims = claimsOf(points, texts)

  /** The node to which the points of this minute give an address that the directory does not know. */
  function claimed(address: string): string | undefined {
    const claim = claims[texts.idOf(address)] ?? CONTESTED
    if (claim < 0) return undefined
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

  function nodeIndex(text: number): number {
    const known = ofNode[text]!
    if (known !== UNKNOWN) return known
    const index = indexOf(endpointOfNode(texts.textOf(text), directory))
    ofNode[text] = index
    return index
  }

  function addressIndex(text: number): number {
    const known = ofAddress[text]!
    if (known !== UNKNOWN) return known
    const index = indexOf(endpointOfAddress(texts.textOf(text), directory, claimed))
    ofAddress[text] = index
    return index
  }

  const parties = {
    endpoints,
    reporter: new Int32Array(seriesCount),
    near: new Int32Array(seriesCount),
    far: new Int32Array(seriesCount),
    isUnnamed: new Uint8Array(seriesCount),
  }
  const { reporter, near, far, isUnnamed } = parties
  for (let row = 0; row < seriesCount; row++) {
    const cell = row * CELLS
    const kind = labels[cells[cell + LABEL]! * 3]!
    const own = nodeIndex(cells[cell + NODE]!)
    const [src, dst] = [cells[cell + SRC]!, cells[cell + DST]!]
    reporter[row] = own
    if (kind === EXIT && src === none && dst === none) isUnnamed[row] = 1
    // The reporter's end is the reporter, whatever address it wrote.
    near[row] = kind === VIRTUAL || kind === PHYSICAL || isUnnamed[row] === 1 ? own : addressIndex(src)
    // In physical traffic `src` is the peer, and `dst` the underlay address that was used to reach it.
    far[row] = addressIndex(kind === PHYSICAL ? src : dst)
  }
  return parties
}
