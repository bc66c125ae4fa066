/** Each byte once, whatever happens around the line: raw points are a function of the message, and derived rows of raw points and devices. The real
 * service lives through some minutes of a tailnet; in each run one thing changes. Sums must be those of the truth, and rows those of the oracle. */
import assert from 'node:assert/strict'
import { copyFileSync, rmSync } from 'node:fs'
import { after, before, describe, type TestContext, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { pathsIn } from '../../src/config/data-dir.ts'
import { type Influxd, startInfluxd } from '../services/influxd.ts'
import { MINUTE, NOON, SECOND } from '../simulator/ranges.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import type { TruthPoint } from '../simulator/truth.ts'
import { BEGIN, type Journey, type Scene, type Served, sceneOf, startJourney } from './journey.ts'
import { type DevicesAt, devicesIn, edgeSums, expectedRows, inInflux, inStore, standingRows } from './standing-rows.ts'
import { assertTruth, sumsOf } from './truth-in.ts'

const END = NOON + 12n * MINUTE
const MID = NOON + 5n * MINUTE
/** A change of settings after the first minute counts from here on. */
const CHANGED = NOON + 62n * MINUTE
const KEY = '0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'
const HASHED = { 'privacy.names': 'hash', 'privacy.externalAddresses': 'hash', 'privacy.key': KEY }

const OPTIONS = { nodes: 20, activity: 0.5 }
const tailnet = createTailnet(OPTIONS)
const scene = sceneOf(tailnet, END)
/** Nodes with clients that say who they are, and with traffic. */
const [one] = tailnet.nodes.filter(({ role, old, reports }) => role === 'server' && !old && reports)
const NEW_ID = 'nTAKEOVER11CNTRL'

interface Case {
  readonly name: string
  readonly scene?: Scene
  /** Default: the only process runs to the end. Resolves with the folder of the embedded store. */
  readonly run?: (journey: Journey) => Promise<string>
  /** For raw points with this start. */
  readonly portsAt?: (startNs: bigint) => 'service' | 'none'
  /** The embedded store belongs to one process. */
  readonly isInfluxOnly?: boolean
  readonly isHashed?: boolean
  /** From here on the addresses of a node are those of another one. */
  readonly successorFrom?: bigint
}

async function runAlone(journey: Journey, changes = {}): Promise<string> {
  const folder = journey.folder()
  await journey.start(changes, folder)
  await journey.settle()
  return folder
}

const withId = (text: string) => text.replaceAll(one!.nodeId, NEW_ID).replaceAll(`${one!.hostname}.`, 'successor.')

const CASES: readonly Case[] = [
  { name: 'control' },
  {
    name: 'a device is renamed',
    scene: sceneOf(createTailnet({ ...OPTIONS, renames: [{ node: one!.index, atNs: MID, name: 'renamed' }] }), END),
  },
  {
    name: 'a device is gone',
    scene: {
      messages: scene.messages.filter(({ nodeId, startNs }) => nodeId !== one!.nodeId || startNs < MID),
      devices: (atNs) => scene.devices(atNs).filter((text) => atNs < MID || !text.includes(one!.nodeId)),
    },
  },
  {
    name: 'a device is added',
    scene: {
      messages: scene.messages.filter(({ nodeId, startNs }) => nodeId !== one!.nodeId || startNs >= MID),
      devices: (atNs) => scene.devices(atNs).filter((text) => atNs >= MID || !text.includes(one!.nodeId)),
    },
  },
  {
    name: 'an address is taken over',
    successorFrom: MID,
    scene: {
      messages: scene.messages.map((message) =>
        message.startNs < MID
          ? message
          : {
              ...message,
              nodeId: message.nodeId === one!.nodeId ? NEW_ID : message.nodeId,
              text: withId(message.text),
              points: (options) =>
                message.points(options).map((point) => {
                  const { node } = point.tags
                  return node === one!.nodeId ? { ...point, tags: { ...point.tags, node: NEW_ID } } : point
                }),
            },
      ),
      devices: (atNs) => scene.devices(atNs).map((text) => (atNs < MID ? text : withId(text))),
    },
  },
  {
    name: 'the devices API fails once at the first start',
    async run(journey) {
      journey.api.setFault({ kind: 'status', status: 500, route: 'devices', times: 1 })
      return await runAlone(journey)
    },
  },
  { name: 'hash masks', run: (journey) => runAlone(journey, HASHED), isHashed: true },
  {
    name: 'hash masks, state file lost',
    isInfluxOnly: true,
    run: (journey) => loseState(journey, HASHED),
    isHashed: true,
  },
  {
    name: 'a second machine after the first',
    async run(journey) {
      const [folder, next] = [journey.folder(), journey.folder()]
      const first = await journey.start({}, folder)
      await journey.advanceTo(MID)
      await journey.stop(first)
      const { store } = pathsIn(folder)
      await journey.advanceTo(MID + 40n * SECOND)
      try {
        copyFileSync(store, pathsIn(next).store)
      } catch {
        // There is an InfluxDB.
      }
      await journey.start({}, next)
      await journey.settle()
      return next
    },
  },
  {
    name: 'a second machine beside the first',
    isInfluxOnly: true,
    async run(journey) {
      await journey.start()
      await journey.advanceTo(MID - 3n * MINUTE)
      await journey.start({ 'names.interval': '4m' })
      await journey.settle()
      return ''
    },
  },
  {
    name: 'a second machine beside the first, a device is renamed',
    isInfluxOnly: true,
    scene: sceneOf(createTailnet({ ...OPTIONS, renames: [{ node: one!.index, atNs: MID, name: 'renamed' }] }), END),
    async run(journey) {
      await journey.start()
      await journey.advanceTo(MID - 3n * MINUTE)
      await journey.start({ 'names.interval': '4m' })
      await journey.settle()
      return ''
    },
  },
  { name: 'the state file is lost', run: (journey) => loseState(journey) },
  {
    name: 'ports changed, read again, uploaded again',
    scene: acrossChange(),
    portsAt: (startNs) => (startNs < CHANGED ? 'service' : 'none'),
    async run(journey) {
      const folder = journey.folder()
      const first = await journey.start({}, folder)
      await journey.advanceTo(CHANGED - 61n * MINUTE)
      await journey.stop(first)
      const service = await journey.start({ ports: 'none' }, folder)
      await journey.advanceTo(CHANGED + 8n * MINUTE)
      service.pipeline.backfill({ fromNs: BEGIN, toNs: journey.now() }, true)
      await journey.settle()
      return folder
    },
  },
]

/** What is loud around the minute from which the changed setting counts; half of it is uploaded once more, some minutes later. */
function acrossChange(): Scene {
  const { messages, devices } = sceneOf(createTailnet(OPTIONS), CHANGED + 3n * MINUTE, CHANGED - 3n * MINUTE)
  const copies = messages
    .filter((_, index) => index % 2 === 0)
    .map((message) => {
      const loggedNs = ((message.loggedNs + 5n * MINUTE) / SECOND) * SECOND
      const logged = new Date(Number(loggedNs / 1_000_000n)).toISOString()
      return { ...message, loggedNs, text: message.text.replace(/"logged":"[^"]+"/, `"logged":"${logged}"`) }
    })
  return { messages: [...messages, ...copies], devices }
}

async function loseState(journey: Journey, changes = {}): Promise<string> {
  const folder = journey.folder()
  const first = await journey.start(changes, folder)
  await journey.advanceTo(MID)
  await journey.stop(first)
  for (const suffix of ['', '-wal', '-shm']) rmSync(pathsIn(folder).state + suffix, { force: true })
  await journey.start(changes, folder)
  await journey.settle()
  return folder
}

let influxd: Influxd
const closing: (() => Promise<unknown> | unknown)[] = []
before(async () => {
  influxd = await startInfluxd({
    after: (close: () => Promise<unknown> | unknown) => void closing.push(close),
  } as never)
})
after(async () => {
  for (const close of closing) await close()
})

const factors: string[] = []
after(() => {
  console.log(['', 'tailnet_flow tailnet_edge', ...factors].join('\n'))
})

function truthOf({ messages }: Scene, { portsAt = () => 'service' as const }: Case): TruthPoint[] {
  const seen = new Set<string>()
  return messages.flatMap((message) => {
    return message.points({ ports: portsAt(message.startNs) }).filter((point) => {
      const id = `${point.timestampNs} ${JSON.stringify(point.tags)}`
      return !seen.has(id) && seen.add(id)
    })
  })
}

const cases: { readonly name: string; readonly body: (t: TestContext) => Promise<void> }[] = []
type Database = 'InfluxDB 1.6.7' | 'embedded store'
let databases = 0

/** A run of the service; resolves with what is stored then. */
async function live(t: TestContext, database: Database, scenery: Scene, run = (journey: Journey) => runAlone(journey)) {
  const db = `db${++databases}`
  const settings =
    database === 'embedded store'
      ? {}
      : { 'influx.url': influxd.url, 'influx.api': 'v1', 'influx.db': db, 'influx.createDatabase': true }
  const folder = await run(await startJourney(t, scenery, settings))
  return database === 'embedded store' ? inStore(pathsIn(folder).store) : inInflux({ url: influxd.url, db })
}

/** Every record of a node says that the node has the name and the addresses of others, and that others have its own, and other names. */
function liar(): Scene {
  const [victim, second] = tailnet.nodes.filter(({ role, old }) => role === 'laptop' && !old)
  const addressesOf = (node: typeof victim) => [node!.v4.text, node!.v6.text]
  const lie = (message: Served): Served => {
    const told = JSON.parse(message.text) as Record<string, unknown>
    told['srcNode'] = {
      nodeId: one!.nodeId,
      name: victim!.hostname,
      addresses: addressesOf(victim),
      tags: ['tag:admin'],
    }
    const honest = (told['dstNodes'] ?? []) as readonly unknown[]
    told['dstNodes'] = [
      { nodeId: victim!.nodeId, name: 'liar', addresses: addressesOf(one), user: 'liar@example.com' },
      { nodeId: second!.nodeId, name: 'liar', addresses: addressesOf(victim) },
      { nodeId: 'nInvented11CNTRL', name: 'bank', addresses: [...addressesOf(second), '10.0.0.5', '8.8.8.8'] },
      ...honest,
    ]
    return { ...message, text: JSON.stringify(told) }
  }
  const isLie = ({ nodeId, startNs }: Served) => nodeId === one!.nodeId && startNs >= NOON + MINUTE
  return { ...scene, messages: scene.messages.map((message) => (isLie(message) ? lie(message) : message)) }
}

const DATABASES: readonly Database[] = ['InfluxDB 1.6.7', 'embedded store']
for (const database of DATABASES) {
  for (const isListed of [true, false]) {
    const name = `a node claims names and addresses of others, ${isListed ? 'with' : 'without'} the device list`
    cases.push({
      name: `${database}: ${name}`,
      async body(t) {
        const noList = async (journey: Journey) => {
          journey.api.setFault({ kind: 'status', status: 403, route: 'devices' })
          return await runAlone(journey)
        }
        const run = isListed ? runAlone : noList
        const rowsOf = async (scenery: Scene) => {
          const stored = await live(t, database, scenery, run)
          const all = standingRows(await stored('tailnet_edge'), await stored('tailnet_node'))
          const ofOthers = (rows: readonly string[]) => rows.filter((row) => !row.includes(one!.nodeId))
          return [...all].map(([ns, { edges, nodes }]) => ({ ns, edges: ofOthers(edges), nodes: ofOthers(nodes) }))
        }
        const [honest, lied] = await Promise.all([rowsOf(scene), rowsOf(liar())])
        assert.ok(honest.length > 10)
        const byTime = (a: { ns: bigint }, b: { ns: bigint }) => Number(a.ns - b.ns)
        assert.deepEqual(lied.toSorted(byTime), honest.toSorted(byTime))
      },
    })
  }

  for (const one of CASES) {
    if (database === 'embedded store' && one.isInfluxOnly) continue
    cases.push({
      name: `${database}: ${one.name}`,
      async body(t) {
        const scenery = one.scene ?? scene
        const stored = await live(t, database, scenery, one.run)
        const raw = await stored('tailnet_flow')
        const truth = truthOf(scenery, one)
        const standing = standingRows(await stored('tailnet_edge'), await stored('tailnet_node'))
        const devices = await stored('tailnet_device')
        const expected = expectedRows(raw, devicesIn(devices))
        // A device that others speak of first does not count backwards for minutes that were made before; which ones these are is a race of two loops.
        const alsoRight = expectedRows(
          raw,
          devicesIn(devices, ({ source }) => source === 'api'),
        )

        const edges = edgeSums(standing.values())
        const trueEdges = edgeSums(expectedRows(one.isHashed ? raw : truth, trueDevices(one)).values())
        const sums = { flow: [sumsOf(raw), sumsOf(truth)], edge: [edges, trueEdges] } as const
        report(`${database}: ${one.name}`, Object.values(sums))

        if (one.isHashed) assert.equal(raw.length, truth.length)
        else await assertTruth(raw, truth)
        for (const [is, should] of Object.values(sums)) assert.deepEqual(is, should)
        for (const [minuteNs, rows] of expected) {
          const found = standing.get(minuteNs)
          if (!isDeepStrictEqual(found, alsoRight.get(minuteNs)))
            assert.deepEqual(found, rows, `minute ${(minuteNs - NOON) / MINUTE}`)
        }
        assert.equal(standing.size, expected.size)
      },
    })
  }
}

describe('each byte once', { concurrency: 6 }, () => {
  for (const { name, body } of cases) test(name, body)
})

function report(name: string, sums: Iterable<readonly [Record<string, bigint>, Record<string, bigint>]>): void {
  const total = (one: Record<string, bigint>) => Object.values(one).reduce((sum, kind) => sum + kind, 0n)
  const shown = [...sums].map(([is, should]) => `×${(Number(total(is)) / Number(total(should))).toFixed(4)}`)
  factors.push(`${shown.join('     ')}     ${name}`)
}

/** Who has which address: every node, whether the device list has it or others alone speak of it. */
function trueDevices({ successorFrom }: Case): DevicesAt {
  return (minuteNs) => {
    const addresses = new Map<string, string>()
    for (const { nodeId, v4, v6 } of tailnet.nodes) {
      const isTaken = nodeId === one!.nodeId && successorFrom !== undefined && minuteNs >= successorFrom
      for (const { text } of [v4, v6]) addresses.set(text, isTaken ? NEW_ID : nodeId)
    }
    return { addresses, devices: new Map() }
  }
}
