/** From the rows of a tally to the groups of a scope: what a row is about becomes a group's number once, and is found by numbers after that. */
import { KINDS } from '../source/message.ts'
import { createFilter, type Known, protoOf } from './filter.ts'
import { IntTable, KEYS } from './int-table.ts'
import type { DistinctBy, Scope, Sum } from './scope.ts'
import { OVERFLOW } from './series.ts'
import {
  COUNTERS,
  FLOW_DST,
  FLOW_HEAD,
  FLOW_PORT,
  FLOW_PROTO_KIND,
  FLOW_SRC,
  KIND_COUNT,
  type Tally,
  TOTALS,
} from './tally.ts'
import type { Target } from './target.ts'

export interface Groups {
  /** Hands every row that the scope wants to the target. */
  take(tally: Tally, target: Target): void
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
      id = series.idOf(
        by.map((dim) => (dim === 'node' ? nodeId : dim === 'owner' ? people.ownerOf(nodeId) : KINDS[kind]!)),
      )
      ids[cell] = id
    } else if (id === OVERFLOW) series.overflow()
    return id
  }

  return {
    take({ heads, totals, messages }, target) {
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
  const { nodes, ends, people } = known
  const { by, series } = scope
  const filter = createFilter(scope, known)
  const add = createAdder(scope)
  const [keepsSrc, keepsDst, keepsPort, keepsProto, keepsKind] = (['src', 'dst', 'port', 'proto', 'kind'] as const).map(
    (dim) => by.includes(dim),
  )
  const keepsNode = by.includes('node') || by.includes('owner')
  /** What tells one group from another, as numbers; a number for each. */
  const table = new IntTable()
  let ids = new Int32Array(64)
  /** By text: its number in each of `scope.distinct`. */
  const items = scope.distinct.map(createItems)

  function valuesOf(node: number, keys: Int32Array, at: number): string[] {
    const nodeId = nodes.idOf(node)
    const port = keys[at + FLOW_PORT]!
    const protoKind = keys[at + FLOW_PROTO_KIND]!
    return by.map((dim) => {
      if (dim === 'src') return ends.textOf(ends.nameOf(keys[at + FLOW_SRC]!))
      if (dim === 'dst') return ends.textOf(ends.nameOf(keys[at + FLOW_DST]!))
      if (dim === 'node') return nodeId
      if (dim === 'owner') return people.ownerOf(nodeId)
      if (dim === 'port') return port < 0 ? 'none' : String(port)
      return dim === 'proto' ? protoOf(protoKind, ends) : KINDS[protoKind % KIND_COUNT]!
    })
  }

  function idOf(node: number, keys: Int32Array, at: number): number {
    const before = table.count
    const protoKind = keys[at + FLOW_PROTO_KIND]!
    const kind = protoKind % KIND_COUNT
    const row = table.rowOf(
      keepsSrc ? ends.nameOf(keys[at + FLOW_SRC]!) : 0,
      keepsDst ? ends.nameOf(keys[at + FLOW_DST]!) : 0,
      keepsNode ? node : 0,
      keepsPort ? keys[at + FLOW_PORT]! : 0,
      (keepsProto ? protoKind - kind : 0) + (keepsKind ? kind : 0),
    )
    if (row < before) {
      const id = ids[row]!
      if (id === OVERFLOW) series.overflow()
      return id
    }
    const id = series.idOf(valuesOf(node, keys, at))
    if (row >= REMEMBERED_MAX) table.clear()
    else {
      if (row === ids.length) ids = widened(ids)
      ids[row] = id
    }
    return id
  }

  return {
    take({ heads, flows, counters, times }, target) {
      if (filter.refresh()) table.clear()
      for (const one of items) one.refresh()
      const { keys, count } = flows
      for (let flow = 0; flow < count; flow++) {
        const at = flow * KEYS
        const head = keys[at + FLOW_HEAD]! * KEYS
        const node = heads.keys[head + 1]!
        if (!filter.wantsFlow(node, keys, at)) continue
        const minute = heads.keys[head]!
        const id = idOf(node, keys, at)
        add(target, minute, id, times[flow]!, counters, flow * COUNTERS)
        for (const { distinct, itemOf } of items) {
          const item = itemOf(
            distinct.distinct.of === 'dst' ? ends.nameOf(keys[at + FLOW_DST]!) : keys[at + FLOW_PORT]!,
          )
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
      return table.bytes + ids.byteLength
    },
  }

  /** Numbers of items by that of their text; those of ports are the ports themselves. */
  function createItems(distinct: DistinctBy) {
    let known = new Int32Array(0)
    let version = UNKNOWN
    return {
      distinct,
      itemOf(value: number): number {
        if (distinct.distinct.of === 'port') return value
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

function widened(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const wider = new Int32Array(array.length * 2)
  wider.set(array)
  return wider
}
