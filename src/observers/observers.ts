/** Observers see the points that pass along the line: alerts, the rollup, the directory, metrics. They cannot hurt the
 * line: an error of an observer is caught here and nowhere else. It is logged, `/health` says what does not work, and ingestion continues.
 *
 * An observer with state is restarted: the instance that failed is dropped, and after a backoff a new one starts. It sees only windows that
 * begin after that, because half a window would give wrong sums. The backoff grows from a second to five minutes, so an observer that throws
 * at every message costs the line one message per backoff. For `/health` it works again when a new instance has seen a whole window with
 * messages and has lasted as long as the backoff before it. */

import type { Logger } from 'pino'
import { backoffAfter } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import type { Points } from '../flatten/points.ts'
import type { Interval } from '../ledger/ledger.ts'
import type { Message } from '../source/parse/message.ts'
import { createFailures, type Failures, type FailuresDeps, type ObserverName, rejection } from './failures.ts'

/** A window that is being read; the same object in all calls about it. */
export interface ObservedWindow extends Interval {
  /** 1 for the first reading, 2 and more for the late passes, 0 outside of them (`replay`). */
  readonly pass: number
  /** Set for late passes. */
  readonly previous?: object
}

/** What of a window is done, and how much was read. */
export interface ObservedResult {
  /** End of what is done: before the window's end when that was too close to the API's clock. Undefined: nothing is done yet. */
  readonly doneToNs: bigint | undefined
  readonly bytes: number
  readonly messages: number
  readonly points: number
}

/** Looks at points as they pass. */
export interface Observer {
  /** The points of one message of a window that is being read, and the message itself, with no mask applied; both valid only during the call. */
  points(window: ObservedWindow, points: Points, message: Message): void
  /** The window is done: its points count from now on. */
  done(window: ObservedWindow, result: ObservedResult): void
  /** The window failed: its points must not count. */
  failed(window: ObservedWindow): void
}

/** All observers of one window. Nothing here ever throws. */
export interface WindowObserver {
  points(points: Points, message: Message): void
  done(result: ObservedResult): void
  failed(): void
}

/** One life of an observer that is restarted. */
export interface Instance {
  /** Undefined: it sees no points, and is told by others. */
  readonly observer?: Observer
  /** Called once, before the first window. */
  start?(): Promise<void>
  /** Stops and saves its state. */
  stop?(): Promise<void>
  /** Called after a failure: ends at once and saves nothing. */
  giveUp?(): Promise<void>
}

export interface Handle<T> {
  /** Returns the result of `look`; undefined while the observer is off, or when `look` throws, which turns it off. */
  use<R>(look: (instance: T) => R): R | undefined
}

export interface Observers extends Failures {
  /** Adds an observer. `onBroken` is for failures outside of calls, such as in a timer. */
  add<T extends Instance>(name: ObserverName, create: (onBroken: (error: unknown) => void) => T): Handle<T>
  /** A window begins: call before the first message is read. */
  begin(window: ObservedWindow): WindowObserver
  /** Starts all of them. Never rejects: what cannot start is restarted later. */
  start(): Promise<void>
  /** Stops them, latest first, each within five seconds. Never rejects. Idempotent. */
  stop(): Promise<void>
}

/** No observers, for tests and `replay`. */
export const NO_OBSERVERS: Pick<Observers, 'begin'> = {
  begin: () => ({ points: () => undefined, done: () => undefined, failed: () => undefined }),
}

const BACKOFF = { minMs: 1_000, maxMs: 300_000 }
/** A failure after this long without one counts as the first. */
const FORGIVEN_MS = 1_800_000
const STOP_MS = 5_000

interface Deps extends FailuresDeps {
  readonly clock: Clock
  readonly log: Logger
}

interface Life<T extends Instance> {
  readonly instance: T
  isOver: boolean
  fail(error: unknown): void
  /** It has seen a whole window with messages. */
  worked(): void
}

interface Supervised<T extends Instance> {
  /** Undefined while it is off. */
  readonly life: Life<T> | undefined
  start(): Promise<void>
  stop(): Promise<void>
}

export function createObservers(deps: Deps): Observers {
  const reporting = createFailures(deps)
  const all: Supervised<Instance>[] = []
  let stopping: Promise<void> | undefined

  async function stopAll(): Promise<void> {
    for (const one of all.toReversed()) await one.stop()
  }

  return {
    ...reporting,
    add(name, create) {
      const made = supervise(name, create, { ...deps, ...reporting })
      all.push(made)
      return {
        use(look) {
          const { life } = made
          if (life === undefined) return undefined
          try {
            const answer = look(life.instance)
            rejection(answer, life.fail)
            return answer
          } catch (error) {
            life.fail(error)
            return undefined
          }
        },
      }
    },

    begin(window) {
      const lives = all.flatMap(({ life }) => life ?? [])
      let hasPoints = false
      function each(look: (life: Life<Instance>) => unknown): void {
        for (const life of lives) {
          if (life.isOver) continue
          try {
            rejection(look(life), life.fail)
          } catch (error) {
            life.fail(error)
          }
        }
      }
      return {
        points(points, message) {
          hasPoints = true
          for (let index = 0; index < lives.length; index += 1) {
            const life = lives[index]!
            if (life.isOver) continue
            try {
              const answer: unknown = life.instance.observer?.points(window, points, message)
              if (answer !== undefined) rejection(answer, life.fail)
            } catch (error) {
              life.fail(error)
            }
          }
        },
        done(result) {
          each(({ instance }) => instance.observer?.done(window, result))
          if (hasPoints) for (const life of lives) if (!life.isOver) life.worked()
        },
        failed: () => each((life) => life.instance.observer?.failed(window)),
      }
    },

    async start() {
      for (const one of all) await one.start()
    },
    stop() {
      stopping ??= stopAll()
      return stopping
    },
  }
}

/** One observer through all its lives. */
function supervise<T extends Instance>(
  name: ObserverName,
  create: (onBroken: (error: unknown) => void) => T,
  deps: Deps & Pick<Failures, 'failed' | 'works'>,
): Supervised<T> {
  const { clock, log } = deps
  const stopping = new AbortController()
  let life: Life<T> | undefined
  let failures = 0
  let backoffMs = 0
  let beginning: Promise<void> | undefined
  let restarting: Promise<void> | undefined

  async function begin(): Promise<void> {
    const beganMs = clock.monotonicMs()
    let made: Life<T> | undefined
    let hasFailed = false

    function fail(error: unknown): void {
      // Several windows may fail at once, and a stop may cause errors as well.
      if (hasFailed || stopping.signal.aborted) return
      hasFailed = true
      if (made) made.isOver = true
      if (life === made) life = undefined
      failures = clock.monotonicMs() - beganMs > FORGIVEN_MS ? 1 : failures + 1
      backoffMs = backoffAfter(failures, BACKOFF)
      deps.failed(name, INSTANCE, error, backoffMs)
      restarting = restart(made?.instance)
    }

    try {
      const instance = create(fail)
      made = {
        instance,
        isOver: false,
        fail,
        worked() {
          if (failures === 0 || clock.monotonicMs() - beganMs < backoffMs) return
          deps.works(name, INSTANCE)
        },
      }
      await instance.start?.()
      if (!made.isOver && !hasFailed) life = made
    } catch (error) {
      fail(error)
    }
  }

  async function restart(old: T | undefined): Promise<void> {
    await within(old?.giveUp?.(), 'failed observer does not stop, a new one starts anyway')
    try {
      await clock.sleep(backoffMs, stopping.signal)
    } catch {
      // Stopped meanwhile.
      return
    }
    await begin()
  }

  /** Waits for `work`, at most `STOP_MS`; its failure is only logged. Returns false when the time was not enough. */
  async function within(work: Promise<void> | undefined, text: string): Promise<boolean> {
    const patience = new AbortController()
    const late = clock.sleep(STOP_MS, patience.signal).then(
      () => 'late',
      () => undefined,
    )
    const ended = Promise.resolve(work).then(
      () => undefined,
      (error: unknown) => log.warn({ observer: name, err: error }, 'observer failed to stop'),
    )
    const isLate = (await Promise.race([ended, late])) === 'late'
    patience.abort()
    if (isLate) log.warn({ observer: name, waitedMs: STOP_MS }, text)
    return !isLate
  }

  return {
    get life() {
      return life
    },
    start() {
      beginning = begin()
      return beginning
    },
    async stop() {
      stopping.abort(new Error('stopping'))
      await within(beginning, 'observer does not start, stopping without it')
      await within(restarting, 'observer does not restart, stopping without it')
      const last = life
      life = undefined
      if (last === undefined || last.isOver) return
      last.isOver = true
      await within(last.instance.stop?.(), 'observer does not stop, stopping without it')
    },
  }
}

const INSTANCE = 'instance'
