/** Supervises the one service of this process, and exchanges it for another one when there are new settings. Everything that a service knows lies
 * in the state file, so an exchange is a stop and a start, as an upgrade would be, only without the process: nothing is lost, and what was
 * under way is finished first. Settings are checked as a whole before anything stops; wrong ones are refused and the old service goes on.
 * Should good ones not work (a port that is taken), the old ones come back.
 *
 * The state file belongs to the supervisor and stays open through an exchange, because its lock is what keeps other processes out: released for
 * a moment, it would be theirs. With another data directory the new lock is taken before the old service stops. */
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Logger } from 'pino'
import { systemClock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { VERSION } from '../base/version.ts'
import { changedKeys } from '../config/changes.ts'
import type { Loaded } from '../config/load.ts'
import { tailnetTag } from '../config/settings.ts'
import type { StateFile } from '../ledger/sqlite/state-file.ts'
import { type CarriedOver, createService, openState, type Service } from '../main.ts'
import type { LogOutput } from '../observe/log-output.ts'
import { logFor } from './settings.ts'

interface Reloaded {
  /** Names of settings that differ; empty: nothing to do. */
  readonly changed: readonly string[]
}

export interface Supervisor {
  /** Of the settings in force. */
  readonly log: Logger
  /** Resolves with the address of the status page. Rejects with a CollectorError when the service cannot start. */
  start(): Promise<string>
  /** Resolves as soon as the new settings are found good; the exchange follows. Rejects with `config_invalid` and all faults. */
  reload(): Promise<Reloaded>
  /** Releases the state file last, whatever else fails. */
  stop(): Promise<void>
}

/** An answer that is under way may arrive first. */
const ANSWER_MS = 100

/** A service, with what was made for it alone. */
interface Running {
  readonly loaded: Loaded
  readonly log: Logger
  readonly state: StateFile
  readonly service: Service
}

/** Opens the state file. Throws a CollectorError: see `createService`. */
export function createSupervisor(
  loadAgain: () => Loaded,
  options: { readonly onBroken: (error: unknown) => void; readonly isDemo: boolean; readonly output: LogOutput },
): Supervisor {
  let running = firstService(loadAgain())
  let exchanging: Promise<void> | undefined
  /** Settings changed once more while they were being taken over. */
  let isAskedAgain = false
  let isStopping = false

  function firstService(loaded: Loaded): Running {
    const state = stateFor(loaded)
    try {
      return make(loaded, state)
    } catch (error) {
      // A service that did not come to be must not keep the lock.
      state.close()
      throw error
    }
  }

  function stateFor(loaded: Loaded): StateFile {
    const { log } = logFor(loaded, options)
    return openState(loaded.settings, { clock: systemClock, log: log.child({ component: 'ledger' }) })
  }

  function make(loaded: Loaded, state: StateFile, carriedOver?: CarriedOver): Running {
    const { log, secrets } = logFor(loaded, options)
    const { onBroken, isDemo, output } = options
    const deps = { log, secrets, onBroken, isDemo, reload, state, logOutput: output }
    const service = createService(loaded.settings, { ...deps, ...(carriedOver ? { carriedOver } : {}) })
    return { loaded, log, state, service }
  }

  async function start(): Promise<string> {
    const beganMs = performance.now()
    const { loaded, log, service } = running
    log.info(
      {
        version: VERSION,
        node: process.versions.node,
        tailnet: tailnetTag(loaded.settings),
        sink: service.status().sink,
        dataDir: loaded.settings.dataDir,
        settingsFile: loaded.path ?? null,
      },
      'tailflux starts',
    )
    const url = await service.start()
    // Since the begin of the process for the first one: that is what people wait for.
    const sinceMs = exchanging === undefined ? 0 : beganMs
    log.info({ url, durationMs: Math.round(performance.now() - sinceMs) }, 'tailflux is ready, the first poll begins')
    return url
  }

  async function reload(): Promise<Reloaded> {
    const { log, loaded } = running
    let fresh: Loaded
    try {
      fresh = loadAgain()
    } catch (error) {
      if (!(error instanceof CollectorError)) throw error
      log.error({ code: error.code, err: error }, 'new settings are refused, the old ones stay in force')
      throw error
    }
    const changed = changedKeys(loaded, fresh)
    if (changed.length === 0) log.info('settings are as they were')
    else if (exchanging !== undefined) isAskedAgain = true
    else if (!isStopping) {
      log.info({ changed }, 'settings are taken over')
      exchanging = exchange(fresh).catch(options.onBroken).finally(exchanged)
    }
    return { changed }
  }

  function exchanged(): void {
    exchanging = undefined
    if (!isAskedAgain) return
    isAskedAgain = false
    // What is wrong with them is in the log.
    reload().catch(() => undefined)
  }

  async function exchange(fresh: Loaded): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, ANSWER_MS))
    const before = running
    let state = before.state
    if (!isSameFolder(fresh.settings.dataDir, before.loaded.settings.dataDir)) {
      try {
        state = stateFor(fresh)
      } catch (error) {
        if (!(error instanceof CollectorError)) throw error
        before.log.error({ code: error.code, err: error }, 'new settings do not work here, the old ones stay in force')
        return
      }
    }
    const carriedOver = before.service.carriedOver()
    await before.service.stop()
    try {
      if (isStopping) return
      running = make(fresh, state, carriedOver)
      await start()
    } catch (error) {
      if (!(error instanceof CollectorError)) throw error
      before.log.error(
        { code: error.code, err: error },
        'new settings do not work here, the old ones come back into force',
      )
      if (running !== before) await running.service.stop()
      running = make(before.loaded, before.state, carriedOver)
      await start()
    } finally {
      // Whichever is not in use any more.
      for (const file of [before.state, state]) if (file !== running.state) file.close()
    }
  }

  return {
    get log() {
      return running.log
    },
    start,
    reload,
    async stop() {
      isStopping = true
      const beganMs = performance.now()
      await exchanging
      try {
        await running.service.stop()
      } finally {
        running.state.close()
      }
      running.log.info({ durationMs: Math.round(performance.now() - beganMs) }, 'tailflux stopped')
    },
  }
}

/** Also when it is written in two ways. */
function isSameFolder(one: string, other: string): boolean {
  const at = (path: string) => statSync(path, { throwIfNoEntry: false })
  const [first, second] = [at(one), at(other)]
  return (
    resolve(one) === resolve(other) || (first !== undefined && first.dev === second?.dev && first.ino === second.ino)
  )
}
