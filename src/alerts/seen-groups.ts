/** `newFor`: what was seen, known by node ids, so a pair is the same over IPv4 and IPv6 and after a device was renamed; and the same in both
 * directions. */
import { KINDS } from '../source/message.ts'
import { createFilter, type Known, protoOf } from './filter.ts'
import type { Groups } from './groups.ts'
import { IntTable } from './int-table.ts'
import { FLOW_CELLS, LOG_DST, LOG_KIND, LOG_MINUTE, LOG_NODE, LOG_PORT, LOG_PROTO, LOG_SRC } from './log.ts'
import type { Scope } from './scope.ts'
import type { Seen } from './target.ts'

/** So many are remembered by their numbers. */
const REMEMBERED_MAX = 2 ** 18

export function createSeenGroups(scope: Scope, known: Known): Groups {
  const { nodes, ends, people } = known
  const { by } = scope
  const filter = createFilter(scope, known)
  const isPair = by.includes('src') && by.includes('dst')
  // A pair needs no more to be told; everything else is told by all that there is.
  const isPairOnly = isPair && by.length === 2
  const table = new IntTable()
  let seens: Seen[] = []

  function seenOf(cells: Int32Array, at: number): Seen {
    const row = table.rowOf(
      cells[at + LOG_SRC]!,
      cells[at + LOG_DST]!,
      isPairOnly ? 0 : cells[at + LOG_NODE]!,
      isPairOnly ? 0 : cells[at + LOG_PORT]!,
      isPairOnly ? 0 : cells[at + LOG_PROTO]! * KINDS.length + cells[at + LOG_KIND]!,
    )
    const known = seens[row]
    if (known) return known
    const made = look(cells, at)
    if (row >= REMEMBERED_MAX) forget()
    else seens[row] = made
    return made
  }

  function look(cells: Int32Array, at: number): Seen {
    const both = [cells[at + LOG_SRC]!, cells[at + LOG_DST]!].map((end) => ({
      id: people.nodeOf(ends.textOf(ends.addressOf(end))),
      name: ends.textOf(ends.nameOf(end)),
    }))
    if (isPair) both.sort((one, other) => (one.id < other.id ? -1 : one.id > other.id ? 1 : 0))
    const ids: string[] = []
    const names: string[] = []
    for (const dim of by) {
      const end = dim === 'src' ? both[0] : dim === 'dst' ? both[1] : undefined
      const value = dim === 'src' || dim === 'dst' ? '' : dimValue(dim, cells, at)
      ids.push(end?.id ?? value)
      names.push(end?.name ?? value)
    }
    return { key: JSON.stringify(ids), names, isWhole: !isPair || both.every((end) => end.id !== 'none') }
  }

  function dimValue(dim: 'node' | 'owner' | 'port' | 'proto' | 'kind', cells: Int32Array, at: number): string {
    const nodeId = nodes.idOf(cells[at + LOG_NODE]!)
    const port = cells[at + LOG_PORT]!
    if (dim === 'node') return nodeId
    if (dim === 'owner') return people.ownerOf(nodeId)
    if (dim === 'port') return port < 0 ? 'none' : String(port)
    return dim === 'proto' ? protoOf(cells[at + LOG_PROTO]!, ends) : KINDS[cells[at + LOG_KIND]!]!
  }

  function forget(): void {
    table.clear()
    seens = []
  }

  return {
    take(log, target) {
      if (filter.refresh()) forget()
      const { cells, count } = log
      for (let row = 0; row < count; row++) {
        const at = row * FLOW_CELLS
        if (!filter.wantsFlow(cells, at)) continue
        const seen = seenOf(cells, at)
        if (!seen.isWhole) continue
        for (const one of scope.seen) target.sighting(one, seen, Math.floor(cells[at + LOG_MINUTE]! / one.stepMinutes))
      }
    },
    forget: () => filter.forget(),
    get bytes() {
      return table.bytes + seens.length * 200
    },
  }
}
