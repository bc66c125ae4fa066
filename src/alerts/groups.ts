/** From the rows of a tally to the groups of a scope: what a row is about becomes a group's number once, and is found by numbers after that. */
import { KINDS } from '../source/parse/message.ts'
import { createFilter, type Known, protoOf } from './filter.ts'
import { COUNTERS, type FlowTally } from './flow-tally.ts'
import { IntTable, KEYS } from './int-table.ts'
import { KIND_COUNT, type NodeTally, TOTALS } from './node-tally.ts'
import type { DistinctBy, Scope, Sum } from './scope.ts'
import { OVERFLOW } from './series.ts'
import type { Target } from './target.ts'
import { TUPLE_DST, TUPLE_NODE, TUPLE_PORT, TUPLE_PROTO_KIND, TUPLE_SRC } from './tuples.ts'

export interface Groups {
  /** Hands every row that the scope wants to the target. */
  take(nodes: NodeTally, flows: FlowTally, target: Target): void
  /** Numbers in tallies mean something else from now on. */
  forget(): void
  readonly bytes: number
}

/** Which values of a row make a sum; flows have only the first four. `messages` is how many there were. */
const PARTS: Readonly<Record<Exclude<Sum, 'messages'>, readonly number[]>> = {
  tx_bytes: [0],
  tx_pkts: [1],
  rx_bytes: [2],
  rx_pkts: [3],
  bytes: [0, 2],
  pkts: [1, 3],
  derp_bytes: [4, 5],
}
const UNKNOWN = -1
const IGNORED = -2
/** So many groups are remembered by their numbers; the rest is found by its texts. */
const REMEMBERED_MAX = 2 ** 18

/** Scopes that need no ends and ports: by node, owner, kind. */
export function createNodeGroups(scope: Scope, known: Known): Groups {
  const { nodes, people } = known
  const { kinds, by, series } = scope
  const filter = createFilter(scope, known)
  const add = createAdder(scope)
  /** By node number and kind. */
  let ids = new Int32Array(0)

  function idOf(node: number, kind: number): number {
    const cell = node * KIND_COUNT + kind
    if (cell >= ids.length) {
      const wider = new Int32Array(2 ** Math.ceil(Math.log2((nodes.count + 64) * KIND_COUNT))).fill(UNKNOWN)
      wider.set(ids)
      ids = wider
    }
    let id = ids[cell]!
    if (id === UNKNOWN) {
      const nodeId = nodes.idOf(node)
      id = series.groupOf(
        by.map((dim) => (dim === 'node' ? nodeId : dim === 'owner' ? people.ownerOf(nodeId) : KINDS[kind]!)),
      )
      ids[cell] = id
    }
    if (id === OVERFLOW) series.overflow()
    return id
  }

  return {
    take({ heads, totals, messages }, _flows, target) {
      if (filter.refresh()) ids = new Int32Array(0)
      for (let head = 0; head < heads.count; head++) {
        const minute = heads.keys[head * KEYS]!
        const node = heads.keys[head * KEYS + 1]!
        if (!filter.wantsNode(node)) continue
        for (let kind = 0; kind < KIND_COUNT; kind++) {
          const cell = head * KIND_COUNT + kind
          const times = messages[cell]!
          if (times === 0 || (kinds & (1 << kind)) === 0) continue
          add(target, minute, idOf(node, kind), times, totals, cell * TOTALS)
        }
      }
    },
    forget: () => filter.forget(),
    get bytes() {
      return ids.byteLength
    },
  }
}

/** Scopes that look at every flow: its ends, port, protocol. */
export function createFlowGroups(scope: Scope, known: Known): Groups {
  const { nodes, ends, tuples, people } = known
  const { by, series } = scope
  const filter = createFilter(scope, known)
  const add = createAdder(scope)
  const [keepsSrc, keepsDst, keepsPort, keepsProto, keepsKind] = (['src', 'dst', 'port', 'proto', 'kind'] as const).map(
    (dim) => by.includes(dim),
  )
  const keepsNode = by.includes('node') || by.includes('owner')
  /** By tuple: its group, or why there is none. */
  let groups = new Int32Array(0)
  /** What tells one group from another, as numbers; a number for each. Of a port scan every tuple is new, but few groups. */
  const table = new IntTable()
  let ids = new Int32Array(64)
  /** By text: its number in each of `scope.distinct`. */
  const items = scope.distinct.map(createItems)

  function valuesOf(keys: Int32Array, at: number): string[] {
    const nodeId = nodes.idOf(keys[at + TUPLE_NODE]!)
    const port = keys[at + TUPLE_PORT]!
    const protoKind = keys[at + TUPLE_PROTO_KIND]!
    return by.map((dim) => {
      if (dim === 'src') return ends.textOf(ends.nameOf(keys[at + TUPLE_SRC]!))
      if (dim === 'dst') return ends.textOf(ends.nameOf(keys[at + TUPLE_DST]!))
      if (dim === 'node') return nodeId
      if (dim === 'owner') return people.ownerOf(nodeId)
      if (dim === 'port') return port < 0 ? 'none' : String(port)
      return dim === 'proto' ? protoOf(protoKind, ends) : KINDS[protoKind % KIND_COUNT]!
    })
  }

  /** The group of the tuple whose keys begin at `at`. */
  function look(keys: Int32Array, at: number): number {
    if (!filter.wantsFlow(keys, at)) return IGNORED
    const before = table.count
    const protoKind = keys[at + TUPLE_PROTO_KIND]!
    const kind = protoKind % KIND_COUNT
    const row = table.rowOf(
      keepsSrc ? ends.nameOf(keys[at + TUPLE_SRC]!) : 0,
      keepsDst ? ends.nameOf(keys[at + TUPLE_DST]!) : 0,
      keepsNode ? keys[at + TUPLE_NODE]! : 0,
      keepsPort ? keys[at + TUPLE_PORT]! : 0,
      (keepsProto ? protoKind - kind : 0) + (keepsKind ? kind : 0),
    )
    if (row < before) return ids[row]!
    const id = series.groupOf(valuesOf(keys, at))
    if (row >= REMEMBERED_MAX) table.clear()
    else {
      if (row === ids.length) ids = widened(ids)
      ids[row] = id
    }
    return id
  }

  return {
    take(_nodes, { minutes, tuples: numbers, counters, times, count }, target) {
      if (filter.refresh()) {
        groups.fill(UNKNOWN)
        table.clear()
      }
      for (const one of items) one.refresh()
      if (groups.length < tuples.count) groups = grown(groups, tuples.count)
      const { keys } = tuples
      for (let row = 0; row < count; row++) {
        const tuple = numbers[row]!
        let id = groups[tuple]!
        if (id === UNKNOWN) {
          id = look(keys, tuple * KEYS)
          groups[tuple] = id
        }
        if (id === IGNORED) continue
        if (id === OVERFLOW) series.overflow()
        const minute = minutes[row]!
        add(target, minute, id, times[row]!, counters, row * COUNTERS)
        for (const { distinct, itemOf } of items) {
          const item = itemOf(keys, tuple * KEYS)
          if (item < 0) continue
          if (id === OVERFLOW) distinct.distinct.overflow()
          else target.item(distinct, Math.floor(minute / distinct.stepMinutes), id, item)
        }
      }
    },
    forget() {
      filter.forget()
      for (const one of items) one.forget()
    },
    get bytes() {
      return groups.byteLength + table.bytes + ids.byteLength
    },
  }

  /** Numbers of items by that of their text; those of ports are the ports themselves. */
  function createItems(distinct: DistinctBy) {
    let known = new Int32Array(0)
    let version = UNKNOWN
    return {
      distinct,
      /** -1 or less for none. */
      itemOf(keys: Int32Array, at: number): number {
        if (distinct.distinct.of === 'port') return keys[at + TUPLE_PORT]!
        const value = ends.nameOf(keys[at + TUPLE_DST]!)
        if (value >= known.length) {
          const wider = new Int32Array(2 ** Math.ceil(Math.log2(value + 64))).fill(UNKNOWN)
          wider.set(known)
          known = wider
        }
        if (known[value] === UNKNOWN) {
          const text = ends.textOf(value)
          known[value] = text === 'none' ? IGNORED : distinct.distinct.itemOf(text)
        }
        return known[value]!
      },
      refresh() {
        if (version === distinct.distinct.version) return
        known.fill(UNKNOWN)
        version = distinct.distinct.version
      },
      forget() {
        version = UNKNOWN
      },
    }
  }
}

/** Adds what a row has to the sums of its group, and notes that the group was there. */
function createAdder(scope: Scope) {
  const { present } = scope
  const sums = scope.summed.map((by) => {
    const [first = UNKNOWN, second = UNKNOWN] = by.sum === 'messages' ? [] : PARTS[by.sum]
    return { by, stepMinutes: by.stepMinutes, first, second }
  })
  return (target: Target, minute: number, id: number, times: number, values: Float64Array, at: number): void => {
    for (let i = 0; i < sums.length; i++) {
      const { by, stepMinutes, first, second } = sums[i]!
      let value = first === UNKNOWN ? times : values[at + first]!
      if (second !== UNKNOWN) value += values[at + second]!
      if (value !== 0) target.sum(by, stepMinutes === 1 ? minute : Math.floor(minute / stepMinutes), id, value)
    }
    if (id === OVERFLOW) return
    for (const by of present) target.present(by, Math.floor(minute / by.slotMinutes), id)
  }
}

/** With room for `count`, and what is new unknown. */
function grown(array: Int32Array<ArrayBuffer>, count: number): Int32Array<ArrayBuffer> {
  const wider = new Int32Array(2 ** Math.ceil(Math.log2(count + 64))).fill(UNKNOWN)
  wider.set(array)
  return wider
}

function widened(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const wider = new Int32Array(array.length * 2)
  wider.set(array)
  return wider
}
