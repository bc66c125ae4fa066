/** Rows in a database that need not replace what stands (VictoriaMetrics): each is written once, readers are told in time, and a process that is killed
 * costs nothing, because what it left is made from the raw points and the rows that stand. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BEGIN_NS, createTailnet, MINUTE, MINUTES, standing, sumOf } from './world.ts'

const WRITTEN_NS = 16n * MINUTE
const signal = AbortSignal.timeout(600_000)

/** A reader that begins now is given what those before it were told, also of minutes that are not written. Returns how many of these there are. */
async function assertReadsBack(
  { readRows, told, database }: ReturnType<typeof createTailnet>,
  nowNs: bigint,
): Promise<number> {
  const [rows, fromNs] = [readRows(), nowNs - 15n * MINUTE]
  const unwritten = [...told.minutes.keys()].filter((ns) => ns >= fromNs && !database.records.has(ns)).toSorted()
  const found = new Map(unwritten.map((ns) => [ns, { edges: 0, nodes: 0, txBytes: 0n }]))
  await rows.rows(
    'tailnet_edge',
    fromNs,
    nowNs,
    (ns, _, [txBytes = 0n]) => {
      const sum = found.get(ns)
      if (sum === undefined) return
      sum.edges += 1
      sum.txBytes += txBytes
    },
    signal,
  )
  await rows.rows('tailnet_node', fromNs, nowNs, (ns) => found.has(ns) && (found.get(ns)!.nodes += 1), signal)
  for (const ns of unwritten)
    assert.deepEqual(found.get(ns), told.minutes.get(ns), `minute ${(ns - BEGIN_NS) / MINUTE}`)
  const sum = (table: ReadonlyMap<string, readonly bigint[]>) => table.values().reduce((all, [tx = 0n]) => all + tx, 0n)
  const standing = sumOf(database, 'tailnet_edge', fromNs, nowNs)
  const summed = await rows.summed('tailnet_edge', fromNs, nowNs, signal)
  assert.equal(sum(summed), sum(standing) + found.values().reduce((all, { txBytes }) => all + txBytes, 0n))
  const reporting = await rows.reporting(fromNs, nowNs, signal)
  const records = new Set((await rows.minutes(fromNs, nowNs, signal)).map(({ startNs }) => startNs))
  for (const ns of unwritten) {
    assert.equal((reporting.get(ns)?.size ?? 0) > 0, told.minutes.get(ns)!.nodes > 0)
    assert.ok(records.has(ns))
  }
  return unwritten.length
}

for (const everyMinutes of [undefined, 37, 90])
  test(`rows are written once, 16 minutes after their minute; ${everyMinutes === undefined ? 'one process' : `a new process every ${everyMinutes} minutes`}`, async () => {
    const tailnet = createTailnet(3, 'numbers')
    const { clock, database, told, skipped } = tailnet
    await tailnet.begin()
    /** When rows of a minute were seen first, minutes after its begin. */
    const seen = new Map<bigint, number>()
    let waitedMax = 0
    let readsBack = 0
    for (let at = 0; at < MINUTES + 200; at++) {
      const toNs = BEGIN_NS + BigInt(at) * MINUTE
      await clock.advance(Number((toNs - clock.now()) / 1_000_000n))
      tailnet.readSurely({ fromNs: toNs - MINUTE, toNs }, 1)
      if (everyMinutes !== undefined && at % everyMinutes === 0) await tailnet.begin()
      // The loop goes on while something waits.
      for (let i = 0; i < 20; i++) {
        await tailnet.step()
        await clock.advance(2_000)
      }
      for (const [timeNs] of database.records)
        if (!seen.has(timeNs)) seen.set(timeNs, Number((clock.now() - timeNs) / MINUTE))
      // Of the hours after a restart minutes are made from the database, a few in each step.
      if (at > 90 && at < MINUTES && everyMinutes === undefined) {
        const newestNs = tailnet.newest()?.startNs ?? 0n
        assert.ok(toNs - newestNs <= 12n * MINUTE, 'completeness is of a minute that was just made')
      }
      if (at % 5 === 0) readsBack += await assertReadsBack(tailnet, toNs)
      if (at > 3) waitedMax = Math.max(waitedMax, Number((toNs - told.toNs) / MINUTE))
    }
    for (let steps = 0; tailnet.left() > 0; steps++) {
      assert.ok(steps < 3_000, 'the list does not become empty')
      // An hour or a day is over when what was logged after it was read.
      await clock.advance(60_000)
      const toNs = clock.now()
      tailnet.readSurely({ fromNs: toNs - 2n * MINUTE, toNs }, 0)
      await tailnet.step()
    }
    assert.ok(readsBack > 100, `${readsBack} minutes were read back`)
    // Readers do not wait for the writing.
    assert.ok(waitedMax <= 4, `readers were told up to ${waitedMax} minutes before the clock`)
    const withPoints = new Set([...database.raw.values()].map(({ startNs }) => startNs - (startNs % MINUTE)))
    const early = [...withPoints].filter((one) => one >= BEGIN_NS && one < BEGIN_NS + BigInt(MINUTES) * MINUTE)
    assert.ok(early.length > 100)
    for (const minuteNs of early) assert.ok(database.records.has(minuteNs), `minute ${(minuteNs - BEGIN_NS) / MINUTE}`)
    for (const [timeNs, minutes] of seen)
      assert.ok(minutes >= Number(WRITTEN_NS / MINUTE), `${timeNs} was written ${minutes} minutes after its begin`)
    const differing = new Set<bigint>()
    for (const name of ['tailnet_edge', 'tailnet_node']) {
      for (let hour = 0; hour < 5; hour++) {
        const [fromNs, toNs] = [BEGIN_NS + BigInt(hour * 60) * MINUTE, BEGIN_NS + BigInt(hour * 60 + 60) * MINUTE]
        const stands = standing(database.tables.get(`${name}_1h`)?.get(fromNs))
        const sum = sumOf(database, name, fromNs, toNs)
        // A minute of which nothing was known is written when its first record comes, hours later: what stands of its hour stays.
        assert.deepEqual([...stands.keys()].toSorted(), [...sum.keys()].toSorted(), `${name} of hour ${hour}`)
        const differ = [...sum].some(([key, fields]) => String(fields) !== String(stands.get(key)))
        if (differ) differing.add(fromNs)
      }
      const day = standing(database.tables.get(`${name}_1d`)?.get(BEGIN_NS))
      assert.ok(day.size > 0)
      assert.deepEqual(day, sumOf(database, `${name}_1h`, BEGIN_NS, BEGIN_NS + 1440n * MINUTE), `${name} of the day`)
    }
    const counted = skipped.get('written_once') ?? 0
    assert.ok(
      counted >= differing.size,
      `${counted} counted, ${differing.size} hours are not the sums of their minutes`,
    )
    assert.equal(skipped.get('no_queries'), undefined)
  })
