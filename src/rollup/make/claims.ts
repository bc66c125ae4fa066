/** What the raw points of a minute say by themselves, before they are rows: who reported, and who wrote which address as its own. */
import type { DirectoryView } from '../../directory/view.ts'
import { KINDS } from '../../source/parse/message.ts'
import { CELLS, COUNTERS, LABEL, NODE, type RawPoints, SRC } from '../points/raw-points.ts'
import type { TextIds } from '../points/text-ids.ts'
import { NONE } from '../rows/endpoints.ts'

const VIRTUAL = KINDS.indexOf('virtual')
/** In place of a node: nobody wrote the address, or several nodes did. */
const NOBODY = -1
export const CONTESTED = -2

/** By the text of an address: the text of the one node that wrote it as its own end of virtual traffic; negative without. */
export function claimsOf({ cells, seriesCount }: RawPoints, { labels, count: textCount }: TextIds): Int32Array {
  const claims = new Int32Array(textCount).fill(NOBODY)
  for (let at = 0; at < seriesCount * CELLS; at += CELLS) {
    if (labels[cells[at + LABEL]! * 3] !== VIRTUAL) continue
    const address = cells[at + SRC]!
    const node = cells[at + NODE]!
    const known = claims[address]!
    if (known === NOBODY) claims[address] = node
    else if (known !== node) claims[address] = CONTESTED
  }
  return claims
}

/** Nodes that reported anything in this minute, as `tailnet_node` will say: a counter above zero. */
export function reportersOf({ cells, counters, seriesCount }: RawPoints, texts: TextIds): Set<string> {
  const hasReported = new Uint8Array(texts.count)
  for (let row = 0; row < seriesCount; row++) {
    const at = row * COUNTERS
    if (counters[at]! > 0 || counters[at + 1]! > 0 || counters[at + 2]! > 0 || counters[at + 3]! > 0)
      hasReported[cells[row * CELLS + NODE]!] = 1
  }
  const reporters = new Set<string>()
  for (let text = 0; text < hasReported.length; text++) if (hasReported[text] === 1) reporters.add(texts.textOf(text))
  return reporters
}

/** Nodes by address, for addresses that the directory does not know. */
export function unknownUsers(points: RawPoints, texts: TextIds, directory: DirectoryView): Map<string, Set<string>> {
  const users = new Map<string, Set<string>>()
  const claims = claimsOf(points, texts)
  let hasContested = false
  for (let address = 0; address < claims.length; address++) {
    const claim = claims[address]!
    if (claim === NOBODY) continue
    const text = texts.textOf(address)
    if (text === NONE || directory.nodeOf(text) !== undefined) continue
    users.set(text, new Set(claim === CONTESTED ? [] : [texts.textOf(claim)]))
    if (claim === CONTESTED) hasContested = true
  }
  if (!hasContested) return users
  const { cells, seriesCount } = points
  for (let at = 0; at < seriesCount * CELLS; at += CELLS) {
    if (claims[cells[at + SRC]!] !== CONTESTED || texts.labels[cells[at + LABEL]! * 3] !== VIRTUAL) continue
    users.get(texts.textOf(cells[at + SRC]!))?.add(texts.textOf(cells[at + NODE]!))
  }
  return users
}
