import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HOUR, MINUTE, MS, SECOND } from '../../src/base/clock.ts'
import { intersects } from '../../src/ledger/intervals.ts'
import type { Interval } from '../../src/ledger/ledger.ts'
import type { PlannedWindow } from '../../src/pipeline/planner.ts'
import { createPlanner } from '../../src/pipeline/planner.ts'
import { NOON_NS } from '../helpers/fake-clock.ts'
import { createMemoryLedger } from '../helpers/memory-ledger.ts'

const OPTIONS = {
  intervalNs: 30n * SECOND,
  windowMaxNs: HOUR,
  windowBytesTarget: 8 << 20,
  latePassesNs: [15n * MINUTE, 24n * HOUR],
  monotonicMs: () => 0,
}
const RECORD = { pass: 1, digest: '0:0', messages: 0, entries: 0, points: 0, atNs: NOON_NS }

/** Reads everything with an API that fails whatever `fails` says, moving the clock a second per window. */
function runWorkers(options: {
  originNs: bigint
  horizonNs: bigint
  fails: (window: Interval, requests: number) => boolean
  requestsMax?: number
  moving?: boolean
  crashed?: Interval[]
}) {
  const ledger = createMemoryLedger(options.crashed)
  ledger.setOrigin(options.originNs)
  const planner = createPlanner({ ...OPTIONS, latePassesNs: [] }, ledger, NOON_NS)
  const windows: PlannedWindow[] = []
  let nowNs = NOON_NS
  let { horizonNs } = options
  let ticks = 0
  while (windows.length < (options.requestsMax ?? 5_000)) {
    const window = planner.next(nowNs, horizonNs)
    if (window === undefined) {
      // The next tick: the edge has moved on.
      if (!options.moving || ledger.missing(options.originNs, horizonNs).length === 0 || ticks++ > 1_000) break
      nowNs += OPTIONS.intervalNs
      horizonNs += OPTIONS.intervalNs
      continue
    }
    windows.push(window)
    nowNs += SECOND
    if (options.fails(window, windows.length)) planner.tooMuch(window, 'gateway', nowNs)
    else {
      ledger.done(window, RECORD)
      planner.succeeded(window, { toNs: window.toNs, bytes: 1 << 20, pass: window.pass }, nowNs)
    }
  }
  return { ledger, planner, windows, nowNs }
}

test('everything between the origin and the edge is read exactly once, newest bit first', () => {
  const { ledger, windows } = runWorkers({ originNs: NOON_NS - 24n * HOUR, horizonNs: NOON_NS, fails: () => false })
  assert.equal(windows[0]?.queue, 'live')
  assert.equal(windows[0]?.toNs, NOON_NS)
  assert.deepEqual(ledger.missing(NOON_NS - 24n * HOUR, NOON_NS), [])
  assert.equal(ledger.watermarkNs(), NOON_NS)
  const length = windows.reduce((sum, window) => sum + window.toNs - window.fromNs, 0n)
  assert.equal(length, 24n * HOUR, 'no range is asked for twice')
  assert.ok(windows.length < 40, `${windows.length} windows`)
})

test('windows that are under way are not given out a second time', () => {
  const ledger = createMemoryLedger()
  ledger.setOrigin(NOON_NS - HOUR)
  const planner = createPlanner(OPTIONS, ledger, NOON_NS)
  const windows = [1, 2, 3, 4].map(() => planner.next(NOON_NS, NOON_NS)).filter((one) => one !== undefined)
  assert.equal(windows.length, 4)
  for (const one of windows) for (const other of windows) if (one !== other) assert.ok(!intersects(one, other))
  for (const window of windows) planner.released(window)
  assert.deepEqual(planner.next(NOON_NS, NOON_NS)?.toNs, NOON_NS, 'a released window comes back')
})

test('a range that the API cannot answer becomes one exact gap, and everything else is read', () => {
  for (const lengthNs of [1n, 20n * MS, 10n * SECOND, 17n * MINUTE]) {
    const poison = { fromNs: NOON_NS - 3n * HOUR + 123_456n, toNs: NOON_NS - 3n * HOUR + 123_456n + lengthNs }
    const { ledger, windows } = runWorkers({
      originNs: NOON_NS - 6n * HOUR,
      horizonNs: NOON_NS,
      fails: (window) => window.fromNs <= poison.toNs && poison.fromNs <= window.toNs,
    })
    const gaps = ledger.gaps()
    assert.equal(gaps.length, 1, `${gaps.length} gaps`)
    const [gap] = gaps
    assert.ok(gap && gap.fromNs <= poison.fromNs && gap.toNs >= poison.toNs)
    assert.ok(gap.toNs - gap.fromNs <= lengthNs + 4n * MS, `gap of ${gap.toNs - gap.fromNs} ns for ${lengthNs} ns`)
    assert.deepEqual(ledger.missing(NOON_NS - 6n * HOUR, NOON_NS), [{ fromNs: gap.fromNs, toNs: gap.toNs }])
    assert.ok(windows.length < 250, `${windows.length} requests for ${lengthNs} ns`)
    for (const [index, window] of windows.entries()) {
      const before = windows[index - 1]
      assert.ok(
        !(before && before.fromNs === window.fromNs && before.toNs === window.toNs && before.queue === window.queue),
      )
    }
  }
})

test('an outage of the API makes no gap: afterwards all is read', () => {
  const { ledger } = runWorkers({
    originNs: NOON_NS - 6n * HOUR,
    horizonNs: NOON_NS,
    moving: true,
    fails: (_, requests) => requests < 300,
  })
  assert.deepEqual(ledger.gaps(), [])
  assert.deepEqual(ledger.missing(NOON_NS - 6n * HOUR, NOON_NS), [])
})

test('a gap is tried again after 1, 2, 4 ... 60 minutes, and is gone once it can be read', () => {
  const poison = { fromNs: NOON_NS - HOUR, toNs: NOON_NS - HOUR + 5n * SECOND }
  const bad = (window: Interval) => intersects(window, poison)
  const { ledger, planner, nowNs } = runWorkers({ originNs: NOON_NS - 2n * HOUR, horizonNs: NOON_NS, fails: bad })
  const tries: bigint[] = []
  let clockNs = nowNs
  while (tries.length < 10) {
    clockNs += SECOND
    const window = planner.next(clockNs, NOON_NS)
    if (window === undefined) continue
    assert.equal(window.queue, 'gap')
    tries.push(clockNs)
    planner.tooMuch(window, 'gateway', clockNs)
  }
  const minutes = tries.slice(1).map((at, index) => Number((at - (tries[index] ?? 0n)) / MINUTE))
  assert.deepEqual(minutes, [2, 4, 8, 16, 32, 60, 60, 60, 60])
  for (let step = 0; step < 30_000 && ledger.gaps().length > 0; step += 1) {
    clockNs += SECOND
    const window = planner.next(clockNs, NOON_NS)
    if (window === undefined) continue
    ledger.done(window, RECORD)
    planner.succeeded(window, { toNs: window.toNs, bytes: 0, pass: window.pass }, clockNs)
  }
  assert.deepEqual(ledger.gaps(), [])
  assert.deepEqual(ledger.missing(NOON_NS - 2n * HOUR, NOON_NS), [])
})

test('what an earlier process died of is read in smaller pieces, and at the smallest becomes a gap', () => {
  const crash = { fromNs: NOON_NS - 2n * HOUR, toNs: NOON_NS - HOUR }
  const { windows } = runWorkers({
    originNs: NOON_NS - 3n * HOUR,
    horizonNs: NOON_NS,
    fails: () => false,
    crashed: [crash],
  })
  for (const window of windows) if (intersects(window, crash)) assert.ok(window.toNs - window.fromNs <= HOUR / 2n)
  const tiny = { fromNs: NOON_NS - HOUR, toNs: NOON_NS - HOUR + MS }
  const again = runWorkers({ originNs: NOON_NS - 2n * HOUR, horizonNs: NOON_NS, fails: () => false, crashed: [tiny] })
  assert.deepEqual(
    again.ledger.gaps().map((gap) => [gap.fromNs, gap.toNs, gap.reason]),
    [[tiny.fromNs, tiny.toNs, 'crash']],
  )
})

test('late passes come when their age is reached, oldest first, and one that keeps failing is read afresh in pieces', () => {
  const ledger = createMemoryLedger()
  ledger.setOrigin(NOON_NS - HOUR)
  ledger.done({ fromNs: NOON_NS - HOUR, toNs: NOON_NS - 30n * MINUTE }, { ...RECORD, digest: '5:a' })
  ledger.done({ fromNs: NOON_NS - 30n * MINUTE, toNs: NOON_NS }, RECORD)
  const planner = createPlanner(OPTIONS, ledger, NOON_NS)
  const window = planner.next(NOON_NS, NOON_NS)
  assert.ok(window)
  assert.deepEqual(
    [window.queue, window.pass, window.toNs, window.previous?.digest],
    ['late', 2, NOON_NS - 30n * MINUTE, '5:a'],
  )
  assert.equal(planner.next(NOON_NS, NOON_NS), undefined, 'the other one is too young')
  planner.tooMuch(window, 'timeout', NOON_NS)
  assert.equal(planner.next(NOON_NS, NOON_NS), undefined, 'not at once again')
  for (let times = 1; times < 3; times += 1) {
    const atNs = NOON_NS + BigInt(times) * 10n * MINUTE
    const again = planner.next(atNs, NOON_NS)
    assert.equal(again?.queue, 'late')
    planner.tooMuch(again as PlannedWindow, 'timeout', atNs)
  }
  const piece = planner.next(NOON_NS + 30n * MINUTE, NOON_NS)
  assert.equal(piece?.queue, 'backlog')
  assert.equal(piece?.fromNs, NOON_NS - HOUR)
  assert.ok(piece.toNs - piece.fromNs <= 15n * MINUTE)
})

test('a backfill rests as long as its last window took, by monotonic time, whatever the other clocks do', () => {
  const ledger = createMemoryLedger()
  ledger.setOrigin(NOON_NS)
  let nowMs = 0
  const wanted = { fromNs: NOON_NS - HOUR, toNs: NOON_NS }
  const planner = createPlanner(
    { ...OPTIONS, latePassesNs: [], backfillRange: () => wanted, monotonicMs: () => nowMs },
    ledger,
    NOON_NS,
  )
  for (const [tookMs, restMs] of [
    [6_000, 6_000],
    [60_000, 10_000],
    [0, 0],
  ] as const) {
    const window = planner.next(NOON_NS, NOON_NS)
    assert.equal(window?.queue, 'backfill')
    nowMs += tookMs
    ledger.done(window, RECORD)
    planner.succeeded(window, { toNs: window.toNs, bytes: 8 << 20, pass: 1 }, NOON_NS)
    assert.equal(planner.restMs(), restMs)
    if (restMs > 0) assert.equal(planner.next(NOON_NS + HOUR, NOON_NS), undefined, 'a clock that jumps ends no rest')
    nowMs += restMs
    assert.equal(planner.restMs(), 0)
  }
})
