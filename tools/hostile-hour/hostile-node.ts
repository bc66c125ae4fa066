/** One node that attacks, beside a simulated tailnet of honest ones. What it sends at any time is a pure function of its plan; each message
 * knows its good points and how many parts of it cannot be stored. */

import type { DemoEntry, Entries } from '../../src/demo/entries.ts'
import { addressOf, type DemoAddress, type DemoNode } from '../../src/demo/nodes.ts'
import type { DemoRecord } from '../../src/demo/records.ts'
import { HOSTILE_NAMES, textAddress } from '../../test/simulator/hostile.ts'
import { instantNs } from '../../test/simulator/instant.ts'
import type { RangeOptions, Tailnet } from '../../test/simulator/tailnet.ts'
import type { TruthPoint } from '../../test/simulator/truth.ts'

/** `clocks`: `start` anywhere between year 1 and 9999. `unreadable`: broken members, of all sizes. `scan`: an address that was never there
 * before in each entry. `refused`: lines that the database will not have, names and identities that are not its own. */
export const ATTACKS = ['clocks', 'unreadable', 'scan', 'refused'] as const
export type Attack = (typeof ATTACKS)[number]

export interface HostilePlan {
  readonly attacks: readonly Attack[]
  /** `logged` of the first message, and the end of the attack. */
  readonly fromNs: bigint
  readonly toNs: bigint
  /** Different destinations of the whole scan, and in what share of the attack's time they are reached. */
  readonly scanAddresses: number
  readonly scanShare: number
  /** Entries of the large unreadable messages, and bytes of the large members. */
  readonly manyEntries: number
  readonly largeBytes: number
}

export interface HostileMessage {
  readonly what: string
  readonly loggedNs: bigint
  readonly text: string
  readonly points: readonly TruthPoint[]
  /** Parts that are quarantined: entries, or 1 for the whole message. */
  readonly bad: number
  /** Lines that the database refuses. */
  readonly refused: number
}

const SECOND = 1_000_000_000n
const DAY = 86_400n * SECOND
const HOUR = 3_600n * SECOND
/** One message per attack and step. */
export const STEP_NS = 5n * SECOND
/** A clock that is wild needs no time at all for a message. */
const CLOCKS_PER_STEP = 5
/** The bounds of `start` around `logged`. */
const PAST_NS = 31n * DAY
const FUTURE_NS = HOUR
/** In a destination: the server in front of the database refuses its line as InfluxDB 1.x refuses what it cannot parse. */
export const REFUSE_MARK = 'refuse-this-line'
const REFUSED_LINES = 120
export const HOSTILE_ID = 'nHostileCNTRL'
const ODD_IDS = [
  'n,o=d d',
  'back\\slash\\',
  'two\nlines',
  '🦊',
  'größe',
  "'; DROP DATABASE flows; --",
  `n${'x'.repeat(3_000)}`,
]
/** Weeks since 1970 at the time of the simulation. */
const THIS_WEEK = 2_965
/** An address `none` is the same point as no address. */
const ODD_TEXTS = HOSTILE_NAMES.filter((name) => name !== '' && name !== 'none')
const INT64_MAX = (1n << 63n) - 1n

export function createHostileNode(tailnet: Tailnet, plan: HostilePlan) {
  const honest = tailnet.nodes
  const steps = Number((plan.toNs - plan.fromNs) / STEP_NS)
  const scanSteps = Math.max(1, Math.floor(steps * plan.scanShare))
  const large = 'x'.repeat(plan.largeBytes)
  const tooLarge = 'x'.repeat(9 << 20)
  const equalEntries = `[${Array.from({ length: plan.manyEntries }, () => '{"proto":6,"src":"100.64.9.9:1","txBytes":-1}').join()}]`

  const ids = new Set([HOSTILE_ID, ...ODD_IDS])

  /** The attacks of one step, in order. */
  const salvo = plan.attacks.flatMap((attack): readonly Attack[] =>
    Array(attack === 'clocks' ? CLOCKS_PER_STEP : 1).fill(attack),
  )

  function loggedOf(step: number, at: number): bigint {
    return plan.fromNs + BigInt(step) * STEP_NS + BigInt(at) * 1_001_001n + 123_456_789n
  }

  function message(step: number, at: number): HostileMessage {
    const attack = salvo[at]!
    const loggedNs = loggedOf(step, at)
    const make = { clocks, unreadable, scan, refused }[attack]
    return make(
      attack === 'clocks' ? step * CLOCKS_PER_STEP + (at - salvo.indexOf(attack)) : step,
      loggedNs,
      loggedNs - 6n * SECOND,
    )
  }

  function clocks(step: number, loggedNs: bigint): HostileMessage {
    const entries = someEntries(step, 2)
    const within = (startNs: bigint): HostileMessage => good('start within the bounds', { loggedNs, startNs }, entries)
    const beyond = (start: string): HostileMessage => ({
      ...bare('start beyond the bounds', loggedNs),
      text: textOf({ logged: timeText(loggedNs), nodeId: HOSTILE_ID, start, end: timeText(loggedNs) }, entries),
      bad: 1,
    })
    // A week that no other message has, decades away from the one before.
    const week = ((step * 7_919) % 30_000) - 15_000
    const jump = timeText(BigInt(Math.abs(week - THIS_WEEK) < 10 ? -week : week) * 7n * DAY)
    const cases: (() => HostileMessage)[] = [
      () => beyond('1677-09-21T00:12:43.145224192Z'),
      () => beyond(jump),
      () => beyond('1677-09-21T00:12:43.145224193Z'),
      () => beyond(jump),
      () => beyond('1677-09-21T00:12:43.145224194Z'),
      () => within(loggedNs - PAST_NS),
      () => beyond(jump),
      () => beyond('2262-04-11T23:47:16.854775807Z'),
      () => beyond('2262-04-11T23:47:16.854775806Z'),
      () => beyond(jump),
      () => beyond('0001-01-01T00:00:00Z'),
      () => beyond(jump),
      () => beyond(timeText(loggedNs - PAST_NS - 1n)),
      () => within(loggedNs - BigInt(step % 31) * DAY),
      () => beyond('9999-12-31T23:59:59.999999999Z'),
      () => beyond(jump),
      () => beyond(timeText(loggedNs + FUTURE_NS + 1n)),
      () => within(loggedNs + FUTURE_NS),
      () => beyond(jump),
      () => beyond('1970-01-01T00:00:00Z'),
      () => beyond(jump),
      () => within(loggedNs - 6n * SECOND),
    ]
    return cases[step % cases.length]!()
  }

  function unreadable(step: number, loggedNs: bigint, startNs: bigint): HostileMessage {
    const head = { logged: timeText(loggedNs), nodeId: HOSTILE_ID, start: timeText(startNs), end: timeText(loggedNs) }
    const whole = (what: string, text: string): HostileMessage => ({ ...bare(what, loggedNs), text, bad: 1 })
    const raw = (members: string, changed: object = {}) =>
      `${JSON.stringify({ ...head, ...changed }).slice(0, -1)}${members}}`
    const entries = someEntries(step, 3)
    const list = entriesText(entries[0])
    const many = (one: (index: number) => string) =>
      Array.from({ length: plan.manyEntries }, (_, index) => one(index)).join()
    const round = Math.floor(step / 14)
    const cases: (() => HostileMessage)[] = [
      () => ({
        ...good('broken counters beside good ones', { loggedNs, startNs }, entries),
        text: raw(`,"virtualTraffic":[{"proto":6,"txBytes":"12"},${list},{"proto":6,"rxPkts":1.5},{"txPkts":-0.1}]`),
        bad: 3,
      }),
      () => whole('a list that is none', raw(',"virtualTraffic":{"proto":6}')),
      () => whole('a node that is a number', raw(`,"virtualTraffic":[${list}]`, { nodeId: step })),
      () => whole('a start that is a number', raw(`,"virtualTraffic":[${list}]`, { start: step })),
      () => ({
        ...good('a large unknown member', { loggedNs, startNs }, entries),
        text: raw(`,"note":${JSON.stringify(large)},"virtualTraffic":[${list}]`),
      }),
      () =>
        good('a large address', { loggedNs, startNs }, [
          [{ ...entries[0][0]!, dst: textAddress(`${step} ${large}`), dstPort: -1 }],
          [],
          [],
          [],
        ]),
      () =>
        whole(
          'deep nesting',
          raw(`,"note":${'['.repeat(round % 2 ? 90_000 : 100)}${']'.repeat(round % 2 ? 90_000 : 100)}`),
        ),
      () => ({
        ...bare('many entries with a broken counter', loggedNs),
        text: raw(
          `,"virtualTraffic":[${many((index) => `{"proto":6,"src":"100.64.9.9:${index}","txBytes":"${step}"}`)}]`,
        ),
        bad: plan.manyEntries,
      }),
      () => ({
        ...bare('many entries that are equal', loggedNs),
        text: raw(`,"exitTraffic":${equalEntries}`),
        bad: plan.manyEntries,
      }),
      () => whole('a message that is none', [`[${step}]`, `"text ${step}"`, String(step)][round % 3]!),
      () => ({
        ...bare('many entries that are no objects', loggedNs),
        text: raw(`,"subnetTraffic":[${many((index) => ['1', '"x"', '[]', 'true'][index % 4]!)}]`),
        bad: plan.manyEntries,
      }),
      // Now and then beyond what a message may have at all.
      () =>
        round % 4 === 0
          ? whole('a message beyond the limit', raw(`,"note":${JSON.stringify(tooLarge)},"virtualTraffic":[${list}]`))
          : good('nothing odd', { loggedNs, startNs }, entries),
      () => ({
        ...good('a large member beside broken counters', { loggedNs, startNs }, entries),
        text: raw(`,"virtualTraffic":[${list},{"src":${JSON.stringify(large)},"txBytes":true}]`),
        bad: 1,
      }),
      () => good('nothing odd', { loggedNs, startNs }, entries),
    ]
    return cases[step % cases.length]!()
  }

  function scan(step: number, loggedNs: bigint, startNs: bigint): HostileMessage {
    if (step >= scanSteps) return good('after the scan', { loggedNs, startNs }, someEntries(step, 2))
    const from = Math.floor((plan.scanAddresses * step) / scanSteps)
    const to = Math.floor((plan.scanAddresses * (step + 1)) / scanSteps)
    const entries: DemoEntry[] = []
    for (let i = from; i < to; i++) {
      entries.push(
        entry({
          src: ownAddress,
          srcPort: 40_000 + (i % 10_000),
          dst: addressOf(`10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`),
          dstPort: 22,
          txPkts: 1,
          txBytes: 60,
        }),
      )
    }
    return good('a scan', { loggedNs, startNs }, [entries, [], [], []])
  }

  function refused(step: number, loggedNs: bigint, startNs: bigint): HostileMessage {
    const entries = someEntries(step, 2)
    const victim = honest[step % honest.length]!
    const other = honest[(step + 7) % honest.length]!
    const round = Math.floor(step / 6)
    const cases: (() => HostileMessage)[] = [
      () => {
        const marked = Array.from({ length: REFUSED_LINES }, (_, index) =>
          entry({
            src: ownAddress,
            srcPort: 40_000,
            dst: textAddress(`${REFUSE_MARK}-${step}-${index}`),
            dstPort: -1,
            txBytes: 7,
          }),
        )
        const whole = good('lines that are refused', { loggedNs, startNs }, [[...marked, ...entries[0]], [], [], []])
        const isRefused = ({ tags }: TruthPoint) => tags['dst']?.startsWith(REFUSE_MARK) === true
        return { ...whole, points: whole.points.filter((point) => !isRefused(point)), refused: marked.length }
      },
      // It says that it is called as another one, and that others are called as third ones.
      () =>
        good('the name of another node', { loggedNs, startNs }, entriesAbout(victim, other), {
          node: { ...victim, nodeId: HOSTILE_ID },
          dstNodes: [{ ...other, v4: victim.v4, v6: victim.v6 }],
        }),
      () => ({
        ...good('the identity of another node', { loggedNs, startNs }, entries),
        text: textOf(
          {
            logged: timeText(loggedNs),
            nodeId: HOSTILE_ID,
            start: timeText(startNs),
            end: timeText(loggedNs),
            srcNode: {
              nodeId: victim.nodeId,
              name: 'evil.example.ts.net',
              addresses: [victim.v4.text],
              tags: ['tag:admin'],
            },
          },
          entries,
        ),
      }),
      () =>
        good('an odd id', { loggedNs, startNs }, entries, {
          node: { ...honest[0]!, nodeId: ODD_IDS[round % ODD_IDS.length]! },
        }),
      // The sum of both does not fit: one is a point, the other is quarantined.
      () => {
        const big = { src: ownAddress, srcPort: 40_001, dst: addressOf('192.0.2.9'), dstPort: 443, txBytes: INT64_MAX }
        const second = entry({ ...big, srcPort: 40_002 })
        const first = good('counters beyond int64', { loggedNs, startNs }, [[entry(big)], [], [], []])
        return { ...first, text: textOf(headOf({ loggedNs, startNs }), [[entry(big), second], [], [], []]), bad: 1 }
      },
      () =>
        good('odd texts', { loggedNs, startNs }, [
          [
            entry({
              proto: 'a,b=c d\n',
              src: ownAddress,
              srcPort: 1,
              dst: textAddress(ODD_TEXTS[round % ODD_TEXTS.length]!),
              dstPort: -1,
              txBytes: 3,
            }),
          ],
          [],
          [],
          [],
        ]),
    ]
    return cases[step % cases.length]!()
  }

  function good(
    what: string,
    times: { readonly loggedNs: bigint; readonly startNs: bigint },
    entries: Entries,
    who: { readonly node?: DemoNode; readonly dstNodes?: readonly DemoNode[] } = {},
  ): HostileMessage {
    const node = who.node ?? { ...honest[0]!, nodeId: HOSTILE_ID }
    const { loggedNs, startNs } = times
    const record: DemoRecord = {
      node,
      slot: 0,
      openedNs: startNs,
      part: 0,
      copy: false,
      late: false,
      loggedNs,
      firstLoggedNs: loggedNs,
      startNs,
      endNs: loggedNs,
      entries,
      dstNodes: who.dstNodes,
    }
    const deviceOf = (one: DemoNode) => ({
      nodeId: one.nodeId,
      name: `${one.hostname}.tail1234.ts.net`,
      addresses: [one.v4.text, one.v6.text],
    })
    const nodes = who.dstNodes ? { srcNode: deviceOf(node), dstNodes: who.dstNodes.map(deviceOf) } : {}
    return {
      what,
      loggedNs,
      text: textOf({ ...headOf(times), nodeId: node.nodeId, ...nodes }, entries),
      points: tailnet.pointsOf(record),
      bad: 0,
      refused: 0,
    }
  }

  return {
    ids: ids as ReadonlySet<string>,
    /** In the order of `logged`; both ends inclusive. */
    *messages(fromNs: bigint, toNs: bigint): Generator<HostileMessage> {
      const first = fromNs <= plan.fromNs ? 0 : Math.max(0, Number((fromNs - plan.fromNs) / STEP_NS) - 1)
      for (let step = first; step < steps; step++) {
        for (let at = 0; at < salvo.length; at++) {
          const loggedNs = loggedOf(step, at)
          if (loggedNs > toNs) return
          if (loggedNs >= fromNs) yield message(step, at)
        }
      }
    },
  }
}
export type HostileNode = ReturnType<typeof createHostileNode>

/** The tailnet with one node more, for the demo server. The devices API does not know it. */
export function withHostileNode(tailnet: Tailnet, hostile: HostileNode): Tailnet {
  function* messages(fromNs: bigint, toNs: bigint, range: RangeOptions = {}): Generator<string> {
    const { nowNs } = range
    const attacks = hostile.messages(fromNs, nowNs !== undefined && nowNs < toNs ? nowNs : toNs)
    let next = attacks.next()
    for (const text of tailnet.messages(fromNs, toNs, range)) {
      const loggedNs = instantNs(text.slice('{"logged":"'.length, text.indexOf('"', '{"logged":"'.length))) ?? 0n
      for (; !next.done && next.value.loggedNs <= loggedNs; next = attacks.next()) yield next.value.text
      yield text
    }
    for (; !next.done; next = attacks.next()) yield next.value.text
  }
  return { ...tailnet, messages }
}

const ownAddress = addressOf('100.64.9.9')

function bare(what: string, loggedNs: bigint): HostileMessage {
  return { what, loggedNs, text: '', points: [], bad: 0, refused: 0 }
}

function entry(parts: Partial<DemoEntry> & Pick<DemoEntry, 'src' | 'srcPort' | 'dst' | 'dstPort'>): DemoEntry {
  return { proto: 6, txPkts: 0, txBytes: 0, rxPkts: 0, rxBytes: 0, other: -1, ...parts }
}

function someEntries(step: number, count: number): Entries & { readonly 0: DemoEntry[] } {
  const entries = Array.from({ length: count }, (_, index) =>
    entry({
      src: ownAddress,
      srcPort: 50_000 + (step % 1_000),
      dst: addressOf(`192.0.2.${index + 1}`),
      dstPort: 443,
      txPkts: 2,
      txBytes: 100 + step,
      rxBytes: 7,
    }),
  )
  return [entries, [], [], []]
}

function entriesAbout(one: DemoNode, other: DemoNode): Entries {
  const to = (dst: DemoAddress) => entry({ src: one.v4, srcPort: 50_000, dst, dstPort: 443, txPkts: 1, txBytes: 1 })
  return [[to(other.v4), to(addressOf('192.0.2.77'))], [], [], []]
}

function headOf({ loggedNs, startNs }: { readonly loggedNs: bigint; readonly startNs: bigint }) {
  return { logged: timeText(loggedNs), nodeId: HOSTILE_ID, start: timeText(startNs), end: timeText(loggedNs) }
}

function textOf(head: object, entries: Entries): string {
  let text = JSON.stringify(head).slice(0, -1)
  entries.forEach((list, kind) => {
    if (list.length > 0) text += `,"${['virtual', 'subnet', 'exit', 'physical'][kind]}Traffic":[${entriesText(list)}]`
  })
  return `${text}}`
}

function entriesText(list: readonly DemoEntry[]): string {
  return list
    .map(({ proto, src, srcPort, dst, dstPort, txPkts, txBytes, rxPkts, rxBytes }) => {
      const end = (address: DemoAddress | undefined, port: number) =>
        port < 0 || address === undefined ? (address?.open ?? '') : `${address.open}${port}`
      return `{"proto":${JSON.stringify(proto)},"src":"${end(src, srcPort)}","dst":"${end(dst, dstPort)}","txPkts":${txPkts},"txBytes":${txBytes},"rxPkts":${rxPkts},"rxBytes":${rxBytes}}`
    })
    .join()
}

/** RFC 3339 in full ns, for years 1 to 9999. */
export function timeText(ns: bigint): string {
  const seconds = ns >= 0n ? ns / SECOND : -((-ns + SECOND - 1n) / SECOND)
  const rest = ns - seconds * SECOND
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${String(rest).padStart(9, '0')}Z`
}
