/** The composition root: creates the components from left to right, starts them, and stops them from right to left.
 *
 *   source -> flatten -> sink      the line, run window by window by the pipeline
 *   ledger, names                  beside it, in one state file
 *   schedule, http                 around it
 *
 * Composing does no I/O but open the state file, because its lock decides whether this process may run at all. */
import { join } from 'node:path'
import type { Logger } from 'pino'
import { createAlerts } from './alerts/alerts.ts'
import type { AlertsStatus } from './alerts/status.ts'
import { type Clock, systemClock } from './base/clock.ts'
import { CollectorError } from './base/errors.ts'
import { makePrivateFolder } from './base/private-file.ts'
import { createSemaphore } from './base/semaphore.ts'
import { VERSION } from './base/version.ts'
import { type Settings, tailnetTag } from './config/settings.ts'
import { createNames } from './directory/sqlite-names.ts'
import { createFlattener } from './flatten/flatten.ts'
import { NameCache } from './flatten/name-cache.ts'
import { createControlToken } from './http/control-token.ts'
import { createHttpServer } from './http/server.ts'
import { createBackfillRequests } from './ledger/sqlite/backfill-requests.ts'
import { createLedger } from './ledger/sqlite/sqlite-ledger.ts'
import { openStateFile, type StateFile } from './ledger/sqlite/state-file.ts'
import { createEta } from './live/eta.ts'
import { createLive, type Live } from './live/live.ts'
import { createHealth, type Health } from './observe/health.ts'
import type { TickResult } from './observe/line/status.ts'
import { listening } from './observe/live-feed.ts'
import type { LogOutput } from './observe/log-output.ts'
import { watchLogOutput } from './observe/log-watch.ts'
import { createMetrics, type Metrics } from './observe/metrics.ts'
import type { ServiceStatus } from './observe/status.ts'
import { createObservers } from './observers/observers.ts'
import { createPipeline, type Pipeline } from './pipeline/pipeline.ts'
import { privacyKey } from './privacy/key.ts'
import { createMask, type Mask } from './privacy/mask.ts'
import { maskedDevices, maskedFlattener, maskedNames } from './privacy/masked.ts'
import { pollTimes } from './schedule/config.ts'
import { createSchedule } from './schedule/schedule.ts'
import type { SecretRegistry } from './secrets/redactor.ts'
import { createDeadLetters } from './sink/dead-letters.ts'
import { createInfluxSink } from './sink/influxdb/influxdb-sink.ts'
import { createLineWriter } from './sink/line-protocol/line-writer.ts'
import type { Sink, SinkMetrics } from './sink/sink.ts'
import { createEmbeddedStore } from './sink/sqlite/embedded-store.ts'
import { createTailscaleSource } from './source/client.ts'
import { parseTime } from './source/parse/time.ts'

export interface ServiceDeps {
  readonly log: Logger
  readonly secrets: SecretRegistry
  /** A programmer's error inside the poll loop: the process should end and be restarted. */
  readonly onBroken: (error: unknown) => void
  readonly clock?: Clock
  /** The service shows a simulated tailnet. */
  readonly isDemo?: boolean
  /** Takes over new settings, if they are good. */
  readonly reload?: () => Promise<unknown>
  /** What an earlier service of this process leaves to this one. */
  readonly carriedOver?: CarriedOver
  /** The open state file of the settings, which its owner closes; without it the service opens and closes its own. */
  readonly state?: StateFile
  /** Where the log goes: its troubles are health of this service, and lost lines are counted. */
  readonly logOutput?: LogOutput
}

/** What outlives a reload: what one looks at, counters, which must never go down, and that somebody paused. */
export interface CarriedOver {
  readonly live: Live | undefined
  readonly metrics: Metrics
  readonly isPaused: boolean
  readonly state: StateFile
}

export interface Service {
  readonly health: Health
  readonly pipeline: Pipeline
  /** Listens, then polls. Resolves with the address of the status page. Rejects with a CollectorError when it cannot listen. */
  start(): Promise<string>
  status(): ServiceStatus
  carriedOver(): CarriedOver
  /** Takes no new window, waits up to 8 s for those under way, then ends everything from right to left. Idempotent. */
  stop(): Promise<void>
}

const STATE_FILE = 'state.db'
const STORE_FILE = 'store.db'
const DEAD_LETTERS_DIR = 'dead-letters'
const GRACE_MS = 8_000
/** A poll that ends so is made again soon, also when the schedule is rare. */
const UNDONE: ReadonlySet<TickResult> = new Set(['db_down', 'api_waiting', 'state_failed'])

/** Where things lie in the data directory. */
export function pathsIn(dataDir: string) {
  return {
    state: join(dataDir, STATE_FILE),
    store: join(dataDir, STORE_FILE),
    deadLetters: join(dataDir, DEAD_LETTERS_DIR),
  }
}

/** The sink of the settings: InfluxDB, or the embedded store without a URL. */
export function createSink(
  settings: Settings,
  deps: {
    clock: Clock
    log: Logger
    metrics: SinkMetrics
    deadLetters: Parameters<typeof createInfluxSink>[1]['deadLetters']
  },
): Sink {
  const { url } = settings.influx
  if (url !== undefined) return createInfluxSink({ ...settings.influx, url }, deps)
  return createEmbeddedStore({ path: pathsIn(settings.dataDir).store, retentionMs: settings.store.retention }, deps)
}

/** What of names and addresses may be told. The key is made only when something is masked. */
export function maskOf({ privacy }: Settings, state: StateFile): Mask {
  const isOn = privacy.names !== 'keep' || privacy.externalAddresses !== 'keep'
  return createMask(privacy, isOn ? privacyKey(state) : new Uint8Array())
}

/** Opens the state file of the settings, in a folder that is made if need be. Throws a CollectorError. */
export function openState({ dataDir }: Settings, deps: { clock: Clock; log: Logger }): StateFile {
  makeFolder(dataDir)
  return openStateFile({ path: pathsIn(dataDir).state }, deps)
}

/** Opens the state file, unless it is given, and composes the service. Throws a CollectorError: `state_locked` when another process has the data directory,
 * others of the state file, `config_invalid` without credentials. */
export function createService(settings: Settings, deps: ServiceDeps): Service {
  const opened: StateFile[] = []
  try {
    return compose(settings, deps, opened)
  } catch (error) {
    // A service that did not come to be must not keep the lock.
    for (const state of opened) state.close()
    throw error
  }
}

function compose(settings: Settings, deps: ServiceDeps, opened: StateFile[]): Service {
  const { log, secrets } = deps
  const clock = deps.clock ?? systemClock
  const componentLog = (component: string) => log.child({ component })
  const tailnet = tailnetTag(settings)
  const paths = pathsIn(settings.dataDir)
  const health = createHealth({ clock })
  const metrics = deps.carriedOver?.metrics ?? createMetrics({ version: VERSION, clock })
  const observers = createObservers({ clock, log: componentLog('observers'), health, metrics: metrics.observers })
  let carriedLive = deps.carriedOver?.live
  const page = observers.add('page', () => {
    const live = carriedLive ?? createLive({ clock, random: Math.random })
    // Should it be what fails, the next one is a fresh one.
    carriedLive = undefined
    return live
  })
  const noted = {
    source: observers.guard('metrics', 'source', metrics.source),
    sink: observers.guard('metrics', 'sink', metrics.sink),
    pipeline: observers.guard('metrics', 'pipeline', metrics.pipeline),
    alerts: observers.guard('metrics', 'alerts', metrics.alerts),
    live: observers.guard('metrics', 'live', metrics.live),
  }
  const heard = listening(page, { ...noted, health })
  const endLogWatch =
    deps.logOutput && watchLogOutput(deps.logOutput, { health, log: componentLog('log'), metrics: metrics.log })

  const source = createTailscaleSource(settings.tailscale, {
    clock,
    log: componentLog('source'),
    metrics: heard.source,
    secrets,
  })
  const state = deps.state ?? openState(settings, { clock, log: componentLog('ledger') })
  if (state !== deps.state) opened.push(state)
  if (state.recovered && state !== deps.carriedOver?.state) noted.pipeline.stateRecovered()
  const control = createControlToken(settings.dataDir)
  const ledger = createLedger(state, tailnet)
  const mask = maskOf(settings, state)
  const names = maskedNames(createNames(state, tailnet), mask)
  const known = new NameCache()
  const deadLetters = createDeadLetters(
    { dir: paths.deadLetters, maxBytes: settings.deadLetters.maxBytes },
    { clock, log: componentLog('sink') },
  )
  const sink = createSink(settings, { clock, log: componentLog('sink'), metrics: heard.sink, deadLetters })
  sink.listen(heard.sinkListener)
  const { poll, influx } = settings
  const times = pollTimes(poll)
  const alerts =
    settings.alerts.rules.length === 0
      ? undefined
      : observers.add('alerts', (onBroken) =>
          createAlerts(
            settings.alerts,
            { tailnet, normalLagMs: poll.lag + times.gapMs },
            {
              stateFile: state,
              ledger,
              sink,
              clock,
              log: componentLog('alerts'),
              metrics: noted.alerts,
              secrets,
              random: Math.random,
              onBroken,
            },
          ),
        )
  if (alerts === undefined) noted.alerts.rules([])

  const pipeline = createPipeline(
    {
      tailnet,
      intervalMs: times.gapMs,
      lagMs: poll.lag,
      lookbackMs: poll.lookback,
      retentionMs: poll.retention,
      windowMaxMs: poll.windowMax,
      windowBytesTarget: poll.windowBytesTarget,
      parallel: poll.parallel,
      latePassesMs: poll.latePasses,
      devicesIntervalMs: settings.names.interval,
      stepMaxMs: settings.tailscale.totalTimeout + influx.giveUp,
    },
    {
      source,
      sink,
      ledger,
      backfillRequests: createBackfillRequests(state, tailnet),
      names: {
        ...names,
        observe(devices, atNs) {
          names.observe(devices, atNs)
          alerts?.use((one) => one.devices(maskedDevices(devices, mask)))
        },
      },
      deadLetters,
      semaphore: createSemaphore(influx.inFlight),
      observers,
      metrics: heard.pipeline,
      health: heard.health,
      createWorker: () => ({
        flattener: maskedFlattener(createFlattener({ tailnet, ports: settings.ports }, { names, known }), mask),
        lines: createLineWriter({
          batchLinesMax: influx.batchLinesMax,
          batchBytesMax: influx.batchBytesMax,
          splitNodes: influx.nodesBucket !== undefined,
        }),
      }),
      clock,
      log: componentLog('pipeline'),
      random: Math.random,
    },
  )
  const schedule = createSchedule(times, {
    job: async () => UNDONE.has(await pipeline.tick()),
    watch: pipeline.watch,
    clock,
    log: componentLog('schedule'),
    onBroken: deps.onBroken,
  })

  const eta = createEta(clock.monotonicMs)
  const backfillEta = createEta(clock.monotonicMs)

  function status(): ServiceStatus {
    const position = pipeline.status()
    const live = page.use((one) => one.view())
    const alerting = alerts?.use((one) => one.status())
    return {
      ...position,
      etaSeconds: eta.of(position.backlogSeconds),
      backfill: position.backfill && {
        ...position.backfill,
        etaSeconds: backfillEta.of(position.backfill.missingSeconds),
      },
      demo: deps.isDemo ?? false,
      nextPoll: schedule.next(),
      ...(live ? { live } : {}),
      ...(alerting ? alertsView(alerting) : {}),
    }
  }

  const http = createHttpServer(settings.http, {
    log: componentLog('http'),
    clock,
    version: VERSION,
    health,
    metrics,
    status,
    troubles: observers,
    isAlive: pipeline.isAlive,
    controlToken: control.value,
    run: () => pipeline.tick(),
    pause: pipeline.pause,
    resume() {
      pipeline.resume()
      runSoon()
    },
    backfill({ from, to, again }) {
      const asked = pipeline.backfill({ fromNs: timeOf('from', from), toNs: timeOf('to', to) }, again)
      runSoon()
      return asked
    },
    cancelBackfill: pipeline.cancelBackfill,
    ...(deps.reload ? { reload: deps.reload } : {}),
  })
  if (deps.carriedOver?.isPaused) pipeline.pause()

  /** Without waiting for the schedule. */
  function runSoon(): void {
    schedule.run().catch(deps.onBroken)
  }

  let stopping: Promise<void> | undefined
  async function stop(): Promise<void> {
    health.setReady(false)
    // From right to left: nothing may be asked of a part that has ended already.
    await using parts = new AsyncDisposableStack()
    if (state !== deps.state) parts.defer(() => state.close())
    parts.defer(() => control.remove())
    parts.defer(() => deadLetters.stop())
    parts.defer(() => source.stop())
    parts.defer(() => sink.stop())
    parts.defer(() => observers.stop())
    parts.defer(() => metrics.stop())
    parts.defer(() => endLogWatch?.())
    parts.defer(() => http.stop())
    await Promise.all([pipeline.stop(GRACE_MS), schedule.stop()])
  }

  return {
    health,
    pipeline,
    status,
    carriedOver: () => ({ live: page.use((one) => one), metrics, isPaused: pipeline.status().paused, state }),
    async start() {
      metrics.start()
      const url = await http.start()
      health.setReady(true)
      await observers.start()
      await schedule.start()
      return url
    },
    stop() {
      stopping ??= stop()
      return stopping
    },
  }
}

/** As the status page and `/api/status` have it: alerts, and how alerting itself is. */
function alertsView({ alerts, ...alerting }: AlertsStatus) {
  return { alerts, alerting }
}

function timeOf(name: string, text: string): bigint {
  const bytes = Buffer.from(text)
  const ns = parseTime(bytes, 0, bytes.length)
  if (ns !== undefined) return ns
  throw new CollectorError(`${name} must be a time such as 2026-08-01T12:00:00Z.`, {
    stage: 'config',
    code: 'config_invalid',
    reaction: 'hold',
  })
}

function makeFolder(path: string): void {
  try {
    makePrivateFolder(path)
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? ` (${cause.code})` : ''
    throw new CollectorError(
      `The data directory ${path} cannot be made${code}; make it, let tailflux write to it, or set TAILFLUX_DATA_DIR to another one.`,
      { stage: 'config', code: 'config_invalid', reaction: 'hold', cause },
    )
  }
}
