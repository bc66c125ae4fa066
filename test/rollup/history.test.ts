/** The rollup through time, against the oracle: windows in any order, records that come late, backfills, a database that fails at any request, processes
 * that are killed at any request, lists that are lost. Whatever happened, in the end each minute has the rows that the rules make of the raw points,
 * and hours and days are their sums. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Interval } from '../../src/ledger/ledger.ts'
import type { RowTable } from '../../src/rollup/rows/row-table.ts'
import { databaseAway } from './memory-database.ts'
import {
  assertDay,
  assertHours,
  assertMinutes,
  BEGIN_NS,
  createTailnet,
  MINUTE,
  MINUTES,
  rowsAt,
  standing,
  sumOf,
  sumsOf,
} from './world.ts'

async function live(seed: number): Promise<void> {
  const tailnet = createTailnet(seed)
  const { random, clock, database } = tailnet
  await tailnet.begin()
  const windows: Interval[] = []
  for (let at = 0; at < MINUTES + 150; at += 1) {
    const fromNs = BEGIN_NS + BigInt(at) * MINUTE
    windows.push({ fromNs: fromNs - MINUTE, toNs: fromNs })
  }
  const loseAt = random.chance(0.4) ? random.int(windows.length) : -1
  while (windows.length > 0) {
    // Mostly in order; sometimes a later one first, as when a backlog is read beside the newest.
    const index = random.chance(0.85) ? 0 : random.int(Math.min(30, windows.length))
    const [window] = windows.splice(index, 1)
    if (window!.toNs > clock.now()) await clock.advance(Number((window!.toNs - clock.now()) / 1_000_000n))
    tailnet.read(window!, 1)
    if (!tailnet.isDone(window!)) windows.unshift(window!)
    if (random.chance(0.7)) await tailnet.work()
    if (random.chance(0.02)) await tailnet.begin()
    if (random.chance(0.03)) {
      // A backfill reads again what was read.
      const fromNs = BEGIN_NS + BigInt(random.int(MINUTES)) * MINUTE
      if (fromNs + 10n * MINUTE < clock.now()) tailnet.read({ fromNs, toNs: fromNs + 10n * MINUTE }, 0)
    }
    if (windows.length === loseAt) await tailnet.loseState(BEGIN_NS)
  }
  for (let steps = 0; tailnet.left() > 0; steps++) {
    assert.ok(steps < 3_000, `seed ${seed}: the list does not become empty`)
    await clock.advance(60_000)
    await tailnet.step()
  }
  assert.equal(tailnet.told.toNs, BEGIN_NS + BigInt(MINUTES + 148) * MINUTE, `seed ${seed}: how far readers were told`)
  assertMinutes(database, { what: `seed ${seed}` })
  for (let at = 0; at < MINUTES; at++) {
    const minuteNs = BEGIN_NS + BigInt(at) * MINUTE
    const told = tailnet.told.minutes.get(minuteNs) ?? { edges: 0, nodes: 0, txBytes: 0n }
    assert.deepEqual(told, sumsOf(database, minuteNs), `seed ${seed}, minute ${at}: what readers were told`)
  }
  assertHours(database, { to: 5, what: `seed ${seed}` })
  assertDay(database, 1440, `seed ${seed}`)
}

const SEEDS = Number(process.env['SEEDS'] ?? 8)
for (let seed = 1; seed <= SEEDS; seed++)
  test(`rows are right whatever happened on the way, seed ${seed}`, () => live(seed))

test('a database that cannot be asked gets each minute and each hour once, when late points have come', async () => {
  const tailnet = createTailnet(1, false)
  const { clock, database } = tailnet
  await tailnet.begin()
  /** By hour: what its minutes were in all when it was written. */
  const sums = new Map<bigint, string>()
  const told = (table: RowTable | undefined) => [...standing(table)].map(String).toSorted().join('\n')
  for (let at = 1; at < MINUTES + 80; at++) {
    const toNs = BEGIN_NS + BigInt(at) * MINUTE
    await clock.advance(Number((toNs - clock.now()) / 1_000_000n))
    tailnet.readSurely({ fromNs: toNs - MINUTE, toNs }, 1)
    await tailnet.step()
    for (const hourNs of database.tables.get('tailnet_edge_1h')?.keys() ?? [])
      if (!sums.has(hourNs)) sums.set(hourNs, told(sumOf(database, 'tailnet_edge', hourNs, hourNs + 60n * MINUTE)))
  }
  const made = [...(database.tables.get('tailnet_edge')?.keys() ?? [])].map((startNs) =>
    Number((startNs - BEGIN_NS) / MINUTE),
  )
  // The first hour is not whole: something logged before the first reading may belong to it.
  assert.ok(Math.min(...made) >= 59 && made.length > 100, `${made.length} minutes from ${Math.min(...made)} on`)
  assert.ok(sums.size >= 2)
  for (const [hourNs, sum] of sums) assert.equal(told(database.tables.get('tailnet_edge_1h')?.get(hourNs)), sum)
})

test('a database that cannot be asked gets each minute and each hour once, also a day later', async () => {
  const tailnet = createTailnet(1, false)
  const { clock, database } = tailnet
  const { write } = database
  const times = new Map<string, number>()
  database.write = async (batch) => {
    for (const line of new TextDecoder().decode(batch.bytes).split('\n')) {
      const [, minute] = /^tailnet_node(?:_1h)?,.* (\d+)$/.exec(line) ?? []
      const key = line.slice(0, line.indexOf(' ')) + minute
      if (minute !== undefined) times.set(key, (times.get(key) ?? 0) + 1)
    }
    return await write(batch)
  }
  await clock.advance(24 * 3_600_000)
  await tailnet.begin()
  for (let at = 0; at < MINUTES; at++) {
    const fromNs = BEGIN_NS + BigInt(at - 1) * MINUTE
    tailnet.readSurely({ fromNs, toNs: fromNs + MINUTE }, 1)
    await tailnet.step()
    await clock.advance(1_000)
  }
  assert.ok(times.size > 100, `${times.size} rows`)
  assert.deepEqual(
    [...times].filter(([, count]) => count > 1),
    [],
  )
})

test('a window with more points than may wait in memory: its minutes are made from the database', async () => {
  const tailnet = createTailnet(3)
  const { clock, database, messages } = tailnet
  const burstNs = BEGIN_NS + 90n * MINUTE
  const [sample] = messages
    .flatMap(({ points }) => points)
    .filter(({ kind, node }) => kind === 'virtual' && node === 'nA')
  for (let i = 0; i < 280; i++) {
    const startNs = burstNs + BigInt(i) * 200_000_000n
    const points = Array.from({ length: 1_000 }, (_, srcPort) => ({ ...sample!, startNs, srcPort }))
    messages.push({ loggedNs: startNs + 5_000_000_000n, points })
  }
  let asked = 0
  const { rawPoints } = database
  database.rawPoints = (startNs, ...others) => {
    if (startNs === burstNs) asked += 1
    return rawPoints(startNs, ...others)
  }
  await tailnet.begin()
  // Two windows: the one with the burst, and what was logged after it.
  for (const [fromNs, toNs] of [
    [BEGIN_NS - MINUTE, burstNs + 3n * MINUTE],
    [burstNs + 3n * MINUTE, BEGIN_NS + BigInt(MINUTES + 150) * MINUTE],
  ] as const) {
    await clock.advance(Number((toNs - clock.now()) / 1_000_000n))
    tailnet.readSurely({ fromNs, toNs }, 1)
    await tailnet.step()
  }
  for (let steps = 0; tailnet.left() > 0; steps++) {
    assert.ok(steps < 3_000, 'the list does not become empty')
    await clock.advance(60_000)
    await tailnet.step()
  }
  assert.ok(asked > 0, 'the minute of the burst is made from the database')
  assertMinutes(database, { step: 10 })
})

test('minutes before the first reading, of which records that come late have points, get the rows of these points', async () => {
  const begin = 100
  const tailnet = createTailnet(2, true, BEGIN_NS + BigInt(begin) * MINUTE)
  const { clock, database } = tailnet
  await tailnet.begin()
  for (let at = begin; at < MINUTES + 150; at++) {
    const fromNs = BEGIN_NS + BigInt(at) * MINUTE
    await clock.advance(Number((fromNs + MINUTE - clock.now()) / 1_000_000n))
    tailnet.readSurely({ fromNs, toNs: fromNs + MINUTE }, 1)
    await tailnet.step()
  }
  for (let steps = 0; tailnet.left() > 0; steps++) {
    assert.ok(steps < 3_000, 'the list does not become empty')
    await clock.advance(60_000)
    await tailnet.step()
  }
  assertMinutes(database)
  const early = Array.from({ length: begin }, (_, at) => rowsAt(database, BEGIN_NS + BigInt(at) * MINUTE)).filter(
    ({ nodes }) => nodes.length > 0,
  ).length
  assert.ok(early >= 5, `${early} minutes before the first reading have rows`)
})

test('rows that stand outlive their raw points, also under a backfill of what is left of them', async () => {
  const tailnet = createTailnet(2)
  const { clock, database } = tailnet
  await tailnet.begin()
  for (let at = 1; at < 100; at++) {
    const toNs = BEGIN_NS + BigInt(at) * MINUTE
    await clock.advance(Number((toNs - clock.now()) / 1_000_000n))
    tailnet.readSurely({ fromNs: toNs - MINUTE, toNs }, 1)
    await tailnet.step()
  }
  const told = () =>
    JSON.stringify(
      [...(database.tables.get('tailnet_edge') ?? [])].map(([ns, rows]) => [`${ns}`, [...rows].map(String)]),
    )
  for (let steps = 0; steps < 60; steps++) {
    await clock.advance(60_000)
    await tailnet.step()
  }
  const before = told()
  // Half of the raw points are beyond their retention now.
  for (const [index, key] of [...database.raw.keys()].entries()) if (index % 2 === 0) database.raw.delete(key)
  await tailnet.begin()
  tailnet.mustAll(BEGIN_NS, 90)
  for (let steps = 0; steps < 400; steps++) {
    await clock.advance(60_000)
    await tailnet.step()
  }
  assert.equal(told(), before)
})

test('a minute whose rows could not be written has no tailflux_minute, and stays on the list', async () => {
  const tailnet = createTailnet(3)
  const { clock, database } = tailnet
  await tailnet.begin()
  for (let at = 1; at < 70; at++) {
    const toNs = BEGIN_NS + BigInt(at) * MINUTE
    await clock.advance(Number((toNs - clock.now()) / 1_000_000n))
    tailnet.readSurely({ fromNs: toNs - MINUTE, toNs }, 1)
    database.onRequest = (what) => {
      if (what === 'write minutes') throw databaseAway()
    }
    await assert.rejects(
      tailnet.step().then(() => Promise.reject(databaseAway())),
      { code: 'db_unavailable' },
    )
  }
  assert.equal(database.records.size, 0)
  assert.ok(tailnet.left() > 50)
})
