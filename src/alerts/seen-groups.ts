/** `newFor`: what was seen, known by node ids, so a pair is the same over IPv4 and IPv6 and after a device was renamed; and the same in both
 * directions. */
import { KINDS } from '../source/message.ts'
import { createFilter, type Known, protoOf } from './filter.ts'
import type { Groups } from './groups.ts'
import { IntTable, KEYS } from './int-table.ts'
import type { Scope } from './scope.ts'
import { FLOW_DST, FLOW_HEAD, FLOW_PORT, FLOW_PROTO_KIND, FLOW_SRC, KIND_COUNT } from './tally.ts'
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

  function seenOf(node: number, keys: Int32Array, at: number): Seen {
    const row = table.rowOf(
      keys[at + FLOW_SRC]!,
      keys[at + FLOW_DST]!,
      isPairOnly ? 0 : node,
      isPairOnly ? 0 : keys[at + FLOW_PORT]!,
      isPairOnly ? 0 : keys[at + FLOW_PROTO_KIND]!,
    )
    const known = seens[row]
    if (known) return known
    const made = look(node, keys, at)
    if (row >= REMEMBERED_MAX) forget()
    else seens[row] = made
    return made
  }

  function look(node: number, keys: Int32Array, at: number): Seen {
    const both = [keys[at + FLOW_SRC]!, keys[at + FLOW_DST]!].map((end) => ({
      id: people.nodeOf(ends.textOf(ends.addressOf(end))),
      name: ends.textOf(ends.nameOf(end)),
    }))
    if (isPair) both.sort((one, other) => (one.id < other.id ? -1 : one.id > other.id ? 1 : 0))
    const ids: string[] = []
    const names: string[] = []
    for (const dim of by) {
      const end = dim === 'src' ? both[0] : dim === 'dst' ? both[1] : undefined
      const value = dim === 'src' || dim === 'dst' ? '' : dimValue(dim, node, keys, at)
      ids.push(end?.id ?? value)
      names.push(end?.name ?? value)
    }
    return { key: JSON.stringify(ids), names, isWhole: !isPair || both.every((end) => end.id !== 'none') }
  }

  function dimValue(
    dim: 'node' | 'owner' | 'port' | 'proto' | 'kind',
    node: number,
    keys: Int32Array,
    at: number,
  ): string {
    const nodeId = nodes.idOf(node)
    const port = keys[at + FLOW_PORT]!
    const protoKind = keys[at + FLOW_PROTO_KIND]!
    if (dim === 'node') return nodeId
    if (dim === 'owner') return people.ownerOf(nodeId)
    if (dim === 'port') return port < 0 ? 'none' : String(port)
    return dim === 'proto' ? protoOf(protoKind, ends) : KINDS[protoKind % KIND_COUNT]!
  }

  function forget(): void {
    table.clear()
    seens = []
  }

  return {
    take({ heads, flows }, target) {
      if (filter.refresh()) forget()
      const { keys, count } = flows
      for (let flow = 0; flow < count; flow++) {
        const at = flow * KEYS
        const head = keys[at + FLOW_HEAD]! * KEYS
        const node = heads.keys[head + 1]!
        if (!filter.wantsFlow(node, keys, at)) continue
        const seen = seenOf(node, keys, at)
        if (!seen.isWhole) continue
        for (const one of scope.seen) target.sighting(one, seen, Math.floor(heads.keys[head]! / one.stepMinutes))
      }
    },
    forget: () => filter.forget(),
    get bytes() {
      return table.bytes + seens.length * 200
    },
  }
}
