/** One simulated history: processes of the service between an API and a database in memory, on virtual time, with the faults of its steps. The oracle knows every message that there was. Invariants have the numbers of docs/reliability.md. */
import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { MINUTE, MS, SECOND } from '../../src/base/clock.ts'
import { CollectorError } from '../../src/base/errors.ts'
import type { Interval } from '../../src/ledger/ledger.ts'
import type { PipelineOptions } from '../../src/pipeline/pipeline.ts'
import { COMPARE_EVERY_MS } from '../../src/pipeline/recovery/recovery.ts'
import type { InfluxHttp } from '../../src/sink/influxdb/transport.ts'
import type { DeadLetter } from '../../src/sink/sink.ts'
import type { Window } from '../../src/source/source.ts'
import { createFakeClock, NOON_NS } from '../../test/helpers/fake-clock.ts'
import { parseLine } from '../../test/sink/line-protocol/parse-lines.ts'
import { type ApiFault, createSimApi } from './sim-api.ts'
import { createSimDb, type DbFault } from './sim-db.ts'
import { createSimProcess, type SimProcess } from './sim-process.ts'
import { fieldsText, keyOf, messageText, pointsOf, type SimRecord } from './sim-records.ts'
import type { SimState } from './sim-state.ts'
import type { Step } from './sim-steps.ts'

export const SIMULATION_OPTIONS: PipelineOptions = {
  tailnet: 'default',
  intervalMs: 60_000,
  lagMs: 60_000,
  lookbackMs: 1_800_000,
  retentionMs: 30 * 86_400_000,
  windowMaxMs: 900_000,
  windowBytesTarget: 20_000,
  parallel: 3,
  latePassesMs: [300_000, 1_800_000],
  stepMaxMs: 900_000,
}
const LAST_PASS_MS = 1_800_000
/** What becomes visible later than this is beyond the promise: the last late pass may have been. */
export const VISIBLE_MAX_MS = 1_500_000
/** Requests that may be made while the database refuses everything: those in progress, and one round that finds it out. */
const ASKED_WHILE_REFUSED_MAX = 4 * SIMULATION_OPTIONS.parallel

/** How often each thing happened: a history in which nothing bit proves nothing. */
export type Bites = Map<string, number>

export interface History {
  readonly steps: readonly Step[]
  /** Longest time that a request takes; 0: none. Which one takes how long follows from it and from the order of requests. */
  readonly latencyMaxMs: number
}

export async function playHistory(history: History, createState: () => SimState, bites: Bites): Promise<void> {
  const world = createWorld(history.latencyMaxMs, createState, bites)
  for (const step of history.steps) await world.step(step)
  await world.finish()
}

interface Lasting {
  readonly untilMs: number
  readonly end: () => void
}

function createWorld(latencyMaxMs: number, createState: () => SimState, bites: Bites) {
  const options = SIMULATION_OPTIONS
  const clock = createFakeClock(NOON_NS, 1)
  const trueNow = () => NOON_NS + BigInt(Math.round(clock.monotonicMs() * 1e6))
  const bite = (name: string) => void bites.set(name, (bites.get(name) ?? 0) + 1)
  let requests = 0
  const latencyMs = () => (latencyMaxMs === 0 ? 0 : ((requests++ * 7_919) % 101) * (latencyMaxMs / 100))
  const deps = { nowMs: () => clock.monotonicMs(), sleep: clock.sleep, latencyMs, bite }
  const api = createSimApi({ ...deps, nowNs: trueNow })
  const db = createSimDb(deps)
  const issued = new Map<SimRecord, readonly { key: string; fields: string }[]>()
  const letters: DeadLetter[] = []
  const lasting = new Map<string, Lasting>()
  /** Per window asked for: when, and how often the database had lost something by then. */
  const answered = new Map<SimProcess, Map<bigint, { atNs: bigint; losses: number }>>()
  /** Per window done: how often the database had lost something when it was last written. */
  const done = new Map<SimProcess, Map<bigint, number>>()
  let losses = 0
  /** Where the very first process began; what was logged before is not promised. */
  let originNs: bigint | undefined
  let serial = 0
  let skewMs = 0
  let isDiskFull = false
  let askedBeforeRefusal: number | undefined
  let wasApiBad = false
  /** The database is away because it crashed or is being restored, and who has noticed. */
  let isAway = false
  /** It is back from that, and what it lost need not be read again yet. */
  let isLossOpen = false
  const noticed = new Set<SimProcess>()
  let backup: Map<string, string> | undefined
  let brief: { afterRequests: number; failures: number; readonly of: number } | undefined
  const state = createState()
  const secondState = createState()

  const world = {
    clock,
    async send(one: SimProcess, ...call: Parameters<InfluxHttp['send']>) {
      if (brief !== undefined && (brief.afterRequests -= 1) < 0) {
        if (brief.failures === brief.of) {
          losses += 1
          db.goDown()
          loseUnseen(backup)
        }
        brief.failures -= 1
        if (brief.failures === 0) brief = undefined
        bite('db away for a moment')
        throw new CollectorError('simulated: away', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' })
      }
      if (!isAway) return db.http.send(...call)
      noticed.add(one)
      bite('db away')
      throw new CollectorError('simulated: away', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' })
    },
    letters,
    isDiskFull: () => isDiskFull,
    bite,
    async open(one: SimProcess, window: Window, signal: AbortSignal) {
      const answer = await api.open(window, signal)
      answersTo(one).set(window.fromNs, { atNs: trueNow(), losses })
      return answer
    },
    onOpen(one: SimProcess) {
      // I8: nothing is fetched that could not be written.
      assert.notEqual(
        one.pipeline.status().database.state,
        'open',
        'I8: a request although the database is known to be down',
      )
    },
    onDone: checkDone,
    onOrigin(ns: bigint) {
      // Without a state file and without a checkpoint nothing is known: it is a first installation. A probe proves nothing.
      const isFirst = ![...db.rows].some(
        ([key, fields]) => key.startsWith('tailflux_window') && fields.includes('watermark='),
      )
      if (isFirst || originNs === undefined) originNs = ns
    },
  }

  /** I4 and I5, at the very moment at which a window is entered in the ledger. */
  function checkDone(one: SimProcess, window: Interval, isWritten: boolean): void {
    const { ledger } = one
    assert.ok(
      (ledger.watermarkNs() ?? 0n) <= trueNow() - BigInt(options.lagMs) * MS,
      'I5: the watermark passed what the API can have',
    )
    const asked = answersTo(one).get(window.fromNs)
    answersTo(one).delete(window.fromNs)
    assert.ok(asked, 'I4: a window is done that the API did not answer for')
    if (asked.losses !== losses) return
    // A late reading that found nothing new writes nothing, so what was lost before it is not its business, nor proven by it. What another
    // process wrote proves nothing about a window of this one.
    const ofThis = done.get(one) ?? new Map<bigint, number>()
    done.set(one, ofThis)
    if (!isWritten && ofThis.get(window.fromNs) !== losses) return
    ofThis.set(window.fromNs, losses)
    for (const record of api.records) {
      if (record.loggedNs < window.fromNs || record.loggedNs > window.toNs || record.visibleNs > asked.atNs) continue
      for (const { key } of expectedOf(record)) {
        if (!db.rows.has(key) && !isDeadLetter(key)) assert.fail(`I4: a window is done without ${key}`)
      }
    }
  }

  function answersTo(one: SimProcess): Map<bigint, { atNs: bigint; losses: number }> {
    const answers = answered.get(one) ?? new Map()
    answered.set(one, answers)
    return answers
  }

  function expectedOf(record: SimRecord): readonly { key: string; fields: string }[] {
    let points = issued.get(record)
    if (points === undefined) {
      points = pointsOf(record).map((point) => ({ key: keyOf(point), fields: fieldsText(point.fields) }))
      issued.set(record, points)
    }
    return points
  }

  function isDeadLetter(key: string): boolean {
    return letters.some((letter) => letter.stage === 'sink' && keyOf(parseLine(letter.text.trimEnd())) === key)
  }

  function startProcess(itsState: SimState): SimProcess {
    return createSimProcess(options, itsState, world)
  }
  let main = startProcess(state)
  let second: SimProcess | undefined
  let isMainUp = true

  /** The process is gone, however it went; the next one finds what it left. */
  function restart(change: () => void = () => undefined): void {
    main.kill()
    state.released()
    change()
    try {
      main = startProcess(state)
      isMainUp = true
      bite('restart')
    } catch (error) {
      // A disk that is full stops a start; whoever supervises the service tries again.
      if (!(error instanceof CollectorError)) throw error
      state.released()
      isMainUp = false
      bite('start failed')
    }
  }

  /** Lets time pass until `isOver`, but no further than that: only sleepers make it move. */
  async function drive(isOver: () => boolean): Promise<void> {
    for (let turns = 0; !isOver(); turns += 1) {
      assert.ok(turns < 100_000, 'the tick does not end')
      await turn()
      if (isOver()) return
      const nextMs = clock.nextWakeMs()
      if (nextMs === undefined) assert.ok(turns % 50 < 49, 'the tick waits for nothing')
      else await moveOn(nextMs)
    }
  }

  /** The only place where time passes: faults that last end on time. */
  async function moveOn(ms: number): Promise<void> {
    let leftMs = ms
    while (true) {
      const nowMs = clock.monotonicMs()
      for (const [name, one] of lasting) {
        if (one.untilMs > nowMs) continue
        lasting.delete(name)
        one.end()
      }
      const nextMs = Math.min(leftMs, ...[...lasting.values()].map((one) => one.untilMs - nowMs))
      await clock.advance(nextMs)
      leftMs -= nextMs
      if (leftMs <= 0) return
    }
  }

  function last(name: string, ms: number, begin: () => void, end: () => void): void {
    lasting.get(name)?.end()
    begin()
    lasting.set(name, { untilMs: clock.monotonicMs() + ms, end })
  }

  async function tick(one: SimProcess): Promise<void> {
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
    await drive(() => isOver || one.isDead())
    if (failure !== undefined && !one.isDead()) throw failure
  }

  async function pass(ms: number, intervalMs = options.intervalMs): Promise<void> {
    const untilMs = clock.monotonicMs() + ms
    while (true) {
      if (main.isDead()) restart()
      if (isMainUp) await tick(main)
      if (second && !second.isDead()) await tick(second)
      const leftMs = untilMs - clock.monotonicMs()
      if (leftMs <= 0) return
      await moveOn(Math.min(intervalMs, leftMs))
    }
  }

  function add(count: number, delayMs: number, isPlain = false): void {
    for (let index = 0; index < count; index += 1) {
      serial += 1
      if (isPlain) serial = Math.ceil(serial / 1517) * 1517 + 1 // neither odd nor poison
      // Now and then exactly on a whole minute, where windows like to end, and a nanosecond beside it.
      const aboutNs = trueNow() - BigInt((serial * 7_919) % 3_000) * MS
      const edgeNs = (aboutNs / (60n * SECOND)) * 60n * SECOND + BigInt((serial % 3) - 1)
      const loggedNs = serial % 5 === 0 && !isPlain ? edgeNs : aboutNs
      const visibleNs = loggedNs + BigInt(delayMs) * MS
      api.records.push({
        text: messageText(serial, loggedNs),
        loggedNs,
        visibleNs: visibleNs > trueNow() ? visibleNs : trueNow(),
      })
      if (delayMs > 60_000) bite('late record')
    }
  }

  function uploadAgain(count: number): void {
    for (const record of api.records.slice(-count)) {
      const text = record.text.replace(
        /"logged":"[^"]*"/,
        `"logged":"${new Date(Number(trueNow() / MS)).toISOString()}"`,
      )
      api.records.push({ text, loggedNs: (trueNow() / MS) * MS, visibleNs: trueNow() })
      bite('uploaded again')
    }
  }

  function dbFault(fault: DbFault, ms: number, isSly: boolean): void {
    const end = () => {
      db.fault = undefined
      // With an API that fails too, no process finds out that the database fails.
      if (askedBeforeRefusal !== undefined && second === undefined && !wasApiBad)
        assert.ok(
          api.asked - askedBeforeRefusal <= ASKED_WHILE_REFUSED_MAX,
          `I8: ${api.asked - askedBeforeRefusal} requests while the database refused`,
        )
      askedBeforeRefusal = undefined
    }
    const begin = () => {
      db.fault = fault
      db.isSly = isSly
      wasApiBad = api.fault !== undefined || api.poisons.size > 0
      askedBeforeRefusal = fault === 'refused' && !isSly ? api.asked : undefined
    }
    last('db', ms, begin, end)
  }

  /** The database has lost something and is away; it comes back when every running process has noticed. What it loses without being away is
   * beyond the promise. */
  async function away(ms: number): Promise<void> {
    losses += 1
    isAway = true
    db.goDown()
    noticed.clear()
    // A process that starts from now on compares what the database holds with what it knows.
    const witnesses = [main, second].filter((one) => one !== undefined)
    await pass(ms)
    while (witnesses.some((one) => !one.isDead() && !noticed.has(one))) await pass(options.intervalMs)
    isAway = false
    isLossOpen = true
  }

  function loseUnseen(rows: ReadonlyMap<string, string> = new Map()): void {
    if ([...db.rows.keys()].some((key) => !rows.has(key))) bite('lost rows unseen')
    db.rows = new Map(rows)
  }

  /** Every process has the time to notice what the database lost: if the state file were lost before, that would be two losses at once, beyond the promise. */
  async function letNotice(): Promise<void> {
    for (const name of ['db', 'api', 'disk']) endNow(name)
    await pass(COMPARE_EVERY_MS + 2 * options.intervalMs)
    isLossOpen = false
  }

  /** The state file goes too, but not before what the database lost was read again. */
  async function loseState(change: () => void): Promise<void> {
    if (isLossOpen) await letNotice()
    restart(change)
  }

  function endNow(name: string): void {
    lasting.get(name)?.end()
    lasting.delete(name)
  }

  async function step(one: Step): Promise<void> {
    switch (one.kind) {
      case 'wait':
        return pass(one.ms)
      case 'stall':
        bite('stall')
        return moveOn(one.ms)
      case 'jump':
        clock.jump(one.ms)
        skewMs += one.ms
        api.isClientFast = skewMs > 0
        return bite('clock jump')
      case 'records':
        return add(one.count, one.delayMs)
      case 'again':
        return uploadAgain(one.count)
      case 'api':
        return last('api', one.ms, set(one.fault), set(undefined))
      case 'poison': {
        const fromNs = trueNow() - BigInt(one.agoMs) * MS
        const poison = { fromNs, toNs: fromNs + BigInt(one.lengthMs) * MS }
        return last(
          `poison ${serial} ${clock.monotonicMs()}`,
          one.ms,
          () => {
            api.poisons.add(poison)
            wasApiBad = true
          },
          unset(poison),
        )
      }
      case 'db':
        return dbFault(one.fault, one.ms, one.isSly ?? false)
      case 'kill':
        return main.killAfter(one.afterCalls, one.takesEffect)
      case 'stop': {
        if (main.isDead()) return
        const ticking = main.pipeline.tick().catch(() => undefined)
        let isOver = false
        void Promise.all([main.pipeline.stop(one.graceMs), ticking]).then(() => {
          isOver = true
        })
        await drive(() => isOver || main.isDead())
        bite('stop')
        return restart()
      }
      case 'backup':
        backup = db.backup()
        return
      case 'restore': {
        if (backup === undefined) return
        const rows = backup
        if ([...db.rows.keys()].some((key) => !rows.has(key))) bite('restore lost rows')
        db.rows = new Map(rows)
        return away(one.ms)
      }
      case 'unseen_loss':
        losses += 1
        loseUnseen(one.to === 'backup' ? backup : undefined)
        return letNotice()
      case 'brief_loss':
        endNow('db')
        brief = { ...one, of: one.failures }
        await pass(options.intervalMs)
        brief = undefined
        return letNotice()
      case 'db_crash':
        if (db.loseSince(clock.monotonicMs() - one.lostMs) > 0) bite('crash lost rows')
        return away(one.ms)
      case 'disk_full':
        return last(
          'disk',
          one.ms,
          () => {
            isDiskFull = true
          },
          () => {
            isDiskFull = false
          },
        )
      case 'state_copied':
        return state.keepCopy()
      case 'state_restored':
        return loseState(() => state.restoreCopy() && bite('state restored'))
      case 'state_lost':
        bite('state lost')
        return loseState(() => state.lose())
      case 'state_damaged':
        bite('state damaged')
        return loseState(() => state.damage(one.how))
      case 'second':
        if (isDiskFull || second) return
        second = startProcess(secondState)
        return bite('second process')
    }
  }

  function set(fault: ApiFault | undefined): () => void {
    return () => {
      api.fault = fault
      wasApiBad = true
    }
  }
  function unset(poison: Window): () => void {
    return () => {
      api.poisons.delete(poison)
    }
  }

  /** Faults end and the clock is set right; after the last late pass everything that was promised must be there, and nothing else. */
  async function finish(): Promise<void> {
    for (const [name, one] of lasting) {
      lasting.delete(name)
      one.end()
    }
    clock.jump(-skewMs)
    api.isClientFast = false
    if (main.isDead()) restart()
    main.killAfter(Number.POSITIVE_INFINITY, false)
    await pass(LAST_PASS_MS, 600_000)
    // I7: what is fresh arrives within two intervals.
    add(1, 0, true)
    const fresh = api.records.at(-1)!
    await moveOn(options.lagMs)
    await pass(2 * options.intervalMs + 5_000)
    for (const { key } of expectedOf(fresh)) assert.ok(db.rows.has(key), 'I7: a fresh record does not arrive')
    await pass(LAST_PASS_MS, 600_000)
    await pass(3_700_000, 600_000)
    assert.deepEqual(main.ledger.gaps(), [], 'I6: gaps are left')
    check()
  }

  /** I1, I2, I3: the points that the database holds, one by one. */
  function check(): void {
    const expected = new Map<string, string>()
    const mayBe = new Set<string>()
    for (const record of api.records) {
      for (const { key, fields } of expectedOf(record)) {
        mayBe.add(key)
        if (originNs !== undefined && record.loggedNs >= originNs) expected.set(key, fields)
      }
    }
    for (const [key, fields] of expected) {
      const found = db.rows.get(key)
      if (found === undefined && isDeadLetter(key)) continue
      assert.ok(found !== undefined, `I1: ${key} is missing`)
      assert.equal(fieldsText(integersOf(found)), fields, `I2: ${key}`)
      const startNs = BigInt(key.slice(key.lastIndexOf(' ') + 1))
      assert.ok(isListed(startNs - (startNs % MINUTE)), `I11: the minute of ${key} is not listed`)
    }
    for (const key of db.rows.keys())
      assert.ok(mayBe.has(key) || key.startsWith('tailflux_window'), `I3: ${key} was never issued`)
  }

  /** Nothing is struck off here, so whatever was written stays listed by whoever wrote it, and by whoever came after. */
  function isListed(minuteNs: bigint): boolean {
    return [main, second].some((one) => one?.ledger.unsettled.find('minute', minuteNs) !== undefined)
  }

  return { step, finish }
}

function integersOf(fields: string): Record<string, bigint> {
  return parseLine(`a ${fields} 0`).fields
}
