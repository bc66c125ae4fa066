/** What a scope leaves out, asked once for each node, protocol and end, and remembered by their numbers. */
import { PROTO_TAGS } from '../base/protocol.ts'
import type { Ends } from './ends.ts'
import { KIND_COUNT } from './node-tally.ts'
import type { Nodes } from './nodes.ts'
import type { People } from './people.ts'
import type { Scope } from './scope.ts'
import { TUPLE_DST, TUPLE_NODE, TUPLE_PORT, TUPLE_PROTO_KIND, TUPLE_SRC, type Tuples } from './tuples.ts'

/** What is known of the numbers in tallies. */
export interface Known {
  readonly nodes: Nodes
  readonly ends: Ends
  readonly tuples: Tuples
  readonly people: People
}

export interface Filter {
  wantsNode(node: number): boolean
  /** The tuple whose keys begin at `at`. */
  wantsFlow(keys: Int32Array, at: number): boolean
  /** Forgets when numbers or owners mean something else than before; true if it did. */
  refresh(): boolean
  forget(): void
}

const UNKNOWN = -1

/** The protocol of a flow as its tag says it. */
export function protoOf(protoKind: number, ends: Ends): string {
  const proto = Math.floor(protoKind / KIND_COUNT)
  return proto < 256 ? PROTO_TAGS[proto]! : ends.textOf(proto - 256)
}

export function createFilter(scope: Scope, { nodes, ends, people }: Known): Filter {
  const { wants, kinds, isRouter, series } = scope
  const { node: wantedNode, owner: wantedOwner, src: wantedSrc, dst: wantedDst, port: ports, proto: protos } = wants
  const wantsNodes = wantedNode !== undefined || wantedOwner !== undefined
  const usesOwner = scope.by.includes('owner') || wantedOwner !== undefined || scope.seen.length > 0
  /** By node: 1 wanted, 0 not. */
  let known = new Int8Array(0)
  let version = UNKNOWN
  let peopleVersion = UNKNOWN

  function wantsNode(node: number): boolean {
    if (!wantsNodes) return true
    if (node >= known.length) {
      const wider = new Int8Array(2 ** Math.ceil(Math.log2(nodes.count + 64))).fill(UNKNOWN)
      wider.set(known)
      known = wider
    }
    if (known[node] === UNKNOWN) {
      const id = nodes.idOf(node)
      const isWanted = (wantedNode?.(nodes.nameOf(node), id) ?? true) && (wantedOwner?.(people.ownerOf(id)) ?? true)
      known[node] = isWanted ? 1 : 0
    }
    return known[node] === 1
  }

  return {
    wantsNode,
    wantsFlow(keys, at) {
      const protoKind = keys[at + TUPLE_PROTO_KIND]!
      if ((kinds & (1 << (protoKind % KIND_COUNT))) === 0) return false
      if (ports && !ports.has(keys[at + TUPLE_PORT]!)) return false
      if (wantsNodes && !wantsNode(keys[at + TUPLE_NODE]!)) return false
      if (protos && !protos.has(protoOf(protoKind, ends))) return false
      if (isRouter && (!ends.isInTailnet(keys[at + TUPLE_DST]!) || ends.isInTailnet(keys[at + TUPLE_SRC]!)))
        return false
      if (wantedSrc && !ends.matches(wantedSrc, ends.nameOf(keys[at + TUPLE_SRC]!))) return false
      return !wantedDst || ends.matches(wantedDst, ends.nameOf(keys[at + TUPLE_DST]!))
    },
    refresh() {
      if (version === series.version && (!usesOwner || peopleVersion === people.version)) return false
      version = series.version
      peopleVersion = people.version
      known = new Int8Array(0)
      return true
    },
    forget() {
      version = UNKNOWN
    },
  }
}
