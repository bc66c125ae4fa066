/** After a crash alerts know nothing of what they had not saved. They take no receipt back for it: what fires keeps firing, nothing fires for
 * want of data, both until the late pass brings the rest or a whole window was read again. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { keptLog } from '../helpers/silent.ts'
import { createWorld, MIN, SEC, T0, type Traffic } from './world.ts'

/** The clock stands still, so nothing is saved but with what begins or ends. */
async function begin(t: TestContext, rule: Record<string, unknown>) {
  const { log, entries } = keptLog()
  const world = await createWorld({ settings: { rules: [{ name: 'rule', ...rule }] }, log })
  t.after(() => world.close())
  let at = 0
  /** Twice: a round may be under way that began before. */
  const judge = async () => [...(await world.judge()), ...(await world.judge())]
  const talk: Traffic[] = []
  return {
    world,
    entries,
    /** Reads up to minute `to`; in each minute nA sends so many bytes. */
    async minutes(to: number, bytes: number) {
      const states: string[] = []
      for (; at < to; at += 1) {
        const fromNs = T0 + BigInt(at) * MIN
        const messages = bytes === 0 ? [] : [{ node: 'nA', start: fromNs + 30n * SEC, tx: bytes }]
        talk.push(...messages)
        world.read({ fromNs, toNs: fromNs + MIN }, messages)
        for (const { is } of await judge()) states.push(`${at + 1} ${is}`)
      }
      return states
    },
    state: () => world.alerts.status().rules[0]?.state,
    async latePass() {
      const toNs = T0 + BigInt(at) * MIN
      world.read({ fromNs: T0, toNs, pass: 2, queue: 'late' }, talk)
      return (await judge()).map(({ is, mark }) => `${is} at ${Number((mark.atNs - T0) / MIN)}`)
    },
  }
}

test('receipts are the pipeline’s: a crash changes nothing in the ledger, and is told', async (t) => {
  const { world, minutes, entries, latePass } = await begin(t, { above: '1MB', window: '5m' })
  await minutes(20, 100)
  const before = [world.ledger.settled(), world.ledger.watermarkNs()]
  await world.restart('killed')
  assert.deepEqual([world.ledger.settled(), world.ledger.watermarkNs()], before)
  assert.equal(world.alerts.status().unsavedSeconds, 20 * 60)
  const told = entries.filter(({ level }) => level === 40)
  assert.deepEqual(
    told.map(({ msg }) => msg.replace(/:.*/, '')),
    ['alerts ended without saving and restart'],
  )
  await latePass()
  assert.equal(world.alerts.status().unsavedSeconds, 0)
  // In order: nothing to tell.
  await world.restart('stopped')
  assert.equal(entries.filter(({ level }) => level === 40).length, 1)
})

test('what fires keeps firing until its whole window was read again', async (t) => {
  const { world, minutes, state } = await begin(t, { above: '300kB', window: '5m' })
  assert.deepEqual(await minutes(10, 300_000), ['3 firing'])
  // Quiet for three minutes, of which nothing is saved.
  assert.deepEqual(await minutes(13, 0), [])
  await world.restart('killed')
  assert.equal(state(), 'firing')
  // The lost minutes are in the window until 18, and half a minute of grace more.
  assert.deepEqual(await minutes(18, 0), [])
  assert.equal(state(), 'firing')
  assert.deepEqual(await minutes(21, 0), ['19 resolved'])
})

test('nobody is silent for want of data: absence waits for a whole window', async (t) => {
  const { world, minutes, state, latePass } = await begin(t, { silentFor: '5m', within: '2h', kind: 'virtual' })
  await minutes(4, 100)
  await world.restart('stopped')
  // It goes on talking, and nothing of it is saved.
  await minutes(12, 100)
  await world.restart('killed')
  assert.deepEqual(await minutes(17, 0), [])
  assert.equal(state(), 'inactive')
  assert.deepEqual(await minutes(18, 0), ['18 firing'])
  assert.deepEqual(await latePass(), [], 'what the late pass brings changes nothing: it fell silent at 12')
})

test('the late pass brings what a crash took, as if it had been there in time', async (t) => {
  const { world, minutes, latePass } = await begin(t, { above: '1MB', window: '5m', for: '2m' })
  await minutes(4, 100)
  await world.restart('stopped')
  assert.deepEqual(await minutes(9, 300_000), [])
  await world.restart('killed')
  assert.deepEqual(await minutes(20, 0), [])
  assert.deepEqual(await latePass(), ['firing at 10', 'resolved at 11'])
})

test('`for` begins anew after time that nobody knows', async (t) => {
  const { world, minutes } = await begin(t, { above: '1MB', window: '1m', for: '5m' })
  await minutes(5, 2_000_000)
  await world.restart('stopped')
  await minutes(7, 0)
  await world.restart('killed')
  assert.deepEqual(await minutes(12, 2_000_000), [], 'it was quiet in between, though nobody knows')
  assert.deepEqual(await minutes(14, 2_000_000), ['14 firing'])
})
