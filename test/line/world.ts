import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../../src/base/clock.ts'
import { loadSettings } from '../../src/config/load.ts'
import { createService, type Service } from '../../src/main.ts'
import type { TickResult } from '../../src/observe/line/status.ts'
import { createLog, type LogLevel } from '../../src/observe/log.ts'
import { createSecretRegistry } from '../../src/secrets/redactor.ts'
import { eventually } from '../helpers/eventually.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { createSimulatedApi, type SimulatedApi, type SimulatedApiOptions } from '../simulator/api.ts'
import type { TailnetOptions } from '../simulator/options.ts'
import { NOON } from '../simulator/ranges.ts'
import { createTailnet, type Tailnet } from '../simulator/tailnet.ts'

export const LAG_NS = 60_000_000_000n
export const HOUR_NS = 3_600_000_000_000n
const LONGEST_WAIT_MS = 660_000

export interface LineClock extends Clock {
  /** Stands still from now on, on a whole second: the last edge is known then. Sleepers and timeouts continue. */
  freeze(): bigint
  /** So much time has passed, for the wall clock and the monotonic one, as if nothing had run meanwhile. */
  skip(ms: number): void
}

/** `speed` 0: the wall clock stands still, all else is real time. Keep a poll interval well above what a window takes, or a tick has always
 * something new to read. Waiting is as fast only while `mayHurry`. */
export function createLineClock(startNs: bigint, speed = 0, mayHurry: () => boolean = () => true): LineClock {
  const beganMs = performance.now()
  const factor = speed || 1
  let skippedMs = 0
  const elapsedMs = () => (performance.now() - beganMs) * factor + skippedMs
  const running = () => startNs + BigInt(Math.floor(speed === 0 ? skippedMs : elapsedMs())) * 1_000_000n
  let frozenNs: bigint | undefined
  return {
    now: () => frozenNs ?? running(),
    monotonicMs: elapsedMs,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted()
      const realMs = mayHurry() ? ms / factor : ms
      await sleep(Math.max(0, realMs), undefined, signal ? { signal } : {}).catch((error) => {
        signal?.throwIfAborted()
        throw error
      })
    },
    freeze() {
      const nowNs = running()
      frozenNs ??= nowNs - (nowNs % 1_000_000_000n)
      return frozenNs
    },
    skip(ms) {
      skippedMs += ms
    },
  }
}

export interface World {
  readonly tailnet: Tailnet
  readonly api: SimulatedApi
  readonly clock: LineClock
  /** Another service on the same tailnet and clock; stopped with the test. Without `dataDir` a new folder. */
  service(settings: Readonly<Record<string, unknown>>, how?: ServiceOptions): Running
}
export interface ServiceOptions {
  readonly dataDir?: string
  /** Lines of the log are kept from this level on. */
  readonly logLevel?: LogLevel
}
export interface Running {
  readonly service: Service
  readonly dataDir: string
  readonly log: readonly string[]
  /** Ticks again and again until the answer is true. `result` is that of the last tick that began after this call. */
  until(isReached: (result: TickResult | undefined) => boolean | Promise<boolean>): Promise<void>
  /** Reads all that there is. */
  catchUp(): Promise<void>
  /** Resolves when rows of every final minute are made: no more of them are listed for longer than one that is made again waits, ten minutes by the clock. */
  rowsMade(): Promise<void>
}

export interface WorldOptions {
  readonly tailnet?: TailnetOptions
  readonly server?: SimulatedApiOptions
  /** What the API serves in place of `tailnet`, which stays the truth of its own part. */
  readonly served?: Tailnet
  readonly speed?: number
  /** NOON + 1 h unless given. */
  readonly startNs?: bigint
}

export async function startWorld(t: TestContext, options: WorldOptions = {}): Promise<World> {
  const tailnet = createTailnet(options.tailnet)
  let services = 0
  // The patience of a new service with the device list is real: at a speed of 60 its five seconds are too short for a busy machine.
  const mayHurry = () => api.count('devices') >= services
  const clock: LineClock = createLineClock(options.startNs ?? NOON + HOUR_NS, options.speed, mayHurry)
  const api = createSimulatedApi(options.served ?? tailnet, { nowNs: () => clock.now(), ...options.server })
  await api.start()
  t.after(() => api.stop())
  return {
    tailnet,
    api,
    clock,
    service(changes, { dataDir = temporaryFolder(t), logLevel = 'silent' } = {}) {
      const loaded = loadSettings({
        env: {},
        changes: {
          'tailscale.apiUrl': api.url,
          'tailscale.apiKey': 'tskey-api-demo',
          'poll.lookback': '1h',
          'http.port': 0,
          dataDir,
          ...changes,
        },
      })
      services += 1
      const log: string[] = []
      const secrets = createSecretRegistry(loaded.secrets)
      const service = createService(loaded.settings, {
        log: createLog({ level: logLevel, secrets, destination: { write: (line) => void log.push(line) } }),
        secrets,
        clock,
        onBroken(error) {
          throw error
        },
      })
      t.after(() => service.stop())
      async function until(isReached: (result: TickResult | undefined) => boolean | Promise<boolean>): Promise<void> {
        let isOver = false
        let result: TickResult | undefined
        // A tick may last as long as the trouble does, so it is not waited for.
        const ticking = (async () => {
          while (!isOver) {
            result = await service.pipeline.tick()
            // By the clock of the service: at a speed of 60 a second is some 16 ms.
            await clock.sleep(1_000)
          }
        })()
        const reported = () => JSON.stringify([result, service.health.state().components, service.pipeline.status()])
        const reached = eventually(reported, () => isReached(result), 10).finally(() => {
          isOver = true
        })
        await Promise.race([reached, ticking.then(() => reached)])
      }
      const catchUp = () => until((result) => result === 'caught_up')
      return {
        service,
        dataDir,
        log,
        until,
        catchUp,
        async rowsMade() {
          const rows = () => service.status().rows
          let waiting: number | undefined
          let sinceMs = 0
          await eventually(
            () => `rows of minutes: ${JSON.stringify(rows())}`,
            () => {
              const now = rows()?.waitingMinutes
              if (now !== waiting) sinceMs = clock.monotonicMs()
              waiting = now
              return waiting !== undefined && clock.monotonicMs() - sinceMs > LONGEST_WAIT_MS
            },
          )
        },
      }
    },
  }
}

/** Where reading began: the earliest time that a window was asked for. Asking for the API's clock takes a window of a millisecond. */
export function originOf({ requests }: Pick<SimulatedApi, 'requests'>): bigint {
  const begins = requests.flatMap(({ window }) =>
    window && window.toNs - window.fromNs > 1_000_000n ? [window.fromNs] : [],
  )
  const [first, ...others] = begins
  if (first === undefined) throw new Error('nothing was asked for')
  return others.reduce((least, ns) => (ns < least ? ns : least), first)
}
