/** Each form of rule on a simulated tailnet: with a threshold just below what the tailnet really did (by its own truth) it fires, for whom and when
 * the truth says, and for nobody else; with a threshold just there it never does. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createFakeClock, type FakeClock } from '../helpers/fake-clock.ts'
import { namesOf } from '../simulator/names.ts'
import {
  both,
  createTailnet,
  type DemoPoint,
  demoTruth,
  edgePoints,
  field,
  type Minutes,
  minutesOf,
  tag,
  windowSum,
} from './demo-truth.ts'
import { rowLines } from './rows.ts'
import { createWorld, MIN, SEC, T0, type World } from './world.ts'

const HOURS = 3
const END = T0 + BigInt(HOURS) * 60n * MIN
const LAG = 60n * SEC
const POLL = 30n * SEC
const GRACE = 30n * SEC
const FIRST_MINUTE = Number(T0 / MIN)
/** The last step that can be judged. */
const LAST_MINUTE = Number((END - GRACE) / MIN)

const tailnet = createTailnet({ seed: 7, nodes: 60, oldClients: 0, scan: { nodes: 1, tuples: 40 } })
const all = demoTruth(tailnet, T0, END)
const edges = edgePoints(rowLines(tailnet, tailnet.truth(T0, END)))
const points = all.filter(({ timestampNs }) => timestampNs >= T0)
const flows = points.filter(({ measurement }) => measurement === 'flow')
const totals = points.filter(({ measurement }) => measurement === 'message')
const ofKind = (some: readonly DemoPoint[], kind: string) => some.filter(({ tags }) => tags['kind'] === kind)
const TAILNET = /^(100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|fd7a:115c:a1e0:)/
const isRouter = ({ tags }: DemoPoint) => TAILNET.test(tags['dst'] ?? '') && !TAILNET.test(tags['src'] ?? '')
const owners = new Map(
  tailnet.nodes.map(({ nodeId, tags, user }) => [nodeId, tags ? tags.toSorted().join() : (user ?? '')]),
)

interface Form {
  readonly name: string
  /** Two rules: the first fires, the second is just beyond. */
  readonly rules: readonly [Record<string, unknown>, Record<string, unknown>]
  /** By group and minute of the step: when the first rule's condition holds. */
  readonly holds: ReadonlyMap<string, ReadonlySet<number>>
}

/** A form that compares a sum: the threshold is just below the highest that there was. */
function sumForm(
  name: string,
  rule: Record<string, unknown>,
  minutes: Minutes,
  window: number,
  threshold: (value: number) => Record<string, unknown>,
): Form {
  let highest = 0
  for (const one of minutes.values())
    for (let at = FIRST_MINUTE + 1; at <= LAST_MINUTE; at++) highest = Math.max(highest, windowSum(one, at, window))
  assert.ok(highest > 1, `${name}: there was nothing`)
  return {
    name,
    rules: [
      { ...rule, window: `${window}m`, ...threshold(highest - 1) },
      { ...rule, window: `${window}m`, ...threshold(highest) },
    ],
    holds: holding(minutes, (one, at) => windowSum(one, at, window) > highest - 1),
  }
}

function holding(
  minutes: Minutes,
  test: (one: ReadonlyMap<number, number>, at: number) => boolean,
): Map<string, Set<number>> {
  const holds = new Map<string, Set<number>>()
  for (const [group, one] of minutes) {
    for (let at = FIRST_MINUTE + 1; at <= LAST_MINUTE; at++) {
      if (!test(one, at)) continue
      const set = holds.get(group) ?? new Set()
      holds.set(group, set.add(at))
    }
  }
  return holds
}

const bytes = (key: string) => (value: number) => ({ [key]: `${value}B` })
const number = (key: string) => (value: number) => ({ [key]: value })
const nodeBytes = minutesOf(ofKind(totals, 'virtual'), tag('node'), field('tx_bytes'))

function belowForm(): Form {
  const [monitor = '', minutes = new Map<number, number>()] =
    [...nodeBytes].toSorted(([, one], [, other]) => other.size - one.size)[0] ?? []
  let least = Number.POSITIVE_INFINITY
  for (let at = FIRST_MINUTE + 10; at <= LAST_MINUTE; at++) least = Math.min(least, windowSum(minutes, at, 10))
  const rule = { below: `${least + 1}B`, window: '10m', where: { node: monitor } }
  const holds = holding(
    new Map([[monitor, minutes]]),
    (one, at) => at >= FIRST_MINUTE + 10 && windowSum(one, at, 10) <= least,
  )
  return {
    name: 'below',
    rules: [
      { ...rule, summary: '{node_id}' },
      { ...rule, below: `${least}B`, summary: '{node_id}' },
    ],
    holds,
  }
}

/** The longest time that a node which was there was not heard of, in whole minutes. */
function silentForm(): Form {
  const heard = minutesOf(
    all.filter(({ measurement, tags }) => measurement === 'message' && tags['kind'] === 'physical'),
    tag('node'),
    () => 1,
  )
  const runs = new Map<string, Map<number, number>>()
  let longest = 0
  for (const [node, minutes] of heard) {
    let run = Number.NaN
    const own = new Map<number, number>()
    // Some told after noon of what was before; the time before noon was not read.
    for (let minute = FIRST_MINUTE - 300; minute < LAST_MINUTE; minute++) {
      run = minutes.has(minute) ? 0 : run + 1
      const read = Math.min(run, minute + 1 - FIRST_MINUTE)
      if (read > 0) own.set(minute + 1, read)
      if (read > longest) longest = read
    }
    runs.set(node, own)
  }
  const holds = holding(runs, (own, at) => (own.get(at) ?? 0) >= longest)
  const rule = { within: '12h', summary: '{node_id}' }
  return {
    name: 'silentFor',
    rules: [
      { ...rule, silentFor: `${longest}m` },
      { ...rule, silentFor: `${longest + 1}m` },
    ],
    holds,
  }
}

function shareForm(): Form {
  const physical = ofKind(totals, 'physical')
  const whole = minutesOf(physical, tag('node'), both)
  const relayed = minutesOf(
    physical,
    tag('node'),
    (point) => field('derp_tx_bytes')(point) + field('derp_rx_bytes')(point),
  )
  const atLeast = 20_000_000
  const share = (node: string, at: number) => {
    const all = windowSum(whole.get(node)!, at, 30)
    return all >= atLeast ? (100 * windowSum(relayed.get(node)!, at, 30)) / all : Number.NaN
  }
  let most = 0
  for (const node of whole.keys())
    for (let at = FIRST_MINUTE + 30; at <= LAST_MINUTE; at++) {
      const value = share(node, at)
      if (value > most && value < 100) most = value
    }
  const holds = new Map<string, Set<number>>()
  const limit = most * (1 - 1e-12)
  for (const node of whole.keys())
    for (let at = FIRST_MINUTE + 30; at <= LAST_MINUTE; at++)
      if (share(node, at) > limit) holds.set(node, (holds.get(node) ?? new Set()).add(at))
  // Nodes that are wholly relayed are beyond every threshold: they are named as exceptions.
  const wholly = [...holds]
    .filter(([, at]) => [...at].some((one) => share([...holds].find(([, set]) => set === at)![0], one) >= 100))
    .map(([node]) => node)
  for (const node of wholly) holds.delete(node)
  const rule = {
    atLeast: `${atLeast}B`,
    window: '30m',
    summary: '{node_id}',
    ...(wholly.length > 0 ? { where: { node: wholly.map((node) => `!${node}`) } } : {}),
  }
  return {
    name: 'relayShareAbove',
    rules: [
      { ...rule, relayShareAbove: limit },
      { ...rule, relayShareAbove: most },
    ],
    holds,
  }
}

function ratioForm(): Form {
  const atLeast = 100_000
  const ratio = (minutes: ReadonlyMap<number, number>, at: number) => {
    const now = windowSum(minutes, at, 15)
    const past = windowSum(minutes, at - 60, 15)
    return now >= atLeast && past > 0 ? now / past : 0
  }
  let most = 0
  for (const minutes of nodeBytes.values())
    for (let at = FIRST_MINUTE + 75; at <= LAST_MINUTE; at++) most = Math.max(most, ratio(minutes, at))
  const limit = most * (1 - 1e-12)
  const rule = { previous: 'hour', window: '15m', atLeast: `${atLeast}B`, summary: '{node_id}' }
  return {
    name: 'ratioToPreviousAbove',
    rules: [
      { ...rule, ratioToPreviousAbove: limit },
      { ...rule, ratioToPreviousAbove: most },
    ],
    holds: holding(nodeBytes, (minutes, at) => at >= FIRST_MINUTE + 75 && ratio(minutes, at) > limit),
  }
}

function distinctForm(
  name: string,
  rule: Record<string, unknown>,
  some: readonly DemoPoint[],
  group: (point: DemoPoint) => string | undefined,
  item: (point: DemoPoint) => string | undefined,
  key: string,
): Form {
  const seen = new Map<string, Map<number, Set<string>>>()
  for (const point of some) {
    const [who, what] = [group(point), item(point)]
    if (who === undefined || what === undefined || what === 'none') continue
    const minutes = seen.get(who) ?? new Map<number, Set<string>>()
    seen.set(who, minutes)
    const minute = Number(point.timestampNs / MIN)
    minutes.set(minute, (minutes.get(minute) ?? new Set()).add(what))
  }
  const count = (minutes: Map<number, Set<string>>, at: number) => {
    const all = new Set<string>()
    for (let minute = at - 5; minute < at; minute++) for (const one of minutes.get(minute) ?? []) all.add(one)
    return all.size
  }
  let most = 0
  const counts = new Map<string, Map<number, number>>()
  for (const [who, minutes] of seen) {
    const own = new Map<number, number>()
    for (let at = FIRST_MINUTE + 1; at <= LAST_MINUTE; at++) {
      const value = count(minutes, at)
      own.set(at, value)
      most = Math.max(most, value)
    }
    counts.set(who, own)
  }
  return {
    name,
    rules: [
      { ...rule, window: '5m', [key]: most - 1 },
      { ...rule, window: '5m', [key]: most },
    ],
    holds: holding(counts, (own, at) => (own.get(at) ?? 0) > most - 1),
  }
}

/** Pairs that were not seen for an hour (and a minute, because a minute has two ends). */
function newForm(): Form {
  const byAddress = new Map(
    tailnet.nodes.flatMap(
      ({ v4, v6, nodeId }) =>
        [
          [v4.text, nodeId],
          [v6.text, nodeId],
        ] as const,
    ),
  )
  const seen = new Map<string, Set<number>>()
  for (const { tags, timestampNs } of ofKind(flows, 'virtual')) {
    const ends = [tags['src'] ?? '', tags['dst'] ?? ''].map((address) => byAddress.get(address) ?? address)
    if (ends.includes('none')) continue
    const key = ends.toSorted().join(' ')
    seen.set(key, (seen.get(key) ?? new Set()).add(Number(timestampNs / MIN)))
  }
  const holds = new Map<string, Set<number>>()
  let justBelow = 0
  for (const [pair, set] of seen) {
    const minutes = [...set].toSorted((one, other) => one - other)
    for (const [index, minute] of minutes.entries()) {
      const gap = index === 0 ? Number.POSITIVE_INFINITY : minute - minutes[index - 1]!
      // Beginning: 95 % of the hour must have been read.
      const isRead = minute + 1 - 60 >= FIRST_MINUTE - 3
      if (minute + 1 > LAST_MINUTE || !isRead) continue
      if (gap > 61) holds.set(pair, (holds.get(pair) ?? new Set()).add(minute + 1))
      else if (gap > 50) justBelow += 1
    }
  }
  assert.ok(justBelow > 0, 'some pairs should come back just in time')
  return {
    name: 'newFor',
    rules: [
      { newFor: '1h', window: '1m' },
      { newFor: '90d', window: '1m' },
    ],
    holds,
  }
}

const virtual = ofKind(flows, 'virtual')
const pair = ({ tags }: DemoPoint) => `${tags['src_name']} ${tags['dst_name']}`
const FORMS: Form[] = [
  sumForm('above, by node', { summary: '{node_id}' }, nodeBytes, 15, bytes('above')),
  sumForm('above, by pair', { by: 'pair', summary: '{src} {dst}' }, minutesOf(edges, pair, both), 10, bytes('above')),
  sumForm(
    'above, by owner',
    { by: 'owner', summary: '{owner}' },
    minutesOf(ofKind(totals, 'virtual'), ({ tags }) => owners.get(tags['node'] ?? ''), field('tx_bytes')),
    10,
    bytes('above'),
  ),
  sumForm(
    'above, by exit node',
    { by: 'exitNode', summary: '{node_id}' },
    minutesOf(ofKind(flows, 'exit').filter(isRouter), tag('node'), both),
    10,
    bytes('above'),
  ),
  sumForm(
    'above, by subnet router',
    { by: 'subnetRouter', summary: '{node_id}' },
    minutesOf(ofKind(flows, 'subnet').filter(isRouter), tag('node'), both),
    10,
    bytes('above'),
  ),
  sumForm(
    'above, by kind',
    { by: 'kind', summary: '{kind}' },
    minutesOf(totals, tag('kind'), field('tx_bytes')),
    10,
    bytes('above'),
  ),
  sumForm('above, by port', { by: 'port', summary: '{port}' }, minutesOf(edges, tag('port'), both), 10, bytes('above')),
  sumForm(
    'above, of one port by node',
    { by: 'node', where: { port: 22, proto: 'tcp' }, summary: '{node_id}' },
    minutesOf(
      virtual.filter(({ tags }) => tags['port'] === '22' && tags['proto'] === 'tcp'),
      tag('node'),
      field('tx_bytes'),
    ),
    10,
    bytes('above'),
  ),
  sumForm(
    'above, of some ends',
    { by: ['dst'], where: { src: ['laptop-*', '!laptop-1'] }, summary: '{dst}' },
    minutesOf(
      edges.filter(({ tags }) => /^laptop-/.test(tags['src_name'] ?? '') && tags['src_name'] !== 'laptop-1'),
      tag('dst_name'),
      field('tx_bytes'),
    ),
    10,
    bytes('above'),
  ),
  sumForm(
    'above, the whole tailnet',
    { by: 'total', summary: 'all' },
    minutesOf(ofKind(totals, 'virtual'), () => 'all', field('tx_bytes')),
    10,
    bytes('above'),
  ),
  rateForm(),
  sumForm(
    'packets',
    { summary: '{node_id}', measure: 'rx_pkts' },
    minutesOf(ofKind(totals, 'virtual'), tag('node'), field('rx_pkts')),
    10,
    number('above'),
  ),
  sumForm(
    'rejectedAbove',
    { summary: '{node_id}' },
    minutesOf(
      // What began before noon and was read after it counts too.
      all.filter(({ measurement, tags }) => measurement === 'flow' && tags['proto'] === 'tsmp'),
      tag('node'),
      field('tx_pkts'),
    ),
    60,
    number('rejectedAbove'),
  ),
  belowForm(),
  silentForm(),
  shareForm(),
  ratioForm(),
  newForm(),
  distinctForm(
    'distinctPeersAbove',
    { summary: '{node_id}' },
    virtual,
    tag('node'),
    tag('dst_name'),
    'distinctPeersAbove',
  ),
  distinctForm('distinctPortsAbove', { summary: '{src} {dst}' }, edges, pair, tag('port'), 'distinctPortsAbove'),
  quotaForm(),
]

/** A threshold in whole bits per second, so a little below and a little above the highest. */
function rateForm(): Form {
  const rate = (minutes: ReadonlyMap<number, number>, at: number) => (windowSum(minutes, at, 4) * 8) / 240
  let most = 0
  for (const minutes of nodeBytes.values())
    for (let at = FIRST_MINUTE + 1; at <= LAST_MINUTE; at++) most = Math.max(most, rate(minutes, at))
  const rule = { window: '4m', summary: '{node_id}' }
  return {
    name: 'rate',
    rules: [
      { ...rule, above: `${Math.ceil(most) - 1}bps` },
      { ...rule, above: `${Math.ceil(most)}bps` },
    ],
    holds: holding(nodeBytes, (minutes, at) => rate(minutes, at) > Math.ceil(most) - 1),
  }
}

/** The sum since midnight, UTC, of what was read from noon on (records of the seconds before noon among it), in steps of five minutes. */
function quotaForm(): Form {
  const since = (minutes: ReadonlyMap<number, number>, at: number) => windowSum(minutes, at, at % 1440)
  const last = LAST_MINUTE - (LAST_MINUTE % 5)
  let most = 0
  const nodes = minutesOf(
    all.filter(({ measurement, tags }) => measurement === 'message' && tags['kind'] === 'virtual'),
    tag('node'),
    field('tx_bytes'),
  )
  for (const minutes of nodes.values()) most = Math.max(most, since(minutes, last))
  const rule = { per: 'day', summary: '{node_id}' }
  return {
    name: 'quotaAbove',
    rules: [
      { ...rule, quotaAbove: `${most - 1}B` },
      { ...rule, quotaAbove: `${most}B` },
    ],
    holds: holding(nodes, (minutes, at) => at % 5 === 0 && since(minutes, at) > most - 1),
  }
}

let world: World
let clock: FakeClock
/** What became firing: rule, group, minute of the step, how long after the end of that step. */
const fired: { rule: string; group: string; minute: number; delayNs: bigint }[] = []

before(async () => {
  clock = createFakeClock(T0)
  const rules = FORMS.flatMap(({ rules }, index) => [
    { name: `fires-${index}`, ...rules[0] },
    { name: `never-${index}`, ...rules[1] },
  ])
  world = await createWorld({ settings: { rules, lateness: '48h' }, clock, names: namesOf(tailnet), owners })
  let readNs = T0
  // As the pipeline polls: every 30 s, up to a minute ago.
  for (let nowNs = T0 + LAG + POLL; readNs < END; nowNs += POLL) {
    await clock.advance(Number((nowNs - clock.now()) / 1_000_000n))
    const toNs = nowNs - LAG < END ? nowNs - LAG : END
    world.read({ fromNs: readNs, toNs }, tailnet.messages(readNs, toNs, { nowNs }))
    readNs = toNs
    await world.judge()
  }
  await clock.advance(20_000)
  for (const [index, line] of world.events.entries()) {
    const [, rule = ''] = /alert=([^,]+),/.exec(line) ?? []
    const [, group = ''] = /text="([^"]*)"/.exec(line) ?? []
    const ns = BigInt(line.split(' ').at(-1) ?? '0')
    if (!line.includes('state=firing')) continue
    const minute = Number(ns / MIN)
    fired.push({ rule, group, minute, delayNs: world.eventTimes[index]! - BigInt(minute) * MIN })
  }
})
after(() => world.close())

for (const [index, { name, holds }] of FORMS.entries()) {
  test(`${name}: fires for whom the truth says and when; just beyond it does not`, (t) => {
    const mine = fired.filter(({ rule }) => rule === `fires-${index}`)
    const told = new Map<string, number[]>()
    for (const { group, minute } of mine) told.set(group, [...(told.get(group) ?? []), minute])
    const wanted = new Map<string, number[]>()
    for (const [group, minutes] of holds)
      wanted.set(
        group,
        [...minutes]
          .filter((minute) => !minutes.has(name === 'quotaAbove' ? minute - 5 : minute - 1))
          .toSorted((one, other) => one - other),
      )
    if (name === 'newFor') compareNew(mine, holds)
    else assert.deepEqual([...told].toSorted(), [...wanted].toSorted())
    assert.deepEqual(
      fired.filter(({ rule }) => rule === `never-${index}`),
      [],
    )
    const delays = mine.map(({ delayNs }) => Number(delayNs) / 1e9).toSorted((one, other) => one - other)
    t.diagnostic(
      `${mine.length} alerts, each sent ${delays[0]} to ${delays.at(-1)} s after the end of the evaluation interval`,
    )
  })
}

/** Alerts have names, or the address of what is not in the device list; the truth has ids. */
function compareNew(mine: typeof fired, holds: Form['holds']): void {
  const names = new Map(tailnet.nodes.map(({ nodeId, hostname, listed, v4 }) => [nodeId, listed ? hostname : v4.text]))
  const sorted = (ends: readonly string[]) => ends.toSorted().join(' and ')
  const wanted = [...holds].flatMap(([pair, minutes]) => {
    const ends = pair.split(' ').map((id) => names.get(id) ?? id)
    return [...minutes].map((minute) => `${sorted(ends)} ${minute}`)
  })
  const told = mine.map(({ group, minute }) => {
    const [, one = '', other = ''] = /^(.*) and (.*) exchanged traffic for the first time in 1 h$/.exec(group) ?? []
    return `${sorted([one, other])} ${minute}`
  })
  assert.deepEqual(told.toSorted(), wanted.toSorted())
}
