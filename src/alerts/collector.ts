/** The tap: what passes is added up per window, and counts only when the window is done. Each message counts once, however often and in
 * whatever windows it is read: the first window in flight that has it claims it, the others leave it out. When that window fails it is
 * read again, so the message comes back; when it is done, the claim becomes an identity that is remembered. */

import type { Points } from '../flatten/points.ts'
import type { PlannedWindow } from '../pipeline/planner.ts'
import type { Tap, WindowResult } from '../pipeline/run-window.ts'
import { max } from '../pipeline/window-size.ts'
import type { Coverage } from './coverage.ts'
import { createFeed } from './feed.ts'
import { chunkOf, type Identities } from './identities.ts'
import { KEYS } from './int-table.ts'
import type { People } from './people.ts'
import type { Scope } from './scope.ts'
import type { Staged } from './staged.ts'
import { type Added, Stores } from './stores.ts'

export interface CollectorOptions {
  readonly latenessNs: bigint
  /** Rows of a window's log; more of them are added up by group while it is read. */
  readonly rowsMax?: number
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

export interface Collector extends Tap {
  /** What is older than this does not count any more. Never goes back. */
  setHorizon(ns: bigint): void
  readonly horizonNs: bigint
  /** Windows being read now. */
  readonly inFlight: readonly PlannedWindow[]
  /** Memory of windows in flight, and of what finds groups by numbers. */
  readonly bytes: number
}

const SECOND = 1_000_000_000n

export function createCollector(options: CollectorOptions, deps: CollectorDeps): Collector {
  const { identities, coverage } = deps
  const feed = createFeed(deps.scopes, deps.people, options)
  /** Windows in flight: each message in one of them is claimed by that window. */
  const staged = new Map<PlannedWindow, Staged>()
  let horizonNs = -(1n << 62n)
  // A digest and its halves, the lower one first.
  const digest = new BigUint64Array(1)
  const halves = new Int32Array(digest.buffer)

  function stagedOf(window: PlannedWindow): Staged {
    const known = staged.get(window)
    if (known) return known
    const made = feed.stage()
    staged.set(window, made)
    return made
  }

  function isClaimed(high: number, low: number, chunk: number): boolean {
    for (const { messages } of staged.values()) if (messages.find(high, low, chunk, 0, 0) >= 0) return true
    return false
  }

  function merge(one: Staged): void {
    const { count, keys } = one.messages
    for (let row = 0; row < count; row++) {
      const at = row * KEYS
      identities.add(keys[at]!, keys[at + 1]!, keys[at + 2]!)
    }
    const stores = new Stores(deps.judgedNs())
    feed.pour(one, stores)
    for (const added of stores.added()) deps.onAdded(added)
    if (one.late > 0) deps.onIgnored('late', one.late)
    if (one.ahead > 0) deps.onIgnored('ahead', one.ahead)
  }

  return {
    points(window: PlannedWindow, points: Points) {
      const one = stagedOf(window)
      const { startNs } = points
      if (startNs < horizonNs) {
        // Re-reads of old windows have old messages, which were counted in their time.
        if (window.pass === 1) one.late += 1
        return
      }
      if (startNs > window.toNs + options.latenessNs) {
        one.ahead += 1
        return
      }
      digest[0] = points.digest
      const low = halves[0]!
      const high = halves[1]!
      const seconds = Number(startNs / SECOND)
      const chunk = chunkOf(seconds)
      if (identities.has(high, low, chunk) || isClaimed(high, low, chunk)) return
      one.messages.rowOf(high, low, chunk, 0, 0)
      feed.take(one, points, seconds)
    },
    done(window: PlannedWindow, result: WindowResult) {
      const one = staged.get(window)
      if (one) {
        merge(one)
        staged.delete(window)
        feed.release(one)
      }
      if (result.doneToNs !== undefined) {
        const isNews = coverage.add({ fromNs: window.fromNs, toNs: result.doneToNs })
        if (isNews && window.fromNs < deps.judgedNs()) deps.onFilled(window.fromNs)
      }
      deps.onDone()
    },
    failed(window: PlannedWindow) {
      const one = staged.get(window)
      if (one === undefined) return
      staged.delete(window)
      feed.release(one)
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
    get bytes() {
      return feed.bytes
    },
  }
}
