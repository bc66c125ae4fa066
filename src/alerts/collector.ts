/** The tap: what passes is added up per window, and counts only when the window is done. Each message counts once, however often and in
 * whatever windows it is read: the first window in flight that has it claims it, the others leave it out. When that window fails it is
 * read again, so the message comes back; when it is done, the claim becomes an identity that is remembered. */

import type { Points } from '../flatten/points.ts'
import type { PlannedWindow } from '../pipeline/planner.ts'
import type { Tap, WindowResult } from '../pipeline/run-window.ts'
import { max } from '../pipeline/window-size.ts'
import type { Coverage } from './coverage.ts'
import { createFeed } from './feed.ts'
import type { Identities } from './identities.ts'
import type { People } from './people.ts'
import type { Scope } from './scope.ts'
import type { Staged } from './staged.ts'

export interface CollectorOptions {
  readonly latenessNs: bigint
}

export interface CollectorDeps {
  readonly scopes: readonly Scope[]
  readonly identities: Identities
  readonly coverage: Coverage
  readonly people: People
  /** Messages that do not count: too old, or from a clock far ahead. */
  readonly onIgnored: (reason: 'late' | 'ahead', messages: number) => void
  /** The newest step that any rule was judged at. */
  readonly judgedNs: () => bigint
  /** Something was added to a piece that was judged already: groups whose judgement may change from there on. */
  readonly onAdded: (added: Added) => void
  /** Time was read that steps had been judged without. */
  readonly onFilled: (fromNs: bigint) => void
  readonly onDone: () => void
}

/** What changed, told after it was added. `fromNs` is the begin of the piece. */
export interface Added {
  readonly scope: Scope
  readonly fromNs: bigint
  readonly ids: Iterable<number>
}

export interface Collector extends Tap {
  /** What is older than this does not count any more. Never goes back. */
  setHorizon(ns: bigint): void
  readonly horizonNs: bigint
  /** Windows being read now. */
  readonly inFlight: readonly PlannedWindow[]
  readonly stagedBytes: number
}

export function createCollector(options: CollectorOptions, deps: CollectorDeps): Collector {
  const { identities, coverage } = deps
  const feed = createFeed(deps.scopes, deps.people)
  const staged = new Map<PlannedWindow, Staged>()
  /** Digests that a window in flight has, and which one. */
  const claims = new Map<bigint, PlannedWindow>()
  let horizonNs = -(1n << 62n)

  function stagedOf(window: PlannedWindow): Staged {
    const known = staged.get(window)
    if (known) return known
    const made = feed.stage()
    staged.set(window, made)
    return made
  }

  function end(window: PlannedWindow): Staged | undefined {
    const one = staged.get(window)
    staged.delete(window)
    if (one) for (const { digest } of one.messages) if (claims.get(digest) === window) claims.delete(digest)
    return one
  }

  function merge(one: Staged): void {
    const judgedNs = deps.judgedNs()
    for (const { digest, startNs } of one.messages) identities.add(digest, startNs)
    for (const [scope, parts] of one.scopes) {
      const added = new Map<bigint, Set<number>>()
      const note = (fromNs: bigint, id: number) => {
        if (fromNs >= judgedNs) return
        const ids = added.get(fromNs) ?? new Set()
        added.set(fromNs, ids)
        ids.add(id)
      }
      for (const [by, columns] of parts.sums) {
        for (const [piece, delta] of columns) {
          by.sums.add(piece, delta)
          const fromNs = BigInt(piece) * by.sums.stepNs
          if (fromNs >= judgedNs) continue
          for (let id = 1; id < delta.length; id++) if (delta[id] !== 0) note(fromNs, id)
        }
      }
      for (const [by, slots] of parts.presence) {
        for (const [slot, ids] of slots)
          for (const id of ids) if (by.presence.mark(slot, id)) note(BigInt(slot) * by.slotNs, id)
      }
      for (const [by, pieces] of parts.distinct) {
        for (const [piece, items] of pieces)
          for (const id of by.distinct.add(piece, items)) note(BigInt(piece) * by.distinct.stepNs, id)
      }
      for (const [by, slots] of parts.sightings) {
        for (const first of slots.values())
          by.sightings.add([...first].map(([{ key, names }, piece]) => ({ key, names, piece })))
      }
      for (const [fromNs, ids] of added) deps.onAdded({ scope, fromNs, ids })
    }
    if (one.late > 0) deps.onIgnored('late', one.late)
    if (one.ahead > 0) deps.onIgnored('ahead', one.ahead)
  }

  return {
    points(window: PlannedWindow, points: Points) {
      const one = stagedOf(window)
      const { startNs, digest } = points
      if (startNs < horizonNs) {
        // Re-reads of old windows have old messages, which were counted in their time.
        if (window.pass === 1) one.late += 1
        return
      }
      if (startNs > window.toNs + options.latenessNs) {
        one.ahead += 1
        return
      }
      if (claims.has(digest) || identities.has(digest, startNs)) return
      claims.set(digest, window)
      one.messages.push({ digest, startNs })
      feed.take(one, points)
    },
    done(window: PlannedWindow, result: WindowResult) {
      const one = end(window)
      if (one) merge(one)
      if (result.doneToNs !== undefined) {
        const isNews = coverage.add({ fromNs: window.fromNs, toNs: result.doneToNs })
        if (isNews && window.fromNs < deps.judgedNs()) deps.onFilled(window.fromNs)
      }
      deps.onDone()
    },
    failed(window: PlannedWindow) {
      end(window)
    },
    setHorizon(ns) {
      horizonNs = max(horizonNs, ns)
    },
    get horizonNs() {
      return horizonNs
    },
    get inFlight() {
      return [...staged.keys()]
    },
    get stagedBytes() {
      let bytes = 0
      for (const one of staged.values()) bytes += one.bytes
      return bytes
    },
  }
}
