/** Each form of rule, from the traffic of a simulated tailnet to whoever is told: a real Alertmanager (asked what it holds), a real webhook and an
 * ntfy server hear of what crosses the threshold, once, and of its end; of what just does not cross it nobody hears. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { inTime } from '../helpers/eventually.ts'
import { missing } from '../services/servers.ts'
import { createTailnet, type Tailnet } from '../simulator/tailnet.ts'
import { demoPoints, edgePoints } from './demo-truth.ts'
import type { WireAlert } from './moved-alertmanager.ts'
import { rowLines } from './rows.ts'
import { eveningCases, nodeBytesOf, type ToldCases } from './told-cases.ts'
import { ratioCase } from './told-forms.ts'
import { type Heard, heardBy, type Listeners, startListeners, type Where } from './told-listeners.ts'
import type { Evening, ToldCase } from './told-pick.ts'
import { startToldService } from './told-service.ts'
import { type ToldRow, tableOf } from './told-table.ts'
import { MIN } from './world.ts'

const minuteOf = (time: string) => Date.parse(time) / 60_000
const HOUR = 60
const DAY = 24 * HOUR
/** Monday, the last evening of a month. */
const MIDNIGHT = minuteOf('2026-12-01T00:00:00Z')
const TAILNET = { seed: 6, nodes: 40, oldClients: 0, disorder: false }
/** From a full minute to a poll. */
const PHASE_NS = 42_000_000_000n

test('each form is told when it fires and when it is over, and not when it just does not', {
  skip: await missing('alertmanager'),
}, async (t) => {
  const listeners = await startListeners(t)
  const rows: ToldRow[] = []

  await t.test('one evening', async (t) => {
    const evening = { origin: MIDNIGHT - 3 * HOUR, live: MIDNIGHT - 90, last: MIDNIGHT + 61, midnight: MIDNIGHT }
    const tailnet = createTailnet(TAILNET)
    const range = { fromNs: beginOf(evening), toNs: endOf(evening) }
    const points = truthOf(tailnet, [range])
    const edges = edgePoints(rowLines(tailnet, tailnet.truth(range.fromNs, range.toNs, { nowNs: range.toNs })))
    const cases = eveningCases({ tailnet, points, edges }, evening)
    rows.push(...(await tell(t, listeners, { tailnet, evening, cases, stepMinutes: 1 })))
  })

  await t.test('the same hours a day and a week before', async (t) => {
    const evening = {
      origin: MIDNIGHT - 7 * DAY - 2 * HOUR,
      live: MIDNIGHT - 80,
      last: MIDNIGHT + 21,
      midnight: MIDNIGHT,
    }
    const days = [7 * DAY, DAY, 0].map((ago) => ({
      fromNs: BigInt(MIDNIGHT - ago - 2 * HOUR) * MIN,
      toNs: ago === 0 ? endOf(evening) : BigInt(MIDNIGHT - ago) * MIN,
    }))
    const tailnet = loggedOnlyIn(days, createTailnet({ ...TAILNET, nodes: 15 }))
    const minutes = nodeBytesOf({
      tailnet,
      edges: [],
      points: truthOf(
        tailnet,
        days.map(({ fromNs, toNs }) => ({ fromNs: fromNs > beginOf(evening) ? fromNs : beginOf(evening), toNs })),
      ),
    })
    const cases = new Map(
      (['day', 'week'] as const).map((previous) => [
        `ratioToPreviousAbove, ${previous}`,
        ratioCase(evening, previous, minutes),
      ]),
    )
    rows.push(...(await tell(t, listeners, { tailnet, evening, cases, stepMinutes: 5 })))
  })

  for (const line of tableOf(rows)) t.diagnostic(line)
})

interface Range {
  readonly fromNs: bigint
  readonly toNs: bigint
}

const beginOf = ({ origin }: Evening) => BigInt(origin) * MIN + PHASE_NS
const endOf = ({ last }: Evening) => BigInt(last + 2) * MIN

/** What was logged from the begin of reading on. */
function truthOf(tailnet: Tailnet, logged: readonly Range[]) {
  const nowNs = logged.at(-1)!.toNs
  return logged.flatMap(({ fromNs, toNs }) => demoPoints(tailnet, tailnet.truth(fromNs, toNs, { nowNs })))
}

/** Nothing is made for the days between, which would take longer than all the rest. */
function loggedOnlyIn(days: readonly Range[], tailnet: Tailnet): Tailnet {
  return {
    ...tailnet,
    *messages(fromNs, toNs, range) {
      for (const day of days) {
        const begin = fromNs > day.fromNs ? fromNs : day.fromNs
        const end = toNs < day.toNs ? toNs : day.toNs
        if (begin <= end) yield* tailnet.messages(begin, end, range)
      }
    },
  }
}

interface Scenario {
  readonly tailnet: Tailnet
  readonly evening: Evening
  readonly cases: ToldCases
  readonly stepMinutes: number
}

async function tell(
  t: TestContext,
  listeners: Listeners,
  { tailnet, evening, cases, stepMinutes }: Scenario,
): Promise<ToldRow[]> {
  const all = [...cases].map(([form, one]) => {
    assert.ok(one, `${form}: no group of this tailnet does that`)
    return { ...one, form, rule: form.toLowerCase().replace(/[^a-z]+/g, '-') }
  })
  const told = await startToldService(t, listeners, {
    tailnet,
    stepMinutes,
    startNs: BigInt(evening.live) * MIN + PHASE_NS,
    lookback: `${evening.live - evening.origin}m`,
    rules: all.flatMap(({ rule, common, fires, below }) => [
      { name: rule, ...common, ...fires },
      { name: `${rule}-below`, ...common, ...below },
    ]),
  })

  const rows: ToldRow[] = []
  const firing = new Map<string, Omit<ToldRow, 'over'>>()
  for (let judged = 0; judged < evening.last; ) {
    const step = Number((await told.next()) / MIN)
    if (step === judged) continue
    judged = step
    for (const one of all) {
      const { rule, firesAt, endsAt } = one
      if (firesAt === judged) {
        const heard = await hears(listeners, rule, 'firing')
        await assertTold(listeners, one)
        const { rules } = await told.alerting()
        const [own, beside] = [rule, `${rule}-below`].map((other) => rules.find(({ name }) => name === other))
        assert.equal(own?.state, 'firing')
        assert.ok((beside?.series ?? 0) > 0, `${rule}-below watches somebody`)
        const states = await told.states()
        assert.deepEqual([states.get(rule), states.get(`${rule}-below`) === 2], [2, false], rule)
        const judgedAt = told.log.find((line) => line.msg === 'alert fires' && line.rule === rule)?.atMs ?? Number.NaN
        const readAt =
          told.log.findLast(({ msg, atMs }) => msg === 'window done' && atMs < judgedAt)?.atMs ?? Number.NaN
        firing.set(rule, { ...one, heard, readAt, judgedAt })
      }
      if (endsAt === judged) {
        const over = await hears(listeners, rule, 'resolved')
        await assertOver(listeners, one)
        assert.equal((await told.states()).get(rule), 0, rule)
        const row = firing.get(rule)
        assert.ok(row, `${rule} was over before it was told`)
        rows.push({ ...row, over })
      }
    }
  }

  // Everybody heard each of it once, in order, and of nothing else.
  const wanted = all.flatMap(({ rule }) => [`${rule} firing`, `${rule} resolved`])
  for (const [where, heard] of Object.entries(heardBy(listeners))) {
    const mine = heard.map(({ rule, status }) => `${rule} ${status}`).filter((one) => !earlier.has(one))
    assert.deepEqual(mine.toSorted(), wanted.toSorted(), where)
  }
  for (const one of wanted) earlier.add(one)
  const { notifiers } = await told.alerting()
  assert.deepEqual(
    notifiers.map(({ status }) => status),
    ['ok', 'ok', 'ok'],
  )
  return rows
}
/** Told in the part of the test before. */
const earlier = new Set<string>()

/** When everybody has heard. */
async function hears(listeners: Listeners, rule: string, status: string): Promise<Record<Where, Heard>> {
  const found = (where: Where) => heardBy(listeners)[where].find((one) => one.rule === rule && one.status === status)
  const missed = () => (['webhook', 'ntfy', 'Alertmanager', 'behind it'] as const).filter((where) => !found(where))
  await inTime(
    () => `${missed().join(', ')} to hear that ${rule} is ${status}`,
    Promise.all([
      listeners.webhook.until(() => found('webhook') !== undefined),
      listeners.ntfy.until(() => found('ntfy') !== undefined),
      listeners.moved.until(() => found('Alertmanager') !== undefined),
      listeners.behind.until(() => found('behind it') !== undefined),
    ]),
  )
  const [webhook, ntfy, alertmanager, behind] = [
    found('webhook'),
    found('ntfy'),
    found('Alertmanager'),
    found('behind it'),
  ]
  assert.ok(webhook && ntfy && alertmanager && behind)
  return { webhook, ntfy, Alertmanager: alertmanager, 'behind it': behind }
}

/** The same words everywhere, and Alertmanager holds it. */
async function assertTold(listeners: Listeners, { rule, group, firesAt }: ToldCase & { rule: string }): Promise<void> {
  const { labels, annotations, startsAt } = hooked(listeners, rule, 'firing')
  assert.equal(Date.parse(startsAt) / 60_000, firesAt, `${rule}: the step`)
  const ends = [labels['src'], labels['dst']]
  const isAbout =
    Object.values(labels).includes(group) || [ends, ends.toReversed()].some((pair) => pair.join(' to ') === group)
  assert.ok(isAbout, `${rule}: ${JSON.stringify(labels)} is not about ${group}`)
  assert.deepEqual(
    (await listeners.held(rule)).map((one) => [one.labels, one.annotations, one.status.state]),
    [[labels, annotations, 'active']],
  )
  const phone = (await listeners.ntfy.poll(listeners.topic)).filter(({ title }) => title === `${rule} (firing)`)
  assert.deepEqual(
    phone.map(({ message, priority }) => [message, priority]),
    [[`${annotations['summary']} (since ${textOf(firesAt)} UTC)`, 4]],
  )
}

/** Its end is told by everybody, and Alertmanager holds it no more. */
async function assertOver(listeners: Listeners, { rule, firesAt, endsAt }: ToldCase & { rule: string }): Promise<void> {
  const told = hooked(listeners, rule, 'resolved')
  assert.deepEqual(
    [told.startsAt, told.endsAt].map((time) => Date.parse(time) / 60_000),
    [firesAt, endsAt],
    rule,
  )
  assert.deepEqual(told.labels, hooked(listeners, rule, 'firing').labels)
  assert.deepEqual(await listeners.held(rule), [], `${rule} is over, and Alertmanager holds it`)
  const phone = (await listeners.ntfy.poll(listeners.topic)).filter(({ title }) => title === `${rule} (resolved)`)
  assert.equal(phone.length, 1)
  const times = `(since ${textOf(firesAt)} UTC, over at ${textOf(endsAt)} UTC)`
  assert.ok(phone[0]?.message.endsWith(times), `${phone[0]?.message} has not ${times}`)
}

function hooked({ webhook }: Listeners, rule: string, status: string): WireAlert {
  const alerts: (WireAlert & { status: string })[] = webhook.received.flatMap(({ body }) => body.alerts)
  const found = alerts.find((one) => one.labels['alertname'] === rule && one.status === status)
  assert.ok(found, `${rule} ${status}`)
  return found
}

function textOf(minute: number): string {
  return new Date(minute * 60_000).toISOString().slice(0, 16).replace('T', ' ')
}
