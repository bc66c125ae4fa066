/** What the raw points of a minute say by themselves, before they are rows: who reported, and who wrote which address as its own. */

import type { DirectoryView } from '../directory/view.ts'
import { KINDS } from '../source/parse/message.ts'
import { NONE } from './endpoints.ts'
import { CELLS, COUNTERS, KIND, NODE, type RawPoints, SRC } from './raw-points.ts'
import type { TextIds } from './text-ids.ts'

const VIRTUAL = KINDS.indexOf('virtual')
/** In place of a node: several nodes wrote the address. */
export const CONTESTED = -1

/** By the text of an address: the text of the one node that wrote it as its own end of virtual traffic, or CONTESTED. */
export function claimsOf({ cells, count }: RawPoints): Map<number, number> {
  const claims = new Map<number, number>()
  for (let at = 0; at < count * CELLS; at += CELLS) {
    if (cells[at + KIND] !== VIRTUAL) continue
    const address = cells[at + SRC]!
    const node = cells[at + NODE]!
    const known = claims.get(address)
    if (known === undefined) claims.set(address, node)
    else if (known !== node) claims.set(address, CONTESTED)
  }
  return claims
}

/** Nodes that reported anything in this minute, as `tailnet_node` will say: a counter above zero. */
export function reportersOf({ cells, counters, count }: RawPoints, texts: TextIds): Set<string> {
  const nodes = new Set<number>()
  for (let point = 0; point < count; point++) {
    const at = point * COUNTERS
    if (counters[at]! > 0 || counters[at + 1]! > 0 || counters[at + 2]! > 0 || counters[at + 3]! > 0)
      nodes.add(cells[point * CELLS + NODE]!)
  }
  return new Set([...nodes].map(texts.textOf))
}

/** Nodes by address, for addresses that the directory does not know. */
export function unknownUsers(points: RawPoints, texts: TextIds, directory: DirectoryView): Map<string, Set<string>> {
  const { cells, count } = points
  const unknown = new Map<number, Set<string> | undefined>()
  for (let at = 0; at < count * CELLS; at += CELLS) {
    if (cells[at + KIND] !== VIRTUAL) continue
    const address = cells[at + SRC]!
    if (!unknown.has(address))
      unknown.set(address, directory.nodeOf(texts.textOf(address)) === undefined ? new Set() : undefined)
    unknown.get(address)?.add(texts.textOf(cells[at + NODE]!))
  }
  const users = new Map<string, Set<string>>()
  for (const [address, nodes] of unknown) {
    const text = texts.textOf(address)
    if (nodes !== undefined && text !== NONE) users.set(text, nodes)
  }
  return users
}
