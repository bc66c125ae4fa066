/** Alerts on a real VictoriaMetrics, where rows are written 16 minutes after their minute: the whole service lives through some hours of a simulated
 * tailnet in three processes. What is notified is what a naive evaluation of the simulation's own records says, each of it once. */
import assert from 'node:assert/strict'
import { cpSync } from 'node:fs'
import { test } from 'node:test'
import { formatAmount } from '../../src/alerts/amount.ts'
import { partsOfLine } from '../../src/sink/line-protocol/line-parts.ts'
import { KINDS } from '../../src/source/parse/message.ts'
import { type Scene, sceneOf, startJourney } from '../line/journey.ts'
import { missing } from '../services/servers.ts'
import { startVictoriaMetrics, type VictoriaMetrics } from '../services/victoria-metrics.ts'
import { HOUR, MINUTE, NOON } from '../simulator/ranges.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { both, type DemoPoint, demoPoints, edgePoints, field, type Minutes, minutesOf, tag } from './demo-truth.ts'
import { type Receiver, startReceiver } from './receiver.ts'
import { rowLines } from './rows.ts'
import { type Spell, spellsOf } from './told-pick.ts'

const tailnet = createTailnet({ seed: 6, nodes: 8, oldClients: 0, disorder: false })
/** Sunday evening, of which only rows of a day remain, and Monday. */
const SUNDAY = { fromNs: NOON - 14n * HOUR, toNs: NOON - 14n * HOUR + 15n * MINUTE }
const END = NOON + 125n * MINUTE
const MONDAY = { fromNs: NOON - 210n * MINUTE, toNs: END }
const minuteOf = (ns: bigint) => Number(ns / MINUTE)
const NOW = minuteOf(NOON)
/** Reading begins on Sunday at 21:00. */
const ORIGIN = NOW - 15 * 60
const EVENING = { origin: ORIGIN, live: NOW, last: minuteOf(END) + 5, midnight: minuteOf(NOON - 12n * HOUR) }
/** When a process ends, and another one begins. */
const STOPPED = NOW + 40
const STARTED = NOW + 50
const KILLED = NOW + 75

/** No process evaluates this minute in time. */
const isAway = (minute: number) => minute > STOPPED - 3 && minute < STARTED + 3

const scene = joined(sceneOf(tailnet, SUNDAY.toNs, SUNDAY.fromNs), sceneOf(tailnet, MONDAY.toNs, MONDAY.fromNs))
const truth = scene.messages
  .flatMap((one) => one.points())
  .toSorted((one, other) => Number(one.timestampNs - other.timestampNs))
const points = demoPoints(tailnet, truth)
const lines = rowLines(tailnet, truth)

const messages = (kind: string) =>
  points.filter(({ measurement, tags }) => measurement === 'message' && tags['kind'] === kind)
const pairOf = ({ tags }: DemoPoint) => `${tags['src_name']} to ${tags['dst_name']}`
const NODES = sumsOf(minutesOf(messages('virtual'), tag('node'), field('tx_bytes')))
const EDGES = edgePoints(lines)
const PAIRS = sumsOf(minutesOf(EDGES, pairOf, both))

/** One rule, and what it compares: written naively. */
interface Case {
  readonly name: string
  readonly sums: ReadonlyMap<string, Float64Array>
  /** Minutes; 0: since the month began. */
  readonly window: number
  readonly step: number
  readonly settings: (threshold: number) => object
}

const CASES: readonly Case[] = [
  { name: 'short', sums: NODES, window: 10, step: 1, settings: (b) => ({ above: `${b}B`, window: '10m' }) },
  { name: 'hours', sums: NODES, window: 180, step: 1, settings: (b) => ({ above: `${b}B`, window: '3h' }) },
  { name: 'long', sums: NODES, window: 840, step: 5, settings: (b) => ({ above: `${b}B`, window: '14h' }) },
  { name: 'pair', sums: PAIRS, window: 120, step: 1, settings: (b) => ({ by: 'pair', above: `${b}B`, window: '2h' }) },
  { name: 'quota', sums: NODES, window: 0, step: 60, settings: (b) => ({ quotaAbove: `${b}B`, per: 'month' }) },
]

/** By group: what it had before each minute since reading began. */
function sumsOf(minutes: Minutes): ReadonlyMap<string, Float64Array> {
  return new Map(
    [...minutes].map(([group, of]) => {
      const sums = new Float64Array(EVENING.last - ORIGIN + 1)
      for (let i = 1; i < sums.length; i++) sums[i] = sums[i - 1]! + (of.get(ORIGIN + i - 1) ?? 0)
      return [group, sums]
    }),
  )
}

function numberOf({ sums, window }: Case, group: string, at: number): number {
  const of = sums.get(group)!
  return of[at - ORIGIN]! - (window === 0 ? 0 : of[Math.max(0, at - ORIGIN - window)]!)
}

/** When each group fires with this threshold. What was not wholly read cannot show that an alert is over. */
function spellsWith(one: Case, threshold: number): Map<string, readonly Spell[]> {
  const { sums, window, step } = one
  const isRead = (at: number) => window > 0 && at - window >= ORIGIN
  const all = [...sums.keys()].map((group): [string, readonly Spell[]] => [
    group,
    spellsOf(EVENING, (at, isFiring) => numberOf(one, group, at) > threshold || (isFiring && !isRead(at)), { step }),
  ])
  return new Map(all.filter(([, spells]) => spells.length > 0))
}

/** Alerts begin to fire in each process, and some that fire when a process ends stay so. */
function interest(all: ReadonlyMap<string, readonly Spell[]>): number {
  const spells = [...all.values()].flat()
  const begins = (from: number, to: number) => spells.some((one) => one.from > from && one.from <= to)
  const fires = (at: number) => spells.some(({ from, to }) => from <= at - 20 && to > at + 20)
  const wanted = [
    begins(NOW + 5, STOPPED - 5),
    begins(STOPPED - 15, STOPPED - 3),
    begins(STOPPED, STARTED),
    begins(STARTED + 5, KILLED - 15),
    begins(KILLED - 15, KILLED - 3),
    begins(KILLED + 5, EVENING.last),
    fires(STOPPED),
    fires(KILLED),
  ]
  return wanted.filter(Boolean).length - spells.length / 1_000
}

/** Thresholds are numbers of this many groups. */
const GROUPS = 4

/** Of the numbers of the largest groups at some times, the threshold with most to see. */
function thresholdOf(one: Case): number {
  let best = { threshold: 0, interest: 0 }
  const last = (group: string) => numberOf(one, group, EVENING.last)
  const groups = [...one.sums.keys()].toSorted((first, second) => last(second) - last(first)).slice(0, GROUPS)
  for (const group of groups)
    for (let at = NOW; at <= EVENING.last; at += one.step === 60 ? 60 : 10) {
      const threshold = numberOf(one, group, at) - 1
      if (threshold < 1) continue
      const found = interest(spellsWith(one, threshold))
      if (found > best.interest) best = { threshold, interest: found }
    }
  assert.ok(best.threshold > 0, one.name)
  return best.threshold
}

function joined(...scenes: readonly Scene[]): Scene {
  return { messages: scenes.flatMap((one) => one.messages), devices: scenes[0]!.devices }
}

/** The three largest edges of a node (what it sent) or of a pair, in the minutes [from, to). */
function edgesBehind(group: string, from: number, to: number): string {
  const sums = new Map<string, number>()
  for (const edge of EDGES) {
    const minute = minuteOf(edge.timestampNs)
    if (minute < from || minute >= to) continue
    const { src, dst, proto, port } = edge.tags
    const [sent, received] = [field('tx_bytes')(edge), field('rx_bytes')(edge)]
    const own = pairOf(edge) === group ? sent + received : (src === group ? sent : 0) + (dst === group ? received : 0)
    const name = `${pairOf(edge)} ${port === 'none' ? proto : `${proto} ${port}`}`
    sums.set(name, (sums.get(name) ?? 0) + own)
  }
  return [...sums]
    .filter(([, sum]) => sum > 0)
    .toSorted(([one, sum], [other, more]) => more - sum || (one < other ? -1 : 1))
    .slice(0, 3)
    .map(([name, sum]) => `${name} ${formatAmount(sum, 'bytes')}`)
    .join(', ')
}

/** Both directions of all edges of a kind, as sums before each minute. */
function bytesOf(kind: string): Float64Array {
  const edges = lines
    .map(partsOfLine)
    .filter(({ key, tags }) => key.startsWith('tailnet_edge,') && tags['kind'] === kind)
  const minutes = new Map<number, number>()
  for (const { fields, timestampNs } of edges) {
    const minute = minuteOf(timestampNs)
    minutes.set(minute, (minutes.get(minute) ?? 0) + Number(fields['tx_bytes']) + Number(fields['rx_bytes']))
  }
  return sumsOf(new Map([['', minutes]])).get('')!
}

/** What a notification, an event or a replay says: a rule, whom it is about, and when that began or ended (minutes). */
interface Said {
  readonly what: string
  readonly rule: string
  readonly group: string
  readonly from: number
  readonly to: number
  readonly value: string
  readonly edges: string
}

function saidBy({ received }: Receiver): Said[] {
  const minuteAt = (text: string) => Date.parse(text) / 60_000
  return received.flatMap(({ body }) =>
    (body.alerts as WireAlert[]).map(({ status, labels, annotations, startsAt, endsAt }) => ({
      what: status,
      rule: labels['alertname'] ?? '',
      group: labels['node'] ?? `${labels['src']} to ${labels['dst']}`,
      from: minuteAt(startsAt),
      to: status === 'firing' ? Number.POSITIVE_INFINITY : minuteAt(endsAt),
      value: annotations['value'] ?? '',
      edges: annotations['edges'] ?? '',
    })),
  )
}

interface WireAlert {
  readonly status: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly startsAt: string
  readonly endsAt: string
}

/** Each beginning and each end as VictoriaMetrics has it: `rule state minute`. */
async function eventsIn(victoria: VictoriaMetrics): Promise<string[]> {
  const series = await victoria.exportSeries('tailflux_event_refuted')
  return series.flatMap(({ metric, values, timestamps }) =>
    timestamps.map((ms, i) => {
      const text = `${metric['alert']} ${metric['state']} ${Math.floor(ms / 60_000) - NOW}`
      return values[i] === 0 ? text : `${text} refuted`
    }),
  )
}

test('alerts on VictoriaMetrics: three processes notify what the records say, each of it once', {
  skip: await missing('victoria-metrics'),
}, async (t) => {
  const cases = CASES.map((one) => ({ ...one, threshold: thresholdOf(one) }))
  const rules = cases.map(({ name, settings, threshold }) => ({ name, ...settings(threshold) }))
  const victoria = await startVictoriaMetrics(t)
  const webhook = await startReceiver()
  t.after(() => webhook.close())
  const settings = {
    'influx.url': victoria.url,
    'influx.bucket': 'flows',
    'poll.lookback': '15h',
    'alerts.rules': rules,
    'alerts.notify': [{ webhook: `${webhook.url}/hook` }],
  }
  const journey = await startJourney(t, scene, settings, victoria.flush)
  const folder = journey.folder()
  const at = (minute: number) => BigInt(minute) * MINUTE

  const first = await journey.start({}, folder)
  await journey.advanceTo(at(STOPPED))
  await journey.stop(first)
  await journey.advanceTo(at(STARTED))
  const second = await journey.start({}, folder)
  await journey.advanceTo(at(KILLED))
  // What a process leaves that is killed now.
  const left = journey.folder()
  cpSync(folder, left, { recursive: true })
  await journey.stop(second)
  const third = await journey.start({}, left)
  await journey.advanceTo(at(EVENING.last))
  const { live, alerting } = third.status()
  const judged = Date.parse(alerting?.evaluated ?? '') / 60_000
  assert.ok(judged >= minuteOf(END), String(judged - NOW))
  const said = saidBy(webhook)
  const events = await eventsIn(victoria)

  const isUpTo = (minute: number) => minute <= judged
  const expectedEvents: string[] = []
  let edgesSeen = 0
  const known = new Map<string, Spell>()
  for (const one of cases)
    for (const [group, spells] of spellsWith(one, one.threshold))
      for (const spell of spells) {
        const { from, to } = spell
        const about = `${one.name} ${group} ${from - NOW}`
        known.set(about, spell)
        if (isUpTo(from)) expectedEvents.push(`${one.name} firing ${from - NOW}`)
        if (isUpTo(to)) expectedEvents.push(`${one.name} resolved ${to - NOW}`)
        if (to <= NOW || !isUpTo(from)) continue
        const mine = said.filter(({ rule, group: whom, from: began }) => `${rule} ${whom} ${began - NOW}` === about)
        const [firing, over] = ['firing', 'resolved'].map((what) => mine.filter((said) => said.what === what))
        const [began, ended] = [isAway(from), isAway(to)]
        assert.ok(firing?.length === 1 || (began && firing?.length === 0), `${about} fires: ${firing?.length}`)
        const ends = over?.map((one) => one.to) ?? []
        // What ended while nobody looked, and fires again when somebody does, goes on for those who were notified.
        if (!(ended && ends.length === 0)) assert.deepEqual(ends, isUpTo(to) ? [to] : [], `${about} is over`)
        const isOfLife = [
          [NOW, STOPPED],
          [STARTED, KILLED],
          [KILLED, EVENING.last],
        ].some(([begin = 0, end = 0]) => from > begin + 3 && from < end - 3)
        if (!isOfLife) continue
        assert.equal(firing?.[0]?.value, formatAmount(numberOf(one, group, from), 'bytes'), about)
        if (one.window > 0 && one.window <= 360) {
          assert.equal(firing?.[0]?.edges, edgesBehind(group, from - one.window, from), about)
          edgesSeen += 1
        }
      }
  const about = ({ what, rule, group, from }: Said) => `${what} ${rule} ${group} ${from - NOW}`
  assert.deepEqual(
    said.map(about).filter((text, i, all) => all.indexOf(text) !== i),
    [],
    'notified twice',
  )
  for (const one of said) {
    const spell = known.get(about(one).replace(`${one.what} `, ''))
    assert.ok(spell && (one.what === 'firing' || spell.to === one.to), `${about(one)} did not happen`)
  }
  assert.deepEqual(events.toSorted(), expectedEvents.toSorted())
  assert.ok(edgesSeen > 10, `${edgesSeen} with edges`)

  // The day on the status page, of which the last process has seen an hour.
  const { bucketSeconds, fromSeconds, bytes } = live.throughput!
  const bucketMinutes = bucketSeconds / 60
  let bucketsSeen = 0
  for (const [kind, at] of KINDS.map((name) => [name, bytesOf(name)] as const))
    for (const [index, shown] of bytes[kind].entries()) {
      const from = fromSeconds / 60 + index * bucketMinutes
      if (from < ORIGIN || from + bucketMinutes > judged) continue
      const sum = at[from + bucketMinutes - ORIGIN]! - at[from - ORIGIN]!
      assert.equal(shown, Math.round(sum / bucketSeconds), `${kind} at ${from - NOW}`)
      if (sum > 0) bucketsSeen += 1
    }
  assert.ok(bucketsSeen > 100, `${bucketsSeen} with traffic`)
  t.diagnostic(
    `${said.length} notifications, ${events.length} events, ${edgesSeen} with edges, ${bucketsSeen} intervals of the day`,
  )
})
