/** One simulated process of the service: the real pipeline, planner, circuit breaker, recovery, flattener, line writer, write policy, ledger and
 * names; everything that leaves it goes through `alive`, which is where it can die. */
import type { Clock } from '../../src/base/clock.ts'
import { createSemaphore } from '../../src/base/semaphore.ts'
import { createFlattener } from '../../src/flatten/flatten.ts'
import type { Ledger } from '../../src/ledger/ledger.ts'
import { createLedger } from '../../src/ledger/sqlite/sqlite-ledger.ts'
import type { TickResult } from '../../src/observe/line/status.ts'
import type { PipelineMetrics } from '../../src/observe/metrics.ts'
import { NO_OBSERVERS } from '../../src/observers/observers.ts'
import { createPipeline, type Pipeline, type PipelineOptions } from '../../src/pipeline/pipeline.ts'
import { influxSchema } from '../../src/sink/config.ts'
import { createInfluxSink } from '../../src/sink/influxdb/influxdb-sink.ts'
import type { InfluxHttp } from '../../src/sink/influxdb/transport.ts'
import { createLineWriter } from '../../src/sink/line-protocol/line-writer.ts'
import type { DeadLetter, SinkMetrics } from '../../src/sink/sink.ts'
import type { Source } from '../../src/source/source.ts'
import { NO_SETTINGS } from '../../test/helpers/line-world.ts'
import { silentLog } from '../../test/helpers/silent.ts'
import type { Fate, SimState } from './sim-state.ts'

const INFLUX = influxSchema.parse({ url: 'http://simulated:8086', api: 'v1', db: 'flows' })
const BATCH = { batchLinesMax: 4, batchBytesMax: 1_200, buffers: 2 }

export interface SimProcess {
  readonly pipeline: Pipeline
  readonly ledger: Ledger
  isDead(): boolean
  /** Dies at the n-th call to the world from now on. `takesEffect`: the call itself still happens. */
  killAfter(calls: number, takesEffect: boolean): void
  /** As `killAfter(1)`, right now: nothing that it does from now on has an effect. */
  kill(): void
  /** Health of the components as last reported. */
  readonly health: Map<string, string>
}

export interface SimWorld {
  readonly clock: Clock
  readonly open: (one: SimProcess, ...call: Parameters<Source['open']>) => ReturnType<Source['open']>
  readonly send: (one: SimProcess, ...call: Parameters<InfluxHttp['send']>) => ReturnType<InfluxHttp['send']>
  readonly letters: DeadLetter[]
  /** True: the disk with the state file is full. */
  readonly isDiskFull: () => boolean
  readonly bite: (name: string) => void
  /** Called when a window is entered in the ledger, and whether its content was written now; before anything else can happen. */
  readonly onDone: (one: SimProcess, window: { fromNs: bigint; toNs: bigint }, isWritten: boolean) => void
  /** Called when a ledger is given its origin. */
  readonly onOrigin: (ns: bigint) => void
  /** Called at each request for a window. */
  readonly onOpen: (one: SimProcess) => void
}

export function createSimProcess(options: PipelineOptions, state: SimState, world: SimWorld): SimProcess {
  const { clock, bite } = world
  const health = new Map<string, string>()
  const conditions = new Map<string, string>()
  let isDead = false
  let killAfter = Number.POSITIVE_INFINITY
  let takesEffect = false
  const never = new Promise<never>(() => undefined)

  async function alive<T>(call: () => Promise<T> | T): Promise<T> {
    if (isDead) return never
    killAfter -= 1
    if (killAfter <= 0) {
      isDead = true
      bite('kill')
      // What was in progress may still reach the other side.
      if (takesEffect) await Promise.resolve(call()).catch(() => undefined)
      return never
    }
    try {
      const value = await call()
      return isDead ? never : value
    } catch (error) {
      if (isDead) return never
      throw error
    }
  }

  function fate(): Fate {
    if (isDead) return 'before'
    killAfter -= 1
    if (killAfter <= 0) {
      isDead = true
      bite('kill at the state file')
      return takesEffect ? 'after' : 'inside'
    }
    if (!world.isDiskFull()) return 'live'
    bite('state disk full')
    return 'full'
  }

  const ownClock: Clock = {
    now: () => clock.now(),
    monotonicMs: () => clock.monotonicMs(),
    sleep: (ms, signal) => alive(() => clock.sleep(ms, signal)),
  }
  const file = state.open(clock, fate)
  const real = createLedger(file, options.tailnet)
  const ledger: Ledger = {
    ...real,
    setOrigin(ns, promisedNs) {
      real.setOrigin(ns, promisedNs)
      world.onOrigin(ns)
    },
    done(window, record, ...rest) {
      // What was not written keeps the time of its last acknowledgement.
      const isWritten = !real
        .recent(Number.MAX_SAFE_INTEGER)
        .some(({ fromNs, atNs }) => fromNs === window.fromNs && atNs === record.atNs)
      real.done(window, record, ...rest)
      world.onDone(self, window, isWritten)
    },
  }
  const letters = {
    append: (some: readonly DeadLetter[]) =>
      alive(() => {
        world.letters.push(...some)
        return some
      }),
  }
  const sink = createInfluxSink(
    { ...INFLUX, api: 'v1', url: String(INFLUX.url), retention: {} },
    {
      clock: ownClock,
      log: silentLog,
      metrics: sinkMetrics(bite),
      deadLetters: letters,
      random: () => 0.5,
      http: { send: (request, signal) => alive(() => world.send(self, request, signal)), stop: () => undefined },
    },
  )
  const pipeline = createPipeline(options, {
    source: {
      open: (window, signal) =>
        alive(async () => {
          world.onOpen(self)
          const answer = await world.open(self, window, signal)
          return { ...answer, groups: living(answer.groups) }
        }),
      devices: () => alive(() => []),
      stop: async () => undefined,
    },
    sink,
    ledger,
    settings: NO_SETTINGS,
    devicesKnown: () => 0,
    deadLetters: letters,
    semaphore: createSemaphore(4),
    observers: NO_OBSERVERS,
    metrics: pipelineMetrics(bite),
    // The checkpoint is a comfort: that it cannot be asked holds nothing up.
    health: {
      set(component, status, _code, _text, condition = '') {
        if (condition === 'checkpoint') return
        conditions.set(`${component} ${condition}`, status)
        const all = [...conditions].filter(([key]) => key.startsWith(`${component} `)).map(([, one]) => one)
        health.set(component, ['error', 'warning'].find((one) => all.includes(one)) ?? status)
      },
    },
    createWorker: () => ({
      flattener: createFlattener({ tailnetAt: () => options.tailnet, portsAt: () => 'service' }),
      lines: createLineWriter(BATCH),
    }),
    clock: ownClock,
    log: silentLog,
    random: () => 0.5,
  })

  async function* living<T>(groups: AsyncIterable<T>): AsyncIterable<T> {
    for await (const group of groups) yield await alive(() => group)
  }

  const self: SimProcess = {
    pipeline,
    ledger: real,
    health,
    isDead: () => isDead,
    killAfter(calls, effect) {
      killAfter = calls
      takesEffect = effect
    },
    kill() {
      if (isDead) return
      isDead = true
      bite('kill')
    },
  }
  return self
}

const ignore = () => undefined

function sinkMetrics(bite: (name: string) => void): SinkMetrics {
  return { request: ignore, written: ignore, retried: () => bite('write retried'), rejected: (_, why) => bite(why) }
}

function pipelineMetrics(bite: (name: string) => void): PipelineMetrics {
  let gaps = 0
  return {
    windowDone: ignore,
    windowFailed: () => bite('window failed'),
    windowSplit: () => bite('window split'),
    quarantined: () => bite('quarantined'),
    late: (pass) => bite(`late in pass ${pass}`),
    gapsOpen: (count) => {
      if (count > gaps) bite('gap opened')
      gaps = count
    },
    gapLost: (reason) => bite(`gap ${reason}`),
    position: ignore,
    tick: (result: TickResult) => bite(`tick ${result}`),
    hold: ignore,
    dbUp: ignore,
    apiUp: ignore,
    stateWriteFailed: ignore,
    stateRecovered: ignore,
    devicesKnown: ignore,
    inFlight: ignore,
  }
}
