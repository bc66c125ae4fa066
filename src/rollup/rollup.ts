/** Derived rows: `tailnet_edge`, `tailnet_node`, their hours and days. It sees the points as they pass, and works beside the line in a loop of its own.
 *
 *   points/   what this process has read, minute by minute
 *   make/     from the points of a minute to its rows, by the rules
 *   settle/   a minute that is final is made, compared with what stands, written, and told
 *   hours/    hours and days from minutes
 *   rows/     rows in memory, and as they are stored
 *
 * A failure of the database or of the state file is told in `/health` and tried again; nothing of it reaches the line. What is not settled stays on the
 * list of the ledger, so a new instance continues where this one ended. */
import { backoffAfter } from '../base/backoff.ts'
import { CollectorError } from '../base/errors.ts'
import type { Instance } from '../observers/observers.ts'
import type { RollupOptions } from './deps.ts'
import { createEngine, type EngineDeps } from './engine.ts'
import type { Completeness } from './settle/minute-line.ts'

export interface RollupStatus {
  /** Minutes that are not settled. */
  readonly waitingMinutes: number
  /** The newest minute that was made, with what it says about completeness. */
  readonly newest: Completeness | undefined
  /** Edges of the newest day, as the series budget counts them. */
  readonly edgesOfDay: number | undefined
}

export interface Rollup extends Instance {
  /** Nothing more will be read: what can be made is made without rests. Returns how many minutes, hours and days can be made now. May be called again. */
  finish(): number
  status(): RollupStatus
}

export interface RollupDeps extends Omit<EngineDeps, 'signal'> {
  readonly health: {
    set(component: 'rollup', status: 'ok' | 'warning', code?: string, text?: string, condition?: string): void
  }
  /** Something is wrong in tailflux itself: this instance ends. */
  readonly onBroken: (error: unknown) => void
}

/** Hours and days are looked at this often. */
const WAIT_MS = 10_000
const BACKOFF = { minMs: 1_000, maxMs: 60_000 }

export function createRollup(options: RollupOptions, deps: RollupDeps): Rollup {
  const { clock, health, log } = deps
  const stopping = new AbortController()
  const { signal } = stopping
  const engine = createEngine(options, { ...deps, signal })
  let wake = Promise.withResolvers<void>()
  let loop: Promise<void> | undefined
  let isFinishing = false

  /** Waits until something was read, or until the time is over. */
  async function wait(ms: number): Promise<void> {
    const waiting = new AbortController()
    const slept = clock.sleep(ms, AbortSignal.any([signal, waiting.signal])).catch(() => undefined)
    await Promise.race([wake.promise, slept])
    waiting.abort()
    wake = Promise.withResolvers()
  }

  /** Works until it is stopped. Rejects on a programmer's error only. */
  async function run(): Promise<void> {
    let failures = 0
    let hasBegun = false
    while (!signal.aborted) {
      try {
        if (!hasBegun) await engine.begin()
        hasBegun = true
        const waitMs = await engine.step()
        failures = 0
        health.set('rollup', 'ok', undefined, undefined, 'work')
        report()
        await wait(Math.min(WAIT_MS, waitMs ?? WAIT_MS))
      } catch (error) {
        if (signal.aborted) return
        if (!(error instanceof CollectorError)) throw error
        failures += 1
        const retryMs = backoffAfter(failures, BACKOFF)
        const text = `Rows of tailnet_edge and tailnet_node are not written at the moment; raw points are. ${error.message}`
        health.set('rollup', 'warning', error.code, text, 'work')
        log.warn({ code: error.code, retryMs, err: error }, 'derived rows wait')
        await clock.sleep(retryMs, signal).catch(() => undefined)
      }
    }
  }

  function report(): void {
    const cause = engine.budget?.largestCause
    if (cause === undefined) health.set('rollup', 'ok', undefined, undefined, 'edges')
    else {
      const text = budgetText(cause.name, engine.budget?.refused ?? cause.refused)
      health.set('rollup', 'warning', 'edges_beyond_budget', text, 'edges')
    }
    if (engine.isShared) health.set('rollup', 'warning', 'second_writer', SECOND_WRITER, 'writer')
    else health.set('rollup', 'ok', undefined, undefined, 'writer')
  }

  return {
    observer: {
      ...engine.observer,
      done(window, result) {
        engine.observer.done(window, result)
        wake.resolve()
      },
    },
    async start() {
      loop = run().catch(deps.onBroken)
    },
    async stop() {
      stopping.abort(new Error('stopping'))
      await loop
    },
    async giveUp() {
      stopping.abort(new Error('given up'))
      await loop
    },
    finish() {
      if (!isFinishing) {
        isFinishing = true
        engine.finish()
        wake.resolve()
      }
      return engine.due
    },
    status: () => ({
      waitingMinutes: deps.ledger.unsettled.all('minute').length,
      newest: engine.newest,
      edgesOfDay: engine.budget?.edges,
    }),
  }
}

const SECOND_WRITER =
  'Another tailflux writes rows of the same tailnet into this database. Both write the same, so nothing is counted twice; but stop one of them, unless you are moving to another machine.'

function budgetText(name: string, refused: number): string {
  return `Today's series budget is used up: ${refused} edges were summed as "other", most of them of ${name}. Sums stay exact. If this traffic is expected, raise edges.perEndpoint or edges.perDay; if it is a port scan, look at that node.`
}
