/** The observer: what passes is added up per window, and counts only when the window is done. Each message counts once, however often and in
 * whatever windows it is read: the first window in flight that has it claims it, the others leave it out. When that window fails it is
 * read again, so the message comes back; when it is done, the claim becomes an identity that is remembered. */

import { max } from '../base/bigint.ts'
import type { NodeNames } from '../directory/node-names.ts'
import type { Points } from '../flatten/points.ts'
import type { ObservedResult, ObservedWindow, Observer } from '../observers/observers.ts'
import type { Coverage } from './coverage.ts'
import { createFeed, type FeedLimits } from './feed.ts'
import { chunkOf, type Identities } from './identities.ts'
import { KEYS } from './int-table.ts'
import type { People } from './people.ts'
import type { Scope } from './scope.ts'
import type { Staged } from './staged.ts'
import { type Added, Stores } from './stores.ts'

export interface CollectorOptions extends FeedLimits {
  readonly latenessNs: bigint
  /** How much behind its end a step is about, ns. */
  readonly graceNs: bigint
}

export interface CollectorDeps {
  readonly scopes: readonly Scope[]
  readonly identities: Identities
  readonly coverage: Coverage
  readonly people: People
  readonly directory: NodeNames
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

export interface Collector extends Observer {
  /** What is older than this does not count any more. Never goes back. */
  setHorizon(ns: bigint): void
  readonly horizonNs: bigint
  /** Makes what is done count. Windows wait for it, because many of them together are less work than one by one. */
  settle(): void
  /** Windows being read now. */
  readonly inFlight: readonly ObservedWindow[]
  /** What waits tells about steps that were judged already. */
  readonly isLate: boolean
  /** Windows that are done and do not count yet. */
  readonly waiting: readonly ObservedWindow[]
  /** Memory of windows in flight, and of what finds groups by numbers. */
  readonly bytes: number
}

const SECOND = 1_000_000_000n

export function createCollector(options: CollectorOptions, deps: CollectorDeps): Collector {
  const { identities, coverage } = deps
  const feed = createFeed(deps.scopes, deps.people, deps.directory, options)
  /** Windows in flight. */
  const staged = new Map<ObservedWindow, Staged>()
  /** Windows that are done, and what they are done to; as for rules they still pass by. */
  let waiting: { readonly window: ObservedWindow; readonly doneToNs: bigint | undefined }[] = []
  let isLate = false
  let horizonNs = -(1n << 62n)
  // A digest and its halves, the lower one first.
  const digest = new BigUint64Array(1)
  const halves = new Int32Array(digest.buffer)

  function stagedOf(window: ObservedWindow): Staged {
    const known = staged.get(window)
    if (known) return known
    const made = feed.stage()
    staged.set(window, made)
    return made
  }

  /** A step was judged without what was read from here on. */
  function isBehind(fromNs: bigint): boolean {
    return fromNs < deps.judgedNs() + options.graceNs
  }

  /** Each message of a window in flight is claimed by it. */
  function isClaimed(high: number, low: number, chunk: number): boolean {
    for (const { messages } of staged.values()) if (messages.find(high, low, chunk, 0, 0) >= 0) return true
    return false
  }

  function keep(one: Staged): void {
    const { count, keys } = one.messages
    for (let row = 0; row < count; row++) {
      const at = row * KEYS
      identities.add(keys[at]!, keys[at + 1]!, keys[at + 2]!)
    }
    if (!feed.hasRoom()) settle()
    feed.keep(one)
    if (one.late > 0) deps.onIgnored('late', one.late)
    if (one.ahead > 0) deps.onIgnored('ahead', one.ahead)
  }

  function settle(): void {
    if (waiting.length === 0) return
    const stores = new Stores(deps.judgedNs())
    feed.settle(stores)
    for (const added of stores.added()) deps.onAdded(added)
    for (const { window, doneToNs } of waiting) {
      if (doneToNs === undefined) continue
      const isNews = coverage.add({ fromNs: window.fromNs, toNs: doneToNs })
      if (isNews && isBehind(window.fromNs)) deps.onFilled(window.fromNs)
    }
    waiting = []
    isLate = false
  }

  return {
    points(window: ObservedWindow, points: Points) {
      const one = stagedOf(window)
      const { startNs } = points
      // By the message's own two times: how far was read when it came depends on the order in which windows are done.
      const lagNs = clamped(points.loggedNs, window) - startNs
      if (lagNs > options.latenessNs || startNs < horizonNs) {
        // Re-reads of old windows have old messages, which were counted in their time.
        if (window.pass === 1) one.late += 1
        return
      }
      if (-lagNs > options.latenessNs) {
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
      if (feed.isFull) {
        settle()
        feed.forget()
      }
      feed.take(one, points, seconds)
    },
    done(window: ObservedWindow, result: ObservedResult) {
      const one = staged.get(window)
      const { fromNs } = window
      const { doneToNs } = result
      // Most that is read a second time says nothing that is not known.
      const isNews =
        (one?.messages.count ?? 0) > 0 || (doneToNs !== undefined && coverage.unreadNs(fromNs, doneToNs) > 0n)
      if (one) {
        staged.delete(window)
        keep(one)
        feed.release(one)
      }
      waiting.push({ window, doneToNs })
      if (isNews && isBehind(fromNs)) isLate = true
      deps.onDone()
    },
    failed(window: ObservedWindow) {
      const one = staged.get(window)
      if (one === undefined) return
      staged.delete(window)
      feed.release(one)
    },
    settle,
    setHorizon(ns) {
      horizonNs = max(horizonNs, ns)
    },
    get horizonNs() {
      return horizonNs
    },
    get inFlight() {
      return [...staged.keys()]
    },
    get isLate() {
      return isLate
    },
    get waiting() {
      return waiting.map(({ window }) => window)
    },
    get bytes() {
      return feed.bytes
    },
  }
}

/** A message without a readable `logged` was logged when its window says. */
function clamped(loggedNs: bigint, { fromNs, toNs }: ObservedWindow): bigint {
  return loggedNs < fromNs ? fromNs : loggedNs > toNs ? toNs : loggedNs
}
