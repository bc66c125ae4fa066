/** From the points of a message to a tally, and from there to what rules read. The hot part of the room. While a window is read, a message costs what
 * it takes to add its numbers up: nodes and ends become small numbers, and nothing is allocated. Windows that are done wait together until
 * rules need them; then each scope goes through what they have by itself. */
import type { NodeNames } from '../directory/node-names.ts'
import {
  FLOW_CELLS,
  FLOW_DST,
  FLOW_DST_PORT,
  FLOW_KIND,
  FLOW_PROTO,
  FLOW_SRC,
  FLOW_SRC_PORT,
  type Points,
} from '../flatten/points.ts'
import { servicePort } from '../flatten/ports.ts'
import { createEnds } from './ends.ts'
import type { Known } from './filter.ts'
import { COUNTERS, FlowTally } from './flow-tally.ts'
import { createFlowGroups, createNodeGroups, type Groups } from './groups.ts'
import { KEYS } from './int-table.ts'
import { KIND_COUNT, NodeTally, TOTALS } from './node-tally.ts'
import { createNodes } from './nodes.ts'
import type { People } from './people.ts'
import type { Scope } from './scope.ts'
import { createSeenGroups } from './seen-groups.ts'
import { Spill } from './spill.ts'
import { Staged } from './staged.ts'
import type { Target } from './target.ts'
import { Tuples } from './tuples.ts'

export interface Feed {
  /** A window begins. */
  stage(): Staged
  /** Adds one message, which began so many seconds after the epoch. */
  take(staged: Staged, points: Points, seconds: number): void
  /** False when so much waits that it is time to `settle`. */
  hasRoom(): boolean
  /** The window is done: what it has waits for `settle`. */
  keep(staged: Staged): void
  /** Hands all that waits to the target. */
  settle(target: Target): void
  /** The window is at its end, whatever became of it. */
  release(staged: Staged): void
  /** So many nodes, ends and tuples are known that it is time to `forget`. */
  readonly isFull: boolean
  /** They get other numbers from now on. Only when nothing waits. */
  forget(): void
  readonly bytes: number
}

/** What is kept as numbers; undefined for what is good for all but tests. */
export interface FeedLimits {
  /** Rows that wait; more of a window are added up by group while it is read. */
  readonly rowsMax?: number
  /** Ends that are known by number; more make all of them forgotten. */
  readonly endsMax?: number
}

const ROWS_MAX = 131_072
const TUPLES_MAX = 262_144
/** Windows whose memory is kept for the next ones. */
const SPARE_MAX = 4

export function createFeed(scopes: readonly Scope[], people: People, directory: NodeNames, limits: FeedLimits): Feed {
  const { rowsMax = ROWS_MAX, endsMax } = limits
  const known: Known = { nodes: createNodes(), ends: createEnds(directory, endsMax), tuples: new Tuples(), people }
  const { nodes, ends, tuples } = known
  const flowScopes = scopes.filter(({ byNode }) => !byNode)
  const groups: readonly Groups[] = [
    ...scopes.filter(({ byNode }) => byNode).map((scope) => createNodeGroups(scope, known)),
    ...flowScopes.map((scope) =>
      scope.seen.length > 0 ? createSeenGroups(scope, known) : createFlowGroups(scope, known),
    ),
  ]
  const flowKinds = flowScopes.reduce((bits, { kinds }) => bits | kinds, 0)
  const needsSrc = flowScopes.some(looksAtSrc)
  const needsDst = flowScopes.some(looksAtDst)
  const inFlight = new Set<Staged>()
  const spare: Staged[] = []
  const waiting = { nodes: new NodeTally(), flows: new FlowTally() }
  /** Flows of a window that does not fit. */
  const large = new FlowTally()
  let spills: Spill[] = []

  function drain(nodeTally: NodeTally, flowTally: FlowTally, target: Target): void {
    const { heads } = nodeTally
    for (let head = 0; head < heads.count; head++) {
      const id = nodes.idOf(heads.keys[head * KEYS + 1]!)
      const name = directory.nameOf(id)
      if (name !== undefined) people.named(id, name)
    }
    for (const one of groups) one.take(nodeTally, flowTally, target)
    nodeTally.clear()
    flowTally.clear()
  }

  function spill(staged: Staged): void {
    staged.spill ??= new Spill()
    large.add(staged.flows)
    staged.flows.count = 0
    drain(staged.nodes, large, staged.spill)
  }

  function takeTotals(tally: NodeTally, { flows, totals }: Points, head: number): void {
    const { totals: sums, messages } = tally
    for (let kind = 0; kind < KIND_COUNT; kind++) {
      if (flows[kind] === 0) continue
      const cell = head * KIND_COUNT + kind
      messages[cell] = messages[cell]! + 1
      const at = cell * TOTALS
      const from = kind * TOTALS
      for (let k = 0; k < TOTALS; k++) sums[at + k] = sums[at + k]! + totals[from + k]!
    }
  }

  function takeFlows({ flows: log }: Staged, points: Points, node: number, minute: number): void {
    const { count, flowCells: cells, flowCounters } = points
    ends.begin(points)
    for (let i = 0; i < count; i++) {
      const flow = i * FLOW_CELLS
      const kind = cells[flow + FLOW_KIND]!
      if ((flowKinds & (1 << kind)) === 0) continue
      const proto = cells[flow + FLOW_PROTO]!
      const src = needsSrc ? ends.endOf(cells[flow + FLOW_SRC]!) : 0
      const dst = needsDst ? ends.endOf(cells[flow + FLOW_DST]!) : 0
      const protoNumber = proto < 256 ? proto : 256 + ends.numberOf(points.protoTags[proto - 256]!)
      const port = servicePort(kind, proto, cells[flow + FLOW_SRC_PORT]!, cells[flow + FLOW_DST_PORT]!)
      const row = log.add(minute, tuples.numberOf(node, src, dst, port, protoNumber, kind))
      const { counters } = log
      const at = row * COUNTERS
      const from = i * COUNTERS
      for (let k = 0; k < COUNTERS; k++) counters[at + k] = flowCounters[from + k]!
    }
  }

  return {
    stage() {
      const staged = spare.pop() ?? new Staged()
      inFlight.add(staged)
      ends.refreshNames()
      return staged
    },
    take(staged, points, seconds) {
      if (staged.rows >= rowsMax) spill(staged)
      const minute = Math.floor(seconds / 60)
      const node = nodes.numberOf(points.node, directory.nameOf(points.node) ?? points.node)
      takeTotals(staged.nodes, points, staged.nodes.headOf(minute, node))
      if (flowKinds !== 0) takeFlows(staged, points, node, minute)
    },
    hasRoom: () => waiting.nodes.heads.count + waiting.flows.count < rowsMax,
    keep(staged) {
      waiting.nodes.add(staged.nodes)
      waiting.flows.add(staged.flows)
      if (staged.spill) spills.push(staged.spill)
    },
    settle(target) {
      for (const one of spills) one.pourInto(target)
      spills = []
      drain(waiting.nodes, waiting.flows, target)
    },
    release(staged) {
      inFlight.delete(staged)
      staged.clear()
      if (spare.length < SPARE_MAX) spare.push(staged)
    },
    get isFull() {
      return ends.isFull || nodes.isFull || tuples.count >= TUPLES_MAX
    },
    forget() {
      for (const staged of inFlight) spill(staged)
      ends.forget()
      nodes.forget()
      tuples.clear()
      for (const one of groups) one.forget()
    },
    get bytes() {
      const staged = [...inFlight, ...spare].reduce((sum, one) => sum + one.bytes, 0)
      const waits =
        waiting.nodes.bytes +
        waiting.flows.bytes +
        large.bytes +
        tuples.bytes +
        spills.reduce((sum, one) => sum + one.bytes, 0)
      return staged + waits + ends.bytes + groups.reduce((sum, one) => sum + one.bytes, 0)
    },
  }
}

function looksAtSrc({ by, wants, isRouter, seen }: Scope): boolean {
  return by.includes('src') || wants.src !== undefined || isRouter || seen.length > 0
}

function looksAtDst({ by, wants, isRouter, seen, distinct }: Scope): boolean {
  const countsDst = distinct.some((one) => one.distinct.of === 'dst')
  return by.includes('dst') || wants.dst !== undefined || isRouter || seen.length > 0 || countsDst
}
