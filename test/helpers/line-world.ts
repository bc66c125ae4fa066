/** A whole line in memory: the real pipeline between a fake API and a fake database, on a clock that the test owns. */
import type { Logger } from 'pino'
import { MS } from '../../src/base/clock.ts'
import { createSemaphore } from '../../src/base/semaphore.ts'
import type { Ledger } from '../../src/ledger/ledger.ts'
import type { BackfillRequests } from '../../src/ledger/sqlite/backfill-requests.ts'
import { type ComponentHealth, createHealth } from '../../src/observe/health.ts'
import type { TickResult } from '../../src/observe/line/status.ts'
import type { PipelineMetrics } from '../../src/observe/metrics.ts'
import { NO_OBSERVERS, type Observers } from '../../src/observers/observers.ts'
import { createPipeline, type Pipeline, type PipelineOptions } from '../../src/pipeline/pipeline.ts'
import type { LineSettings } from '../../src/pipeline/recovery/recovery.ts'
import type { DeadLetter } from '../../src/sink/sink.ts'
import { createFakeClock, type FakeClock } from './fake-clock.ts'
import { createFakeApi, createFakeDb, createFakeWorker, type FakeApi, type FakeDb } from './fake-line.ts'
import { createMemoryLedger } from './memory-ledger.ts'
import { countingMetrics, keepIn, silentLog } from './silent.ts'

export const OPTIONS: PipelineOptions = {
  tailnet: 'default',
  intervalMs: 30_000,
  lagMs: 60_000,
  lookbackMs: 3_600_000,
  retentionMs: 30 * 86_400_000,
  windowMaxMs: 3_600_000,
  windowBytesTarget: 8 << 20,
  parallel: 3,
  latePassesMs: [900_000, 86_400_000],
  stepMaxMs: 900_000,
}

/** Settings that never change. */
export const NO_SETTINGS: LineSettings = {
  settle: () => undefined,
  text: () => '',
  restore: () => true,
  names: () => ['default'],
  problem: () => undefined,
}

export interface LineWorld {
  readonly clock: FakeClock
  readonly api: FakeApi
  readonly db: FakeDb
  readonly ledger: Ledger
  readonly letters: DeadLetter[]
  readonly metrics: PipelineMetrics & { calls: Map<string, unknown[][]> }
  /** Last report per component. */
  readonly health: { get(component: string): ComponentHealth | undefined }
  /** How often status or code of a component changed. */
  healthChanges: number
  readonly pipeline: Pipeline
  /** One tick, with time moving while it waits. */
  tick(): Promise<TickResult>
  /** Ticks every interval for so long. */
  run(ms: number): Promise<TickResult>
  /** Server clock minus local clock, ms. */
  skewMs: number
}

export function createLineWorld(
  changes: Partial<PipelineOptions> = {},
  given: {
    clock?: FakeClock
    api?: FakeApi
    db?: FakeDb
    ledger?: Ledger
    backfillRequests?: BackfillRequests
    log?: Logger
    observers?: Pick<Observers, 'begin'>
    settings?: LineSettings
  } = {},
): LineWorld {
  const options = { ...OPTIONS, ...changes }
  const clock = given.clock ?? createFakeClock()
  const world = { skewMs: 0, healthChanges: 0 }
  const serverNow = () => ((clock.now() + BigInt(world.skewMs) * MS) / 1_000_000_000n) * 1_000_000_000n
  const api = given.api ?? createFakeApi(serverNow)
  const db = given.db ?? createFakeDb(() => clock.monotonicMs())
  const ledger = given.ledger ?? createMemoryLedger()
  const letters: DeadLetter[] = []
  const report = createHealth({ clock })
  const health = { get: (component: string) => report.state().components.find((one) => one.component === component) }
  report.onChange(() => void (world.healthChanges += 1))
  const metrics = countingMetrics<PipelineMetrics>()
  const pipeline = createPipeline(options, {
    source: { open: api.open, devices: async () => [], stop: async () => undefined },
    sink: db,
    ledger,
    settings: given.settings ?? NO_SETTINGS,
    devicesKnown: () => 0,
    deadLetters: { append: keepIn(letters) },
    semaphore: createSemaphore(4),
    observers: given.observers ?? NO_OBSERVERS,
    metrics,
    health: report,
    createWorker: () => createFakeWorker(),
    ...(given.backfillRequests ? { backfillRequests: given.backfillRequests } : {}),
    clock,
    log: given.log ?? silentLog,
    random: () => 0.5,
  })
  async function tick(): Promise<TickResult> {
    const done = { value: undefined as TickResult | undefined, error: undefined as unknown, isOver: false }
    pipeline.tick().then(
      (value) => Object.assign(done, { value, isOver: true }),
      (error) => Object.assign(done, { error, isOver: true }),
    )
    for (let turns = 0; !done.isOver; turns += 1) {
      await clock.advance(turns < 20 ? 0 : 100)
      if (turns > 100_000) throw new Error('the tick does not end')
    }
    if (done.error) throw done.error
    return done.value as TickResult
  }
  return Object.assign(world, {
    clock,
    api,
    db,
    ledger,
    letters,
    metrics,
    health,
    pipeline,
    tick,
    async run(ms: number) {
      const untilMs = clock.monotonicMs() + ms
      let result = await tick()
      while (clock.monotonicMs() < untilMs) {
        await clock.advance(Math.min(options.intervalMs, untilMs - clock.monotonicMs()))
        result = await tick()
      }
      return result
    },
  })
}
