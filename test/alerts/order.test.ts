/** One history, read in many ways: one after the other or three at once, in windows short and long, in whatever order they are done, with
 * failures, re-reads and restarts. Each way ends with exactly the same alerts and events: rule, group, what happened, when, and the number. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { max } from '../../src/base/bigint.ts'
import type { NodeNames } from '../../src/directory/node-names.ts'
import { namesOf } from '../simulator/names.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { endMarks } from './end-marks.ts'
import { createWorld, MIN, SEC, T0 } from './world.ts'

const SEED = Number(process.env['TAILFLUX_TEST_SEED'] ?? 20_261_125)
const MINUTES = 100n
const END = T0 + MINUTES * MIN
const RULES = [
  { name: 'busy', above: '300kB', recoverBelow: '200kB', window: '5m' },
  { name: 'pairs', by: 'pair', above: '500kB', window: '5m', for: '2m' },
  { name: 'owners', by: 'owner', above: '2MB', window: '10m' },
  { name: 'all', by: 'total', above: '50kB', window: '1m' },
  { name: 'quiet', below: '100kB', window: '5m', within: '40m' },
  { name: 'silent', silentFor: '3m', within: '40m' },
  { name: 'relayed', relayShareAbove: 40, atLeast: '100kB', window: '10m' },
  { name: 'unusual', ratioToPreviousAbove: 2, previous: 'hour', atLeast: '200kB', window: '10m' },
  { name: 'peers', distinctPeersAbove: 8, window: '5m' },
  { name: 'ports', distinctPortsAbove: 1, window: '5m' },
  { name: 'rejects', rejectedAbove: 3, window: '15m' },
  { name: 'new', by: 'pair', newFor: '1h', window: '5m' },
  { name: 'allowance', quotaAbove: '20MB', per: 'day' },
]

interface Way {
  readonly name: string
  readonly parallel: number
  /** Lengths of windows, s. */
  readonly lengths: readonly number[]
  /** Where reading begins is known only when alerts have started. */
  readonly first?: boolean
  /** Windows fail, are read again when they are done, and the process ends now and then. */
  readonly trouble?: boolean
  /** The process is killed before it has saved, again and again; the late pass reads its windows a second time after a quarter of an hour. */
  readonly killed?: boolean
}
const WAYS: readonly Way[] = [
  { name: 'a minute at a time', parallel: 1, lengths: [60] },
  { name: 'all at once', parallel: 1, lengths: [7_200] },
  { name: 'three at once', parallel: 3, lengths: [60] },
  { name: 'three at once, short and long', parallel: 3, lengths: [7, 60, 300, 1_500] },
  { name: 'a first installation', parallel: 3, lengths: [60, 600], first: true },
  { name: 'with trouble, one after the other', parallel: 1, lengths: [60, 90, 600], trouble: true },
  { name: 'with trouble, three at once', parallel: 3, lengths: [45, 60, 600], trouble: true },
  { name: 'killed, one after the other', parallel: 1, lengths: [60], killed: true },
  { name: 'killed, three at once', parallel: 3, lengths: [45, 60, 300], killed: true },
]

test('the same history makes the same alerts and events in whatever order it is read', async (t) => {
  const tailnet = createTailnet({ nodes: 16, seed: 4, hostile: true })
  const names = namesOf(tailnet)
  const told = [...tailnet.messages(T0, END)]
  // For twenty minutes two nodes cannot upload.
  const isHeld = (startNs: bigint) => startNs >= T0 + 20n * MIN && startNs < T0 + 40n * MIN
  const all = [...tailnet.records(T0, END)].map((record, index) => ({
    startNs: record.startNs,
    loggedNs:
      isHeld(record.startNs) && ['monitor-1', 'laptop-7'].includes(record.node.hostname)
        ? max(record.loggedNs, T0 + 47n * MIN)
        : record.loggedNs,
    text: told[index]!,
  }))
  const records = all.toSorted((one, other) => Number(one.loggedNs - other.loggedNs))
  const texts = records.map(({ text }) => text)
  // They come in the order in which they were logged.
  const indexAt = (ns: bigint) => {
    const found = records.findIndex(({ loggedNs }) => loggedNs >= ns)
    return found < 0 ? records.length : found
  }
  const between = (fromNs: bigint, toNs: bigint) => texts.slice(indexAt(fromNs), indexAt(toNs + 1n))
  assert.ok(records.every(({ loggedNs }, index) => index === 0 || loggedNs >= records[index - 1]!.loggedNs))
  const late = records.filter(({ loggedNs, startNs }) => loggedNs - startNs > MIN)
  assert.ok(late.some(({ loggedNs, startNs }) => loggedNs - startNs > 20n * MIN))
  assert.ok(
    late.some(({ loggedNs, startNs }) => loggedNs - startNs > 60n * MIN),
    'some are later than what counts',
  )

  let refuted = 0
  let first: Told | undefined
  const wrongByLateness = new Set<bigint>()
  for (const [index, way] of WAYS.entries()) {
    const told = await read(t, way, names, between, randomOf(SEED + index))
    refuted += told.refuted.length
    t.diagnostic(
      `${way.name}: ${told.events.length} events, ${told.refuted.length} refuted, ${told.marks.length} alerts`,
    )
    first ??= told
    const note = `${way.name}, seed ${SEED}`
    // A late record makes nothing new earlier, and what a crash took is late.
    const wanted = (lines: readonly string[]) => lines.filter((line) => !(way.killed && /\bnew\b/.test(line)))
    assert.deepEqual(wanted(told.events), wanted(first.events), note)
    assert.deepEqual(wanted(told.marks), wanted(first.marks), note)
    // Alerts that were no alerts, and ends that were none: late records make a few, and a crash no further ones.
    const wrong = told.refuted.filter((line) => !isSo(line, first!.events) && wanted([line]).length > 0).map(alertOf)
    if (way.killed)
      assert.deepEqual(
        wrong.filter((one) => !wrongByLateness.has(one)),
        [],
        note,
      )
    else for (const one of wrong) wrongByLateness.add(one)
  }
  const rules = new Set(first!.events.map((line) => /alert=(\w+)/.exec(line)?.[1]))
  assert.deepEqual(
    RULES.filter(({ name }) => !rules.has(name)).map(({ name }) => name),
    [],
  )
  assert.ok(refuted > 0, 'no order made an event that turned out otherwise')
})

interface Told {
  /** Lines as a database has them in the end: the newest of each point, without those that are refuted. */
  readonly events: readonly string[]
  readonly refuted: readonly string[]
  readonly marks: readonly string[]
}

async function read(
  t: TestContext,
  way: Way,
  names: NodeNames,
  between: (fromNs: bigint, toNs: bigint) => string[],
  random: () => number,
): Promise<Told> {
  const world = await createWorld({ settings: { rules: RULES }, names, ...(way.first ? { originNs: 'later' } : {}) })
  if (way.first) world.ledger.setOrigin(T0)
  t.after(() => world.close())
  const flying: { readonly fromNs: bigint; readonly toNs: bigint; done(): void; fail(): void }[] = []
  let wanted: { readonly fromNs: bigint; readonly toNs: bigint }[] = []
  /** For the late pass. */
  let done: { readonly fromNs: bigint; readonly toNs: bigint }[] = []
  let passed: typeof done = []
  const happens = (share: number) => way.trouble === true && random() < share
  let nextNs = T0
  while (nextNs < END || wanted.length > 0 || flying.length > 0) {
    if (flying.length < way.parallel && (nextNs < END || wanted.length > 0)) {
      const { fromNs, toNs } = wanted.shift() ?? {
        fromNs: nextNs,
        toNs: min(END, nextNs + BigInt(pick(way.lengths, random)) * SEC),
      }
      if (toNs > nextNs) nextNs = toNs
      flying.push({ fromNs, toNs, ...world.open({ fromNs, toNs }, between(fromNs, toNs)) })
      continue
    }
    const [one] = flying.splice(Math.floor(random() * flying.length), 1)
    const { fromNs, toNs } = one!
    if (happens(0.1)) {
      one!.fail()
      wanted.push({ fromNs, toNs })
    } else one!.done()
    if (random() < 0.5) await world.judge()
    if (happens(0.1)) world.read({ fromNs, toNs, pass: 2, queue: 'late' }, between(fromNs, toNs))
    if (happens(0.04)) {
      // What was in flight is lost with the process, and maybe what was not saved.
      flying.splice(0)
      await world.restart('stopped')
      wanted = [...world.ledger.missing(T0, nextNs)]
    }
    if (way.killed) {
      done.push({ fromNs, toNs })
      if (random() < 0.2) {
        flying.splice(0)
        await world.restart('killed')
        wanted = [...world.ledger.missing(T0, nextNs)]
        // Maybe not saved either; another late pass brings them.
        done = [...done, ...passed.filter(({ toNs }) => toNs > nextNs - 40n * MIN)]
        passed = []
      }
      done = await passLate(done, nextNs - 15n * MIN)
    }
  }
  await passLate(done, END)

  /** Reads again what ended before, and returns the rest. */
  async function passLate(windows: typeof done, beforeNs: bigint): Promise<typeof done> {
    for (const { fromNs, toNs } of windows) {
      if (toNs > beforeNs) continue
      world.read({ fromNs, toNs, pass: 2, queue: 'late' }, between(fromNs, toNs))
      await world.judge()
      passed.push({ fromNs, toNs })
    }
    return windows.filter(({ toNs }) => toNs > beforeNs)
  }
  await world.judge()
  await world.judge()
  await turn()
  const points = new Map(world.events.map((line) => [pointOf(line), line]))
  // What is over and older than anything that may come late is forgotten sooner or later.
  const marks = (await endMarks(world)).filter(({ state, atNs }) => state !== 'inactive' || atNs > END - 60n * MIN)
  return {
    events: [...points.values()].filter((line) => line.includes('refuted=false')).toSorted(),
    refuted: [...points.values()].filter((line) => line.includes('refuted=true')),
    marks: marks
      .map((one) => [one.rule, one.key, one.state, one.activeNs, one.firedNs, one.firedValue, one.resolvedNs].join(' '))
      .toSorted(),
  }
}

/** By the events that stand: whether at the time of this one its alert fires, or does not, as it says. */
function isSo(line: string, events: readonly string[]): boolean {
  const before = events
    .filter((one) => alertOf(one) === alertOf(line) && timeOf(one) <= timeOf(line))
    .toSorted((one, other) => Number(timeOf(one) - timeOf(other)))
    .at(-1)
  return (before?.includes('state=firing') ?? false) === line.includes('state=firing')
}

function timeOf(line: string): bigint {
  return BigInt(line.slice(line.lastIndexOf(' ') + 1))
}

/** Steps are whole seconds; the rest of an event's time tells alerts apart. */
function alertOf(line: string): bigint {
  return timeOf(line) % SEC
}

/** Its measurement, tags and time: none of them has a space here. */
function pointOf(line: string): string {
  return `${line.split(' ', 1)[0]} ${line.slice(line.lastIndexOf(' '))}`
}

function pick<T>(list: readonly T[], random: () => number): T {
  return list[Math.floor(random() * list.length)]!
}

function min(one: bigint, other: bigint): bigint {
  return one < other ? one : other
}

function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
