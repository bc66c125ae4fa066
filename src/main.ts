/** The composition root: creates the components from left to right, starts them, and stops them from right to left.
 *
 *   source -> flatten -> sink      the line; the pipeline runs one window after the other through it
 *   ledger, names                  beside it, in one state file
 *   observers, metrics, health     see what passes and cannot fail the line
 *   schedule, http                 around it
 *
 * Creating does no I/O but open the state file, whose lock decides whether this process may run at all, and the table of each component in it. */
import type { Logger } from 'pino'
import { createAlerts } from './alerts/alerts.ts'
import { type Clock, systemClock } from './base/clock.ts'
import { createSemaphore } from './base/semaphore.ts'
import { VERSION } from './base/version.ts'
import { makeDataDir, pathsIn } from './config/data-dir.ts'
import { type Settings, tailnetSource, tailnetTag } from './config/settings.ts'
import { missingKey, settingsShape, tailnetNames, tailnetNamesIn } from './config/settings-in-force.ts'
import { createDirectory } from './directory/directory.ts'
import { createFlattener } from './flatten/flatten.ts'
import { serviceActions } from './http/actions.ts'
import type { ReloadAnswer } from './http/answers.ts'
import { createControlToken } from './http/control-token.ts'
import { createHttpServer } from './http/server.ts'
import { createBackfillRequests } from './ledger/sqlite/backfill-requests.ts'
import { createSettingsHistory } from './ledger/sqlite/settings-table.ts'
import { createLedger } from './ledger/sqlite/sqlite-ledger.ts'
import { openStateFile, type StateFile } from './ledger/sqlite/state-file.ts'
import { findLedger } from './ledger/sqlite/tailnets.ts'
import { createHealth, type Health } from './observe/health.ts'
import { createDelivered, type Delivered, UNFINISHED } from './observe/line/status.ts'
import type { LogOutput } from './observe/log-output.ts'
import { watchLogOutput } from './observe/log-watch.ts'
import { createMetrics, type Metrics } from './observe/metrics.ts'
import { createReports } from './observe/reports.ts'
import { createSeries } from './observe/series.ts'
import { createStages, type Stages } from './observe/stages.ts'
import { createStatus, rowsStatus, type ServiceStatus } from './observe/status.ts'
import { createTraffic } from './observe/traffic/traffic.ts'
import { createObservers } from './observers/observers.ts'
import { createPipeline, type Pipeline } from './pipeline/pipeline.ts'
import { createPrivacy } from './privacy/privacy.ts'
import { findFlows } from './query/flows.ts'
import { openRows } from './query/open-rows.ts'
import { rowsOfNames } from './query/rows-of-names.ts'
import { readerOf } from './rollup/minute-reader.ts'
import { createRollup } from './rollup/rollup.ts'
import { createUnwritten } from './rollup/unwritten.ts'
import { pollOptions, pollTimes } from './schedule/config.ts'
import { createSchedule } from './schedule/schedule.ts'
import type { SecretRegistry } from './secrets/redactor.ts'
import { lineLimits } from './sink/config.ts'
import { createSink } from './sink/create-sink.ts'
import { createDeadLetters } from './sink/dead-letters.ts'
import { createPlaceNames } from './sink/influxdb/places.ts'
import { createLineWriter } from './sink/line-protocol/line-writer.ts'
import { createTailscaleSource } from './source/client.ts'

export interface ServiceDeps {
  readonly log: Logger
  readonly secrets: SecretRegistry
  /** A programmer's error inside the poll loop: the process should end and be restarted. */
  readonly onBroken: (error: unknown) => void
  readonly clock?: Clock
  /** The service shows a simulated tailnet. */
  readonly isDemo?: boolean
  /** Applies new settings if they are valid. */
  readonly reload?: () => Promise<ReloadAnswer>
  /** What an earlier service of this process leaves to this one. */
  readonly carriedOver?: CarriedOver
  /** The open state file of the settings, which its owner closes. Without it the service opens and closes its own. */
  readonly state?: StateFile
  /** Where the log goes: its problems are health of this service, and lost lines are counted. */
  readonly logOutput?: LogOutput
}

/** What survives a reload: how the stages did, the counters, which must never go down, what was delivered and since when, and whether the service is paused. */
export interface CarriedOver {
  readonly stages: Stages
  readonly metrics: Metrics
  readonly delivered: Delivered
  /** When the first of them began: ns by the local clock, and ms of monotonic time. */
  readonly began: { readonly atNs: bigint; readonly ms: number }
  readonly isPaused: boolean
  readonly state: StateFile
}

export interface Service {
  readonly health: Health
  readonly pipeline: Pipeline
  /** Listens, then polls. Resolves with the address of the status page. Rejects with a CollectorError when it cannot listen. */
  start(): Promise<string>
  /** In place of `start`, without listening and without polls, for a command that polls by itself. */
  begin(): Promise<void>
  /** Nothing more will be read: rows are made without rests. Returns how many minutes, hours and days can be made now; undefined: rollup restarts. */
  finishRows(): number | undefined
  status(): ServiceStatus
  carriedOver(): CarriedOver
  /** Takes no new window, waits up to 8 s for those in progress, then ends everything from right to left. Idempotent. */
  stop(): Promise<void>
}

const GRACE_MS = 8_000

/** Throws a CollectorError: `state_locked` when another process has the data directory, others of the state file, `config_invalid` without
 * credentials. */
export function createService(settings: Settings, deps: ServiceDeps): Service {
  const { clock = systemClock, log } = deps
  const state = deps.state ?? openState(settings, { clock, log: log.child({ component: 'ledger' }) })
  try {
    return compose(settings, { ...deps, clock }, state)
  } catch (error) {
    // A service that failed to start must not keep the lock.
    if (state !== deps.state) state.close()
    throw error
  }
}

/** Opens the state file of the settings, in a folder that is created if need be. Throws a CollectorError. */
export function openState({ dataDir }: Settings, deps: { clock: Clock; log: Logger }): StateFile {
  makeDataDir(dataDir)
  return openStateFile({ path: pathsIn(dataDir).state }, deps)
}

function compose(settings: Settings, deps: ServiceDeps & { readonly clock: Clock }, state: StateFile): Service {
  const { clock, secrets, onBroken, carriedOver } = deps
  const { poll, influx } = settings
  /** What every component gets. */
  const common = (component: string) => ({ clock, log: deps.log.child({ component }) })
  const tailnet = tailnetTag(settings)
  const networks = settings.networks.map(({ name }) => name)
  const paths = pathsIn(settings.dataDir)
  const times = pollTimes(poll)

  // What the service says about itself, and what sees the points as they pass.
  const health = createHealth({ clock })
  const began = carriedOver?.began ?? { atNs: clock.now(), ms: clock.monotonicMs() }
  const delivered = carriedOver?.delivered ?? createDelivered(clock)
  const metrics = carriedOver?.metrics ?? createMetrics({ version: VERSION, clock })
  const observers = createObservers({ ...common('observers'), health, metrics: metrics.observers })
  const stages = carriedOver?.stages ?? createStages(clock)
  const series = observers.add('metrics', () => createSeries(clock))
  const reports = createReports({
    metrics,
    health,
    observers,
    stages,
    measured: () => ({
      nodesReporting: traffic.use((one) => one.nodesReporting()),
      series: series.use((one) => one.estimate()),
    }),
  })
  const logWatch = deps.logOutput && watchLogOutput(deps.logOutput, { ...common('log'), health, metrics: metrics.log })

  // The line, from left to right.
  const source = createTailscaleSource(settings.tailscale, { ...common('source'), metrics: reports.source, secrets })
  const { maxBytes } = settings.deadLetters
  const deadLetters = createDeadLetters({ dir: paths.deadLetters, maxBytes }, common('sink'))
  const sink = createSink(
    { influx, retention: settings.retention, storePath: paths.store, lastPassMs: settings.poll.latePasses.at(-1) ?? 0 },
    { ...common('sink'), metrics: reports.sink, deadLetters },
  )
  sink.listen(reports.sinkListener)

  // Beside it, in the state file.
  if (state.recovered && state !== carriedOver?.state) reports.pipeline.stateRecovered()
  const control = createControlToken(settings.dataDir)
  const tailnetId = findLedger(state, { source: tailnetSource(settings), name: tailnet }, common('ledger').log)
  const ledger = createLedger(state, tailnetId)
  const history = createSettingsHistory(state, tailnetId, settingsShape(settings))
  const privacy = createPrivacy(settings.privacy, history.at)

  // Derived rows: who a node is, and who talked to whom.
  const stored = openRows({ influx, retention: settings.retention, storePath: paths.store, tailnet }, { clock })
  const store = rowsOfNames((fromNs, toNs) => tailnetNamesIn(settings, history.changes(), fromNs, toNs), stored.rowsOf)
  const unwritten = createUnwritten()
  const readRows = unwritten.over(store)
  const directory = createDirectory(
    { tailnet, tailnetId, devicesIntervalMs: settings.names.interval },
    {
      ...common('directory'),
      source,
      sink,
      store,
      state,
      nowNs: () => pipeline.sourceNowNs(),
      namesAt: privacy.namesAt,
      networksAt: (minuteNs) => history.at(minuteNs).networks,
      metrics: reports.pipeline,
      health: reports.health,
    },
  )
  observers.add('directory', () => ({ observer: directory.observer }))
  const traffic = observers.add('page', (onBroken) => createTraffic({ store: readRows, ledger, clock, onBroken }))
  function newAlerts(onFailed: (error: unknown) => void) {
    const given = { tailnet, tailnetId, networks, normalLagMs: poll.lag + times.gapMs }
    return createAlerts(settings.alerts, given, {
      ...common('alerts'),
      stateFile: state,
      ledger,
      rows: readRows,
      isNode: (id) => directory.nameOf(id) !== undefined,
      sink,
      metrics: reports.alerts,
      health: reports.health,
      secrets,
      random: Math.random,
      onBroken: onFailed,
    })
  }
  const alerts = settings.alerts.rules.length > 0 ? observers.add('alerts', newAlerts) : undefined
  if (alerts === undefined) reports.alerts.rules([])

  const rollup = observers.add('rollup', (onFailed) =>
    createRollup(
      {
        tailnetAt: (minuteNs) => history.at(minuteNs).tailnet,
        minutesKeptMs: settings.retention.minutes,
        restKeptMs: settings.retention.rest,
      },
      {
        ...common('rollup'),
        store,
        sink,
        ledger,
        directory,
        limitsAt: (minuteNs) => history.at(minuteNs),
        unwritten,
        readers: [traffic, ...(alerts === undefined ? [] : [alerts])].map(readerOf),
        from: createPlaceNames({ ...influx, retention: settings.retention }).from,
        metrics: reports.rollup,
        health: reports.health,
        onBroken: onFailed,
      },
    ),
  )

  const pipeline = createPipeline(
    {
      ...pollOptions(poll),
      tailnet,
      stepMaxMs: settings.tailscale.totalTimeout + influx.giveUp,
    },
    {
      ...common('pipeline'),
      source,
      sink,
      ledger,
      settings: {
        ...history,
        names: () => tailnetNames(settings, history.changes()),
        problem: (nowNs) => missingKey(settings, history.changes(), nowNs),
      },
      deadLetters,
      observers,
      backfillRequests: createBackfillRequests(state, tailnet),
      devicesKnown: () => directory.count,
      semaphore: createSemaphore(influx.inFlight),
      metrics: reports.pipeline,
      health: reports.health,
      delivered,
      random: Math.random,
      createWorker: () => ({
        flattener: privacy.flattener(
          createFlattener({
            tailnetAt: (startNs) => history.at(startNs).tailnet,
            portsAt: (startNs) => history.at(startNs).ports,
          }),
        ),
        lines: createLineWriter(lineLimits(influx)),
      }),
    },
  )

  // Around it: what begins a poll, and what shows and controls the service.
  const schedule = createSchedule(times, {
    ...common('schedule'),
    job: async () => UNFINISHED.has(await pipeline.tick()),
    watch: pipeline.watch,
    onBroken,
  })
  const status = createStatus({
    pipeline,
    schedule,
    stages,
    traffic,
    rollup,
    alerts,
    isDemo: deps.isDemo ?? false,
    clock,
  })
  const http = createHttpServer(settings.http, {
    ...common('http'),
    version: VERSION,
    began,
    health,
    metrics,
    status,
    flows: (request, signal) => findFlows({ store: stored.rows, clock, networks }, request, signal),
    failures: observers,
    isAlive: pipeline.isAlive,
    rows: () => rowsStatus(rollup),
    controlToken: control.value,
    ...serviceActions({ pipeline, schedule, onBroken, reload: deps.reload }),
  })
  if (carriedOver?.isPaused) pipeline.pause()

  // The last one stops first: nothing may ask a component that has ended already.
  const parts = new AsyncDisposableStack()
  if (state !== deps.state) parts.defer(() => state.close())
  parts.defer(() => control.remove())
  for (const part of [deadLetters, source, sink, stored, directory, observers, metrics]) parts.defer(() => part.stop())
  parts.defer(() => logWatch?.())
  parts.defer(() => http.stop())
  parts.defer(async () => void (await Promise.all([pipeline.stop(GRACE_MS), schedule.stop()])))
  let stopping: Promise<void> | undefined

  async function begin(): Promise<void> {
    metrics.start()
    directory.start()
    await observers.start()
  }

  return {
    health,
    pipeline,
    status,
    carriedOver: () => ({ stages, metrics, delivered, began, isPaused: pipeline.status().paused, state }),
    async start() {
      const url = await http.start()
      health.setReady(true)
      await begin()
      await schedule.start()
      return url
    },
    begin,
    finishRows: () => rollup.use((one) => one.finish()),
    stop() {
      health.setReady(false)
      stopping ??= parts.disposeAsync()
      return stopping
    },
  }
}
