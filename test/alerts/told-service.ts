import type { TestContext } from 'node:test'
import type { AlertsStatus } from '../../src/alerts/status.ts'
import { MS, SECOND } from '../../src/base/clock.ts'
import { loadSettings } from '../../src/config/load.ts'
import { createService } from '../../src/main.ts'
import { createLog } from '../../src/observe/log.ts'
import { createSecretRegistry } from '../../src/secrets/redactor.ts'
import { eventually } from '../helpers/eventually.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { memoryFolder } from '../helpers/temporary-folder.ts'
import { createSimulatedApi } from '../simulator/api.ts'
import type { Tailnet } from '../simulator/tailnet.ts'
import type { Listeners } from './told-listeners.ts'
import { MIN } from './world.ts'

const POLL_MS = 60_000
/** The clock goes on by this much when nothing changed for so many looks, each of many turns of the event loop. While rows are made it stands: pauses are
 * measured by it, and the time until the next poll would be over before the work is done. Turns are slow where work is slow; real time is not. */
const TURN_MS = 500
const QUIET_LOOKS = 4
const TURNS_OF_LOOK = 20
/** A step is judged when everything up to so long after its end was read. */
const GRACE_NS = 30_000_000_000n
const LAG_NS = 60_000_000_000n

export interface LogLine {
  readonly msg: string
  readonly component: string
  readonly rule?: string
  /** `performance.now()` when it was written. */
  readonly atMs: number
}

export interface ToldService {
  readonly log: readonly LogLine[]
  /** As `/api/status` has it. */
  alerting(): Promise<AlertsStatus>
  /** As `/metrics` has them: the worst state of each rule, 2 when it fires. */
  states(): Promise<ReadonlyMap<string, number>>
  /** The clock goes on to the next poll; resolves when everything that can be judged then is judged. Returns that step, ns. */
  next(): Promise<bigint>
}

/** Everything by default, but what is given, and polls once a minute. The service has caught up when this resolves. */
export async function startToldService(
  t: TestContext,
  listeners: Listeners,
  options: {
    readonly tailnet: Tailnet
    readonly startNs: bigint
    readonly lookback: string
    readonly rules: readonly object[]
    /** The finest step of the rules. */
    readonly stepMinutes: number
  },
): Promise<ToldService> {
  const clock = createFakeClock(options.startNs, TURNS_OF_LOOK)
  listeners.use(clock)
  const api = createSimulatedApi(options.tailnet, { nowNs: () => clock.now() })
  await api.start()
  t.after(() => api.stop())
  // Hundreds of windows are written down, each for good: in memory where there is such a place.
  const dataDir = memoryFolder(t)
  const { settings, secrets: known } = loadSettings({
    env: {},
    changes: {
      'tailscale.apiUrl': api.url,
      'tailscale.apiKey': 'tskey-api-demo',
      // Polls come at times of the test's clock, and `next` ends at one of them. A poll between two of these, as of `poll.interval: 1m` at each full
      // minute, would still run (its requests take real time) when `next` asks for a tick: that one would be joined, and its edge is older.
      'poll.schedule': `${(options.startNs / SECOND) % 60n} * * * * *`,
      'poll.lookback': options.lookback,
      'http.port': 0,
      dataDir,
      'alerts.rules': options.rules,
      'alerts.notify': [
        { alertmanager: listeners.moved.url },
        { webhook: `${listeners.webhook.url}/hook` },
        { ntfy: `${listeners.ntfy.url}/${listeners.topic}` },
      ],
    },
  })
  const log: LogLine[] = []
  const secrets = createSecretRegistry(known)
  const service = createService(settings, {
    log: createLog({
      level: 'info',
      secrets,
      destination: { write: (line) => void log.push({ ...JSON.parse(line), atMs: performance.now() }) },
    }),
    secrets,
    clock,
    onBroken(error) {
      throw error
    },
  })
  t.after(() => service.stop())

  const url = await service.start()

  async function status(): Promise<{ readonly alerting: AlertsStatus; readonly rows: unknown }> {
    return (await (await fetch(`${url}/api/status`)).json()) as { alerting: AlertsStatus; rows: unknown }
  }

  async function states(): Promise<ReadonlyMap<string, number>> {
    const text = await (await fetch(`${url}/metrics`)).text()
    const found = text.matchAll(/^tailflux_alert_state\{alert="([^"]+)"\} (\d)$/gm)
    return new Map([...found].map(([, rule = '', state]) => [rule, Number(state)]))
  }

  /** How far the clock went since the last poll. */
  let spentMs = 0

  async function judged(): Promise<bigint> {
    const readNs = clock.now() - LAG_NS - GRACE_NS
    const stepNs = readNs - (readNs % (BigInt(options.stepMinutes) * MIN))
    await service.pipeline.tick()
    let seen = ''
    let looks = 0
    await eventually(
      () =>
        `an interval to be evaluated: ${JSON.stringify([spentMs, seen, service.pipeline.status(), service.health.state()])}`,
      async () => {
        const { alerting, rows } = await status()
        if (Date.parse(alerting.evaluated ?? '') >= Number(stepNs / MS)) return true
        const progress = JSON.stringify([alerting.evaluated, alerting.waiting, rows])
        looks = progress === seen ? looks + 1 : 0
        seen = progress
        const turnMs = looks < QUIET_LOOKS || spentMs + TURN_MS >= POLL_MS ? 0 : TURN_MS
        spentMs += turnMs
        await clock.advance(turnMs)
        return false
      },
      5,
    )
    return stepNs
  }

  await judged()
  return {
    log,
    alerting: async () => (await status()).alerting,
    states,
    async next() {
      await clock.advance(POLL_MS - spentMs)
      spentMs = 0
      return await judged()
    },
  }
}
