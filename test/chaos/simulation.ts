/** One simulated history of the service: the real pipeline, planner, gate and start-up rule between an API and a database in memory, on
 * virtual time. Faults come from the steps of the history; the oracle knows every record that there was. Used by simulation.test.ts. */
import assert from 'node:assert/strict'
import { HOUR, MINUTE, MS, SECOND } from '../../src/clock.ts'
import { CollectorError } from '../../src/errors.ts'
import type { Ledger } from '../../src/ledger/ledger.ts'
import { createPipeline, type Pipeline, type PipelineOptions } from '../../src/pipeline/pipeline.ts'
import { createSlots } from '../../src/pipeline/slots.ts'
import type { Batch, Mirror, Sink } from '../../src/sink/sink.ts'
import { createFakeClock, type FakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { createFakeApi, createFakeDb, createFakeLane, type FakeRecord } from '../helpers/fake-line.ts'
import { countingMetrics, silentLog } from '../helpers/silent.ts'

export const API_FAULTS = ['unreachable', 'unauthorized', 'limited', 'gateway', 'cut', 'not_json', 'slow'] as const
export const DB_FAULTS = ['refused', 'hold', 'lost_answer', 'overloaded'] as const

/** One step of a history. Times in ms of virtual time. */
export type Step =
  | { kind: 'wait'; ms: number }
  | { kind: 'jump'; ms: number }
  | { kind: 'records'; count: number; delayMs: number }
  | { kind: 'again'; count: number }
  | { kind: 'api'; fault: (typeof API_FAULTS)[number]; ms: number }
  | { kind: 'poison'; agoMs: number; lengthMs: number; ms: number }
  | { kind: 'db'; fault: (typeof DB_FAULTS)[number]; ms: number }
  | { kind: 'kill'; afterCalls: number; takesEffect: boolean }
  | { kind: 'backup' }
  | { kind: 'restore'; ms: number }
  | { kind: 'state_lost' }
  | { kind: 'second' }

export const SIMULATION_OPTIONS: PipelineOptions = {
  tailnet: 'default',
  intervalMs: 120_000,
  lagMs: 60_000,
  lookbackMs: 3_600_000,
  retentionMs: 30 * 86_400_000,
  windowMaxMs: 1_800_000,
  windowBytesTarget: 20_000,
  parallel: 3,
  latePassesMs: [900_000, 7_200_000],
  devicesIntervalMs: 300_000,
}
/** What becomes visible later than this is beyond the promise: the last late pass may have been. */
export const VISIBLE_MAX_MS = 6_000_000

/** How often each fault bit: a history in which nothing happened proves nothing. */
export type Bites = Map<string, number>

/** Opens the ledger of a state "file"; `reopen` is what a new process sees of it. */
export interface StateFake {
  open(): Ledger
  lose(): void
}

/** What a mutant changes; see mutants.test.ts. */
export interface Mutation {
  readonly options?: Partial<PipelineOptions>
  readonly wrapLedger?: (ledger: Ledger) => Ledger
  readonly wrapSink?: (sink: Sink) => Sink
  readonly wrapLane?: (lane: ReturnType<typeof createFakeLane>) => ReturnType<typeof createFakeLane>
  readonly wrapApi?: (open: ReturnType<typeof createFakeApi>['open']) => ReturnType<typeof createFakeApi>['open']
  readonly ignoresTicks?: boolean
}

export async function playHistory(
  steps: readonly Step[],
  createState: () => StateFake,
  bites: Bites,
  mutation: Mutation = {},
): Promise<void> {
  const world = createWorld(createState, bites, mutation)
  for (const step of steps) await world.step(step)
  await world.finish()
}

function createWorld(createState: () => StateFake, bites: Bites, mutation: Mutation) {
  const options = { ...SIMULATION_OPTIONS, ...mutation.options }
  const clock = createFakeClock()
  const beganMs = clock.monotonicMs()
  /** The API's true clock; the service's wall clock jumps, this one does not. */
  const trueNow = () => NOON_NS + BigInt(Math.round((clock.monotonicMs() - beganMs) * 1e6))
  const api = createFakeApi(() => (trueNow() / SECOND) * SECOND)
  const db = createFakeDb()
  const issued = new Map<string, FakeRecord>()
  let apiFault: { kind: (typeof API_FAULTS)[number]; untilMs: number } | undefined
  let dbFault: { kind: (typeof DB_FAULTS)[number]; untilMs: number } | undefined
  const poisons: { fromNs: bigint; toNs: bigint; untilMs: number }[] = []
  let backup: { rows: Map<string, string>; mirror: Mirror | undefined } | undefined
  const state = createState()
  const secondState = createState()
  let serial = 0
  const bite = (name: string) => bites.set(name, (bites.get(name) ?? 0) + 1)

  api.fault = async (window) => {
    const { untilMs, kind } = apiFault ?? { untilMs: 0, kind: undefined }
    if (
      poisons.some((one) => clock.monotonicMs() < one.untilMs && one.fromNs <= window.toNs && window.fromNs <= one.toNs)
    ) {
      bite('api poison')
      throw sourceError('api_gateway', 'split')
    }
    if (clock.monotonicMs() >= untilMs || kind === undefined || kind === 'cut') return
    bite(`api ${kind}`)
    if (kind === 'slow') return clock.sleep(20_000)
    if (kind === 'unreachable') throw sourceError('api_unreachable', 'retry')
    if (kind === 'unauthorized') throw sourceError('api_unauthorized', 'hold')
    if (kind === 'limited') {
      throw new CollectorError('x', {
        stage: 'source',
        code: 'api_rate_limited',
        reaction: 'retry',
        retryAfterMs: 45_000,
      })
    }
    if (kind === 'gateway') throw sourceError('api_gateway', 'split')
    throw sourceError('api_not_json', 'retry')
  }
  let groups = 0
  api.midway = () => {
    groups += 1
    if (apiFault?.kind === 'cut' && clock.monotonicMs() < apiFault.untilMs && groups % 3 === 0) {
      bite('api cut')
      throw sourceError('api_truncated', 'split')
    }
  }

  /** One process: everything it calls goes through `alive`, which is where it can die. */
  function createProcess(itsState: StateFake) {
    let dead = false
    let killAfter = Number.POSITIVE_INFINITY
    let takesEffect = false
    const never = new Promise<never>(() => undefined)
    async function alive<T>(call: () => Promise<T> | T): Promise<T> {
      if (dead) return never
      killAfter -= 1
      if (killAfter <= 0) {
        dead = true
        bite('kill')
        // What was under way may still have reached the other side.
        if (takesEffect) await Promise.resolve(call()).catch(() => undefined)
        return never
      }
      const value = await call()
      return dead ? never : value
    }
    const durable = itsState.open()
    const wrapped = mutation.wrapLedger ? mutation.wrapLedger(durable) : durable
    // A dead process changes nothing any more.
    const ledger = new Proxy(wrapped, {
      get(target, name: keyof Ledger) {
        const method = target[name] as (...args: unknown[]) => unknown
        const isChange = [
          'setOrigin',
          'done',
          'forget',
          'beginAttempt',
          'endAttempt',
          'openGap',
          'loseGap',
          'compact',
        ].includes(name)
        return (...args: unknown[]) => {
          if (!isChange) return method.apply(target, args)
          if (dead) return undefined
          killAfter -= 1
          if (killAfter <= 0) {
            dead = true
            bite('kill at the ledger')
            if (takesEffect) method.apply(target, args)
            return undefined
          }
          return method.apply(target, args)
        }
      },
    })
    const open = mutation.wrapApi ? mutation.wrapApi(api.open) : api.open
    const sink: Sink = {
      ...db,
      probe: (signal) => alive(() => dbCall(undefined, () => db.probe(signal))),
      write: (batch, signal) => alive(() => dbCall(batch, () => db.write(batch, signal))),
      lastMirror: (tailnet, signal) => alive(() => dbCall(undefined, () => db.lastMirror(tailnet, signal))),
    }
    const pipeline: Pipeline = createPipeline(options, {
      source: {
        open: (window, signal) =>
          alive(async () => {
            const answer = await open(window, signal)
            return { ...answer, groups: livingGroups(answer.groups, alive) }
          }),
        devices: async () => [],
        stop: async () => undefined,
      },
      sink: mutation.wrapSink ? mutation.wrapSink(sink) : sink,
      ledger,
      names: {
        nameOf: () => undefined,
        observe: () => undefined,
        readingBegins: () => undefined,
        count: () => 0,
        version: () => 0,
      },
      deadLetters: { append: () => alive(() => undefined) },
      slots: createSlots(4),
      taps: [],
      metrics: countingMetrics(),
      health: { set: () => undefined },
      createLane: () => (mutation.wrapLane ? mutation.wrapLane(createFakeLane()) : createFakeLane()),
      clock,
      log: silentLog,
      random: () => 0.5,
    })
    return {
      pipeline,
      durable,
      isDead: () => dead,
      killAfter(calls: number, effect: boolean) {
        killAfter = calls
        takesEffect = effect
      },
    }
  }

  async function dbCall<T>(batch: Batch | undefined, call: () => Promise<T>): Promise<T> {
    if (dbFault === undefined || clock.monotonicMs() >= dbFault.untilMs) return call()
    bite(`db ${dbFault.kind}`)
    if (dbFault.kind === 'lost_answer') {
      if (batch) await call()
      throw new CollectorError('x', { stage: 'sink', code: 'db_timeout', reaction: 'retry' })
    }
    if (dbFault.kind === 'hold')
      throw new CollectorError('x', { stage: 'sink', code: 'db_unauthorized', reaction: 'hold' })
    if (dbFault.kind === 'overloaded') {
      throw new CollectorError('x', { stage: 'sink', code: 'db_overloaded', reaction: 'retry', retryAfterMs: 30_000 })
    }
    throw new CollectorError('x', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' })
  }

  let main = createProcess(state)
  let second: ReturnType<typeof createProcess> | undefined

  async function tick(one: ReturnType<typeof createProcess>): Promise<void> {
    let isOver = false
    let failure: unknown
    one.pipeline.tick().then(
      () => {
        isOver = true
      },
      (error) => {
        failure = error
        isOver = true
      },
    )
    for (let turns = 0; !isOver && !one.isDead(); turns += 1) {
      await clock.advance(turns < 4 ? 0 : Math.min(2_000, 2 ** turns))
      assert.ok(turns < 20_000, 'the tick does not end')
    }
    if (failure !== undefined && !one.isDead()) throw failure
  }

  async function pass(ms: number): Promise<void> {
    const untilMs = clock.monotonicMs() + ms
    while (true) {
      if (main.isDead()) {
        main = createProcess(state)
        bite('restart')
      }
      await tick(main)
      if (second && !second.isDead()) await tick(second)
      checkEdge()
      const leftMs = untilMs - clock.monotonicMs()
      if (leftMs <= 0) return
      await clock.advance(Math.min(options.intervalMs, leftMs))
    }
  }

  /** I5: the watermark never passes what the API can have. */
  function checkEdge(): void {
    const watermarkNs = main.durable.watermarkNs()
    if (watermarkNs !== undefined)
      assert.ok(watermarkNs <= trueNow() - BigInt(options.lagMs) * MS, 'I5: the watermark passed the edge')
  }

  function add(count: number, delayMs: number): void {
    for (let index = 0; index < count; index += 1) {
      serial += 1
      const loggedNs = trueNow() - BigInt((serial * 7919) % 3_000) * MS
      const visibleNs = loggedNs + BigInt(delayMs) * MS
      const record: FakeRecord = {
        id: `r${serial}`,
        loggedNs,
        visibleNs: visibleNs > trueNow() ? visibleNs : trueNow(),
        value: serial,
      }
      api.records.push(record)
      issued.set(record.id, record)
      if (delayMs > 60_000) bite('late record')
    }
  }

  async function step(one: Step): Promise<void> {
    switch (one.kind) {
      case 'wait':
        return pass(one.ms)
      case 'jump':
        clock.jump(one.ms)
        bite('clock jump')
        return
      case 'records':
        return add(one.count, one.delayMs)
      case 'again': {
        const some = api.records.slice(-one.count)
        for (const record of some) api.records.push({ ...record, loggedNs: trueNow(), visibleNs: trueNow() })
        bite('uploaded again')
        return
      }
      case 'api':
        apiFault = { kind: one.fault, untilMs: clock.monotonicMs() + one.ms }
        return
      case 'poison': {
        const fromNs = trueNow() - BigInt(one.agoMs) * MS
        poisons.push({ fromNs, toNs: fromNs + BigInt(one.lengthMs) * MS, untilMs: clock.monotonicMs() + one.ms })
        return
      }
      case 'db':
        dbFault = { kind: one.fault, untilMs: clock.monotonicMs() + one.ms }
        return
      case 'kill':
        main.killAfter(one.afterCalls, one.takesEffect)
        return
      case 'backup':
        backup = { rows: new Map(db.rows), mirror: db.mirror }
        return
      case 'restore': {
        if (backup === undefined) return
        // The database is away while it is restored, and the service notices.
        dbFault = { kind: 'refused', untilMs: clock.monotonicMs() + one.ms + 2 * options.intervalMs }
        await pass(one.ms)
        await pass(options.intervalMs)
        if ([...db.rows.keys()].some((id) => !backup?.rows.has(id))) bite('restore lost rows')
        db.rows.clear()
        for (const [id, value] of backup.rows) db.rows.set(id, value)
        db.mirror = backup.mirror
        return
      }
      case 'state_lost':
        main.killAfter(1, false)
        await pass(1)
        state.lose()
        main = createProcess(state)
        bite('state lost')
        return
      case 'second':
        second ??= createProcess(secondState)
        bite('second process')
        return
    }
  }

  /** Faults end; after the last late pass everything that was promised must be there, and nothing else. */
  async function finish(): Promise<void> {
    apiFault = undefined
    dbFault = undefined
    for (const poison of poisons) poison.untilMs = 0
    main.killAfter(Number.POSITIVE_INFINITY, false)
    await pass(options.latePassesMs.at(-1) ?? 0)
    // Liveness: what is fresh arrives within two intervals.
    add(1, 0)
    const fresh = `r${serial}`
    await clock.advance(options.lagMs)
    await pass(2 * options.intervalMs + 5_000)
    assert.ok(db.rows.has(fresh), 'I7: a fresh record does not arrive')
    await pass(SIMULATION_OPTIONS.latePassesMs.at(-1) ?? 0)
    await pass(3_700_000)
    assert.deepEqual(main.durable.gaps(), [], 'I6: gaps are left')
    const originNs = NOON_NS - HOUR
    for (const record of issued.values()) {
      if (record.loggedNs < originNs) continue
      assert.equal(
        db.rows.get(record.id),
        String(record.value),
        `I1: ${record.id} logged ${(record.loggedNs - NOON_NS) / SECOND} s`,
      )
    }
    for (const id of db.rows.keys()) assert.ok(issued.has(id), `I3: ${id} was never issued`)
  }

  return { step, finish, clock: clock as FakeClock, originNs: NOON_NS - HOUR + MINUTE }
}

async function* livingGroups<T>(
  groups: AsyncIterable<T>,
  alive: <U>(call: () => Promise<U> | U) => Promise<U>,
): AsyncIterable<T> {
  for await (const group of groups) yield await alive(() => group)
}

function sourceError(
  code: 'api_unreachable' | 'api_unauthorized' | 'api_gateway' | 'api_not_json' | 'api_truncated',
  reaction: 'retry' | 'hold' | 'split',
) {
  return new CollectorError('x', { stage: 'source', code, reaction })
}
