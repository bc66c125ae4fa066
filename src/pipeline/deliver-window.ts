/** One window from end to end: read, flatten, encode, deliver, and only then enter it in the ledger.
 *
 *   source.open -> messages -> points -> lines -> batches -> receipts -> ledger.done
 *
 * The ledger moves on receipts alone. After any failure before that the window is not done and is read again. Points have the same
 * identity every time, so they overwrite themselves. */
import type { Logger } from 'pino'
import { type Clock, MINUTE } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { createHashSet } from '../base/hash-tables.ts'
import type { Semaphore } from '../base/semaphore.ts'
import type { Flattener } from '../flatten/flatten.ts'
import type { Points } from '../flatten/points.ts'
import type { Attempt, Interval, Ledger } from '../ledger/ledger.ts'
import type { PipelineMetrics } from '../observe/metrics.ts'
import type { ObservedResult, Observers, WindowObserver } from '../observers/observers.ts'
import type { LineWriter } from '../sink/line-protocol/line-writer.ts'
import type { Batch, DeadLetters, Sink } from '../sink/sink.ts'
import type { Message } from '../source/parse/message.ts'
import type { Source } from '../source/source.ts'
import type { PlannedWindow } from './planner.ts'
import { createQuarantine } from './quarantine.ts'

/** One reading of a window. */
interface WindowRun {
  readonly window: PlannedWindow
  readonly attempt: Attempt
  readonly observer: WindowObserver
  readonly beganMs: number
  readonly parts: WorkerParts
  readonly outerSignal: AbortSignal
}

/** The parts of one worker. They hold the columns and buffers of the current message, so two windows never share them. */
export interface WorkerParts {
  readonly flattener: Flattener
  readonly lines: LineWriter
}

/** What is known about the database while a window is written; see recovery/recovery.ts. */
export interface WriteWatch {
  /** The clock of acknowledgements, ns. It only goes forward. It follows the local clock. If that was set back, or if checkpoint or ledger
   * have later values (the clock was ahead then), it continues from there with monotonic time. */
  nextAckNs(): bigint
  /** True when the database was away at this time or later (ms of monotonic time): what was sent before that may be lost. */
  wasAwaySince(ms: number): boolean
  /** True when a window that was written around an outage must be read again. The number of times is limited, or nothing would get done with
   * a database where every second request fails. */
  mayInterrupt(window: Interval): boolean
}

export interface DeliverWindowDeps {
  readonly source: Pick<Source, 'open'>
  readonly sink: Pick<Sink, 'write'>
  readonly ledger: Pick<Ledger, 'beginAttempt' | 'endAttempt' | 'done'>
  readonly deadLetters: Pick<DeadLetters, 'append'> & Partial<Pick<DeadLetters, 'problem'>>
  /** Batches in flight, over all workers. */
  readonly semaphore: Semaphore
  readonly observers: Pick<Observers, 'begin'>
  readonly metrics: PipelineMetrics
  readonly clock: Clock
  readonly log: Logger
  /** How far behind the API's clock a window may end, ns. */
  readonly lagNs: bigint
  /** The time of an answer, ns: the earlier of the local clock and the API's clock, which is the Date header of this answer, or an estimate
   * if it has none. With a clock that is fast, records that are not logged yet would otherwise be skipped. */
  readonly safeNowNs: (serverNs: bigint | undefined) => bigint
  /** The pass for which a reading of records of this age counts: what is first read after a day needs no late pass any more. */
  readonly passAt: (ageNs: bigint) => number
  readonly recovery: WriteWatch
  /** A late pass keeps at most this many bytes of lines in memory until it knows whether anything changed. */
  readonly heldBytesMax: number
}

/** The result of a window. */
export interface WindowResult extends ObservedResult {
  /** The pass that it counts as. */
  readonly pass: number
  /** When it was acknowledged, by the service's own clock, which always increases. */
  readonly ackedNs: bigint
  readonly serverNs: bigint | undefined
  readonly entries: number
  readonly quarantined: number
  readonly written: number
  readonly rejected: number
  readonly expired: number
  /** Late passes: the answer differed from the last time. */
  readonly changed: boolean
  /** Its content was written; false when a late pass found it unchanged. */
  readonly isWritten: boolean
  /** Lines were refused because of a limit of the database, one error per batch. Then nothing is done; up to `doneToNs` all other lines were
   * stored. */
  readonly limits: readonly CollectorError[]
  /** When the first of its requests to the database was sent, ms of monotonic time; infinite when nothing was written. */
  readonly sentMs: number
  readonly durationMs: number
}

/** Throws a CollectorError, or the signal's reason; then nothing of the window is done. */
export async function deliverWindow(
  window: PlannedWindow,
  parts: WorkerParts,
  deps: DeliverWindowDeps,
  signal: AbortSignal,
): Promise<WindowResult> {
  const beganMs = deps.clock.monotonicMs()
  const attempt = deps.ledger.beginAttempt(window)
  parts.lines.reset()
  const observer = deps.observers.begin(window)
  try {
    const result = await readAndDeliver({ window, attempt, observer, beganMs, parts, outerSignal: signal }, deps)
    if (result.limits.length > 0) observer.failed()
    else observer.done(result)
    deps.ledger.endAttempt(attempt)
    return result
  } catch (error) {
    observer.failed()
    // A programmer's error ends the process. The mark of the attempt stays, so that the next process reads this range in smaller windows.
    if (error instanceof CollectorError || signal.aborted) deps.ledger.endAttempt(attempt)
    throw error
  }
}

async function readAndDeliver(run: WindowRun, deps: DeliverWindowDeps): Promise<WindowResult> {
  const { window, attempt, observer, parts, outerSignal } = run
  // The first batch that fails aborts this, so that the rest of the window is neither read nor sent.
  const failing = new AbortController()
  const signal = AbortSignal.any([outerSignal, failing.signal])
  const delivery = createDelivery(parts.lines, deps, signal, (error) => failing.abort(error))
  const digest = createWindowDigest()
  const quarantine = createQuarantine(digest, deps)
  const counts = { messages: 0, entries: 0, points: 0 }
  const minutes = createMinutes()
  let held: Batch[] | undefined = window.previous ? [] : undefined
  let heldBytes = 0
  let serverNs: bigint | undefined
  let safeNowNs = 0n
  let reachNs: bigint | undefined
  let bytes = 0

  async function forward(batch: Batch): Promise<void> {
    if (held === undefined) return delivery.send(batch)
    held.push(batch)
    heldBytes += batch.bytes.length
    if (heldBytes <= deps.heldBytesMax) return
    // Too much to keep in memory: write without waiting for the digest. Writing unchanged points again costs time, but no data.
    const waiting = held
    held = undefined
    for (const one of waiting) await delivery.send(one)
  }

  /** Not async: there are hundreds of thousands of messages, but few batches. */
  function take(message: Message): void {
    // After `reachNs` the window will be read again: those records are counted then, and the digest covers only what is done.
    const { loggedNs } = message
    if (loggedNs <= window.toNs && loggedNs > (reachNs ?? window.fromNs)) return
    if (message.quarantined.length > 0) quarantine.parts('source', message, message.quarantined)
    if (message.entryCount === 0) return
    const points = pointsOf(message)
    if (points === undefined) return
    if (points.quarantined.length > 0) quarantine.parts('flatten', message, points.quarantined)
    counts.messages += 1
    counts.entries += message.entryCount
    counts.points += points.count
    if (points.count > 0) minutes.add(message.startNs)
    digest.add(points.digest)
    observer.points(points, message)
  }

  /** The points of a message, after their lines were appended; undefined when our own code fails on it: then no line was appended. */
  function pointsOf(message: Message): Points | undefined {
    let points: Points | undefined
    try {
      points = parts.flattener.flatten(message)
      parts.lines.append(points)
      return points
    } catch (error) {
      quarantine.failed(message, points === undefined ? 'flatten_failed' : 'encode_failed', error)
      return undefined
    }
  }

  async function forwardFull(): Promise<void> {
    for (let batch = parts.lines.full(); batch; batch = parts.lines.full()) await forward(batch)
  }

  try {
    const answer = await deps.source.open(window, signal)
    serverNs = answer.serverNs
    safeNowNs = deps.safeNowNs(serverNs)
    reachNs = reachOf(window, safeNowNs - deps.lagNs)
    for await (const group of answer.groups) {
      for (const message of group) {
        take(message)
        if (parts.lines.hasFull()) await forwardFull()
      }
      bytes = answer.bytesRead()
      if (quarantine.isFull()) await quarantine.post()
      signal.throwIfAborted()
    }
    bytes = answer.bytesRead()
    for (const batch of parts.lines.rest()) await forward(batch)
    const changed = window.previous?.digest !== digest.text()
    if (held !== undefined) for (const batch of held) changed ? await delivery.send(batch) : parts.lines.release(batch)
    // If nothing changed, the dead-letter file already has what a late pass quarantines again.
    if (changed && quarantine.count > 0) await quarantine.post()
    await delivery.settled()
    signal.throwIfAborted()
    if (deps.recovery.wasAwaySince(delivery.sentMs) && deps.recovery.mayInterrupt(window)) throw interrupted()

    const ackedNs = deps.recovery.nextAckNs()
    // Lines that were not held back are written, changed or not.
    const isWritten = changed || held === undefined
    const pass = reachNs === undefined ? window.pass : passOf(window, safeNowNs - reachNs, deps)
    if (reachNs !== undefined && delivery.limits.length === 0) {
      deps.ledger.done(
        { fromNs: window.fromNs, toNs: reachNs },
        {
          pass,
          digest: digest.text(),
          messages: counts.messages,
          entries: counts.entries,
          points: counts.points,
          atNs: isWritten ? ackedNs : (window.previous?.atNs ?? ackedNs),
        },
        attempt,
        // What was not written changes no row.
        isWritten ? minutes.all() : [],
      )
    }
    const durationMs = deps.clock.monotonicMs() - run.beganMs
    return {
      ...{ doneToNs: reachNs, pass, ackedNs, serverNs, bytes, ...counts, quarantined: quarantine.count },
      ...{ ...delivery.totals, changed, isWritten, limits: delivery.limits, sentMs: delivery.sentMs, durationMs },
    }
  } catch (error) {
    failing.abort(error)
    // No batch of this window may still be in flight when its buffers are used again.
    await delivery.settled().catch(() => undefined)
    // The failure of the batch is the reason; the error that the loop caught only follows from the abort.
    throw outerSignal.aborted ? outerSignal.reason : (delivery.failure ?? error)
  }
}

/** How far the window is done: never past the safe read horizon of its answer, because the API may not have had later records yet. */
function reachOf(window: PlannedWindow, horizonNs: bigint): bigint | undefined {
  if (window.previous) return window.toNs
  const reachNs = window.toNs < horizonNs ? window.toNs : horizonNs
  return reachNs > window.fromNs ? reachNs : undefined
}

/** A late pass counts only when the window has reached its age by both clocks; an earlier one is only another reading. */
function passOf(window: PlannedWindow, ageNs: bigint, deps: DeliverWindowDeps): number {
  return window.pass === 0 ? 0 : Math.max(window.previous?.pass ?? 1, deps.passAt(ageNs))
}

/** Some batches were acknowledged before the database was away, some after: the first ones may be lost. */
function interrupted(): CollectorError {
  return new CollectorError(
    'The database was away while a window was written. The window is read again automatically; if this repeats, check that the database and the network to it are stable.',
    {
      stage: 'sink',
      code: 'db_interrupted',
      reaction: 'retry',
    },
  )
}

interface Delivery {
  /** Waits until a batch may be sent, then sends it in the background. Throws when an earlier batch has failed. */
  send(batch: Batch): Promise<void>
  /** Resolves when every batch has its receipt. Rejects with the first failure, but only after all have ended. */
  settled(): Promise<void>
  readonly failure: unknown
  /** The limits because of which lines were refused, while the other lines of their batches were stored. */
  readonly limits: readonly CollectorError[]
  /** When the first request that the database answered was sent, ms of monotonic time; infinite without any. */
  readonly sentMs: number
  readonly totals: { written: number; rejected: number; expired: number }
}

function createDelivery(
  lines: LineWriter,
  deps: DeliverWindowDeps,
  signal: AbortSignal,
  onFailure: (error: unknown) => void,
): Delivery {
  const flying = new Set<Promise<void>>()
  const totals = { written: 0, rejected: 0, expired: 0 }
  let failure: unknown
  const limits: CollectorError[] = []
  let sentMs = Number.POSITIVE_INFINITY
  async function deliver(batch: Batch, release: () => void): Promise<void> {
    try {
      const receipt = await deps.sink.write(batch, signal)
      sentMs = Math.min(sentMs, receipt.sentMs)
      totals.written += receipt.written
      totals.rejected += receipt.rejected
      totals.expired += receipt.expired
    } catch (error) {
      // The accepted lines of this batch are stored. The other batches are still sent, so that their accepted lines are stored too.
      if (error instanceof CollectorError && error.code === 'db_limit') limits.push(error)
      else {
        failure ??= error
        onFailure(error)
      }
    } finally {
      lines.release(batch)
      release()
    }
  }
  return {
    async send(batch) {
      const release = await deps.semaphore.take(signal)
      const flight: Promise<void> = deliver(batch, release).finally(() => flying.delete(flight))
      flying.add(flight)
    },
    async settled() {
      await Promise.all(flying)
      if (failure !== undefined) throw failure
    },
    get failure() {
      return failure
    },
    limits,
    get sentMs() {
      return sentMs
    },
    totals,
  }
}

/** The minutes of `start` whose points a window holds. */
function createMinutes() {
  const begins = new Set<bigint>()
  /** The last one again, mostly: messages of one minute come together. */
  let lastNs = -1n
  return {
    add(startNs: bigint): void {
      if (startNs >= lastNs && startNs < lastNs + MINUTE) return
      lastNs = startNs - (startNs % MINUTE)
      begins.add(lastNs)
    },
    all: (): readonly bigint[] => [...begins],
  }
}

/** Beyond this many messages copies are no longer recognised. A window with re-delivered copies is then written once more than needed. */
const DISTINCT_MAX = 50_000

/** The digest of a window: equal when the window held the same messages, in any order and any number of copies. */
interface Digest {
  /** `hash`: the 64-bit digest of one message. */
  add(hash: bigint): void
  /** `<count of distinct messages>:<sum of their hashes, hexadecimal>`. */
  text(): string
}

export function createWindowDigest(): Digest {
  const seen = createHashSet(DISTINCT_MAX)
  let count = 0
  /** One cell, which wraps at 64 bits. */
  const sum = new BigUint64Array(1)
  return {
    add(hash) {
      if (!seen.add(hash)) return
      count += 1
      sum[0] = sum[0]! + hash
    },
    text: () => `${count}:${sum[0]!.toString(16).padStart(16, '0')}`,
  }
}
