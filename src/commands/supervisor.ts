/** Supervises the one service of this process, and replaces it when there are new settings. All state of a service is in the state file, so a
 * replacement is a stop and a start, like an upgrade but in the same process: nothing is lost, and work in progress is finished first.
 * Settings are checked as a whole before anything stops; invalid ones are rejected and the old service continues. If valid ones do not
 * work (a port in use), the old ones are restored.
 *
 * The state file belongs to the supervisor and stays open during a replacement, because its lock keeps other processes out: another process could
 * take it if it were released for a moment. With another data directory the new lock is taken before the old service stops. */
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Logger } from 'pino'
import { systemClock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { VERSION } from '../base/version.ts'
import { changedKeys } from '../config/changes.ts'
import type { Loaded } from '../config/load.ts'
import { tailnetTag } from '../config/settings.ts'
import type { ReloadAnswer } from '../http/answers.ts'
import type { StateFile } from '../ledger/sqlite/state-file.ts'
import { type CarriedOver, createService, openState, type Service } from '../main.ts'
import type { LogOutput } from '../observe/log-output.ts'
import { logFor } from './settings.ts'

export interface Supervisor {
  /** Of the settings in force. */
  readonly log: Logger
  /** Resolves with the address of the status page. Rejects with a CollectorError when the service cannot start. */
  start(): Promise<string>
  /** Resolves as soon as the new settings are valid; the replacement follows. Rejects with `config_invalid` and all errors. */
  reload(): Promise<ReloadAnswer>
  /** Releases the state file last, whatever else fails. */
  stop(): Promise<void>
}

/** Time for an answer in progress to arrive. */
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
  let replacing: Promise<void> | undefined
  /** Settings changed again while they were being applied. */
  let isAskedAgain = false
  let isStopping = false

  function firstService(loaded: Loaded): Running {
    const state = stateFor(loaded)
    try {
      return make(loaded, state)
    } catch (error) {
      // A service that failed to start must not keep the lock.
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
        proxy: loaded.proxy ?? null,
      },
      'tailflux starts',
    )
    if (replacing === undefined && loaded.passedOver.length > 0)
      log.info({ variables: loaded.passedOver }, 'variables of Kubernetes Services passed over; they are no settings')
    const url = await service.start()
    // For the first start since the process began: that is how long people wait.
    const sinceMs = replacing === undefined ? 0 : beganMs
    log.info({ url, durationMs: Math.round(performance.now() - sinceMs) }, 'tailflux is ready, first poll starting')
    return url
  }

  async function reload(): Promise<ReloadAnswer> {
    const { log, loaded } = running
    let fresh: Loaded
    try {
      fresh = loadAgain()
    } catch (error) {
      if (!(error instanceof CollectorError)) throw error
      log.error({ code: error.code, err: error }, 'new settings rejected, old settings stay in force')
      throw error
    }
    const changed = changedKeys(loaded, fresh)
    if (changed.length === 0) log.info('settings unchanged')
    else if (replacing !== undefined) isAskedAgain = true
    else if (!isStopping) {
      log.info({ changed }, 'settings applied')
      replacing = replace(fresh).catch(options.onBroken).finally(replaced)
    }
    return { changed }
  }

  function replaced(): void {
    replacing = undefined
    if (!isAskedAgain) return
    isAskedAgain = false
    // The log says what is wrong with them.
    reload().catch(() => undefined)
  }

  async function replace(fresh: Loaded): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, ANSWER_MS))
    const before = running
    let state = before.state
    if (!isSameDirectory(fresh.settings.dataDir, before.loaded.settings.dataDir)) {
      try {
        state = stateFor(fresh)
      } catch (error) {
        if (!(error instanceof CollectorError)) throw error
        before.log.error({ code: error.code, err: error }, 'new settings do not work, old settings stay in force')
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
      before.log.error({ code: error.code, err: error }, 'new settings do not work, old settings restored')
      if (running !== before) await running.service.stop()
      running = make(before.loaded, before.state, carriedOver)
      await start()
    } finally {
      // Close the one that is no longer in use.
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
      await replacing
      try {
        await running.service.stop()
      } finally {
        running.state.close()
      }
      running.log.info({ durationMs: Math.round(performance.now() - beganMs) }, 'tailflux stopped')
    },
  }
}

/** True also for two spellings of the same path. */
function isSameDirectory(one: string, other: string): boolean {
  const at = (path: string) => statSync(path, { throwIfNoEntry: false })
  const [first, second] = [at(one), at(other)]
  return (
    resolve(one) === resolve(other) || (first !== undefined && first.dev === second?.dev && first.ino === second.ino)
  )
}
