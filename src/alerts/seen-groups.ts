/** `newFor`: what was seen, known by node ids, so a pair is the same over IPv4 and IPv6 and after a device was renamed; and the same in both
 * directions. */
import { compare } from '../base/order.ts'
import { KINDS } from '../source/parse/message.ts'
import { createFilter, type Known, protoOf } from './filter.ts'
import type { Groups } from './groups.ts'
import { KEYS } from './int-table.ts'
import { KIND_COUNT } from './node-tally.ts'
import type { Scope } from './scope.ts'
import type { Seen } from './target.ts'
import { TUPLE_DST, TUPLE_NODE, TUPLE_PORT, TUPLE_PROTO_KIND, TUPLE_SRC } from './tuples.ts'

/** A key and two names, roughly. */
const SEEN_BYTES = 200

export function createSeenGroups(scope: Scope, known: Known): Groups {
  const { nodes, ends, tuples, people } = known
  const { by } = scope
  const filter = createFilter(scope, known)
  const isPair = by.includes('src') && by.includes('dst')
  /** By tuple: what is seen by it, undefined while nobody asked, null when the scope does not want it. */
  let seens: (Seen | null | undefined)[] = []

  function look(keys: Int32Array, at: number): Seen | null {
    if (!filter.wantsFlow(keys, at)) return null
    const both = [keys[at + TUPLE_SRC]!, keys[at + TUPLE_DST]!].map((end) => ({
      id: people.nodeOf(ends.textOf(ends.addressOf(end))),
      name: ends.textOf(ends.nameOf(end)),
    }))
    if (isPair) both.sort((one, other) => compare(one.id, other.id))
    const ids: string[] = []
    const names: string[] = []
    for (const dim of by) {
      const end = dim === 'src' ? both[0] : dim === 'dst' ? both[1] : undefined
      const value = dim === 'src' || dim === 'dst' ? '' : dimValue(dim as 'node', keys, at)
      ids.push(end?.id ?? value)
      names.push(end?.name ?? value)
    }
    // A pair has two ends.
    if (isPair && both.some((end) => end.id === 'none')) return null
    return { key: JSON.stringify(ids), names }
  }

  function dimValue(dim: 'node' | 'owner' | 'port' | 'proto' | 'kind', keys: Int32Array, at: number): string {
    const nodeId = nodes.idOf(keys[at + TUPLE_NODE]!)
    const port = keys[at + TUPLE_PORT]!
    const protoKind = keys[at + TUPLE_PROTO_KIND]!
    if (dim === 'node') return nodeId
    if (dim === 'owner') return people.ownerOf(nodeId)
    if (dim === 'port') return port < 0 ? 'none' : String(port)
    return dim === 'proto' ? protoOf(protoKind, ends) : KINDS[protoKind % KIND_COUNT]!
  }

  return {
    take(_nodes, { minutes, tuples: numbers, count }, target) {
      if (filter.refresh()) seens = []
      const { keys } = tuples
      for (let row = 0; row < count; row++) {
        const tuple = numbers[row]!
        let seen = seens[tuple]
        if (seen === undefined) {
          seen = look(keys, tuple * KEYS)
          seens[tuple] = seen
        }
        if (seen === null) continue
        for (const one of scope.seen) target.sighting(one, seen, Math.floor(minutes[row]! / one.stepMinutes))
      }
    },
    forget: () => filter.forget(),
    get bytes() {
      return seens.length * SEEN_BYTES
    },
  }
}
