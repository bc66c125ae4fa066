/** A history that is read a day later, faster than it was: the newest records beside the backlog, windows of any length, several at once. Where rows can be
 * corrected they are in the end what the rules make of the raw points. Where each row is written once it is right at once, because a minute, an hour and a
 * day wait for what was logged up to 16 minutes after them, as they do when everything is read in time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Interval } from '../../src/ledger/ledger.ts'
import { databaseAway } from './memory-database.ts'
import {
  assertDay,
  assertHours,
  assertMinutes,
  BEGIN_NS,
  createTailnet,
  MINUTE,
  MINUTES,
  standing,
  sumOf,
  sumsOf,
} from './world.ts'

const DAY_MINUTES = 1440
/** What comes later than this is not waited for where rows are written once. */
const LATE_SECONDS = 14 * 60
/** Everything until 30 minutes after the day is over, by which time the day is written. */
const READ_MINUTES = DAY_MINUTES + 30
/** Without queries the rows of the first hour are never made: something that was logged before belongs to it. The next one may not be whole. */
const FIRST_HOUR = { true: 0, numbers: 0, false: 1 } as const

type Answers = true | 'numbers' | false
type Random = ReturnType<typeof createTailnet>['random']

/** The whole range, cut into windows, in the order in which they are done: the newest piece in between, neighbours the wrong way round. */
function windowsOf(random: Random): Interval[] {
  const at = (minutes: number) => BEGIN_NS + BigInt(minutes) * MINUTE
  const backlog: Interval[] = []
  const ofSize = random.pick([3, 30, 200])
  for (let from = -1; from < READ_MINUTES - 60; ) {
    const to = Math.min(READ_MINUTES - 60, from + 1 + random.int(ofSize))
    backlog.push({ fromNs: at(from), toNs: at(to) })
    from = to
  }
  for (let i = 1; i < backlog.length; i++)
    if (random.chance(0.2)) [backlog[i - 1], backlog[i]] = [backlog[i]!, backlog[i - 1]!]
  const live = Array.from({ length: 20 }, (_, i) => ({
    fromNs: at(READ_MINUTES - 60 + i * 3),
    toNs: at(READ_MINUTES - 57 + i * 3),
  }))
  const all: Interval[] = []
  const every = Math.max(1, Math.floor(backlog.length / live.length))
  for (const [i, window] of backlog.entries()) {
    if (i % every === 0) all.push(...live.splice(0, 1))
    all.push(window)
  }
  return [...all, ...live]
}

async function caughtUp(seed: number, answers: Answers, isKilled: boolean): Promise<void> {
  const tailnet = createTailnet(seed, answers, BEGIN_NS - MINUTE, LATE_SECONDS)
  const { random, clock, database, messages } = tailnet
  // Of two messages of one node and one moment only the database knows what became of them.
  const known = new Map(messages.map((one) => [`${one.points[0]?.node} ${one.points[0]?.startNs}`, one]))
  messages.splice(0, messages.length, ...known.values())
  await clock.advance((READ_MINUTES + 2) * 60_000)
  await tailnet.begin()
  for (const window of windowsOf(random)) {
    do tailnet.read(window, 1)
    while (!tailnet.isDone(window))
    if (random.chance(0.3)) continue
    if (isKilled) await tailnet.work()
    else await tailnet.step()
    if (isKilled && random.chance(0.1)) await tailnet.begin()
    await clock.advance(random.int(40_000))
  }
  for (let steps = 0; tailnet.left() > 0; steps++) {
    assert.ok(steps < 5_000, `the list does not become empty: ${tailnet.left()}`)
    await clock.advance(20_000)
    await tailnet.step()
  }
  for (let at = FIRST_HOUR[`${answers}`] * 60; at < MINUTES; at++) {
    const minuteNs = BEGIN_NS + BigInt(at) * MINUTE
    if (!tailnet.told.taken.has(minuteNs)) continue
    const { edges, nodes, txBytes } = tailnet.told.taken.get(minuteNs) ?? { edges: 0, nodes: 0, txBytes: 0n }
    assert.deepEqual({ edges, nodes, txBytes }, sumsOf(database, minuteNs), `minute ${at}, an hour later`)
  }
  const first = FIRST_HOUR[`${answers}`]
  const made = assertMinutes(database, { from: first * 60 })
  assert.ok(made > 100)
  assertHours(database, { from: first * 2, to: 4 })
  if (answers !== false) assertDay(database, DAY_MINUTES)
}

const SEEDS = Number(process.env['SEEDS'] ?? 3)
const KINDS = { true: 'any database', numbers: 'a database where rows are written once', false: 'one without queries' }
for (const answers of [true, 'numbers', false] as const)
  for (let seed = 1; seed <= SEEDS; seed++) {
    test(`a day that is read a day later has its rows in ${KINDS[`${answers}`]}, seed ${seed}`, () =>
      caughtUp(seed, answers, false))
    if (answers === false) continue
    test(`the same when processes are killed on the way, in ${KINDS[`${answers}`]}, seed ${seed}`, () =>
      caughtUp(seed, answers, true))
  }

test('what came within the hour is told before readers are an hour further, however fast hours are read', async () => {
  const tailnet = createTailnet(4, true, BEGIN_NS - MINUTE, 40 * 60)
  const { clock, told } = tailnet
  await clock.advance(DAY_MINUTES * 60_000)
  await tailnet.begin()
  /** How far readers were told when a minute was told last. */
  const toldAt = new Map<bigint, bigint>()
  const { set } = told.minutes
  told.minutes.set = function (startNs, sum) {
    toldAt.set(startNs, told.toNs)
    return set.call(this, startNs, sum)
  }
  for (let from = -1; from < MINUTES + 60; from += 15) {
    const fromNs = BEGIN_NS + BigInt(from) * MINUTE
    tailnet.readSurely({ fromNs, toNs: fromNs + 15n * MINUTE }, 1)
    await tailnet.step()
    await clock.advance(1_000)
  }
  for (let steps = 0; tailnet.left() > 0; steps++) {
    assert.ok(steps < 3_000, 'the list does not become empty')
    await clock.advance(60_000)
    await tailnet.step()
  }
  // The first hour is made from the database, where each minute waits for its turn.
  const late = [...toldAt].filter(([startNs, toNs]) => toNs - startNs > 60n * MINUTE)
  assert.deepEqual(
    late.map(([startNs, toNs]) => [Number((startNs - BEGIN_NS) / MINUTE), Number((toNs - startNs) / MINUTE)]),
    [],
  )
  assert.ok(toldAt.size > 100)
})

test('an hour that could not be written is written when the database takes it, also where it has no queries', async () => {
  const tailnet = createTailnet(5, false, BEGIN_NS - MINUTE, LATE_SECONDS)
  const { clock, database } = tailnet
  await tailnet.begin()
  let refused = 0
  for (let at = 0; at < MINUTES + 80; at++) {
    const toNs = BEGIN_NS + BigInt(at) * MINUTE
    await clock.advance(Number((toNs - clock.now()) / 1_000_000n))
    tailnet.readSurely({ fromNs: toNs - MINUTE, toNs }, 1)
    // The first request after each whole hour and a bit is that of the hour, or one of a minute: either fails once.
    database.onRequest = (what) => {
      if (what !== 'write main' || at % 60 < 15 || refused > at / 60 + 20) return
      refused += 1
      throw databaseAway()
    }
    await tailnet.step().catch(() => undefined)
    database.onRequest = () => undefined
    await tailnet.step()
  }
  assert.ok(refused > 3)
  for (const name of ['tailnet_edge', 'tailnet_node'])
    for (let hour = 1; hour < 4; hour++) {
      const fromNs = BEGIN_NS + BigInt(hour * 60) * MINUTE
      const stands = standing(database.tables.get(`${name}_1h`)?.get(fromNs))
      assert.deepEqual(stands, sumOf(database, name, fromNs, fromNs + 60n * MINUTE), `${name} of hour ${hour}`)
    }
})

test('a row that is written once stays as it is when the writing of its minute failed half-way', async () => {
  const tailnet = createTailnet(6, 'numbers', BEGIN_NS - MINUTE, LATE_SECONDS)
  const { clock, database } = tailnet
  await tailnet.begin()
  for (let at = 0; at < MINUTES + 30; at++) {
    const toNs = BEGIN_NS + BigInt(at) * MINUTE
    await clock.advance(Number((toNs - clock.now()) / 1_000_000n))
    // What is read between the failure and the next attempt is late, and changes sums.
    tailnet.readSurely({ fromNs: toNs - MINUTE, toNs }, 1)
    let isFailing = true
    database.onRequest = (what) => {
      if (!isFailing || what !== 'written minutes') return
      isFailing = false
      throw databaseAway()
    }
    await tailnet.step().catch((error: { code?: string }) => assert.equal(error.code, 'db_unavailable'))
    if (at > 30) tailnet.addLate(toNs - 17n * MINUTE)
    database.onRequest = () => undefined
    await clock.advance(10_000)
    await tailnet.step()
  }
})

test('a clock that was behind when the service started costs no rows', async () => {
  const tailnet = createTailnet(7, true, BEGIN_NS - MINUTE, LATE_SECONDS)
  const { clock, database } = tailnet
  await tailnet.begin()
  for (let at = 0; at < MINUTES + 60; at++) {
    const toNs = BEGIN_NS + BigInt(at) * MINUTE
    await clock.advance(Number((toNs - clock.now()) / 1_000_000n))
    tailnet.readSurely({ fromNs: toNs - MINUTE, toNs }, 1)
    if (at === 150) {
      clock.jump(-5 * 3_600_000)
      await tailnet.begin()
      await tailnet.step()
      clock.jump(5 * 3_600_000)
    }
    await tailnet.step()
  }
  for (let steps = 0; tailnet.left() > 0; steps++) {
    assert.ok(steps < 3_000, 'the list does not become empty')
    await clock.advance(60_000)
    await tailnet.step()
  }
  assertMinutes(database)
  assertHours(database, { to: 4 })
})

test('an hour is written also when the process was killed after the only minute that it has', async () => {
  const tailnet = createTailnet(8, 'numbers')
  const { clock, database, messages } = tailnet
  const only = messages.find(({ points: [point] }) => point?.kind === 'virtual')!
  messages.splice(0, messages.length, only)
  await tailnet.begin()
  let kills = 0
  for (let at = 0; at < 300; at++) {
    const toNs = BEGIN_NS + BigInt(at) * MINUTE
    await clock.advance(Number((toNs - clock.now()) / 1_000_000n))
    tailnet.readSurely({ fromNs: toNs - MINUTE, toNs }, 1)
    database.onRequest = (what) => {
      if (what !== 'written main' || database.records.size === 0 || kills > 0) return
      kills += 1
      throw databaseAway()
    }
    for (let i = 0; i < 4; i++) {
      const before = kills
      await tailnet.step().catch(() => undefined)
      if (kills > before) await tailnet.begin()
      await clock.advance(12_000)
    }
  }
  assert.equal(kills, 1)
  const [[minuteNs]] = [...database.tables.get('tailnet_node')!] as [[bigint, unknown]]
  const hourNs = minuteNs - (minuteNs % (60n * MINUTE))
  const hour = standing(database.tables.get('tailnet_node_1h')?.get(hourNs))
  assert.deepEqual(hour, sumOf(database, 'tailnet_node', hourNs, hourNs + 60n * MINUTE))
})

test('readers are told no end before the minutes that a process which was killed had read', async () => {
  const tailnet = createTailnet(9, true, BEGIN_NS - MINUTE, 60)
  const { clock, told } = tailnet
  await clock.advance(DAY_MINUTES * 60_000)
  await tailnet.begin()
  tailnet.readSurely({ fromNs: BEGIN_NS - MINUTE, toNs: BEGIN_NS + BigInt(MINUTES + 3) * MINUTE }, 1)
  await tailnet.begin()
  for (let steps = 0; tailnet.left() > 0; steps++) {
    assert.ok(steps < 3_000, 'the list does not become empty')
    await clock.advance(10_000)
    await tailnet.step()
    const unknown = [...tailnet.rawMinutes()].filter((one) => one < told.toNs && !told.minutes.has(one))
    assert.deepEqual(unknown, [], `readers were told everything before ${told.toNs}`)
  }
  assert.equal(told.toNs, BEGIN_NS + BigInt(MINUTES + 2) * MINUTE)
})

test('a backfill of what lies before the origin has its rows where each is written once', async () => {
  for (const answers of [true, 'numbers'] as const) {
    const origin = MINUTES - 20
    const tailnet = createTailnet(10, answers, BEGIN_NS + BigInt(origin) * MINUTE, LATE_SECONDS)
    const { random, clock, database } = tailnet
    await clock.advance((MINUTES + 180) * 60_000)
    await tailnet.begin()
    const at = (minutes: number) => BEGIN_NS + BigInt(minutes) * MINUTE
    for (let from = origin; from < MINUTES + 90; from += 10) {
      tailnet.readSurely({ fromNs: at(from), toNs: at(from + 10) }, 1)
      await tailnet.step()
    }
    for (let from = -1; from < origin; ) {
      const to = Math.min(origin, from + 1 + random.int(12))
      tailnet.readSurely({ fromNs: at(from), toNs: at(to) }, 1)
      from = to
      for (let i = 0; i < 6; i++) {
        await clock.advance(10_000)
        await tailnet.step()
      }
    }
    for (let steps = 0; steps < 800; steps++) {
      await clock.advance(20_000)
      await tailnet.step()
    }
    // What lies around the origin was made before the backfill.
    assertMinutes(database, { to: origin - 30, what: String(answers) })
    assertHours(database, { to: 2, what: String(answers) })
  }
})

test('a database that lost its rows has them again when all of it is read again', async () => {
  for (const answers of [true, 'numbers'] as const) {
    const tailnet = createTailnet(11, answers, BEGIN_NS - MINUTE, LATE_SECONDS)
    const { clock, database } = tailnet
    await tailnet.begin()
    const end = MINUTES + 80
    for (let at = 0; at < end; at++) {
      const toNs = BEGIN_NS + BigInt(at) * MINUTE
      await clock.advance(Number((toNs - clock.now()) / 1_000_000n))
      tailnet.readSurely({ fromNs: toNs - MINUTE, toNs }, 1)
      await tailnet.step()
    }
    for (const kept of [database.raw, database.tables, database.records]) kept.clear()
    tailnet.forget({ fromNs: BEGIN_NS - MINUTE, toNs: BEGIN_NS + BigInt(end - 1) * MINUTE })
    for (let from = -1; from < end - 1; from += 10) {
      const fromNs = BEGIN_NS + BigInt(from) * MINUTE
      tailnet.readSurely({ fromNs, toNs: fromNs + 10n * MINUTE }, 1)
      await tailnet.step()
      await clock.advance(5_000)
    }
    for (let at = end + 10; at < end + 200; at++) {
      const toNs = BEGIN_NS + BigInt(at) * MINUTE
      if (toNs > clock.now()) await clock.advance(Number((toNs - clock.now()) / 1_000_000n))
      tailnet.readSurely({ fromNs: toNs - 15n * MINUTE, toNs }, 0)
      for (let i = 0; i < 5; i++) {
        await tailnet.step()
        await clock.advance(6_000)
      }
    }
    assertMinutes(database, { what: String(answers) })
    assertHours(database, { to: 4, what: String(answers) })
  }
})

test('a wall clock that jumps back and forth changes no rows', async () => {
  for (const answers of [true, 'numbers', false] as const) {
    const tailnet = createTailnet(12, answers, BEGIN_NS - MINUTE, LATE_SECONDS)
    const { random, clock, database, messages } = tailnet
    const known = new Map(messages.map((one) => [`${one.points[0]?.node} ${one.points[0]?.startNs}`, one]))
    messages.splice(0, messages.length, ...known.values())
    await tailnet.begin()
    let offMs = 0
    for (let at = 0; at < MINUTES + 120; at++) {
      await clock.advance(60_000)
      const toNs = BEGIN_NS + BigInt(at) * MINUTE
      tailnet.readSurely({ fromNs: toNs - MINUTE, toNs }, 1)
      await tailnet.step()
      if (!random.chance(0.1)) continue
      const nextMs = offMs === 0 ? random.pick([-1, 1]) * random.pick([3_600_000, 86_400_000]) : 0
      clock.jump(nextMs - offMs)
      offMs = nextMs
      await tailnet.step()
    }
    clock.jump(-offMs)
    for (let steps = 0; steps < 300; steps++) {
      await clock.advance(20_000)
      await tailnet.step()
    }
    assertMinutes(database, { from: answers === false ? 60 : 0, what: String(answers) })
    assertHours(database, { from: answers === false ? 2 : 0, to: 3, what: String(answers) })
  }
})

test('a minute of which the database took the record and did not say so is told, and its hour is summed again', async () => {
  const tailnet = createTailnet(13)
  const { clock, database, messages, told } = tailnet
  // It is made from the database: what was logged in the hour before was not read here.
  const only = messages.find(({ points: [point] }) => point!.startNs < BEGIN_NS + 40n * MINUTE)!
  messages.splice(0, messages.length, only)
  const minuteNs = only.points[0]!.startNs - (only.points[0]!.startNs % MINUTE)
  await tailnet.begin()
  let points = 0
  let failures = 0
  for (let at = 0; at < 200; at++) {
    const toNs = BEGIN_NS + BigInt(at) * MINUTE
    await clock.advance(Number((toNs - clock.now()) / 1_000_000n))
    tailnet.readSurely({ fromNs: toNs - MINUTE, toNs }, 1)
    if (toNs === minuteNs + 15n * MINUTE) {
      points = database.records.get(minuteNs)?.points ?? 0
      tailnet.addLate(minuteNs)
    }
    database.onRequest = (what) => {
      if (what !== 'written main' || points === 0 || database.records.get(minuteNs)?.points === points) return
      if (failures++ === 0) throw databaseAway()
    }
    for (let i = 0; i < 5; i++) {
      await tailnet.step().catch((error: { code?: string }) => assert.equal(error.code, 'db_unavailable'))
      await clock.advance(6_000)
    }
  }
  assert.ok(failures > 0)
  assert.deepEqual(told.minutes.get(minuteNs), sumsOf(database, minuteNs))
  const hour = standing(database.tables.get('tailnet_edge_1h')?.get(BEGIN_NS))
  assert.deepEqual(hour, sumOf(database, 'tailnet_edge', BEGIN_NS, BEGIN_NS + 60n * MINUTE))
})

test('which nodes are connected now says nothing about a minute of yesterday', async () => {
  for (const answers of [true, 'numbers'] as const) {
    const tailnet = createTailnet(15, answers, BEGIN_NS - MINUTE, LATE_SECONDS)
    const { clock, database } = tailnet
    const { write } = database
    const lines: string[] = []
    database.write = async (batch) => {
      lines.push(...new TextDecoder().decode(batch.bytes).split('\n'))
      return await write(batch)
    }
    await clock.advance(DAY_MINUTES * 60_000)
    await tailnet.begin()
    for (let from = -1; from < MINUTES + 30; from += 15) {
      const fromNs = BEGIN_NS + BigInt(from) * MINUTE
      tailnet.readSurely({ fromNs, toNs: fromNs + 15n * MINUTE }, 1)
      await tailnet.step()
      await clock.advance(1_000)
    }
    const records = lines.filter((line) => line.startsWith('tailflux_minute,'))
    assert.ok(records.length > 50)
    assert.deepEqual(
      records.filter((line) => line.includes('nodes=')),
      [],
    )
    assert.equal(tailnet.newest(), undefined)
  }
})

test('a minute is no gap any more when its gap was read, also when there was nothing in it', async () => {
  for (const isKilled of [false, true]) {
    const tailnet = createTailnet(16, true, BEGIN_NS - MINUTE, 30)
    const { clock, database, messages, told } = tailnet
    const gap = { fromNs: BEGIN_NS + 100n * MINUTE + 20_000_000_001n, toNs: BEGIN_NS + 100n * MINUTE + 20_999_999_999n }
    const isIn = (ns: bigint) => ns >= gap.fromNs && ns <= gap.toNs
    assert.ok(!messages.some(({ loggedNs }) => isIn(loggedNs)))
    await tailnet.begin()
    for (let at = 0; at < 160; at++) {
      const toNs = BEGIN_NS + BigInt(at) * MINUTE
      await clock.advance(Number((toNs - clock.now()) / 1_000_000n))
      if (at === 101) {
        tailnet.openGap(gap)
        tailnet.readSurely({ fromNs: toNs - MINUTE, toNs: gap.fromNs }, 1)
        tailnet.readSurely({ fromNs: gap.toNs, toNs }, 1)
      } else tailnet.readSurely({ fromNs: toNs - MINUTE, toNs }, 1)
      if (at === 120 && isKilled) await tailnet.begin()
      if (at === 130) {
        assert.deepEqual(
          gapsOf(),
          [99, 100].filter((minute) => database.records.has(BEGIN_NS + BigInt(minute) * MINUTE)),
        )
        assert.ok(gapsOf().length > 0)
        tailnet.readSurely(gap, 1)
      }
      for (let i = 0; i < 5; i++) {
        await tailnet.step()
        await clock.advance(6_000)
      }
    }
    assert.deepEqual(gapsOf(), [], `${isKilled}`)
    assert.ok(told.toNs > gap.toNs)

    function gapsOf(): number[] {
      const records = [...database.records.values()].filter((one) => one.isGap)
      return records.map(({ startNs }) => Number((startNs - BEGIN_NS) / MINUTE)).toSorted((one, other) => one - other)
    }
  }
})
