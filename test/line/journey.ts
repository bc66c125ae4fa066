/** The real service through some hours of a small simulated tailnet, on virtual time: processes come and go, and the database stays. */
import { subscribe } from 'node:diagnostics_channel'
import type { ClientRequest } from 'node:http'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadSettings } from '../../src/config/load.ts'
import { createService, type Service } from '../../src/main.ts'
import { createSecretRegistry } from '../../src/secrets/redactor.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { silentLog } from '../helpers/silent.ts'
import { memoryFolder } from '../helpers/temporary-folder.ts'
import { createSimulatedApi, type SimulatedApi } from '../simulator/api.ts'
import { HOUR, MINUTE, NOON, SECOND } from '../simulator/ranges.ts'
import { createTailnet, type Tailnet } from '../simulator/tailnet.ts'
import type { TruthOptions, TruthPoint } from '../simulator/truth.ts'

/** A message as the API serves it, with the raw points that it must become. */
export interface Served {
  readonly nodeId: string
  readonly startNs: bigint
  readonly loggedNs: bigint
  readonly text: string
  points(options?: TruthOptions): readonly TruthPoint[]
}

/** What the API of a case serves. */
export interface Scene {
  readonly messages: readonly Served[]
  /** The device list at a time: JSON texts. */
  devices(atNs: bigint): readonly string[]
}

/** The tailnet begins here, so that a service that looks back an hour from NOON has read all of it. */
export const BEGIN = NOON - 3n * MINUTE

/** What begins before `endNs` and is logged up to three minutes later. */
export function sceneOf(tailnet: Tailnet, endNs: bigint, beginNs = BEGIN): Scene {
  const messages: Served[] = []
  for (const record of tailnet.records(beginNs, endNs + 3n * MINUTE)) {
    if (record.startNs >= endNs || record.startNs < beginNs - 2n * HOUR) continue
    messages.push({
      ...{ nodeId: record.node.nodeId, startNs: record.startNs, loggedNs: record.loggedNs },
      text: tailnet.messageText(record),
      points: (options) => tailnet.pointsOf(record, options),
    })
  }
  return { messages, devices: (atNs) => [...tailnet.devices(atNs)] }
}

export interface Journey {
  readonly api: SimulatedApi
  now(): bigint
  folder(): string
  /** Without `dataDir` in a new folder. */
  start(changes?: Readonly<Record<string, unknown>>, dataDir?: string): Promise<Service>
  stop(service: Service): Promise<void>
  advanceTo(ns: bigint): Promise<void>
  /** Until nothing is left to read or to make, in any process. */
  settle(): Promise<void>
}

/** Virtual time moves in steps of this size; afterwards, when nothing is new any more, in longer ones. */
const STEP_MS = 5_000
const STEP_AFTERWARDS_MS = 30_000
/** So many looks in a row must find no request in flight before time moves on: so nothing that takes real time times out, or is slow. */
const LOOKS = 3
/** A settled list must stay so for this long. */
const QUIET_NS = 60n * SECOND
const SETTLE_NS = 100n * MINUTE

/** Requests without a response, by database, or else by server. */
const inFlight = new Map<string, number>()
for (const [channel, change] of [
  ['http.client.request.start', 1],
  ['http.client.response.finish', -1],
  ['http.client.request.error', -1],
] as const)
  subscribe(channel, (message) => {
    const { request } = message as { readonly request: ClientRequest }
    const key = /[?&]db=(\w+)/.exec(request.path)?.[1] ?? String(request.getHeader('host'))
    inFlight.set(key, (inFlight.get(key) ?? 0) + change)
  })

export async function startJourney(
  t: TestContext,
  scene: Scene,
  settings: Readonly<Record<string, unknown>>,
  /** Called after each step, as for a database that shows in real time what it took. */
  afterStep: () => Promise<void> = async () => undefined,
): Promise<Journey> {
  const clock = createFakeClock(NOON)
  const served = { ...createTailnet({ nodes: 5 }), ...serving(scene) }
  const api = createSimulatedApi(served, { nowNs: clock.now })
  await api.start()
  t.after(() => api.stop())
  const running = new Set<Service>()
  const lastNs = scene.messages.reduce((last, { loggedNs }) => (loggedNs > last ? loggedNs : last), 0n)

  const databaseHost = new URL(String(settings['influx.url'] ?? api.url)).host

  async function quiet(): Promise<void> {
    const keys = [new URL(api.url).host, String(settings['influx.db']), databaseHost]
    for (let looks = 0; looks < LOOKS; looks += 1) {
      await sleep(1)
      if (keys.some((key) => (inFlight.get(key) ?? 0) > 0)) looks = -1
    }
  }

  async function step(): Promise<void> {
    await clock.advance(clock.now() > lastNs + 3n * MINUTE ? STEP_AFTERWARDS_MS : STEP_MS)
    await quiet()
    await afterStep()
  }

  function isSettled(service: Service): boolean {
    const { watermarkNs, gaps, backfill } = service.pipeline.status()
    const isRead = watermarkNs !== null && BigInt(watermarkNs) > lastNs && gaps.length === 0
    return isRead && backfill?.state !== 'running' && service.status().rows?.waitingMinutes === 0
  }

  async function stop(service: Service): Promise<void> {
    running.delete(service)
    let isOver = false
    const stopping = service.stop().finally(() => {
      isOver = true
    })
    while (!isOver) {
      await clock.advance(100)
      await quiet()
    }
    await stopping
  }

  return {
    api,
    now: clock.now,
    folder: () => memoryFolder(t),
    async start(changes = {}, dataDir = memoryFolder(t)) {
      const loaded = loadSettings({
        env: {},
        changes: {
          'tailscale.apiUrl': api.url,
          'tailscale.apiKey': 'tskey-api-demo',
          'poll.lookback': '70m',
          'names.interval': '1m',
          'http.port': 0,
          dataDir,
          ...settings,
          ...changes,
        },
      })
      const service = createService(loaded.settings, {
        ...{ log: silentLog, secrets: createSecretRegistry(loaded.secrets), clock },
        onBroken(error) {
          throw error
        },
      })
      t.after(() => service.stop())
      running.add(service)
      await service.start()
      return service
    },
    stop,
    async advanceTo(ns) {
      while (clock.now() < ns) await step()
    },
    async settle() {
      const untilNs = clock.now() + SETTLE_NS
      let sinceNs: bigint | undefined
      while (sinceNs === undefined || clock.now() < sinceNs + QUIET_NS) {
        await step()
        if (![...running].every(isSettled)) sinceNs = undefined
        else sinceNs ??= clock.now()
        if (clock.now() > untilNs) throw new Error(`it does not settle: ${JSON.stringify([...running].map(told))}`)
      }
      for (const service of [...running]) await stop(service)
    },
  }
}

function told(service: Service): unknown {
  return [service.status().rows, service.pipeline.status(), service.health.state().components]
}

function serving({ messages, devices }: Scene): Pick<Tailnet, 'messages' | 'devices'> {
  const sorted = messages.toSorted((one, other) => Number(one.loggedNs - other.loggedNs))
  return {
    *messages(fromNs, toNs, { nowNs = toNs } = {}) {
      for (const { loggedNs, text } of sorted)
        if (loggedNs >= fromNs && loggedNs <= toNs && loggedNs <= nowNs) yield text
    },
    devices,
  }
}
