/** Keeps one service running in this process, and exchanges it for another one when there are new settings. Everything that a service knows lies
 * in the state file, so an exchange is a stop and a start, as an upgrade would be, only without the process: nothing is lost, and what was
 * under way is finished first. Settings are checked as a whole before anything stops; wrong ones are refused and the old service goes on.
 * Should good ones not work (a port that is taken), the old ones come back. */
import type { Logger } from 'pino'
import { changedKeys } from '../config/changes.ts'
import type { Loaded } from '../config/load.ts'
import { tailnetTag } from '../config/settings.ts'
import { CollectorError } from '../errors.ts'
import { createService, type Legacy, type Service } from '../main.ts'
import { VERSION } from '../version.ts'
import { logFor } from './settings.ts'

export interface Reloaded {
  /** Names of settings that differ; empty: nothing to do. */
  readonly changed: readonly string[]
}

export interface Keeper {
  /** Of the settings in force. */
  readonly log: Logger
  /** Resolves with the address of the status page. Rejects with a CollectorError when the service cannot start. */
  start(): Promise<string>
  /** Resolves as soon as the new settings are found good; the exchange follows. Rejects with `config_invalid` and all faults. */
  reload(): Promise<Reloaded>
  stop(): Promise<void>
}

/** An answer that is under way may arrive first. */
const ANSWER_MS = 100

export function createKeeper(
  loadAgain: () => Loaded,
  options: { readonly onBroken: (error: unknown) => void; readonly isDemo: boolean },
): Keeper {
  let loaded = loadAgain()
  let made = make(loaded)
  let exchanging: Promise<void> | undefined
  let isStopping = false

  function make(settings: Loaded, legacy?: Legacy): { log: Logger; service: Service } {
    const { log, secrets } = logFor(settings)
    const deps = { log, secrets, onBroken: options.onBroken, isDemo: options.isDemo, reload }
    return { log, service: createService(settings.settings, { ...deps, ...(legacy ? { legacy } : {}) }) }
  }

  async function start(): Promise<string> {
    const beganMs = performance.now()
    const { log, service } = made
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
    const { log } = made
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
    else if (exchanging === undefined && !isStopping) {
      log.info({ changed }, 'settings are taken over')
      exchanging = exchange(fresh)
        .catch(options.onBroken)
        .finally(() => {
          exchanging = undefined
        })
    }
    return { changed }
  }

  async function exchange(fresh: Loaded): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, ANSWER_MS))
    const before = { loaded, made }
    const legacy = made.service.legacy()
    await made.service.stop()
    if (isStopping) return
    try {
      loaded = fresh
      made = make(fresh, legacy)
      await start()
    } catch (error) {
      if (!(error instanceof CollectorError)) throw error
      before.made.log.error(
        { code: error.code, err: error },
        'new settings do not work here, the old ones come back into force',
      )
      if (made !== before.made) await made.service.stop()
      loaded = before.loaded
      made = make(loaded, legacy)
      await start()
    }
  }

  return {
    get log() {
      return made.log
    },
    start,
    reload,
    async stop() {
      isStopping = true
      const beganMs = performance.now()
      await exchanging
      await made.service.stop()
      made.log.info({ durationMs: Math.round(performance.now() - beganMs) }, 'tailflux stopped')
    },
  }
}
