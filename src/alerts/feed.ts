/** From the points of a message to a tally, and from there to what rules read. The hot part of the room. While a window is read, a message costs what
 * it takes to add its numbers up: nodes and ends become small numbers, and nothing is allocated. Windows that are done wait together until
 * rules need them; then each scope goes through what they have by itself. */
import { FLOW_CELLS, FLOW_DST, FLOW_KIND, FLOW_PORT, FLOW_PROTO, FLOW_SRC, type Points } from '../flatten/points.ts'
import { WIDE } from '../source/message.ts'
import { createEnds } from './ends.ts'
import type { Known } from './filter.ts'
import { createFlowGroups, createNodeGroups, type Groups } from './groups.ts'
import { KEYS } from './int-table.ts'
import { createNodes } from './nodes.ts'
import type { People } from './people.ts'
import type { Scope } from './scope.ts'
import { createSeenGroups } from './seen-groups.ts'
import { Spill } from './spill.ts'
import { Staged } from './staged.ts'
import { COUNTERS, KIND_COUNT, Tally, TOTALS } from './tally.ts'
import type { Target } from './target.ts'

export interface Feed {
  /** A window begins. */
  stage(): Staged
  /** Adds one message, which began so many seconds after the epoch. */
  take(staged: Staged, points: Points, seconds: number): void
  /** There is no room for what a window has beside what waits: `settle` first. */
  hasRoomFor(staged: Staged): boolean
  /** The window is done: what it has waits for `settle`. */
  keep(staged: Staged): void
  /** Hands all that waits to the target. */
  settle(target: Target): void
  /** The window is at its end, whatever became of it. */
  release(staged: Staged): void
  /** So many nodes and ends are known that it is time to `forget`. */
  readonly isFull: boolean
  /** Nodes and ends get other numbers from now on. Only when nothing waits. */
  forget(): void
  readonly bytes: number
}

/** Rows of a tally; more of a window are added up by group while it is read. */
const ROWS_MAX = 131_072
/** Windows whose memory is kept for the next ones. */
const SPARE_MAX = 4

export function createFeed(scopes: readonly Scope[], people: People, options: { rowsMax?: number } = {}): Feed {
  const { rowsMax = ROWS_MAX } = options
  const known: Known = { nodes: createNodes(), ends: createEnds(), people }
  const { nodes, ends } = known
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
  const waiting = new Tally()
  let spills: Spill[] = []

  function drain(tally: Tally, target: Target): void {
    const { heads, newest } = tally
    for (let head = 0; head < heads.count; head++) {
      const node = heads.keys[head * KEYS + 1]!
      people.named(nodes.idOf(node), nodes.nameOf(node), newest[head]!)
    }
    for (const one of groups) one.take(tally, target)
    tally.clear()
  }

  function spill(staged: Staged): void {
    staged.spill ??= new Spill()
    drain(staged.tally, staged.spill)
  }

  function takeTotals(
    { totals: sums, messages }: Tally,
    { flows, totals, totalHighs, wide }: Points,
    head: number,
  ): void {
    for (let kind = 0; kind < KIND_COUNT; kind++) {
      if (flows[kind] === 0) continue
      const cell = head * KIND_COUNT + kind
      messages[cell] = messages[cell]! + 1
      const at = cell * TOTALS
      const from = kind * TOTALS
      for (let k = 0; k < TOTALS; k++) sums[at + k] = sums[at + k]! + totals[from + k]!
      if (wide) for (let k = 0; k < TOTALS; k++) sums[at + k] = sums[at + k]! + totalHighs[from + k]! * WIDE
    }
  }

  function takeFlows(tally: Tally, points: Points, head: number): void {
    const { flowCount, flowCells: cells, flowCounters, flowHighs, wide } = points
    ends.begin(points)
    for (let i = 0; i < flowCount; i++) {
      const flow = i * FLOW_CELLS
      const kind = cells[flow + FLOW_KIND]!
      if ((flowKinds & (1 << kind)) === 0) continue
      const proto = cells[flow + FLOW_PROTO]!
      const protoNumber = proto < 256 ? proto : 256 + ends.numberOf(points.protoTags[proto - 256]!)
      const row = tally.flowOf(
        head,
        needsSrc ? ends.endOf(cells[flow + FLOW_SRC]!) : 0,
        needsDst ? ends.endOf(cells[flow + FLOW_DST]!) : 0,
        cells[flow + FLOW_PORT]!,
        protoNumber * KIND_COUNT + kind,
      )
      const { counters, times } = tally
      times[row] = times[row]! + 1
      const at = row * COUNTERS
      const from = i * COUNTERS
      for (let k = 0; k < COUNTERS; k++) counters[at + k] = counters[at + k]! + flowCounters[from + k]!
      if (wide) for (let k = 0; k < COUNTERS; k++) counters[at + k] = counters[at + k]! + flowHighs[from + k]! * WIDE
    }
  }

  return {
    stage() {
      const staged = spare.pop() ?? new Staged()
      inFlight.add(staged)
      return staged
    },
    take(staged, points, seconds) {
      const { tally } = staged
      if (tally.rows >= rowsMax) spill(staged)
      const head = tally.headOf(Math.floor(seconds / 60), nodes.numberOf(points.node, points.nodeName), seconds)
      takeTotals(tally, points, head)
      if (flowKinds !== 0) takeFlows(tally, points, head)
    },
    hasRoomFor: ({ tally }) => waiting.rows === 0 || waiting.rows + tally.rows <= rowsMax,
    keep(staged) {
      waiting.add(staged.tally)
      if (staged.spill) spills.push(staged.spill)
    },
    settle(target) {
      for (const one of spills) one.pourInto(target)
      spills = []
      drain(waiting, target)
    },
    release(staged) {
      inFlight.delete(staged)
      staged.clear()
      if (spare.length < SPARE_MAX) spare.push(staged)
    },
    get isFull() {
      return ends.isFull || nodes.isFull
    },
    forget() {
      for (const staged of inFlight) spill(staged)
      ends.forget()
      nodes.forget()
      for (const one of groups) one.forget()
    },
    get bytes() {
      const staged = [...inFlight, ...spare].reduce((sum, one) => sum + one.bytes, 0)
      const waits = waiting.bytes + spills.reduce((sum, one) => sum + one.bytes, 0)
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
