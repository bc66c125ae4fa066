/** From the points of a message to the log of its window, and from there to what rules read. The hot part of the room. While a window is read, a
 * message costs what it takes to write its numbers down: nodes and ends become small numbers, once per message, and nothing is allocated.
 * When the window is done, each scope goes through the log by itself. */
import {
  FLOW_CELLS as CELLS,
  FLOW_DST,
  FLOW_KIND,
  FLOW_PORT,
  FLOW_PROTO,
  FLOW_SRC,
  type Points,
} from '../flatten/points.ts'
import { KINDS } from '../source/message.ts'
import { createEnds } from './ends.ts'
import type { Known } from './filter.ts'
import { createFlowGroups, createNodeGroups, type Groups, wholeOf } from './groups.ts'
import { FLOW_CELLS, FLOW_VALUES, type Log, TOTAL_CELLS, TOTAL_VALUES } from './log.ts'
import { createNodes } from './nodes.ts'
import type { People } from './people.ts'
import type { Scope } from './scope.ts'
import { createSeenGroups } from './seen-groups.ts'
import { Spill } from './spill.ts'
import { Staged } from './staged.ts'
import type { Target } from './target.ts'

export interface Feed {
  /** A window begins. */
  stage(): Staged
  /** Adds one message, which began so many seconds after the epoch. */
  take(staged: Staged, points: Points, seconds: number): void
  /** The window is done: hands all that it had to the target. */
  pour(staged: Staged, target: Target): void
  /** The window is at its end, whatever became of it. */
  release(staged: Staged): void
  readonly bytes: number
}

/** Windows whose memory is kept for the next ones. */
const SPARE_MAX = 4

export function createFeed(scopes: readonly Scope[], people: People, options: { rowsMax?: number } = {}): Feed {
  const known: Known = { nodes: createNodes(), ends: createEnds(), people }
  const { nodes, ends } = known
  const nodeGroups = scopes.filter(({ byNode }) => byNode).map((scope) => createNodeGroups(scope, known))
  const flowScopes = scopes.filter(({ byNode }) => !byNode)
  const flowGroups = flowScopes.map((scope) =>
    scope.seen.length > 0 ? createSeenGroups(scope, known) : createFlowGroups(scope, known),
  )
  const totalKinds = kindsOf(scopes.filter(({ byNode }) => byNode))
  const flowKinds = kindsOf(flowScopes)
  const needsSrc = flowScopes.some((scope) => looksAtSrc(scope))
  const needsDst = flowScopes.some((scope) => looksAtDst(scope))
  const inFlight = new Set<Staged>()
  const spare: Staged[] = []

  function spill(staged: Staged): void {
    staged.spill ??= new Spill()
    drain(staged, staged.spill)
  }

  function drain(staged: Staged, target: Target): void {
    for (const groups of nodeGroups) groups.take(staged.totals, target)
    for (const groups of flowGroups) groups.take(staged.flows, target)
    staged.totals.count = 0
    staged.flows.count = 0
  }

  /** Numbers of nodes and ends lose their meaning, so nothing with numbers may be left. */
  function forget(): void {
    for (const staged of inFlight) spill(staged)
    ends.forget()
    nodes.forget()
    for (const groups of [...nodeGroups, ...flowGroups]) groups.forget()
  }

  function takeTotals(staged: Staged, points: Points, node: number, minute: number): void {
    const { flows, totals, totalHighs, wide } = points
    for (let kind = 0; kind < KINDS.length; kind++) {
      if (flows[kind] === 0 || (totalKinds & (1 << kind)) === 0) continue
      const log = roomIn(staged, staged.totals)
      const row = log.next()
      const { cells, values } = log
      const cell = row * TOTAL_CELLS
      cells[cell] = minute
      cells[cell + 1] = node
      cells[cell + 2] = kind
      const from = kind * TOTAL_VALUES
      const at = row * TOTAL_VALUES
      for (let k = 0; k < TOTAL_VALUES; k++)
        values[at + k] = wide ? wholeOf(totals[from + k]!, totalHighs[from + k]!) : totals[from + k]!
    }
  }

  function takeFlows(staged: Staged, points: Points, node: number, minute: number): void {
    const { flowCount, flowCells, flowCounters, flowHighs, wide } = points
    ends.begin(points)
    for (let i = 0; i < flowCount; i++) {
      const flow = i * CELLS
      const kind = flowCells[flow + FLOW_KIND]!
      if ((flowKinds & (1 << kind)) === 0) continue
      const log = roomIn(staged, staged.flows)
      const row = log.next()
      const { cells, values } = log
      const cell = row * FLOW_CELLS
      const proto = flowCells[flow + FLOW_PROTO]!
      cells[cell] = minute
      cells[cell + 1] = node
      cells[cell + 2] = kind
      cells[cell + 3] = needsSrc ? ends.endOf(flowCells[flow + FLOW_SRC]!) : 0
      cells[cell + 4] = needsDst ? ends.endOf(flowCells[flow + FLOW_DST]!) : 0
      cells[cell + 5] = flowCells[flow + FLOW_PORT]!
      cells[cell + 6] = proto < 256 ? proto : 256 + ends.numberOf(points.protoTags[proto - 256]!)
      const from = i * FLOW_VALUES
      const at = row * FLOW_VALUES
      for (let k = 0; k < FLOW_VALUES; k++)
        values[at + k] = wide ? wholeOf(flowCounters[from + k]!, flowHighs[from + k]!) : flowCounters[from + k]!
    }
  }

  function roomIn(staged: Staged, log: Log): Log {
    if (log.isFull) spill(staged)
    return log
  }

  return {
    stage() {
      const staged = spare.pop() ?? new Staged(options.rowsMax)
      inFlight.add(staged)
      return staged
    },
    take(staged, points, seconds) {
      if (ends.isFull || nodes.isFull) forget()
      const node = nodes.numberOf(points.node, points.nodeName)
      const minute = Math.floor(seconds / 60)
      people.named(points.node, points.nodeName, seconds)
      if (totalKinds !== 0) takeTotals(staged, points, node, minute)
      if (flowKinds !== 0) takeFlows(staged, points, node, minute)
    },
    pour(staged, target) {
      staged.spill?.pourInto(target)
      drain(staged, target)
    },
    release(staged) {
      inFlight.delete(staged)
      staged.clear()
      if (spare.length < SPARE_MAX) spare.push(staged)
    },
    get bytes() {
      const groups: readonly Groups[] = [...nodeGroups, ...flowGroups]
      const staged = [...inFlight, ...spare].reduce((sum, one) => sum + one.bytes, 0)
      return staged + ends.bytes + groups.reduce((sum, one) => sum + one.bytes, 0)
    },
  }
}

function kindsOf(scopes: readonly Scope[]): number {
  return scopes.reduce((bits, { kinds }) => bits | kinds, 0)
}

function looksAtSrc({ by, wants, isRouter, seen }: Scope): boolean {
  return by.includes('src') || wants.src !== undefined || isRouter || seen.length > 0
}

function looksAtDst({ by, wants, isRouter, seen, distinct }: Scope): boolean {
  const countsDst = distinct.some((one) => one.distinct.of === 'dst')
  return by.includes('dst') || wants.dst !== undefined || isRouter || seen.length > 0 || countsDst
}
