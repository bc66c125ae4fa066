import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CollectorError } from '../../src/base/errors.ts'
import type { NameMask } from '../../src/directory/device-entry.ts'
import { openStateFile } from '../../src/ledger/sqlite/state-file.ts'
import type { Device } from '../../src/source/source.ts'
import { createFakeClock, type FakeClock } from '../helpers/fake-clock.ts'
import { silentLog } from '../helpers/silent.ts'
import { createDirectoryWorld, createFakeDatabase, minuteNs, NOON, NOON_NS, nodeInfo } from './directory-world.ts'

const DAY_MS = 86_400_000
const away = () =>
  new CollectorError('The database is away. Start it.', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' })

/** Time passes at once; then all is done that is due. The device list is read at least once. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  clock.jump(ms - 310_000)
  await clock.advance(310_000)
}

const device = (number: number, more: Partial<Device> = {}): Device => ({
  nodeId: `n${number}CNTRL`,
  name: `api-${number}`,
  addresses: [`100.64.0.${number}`],
  owner: 'tag:server',
  os: 'linux',
  ...more,
})

test('what a node says about itself names it, IPv4 and IPv6 alike, from the next whole minute on', async () => {
  const { clock, directory, say } = createDirectoryWorld()
  directory.start()
  await clock.advance(30_000)
  say('n1CNTRL', nodeInfo(1, { os: 'macOS', tags: ['tag:web', 'tag:a'] }))
  assert.equal(directory.nodeOf('100.64.0.1'), 'n1CNTRL')
  assert.equal(directory.nameOf('fd7a:115c:a1e0::1'), 'host-1')
  assert.equal(directory.nameOf('n1CNTRL'), 'host-1')
  assert.equal(directory.nameOf('100.64.0.9'), undefined)
  const view = directory.at(minuteNs(NOON + 1), false)
  assert.equal(view.nodeOf('fd7a:115c:a1e0::1'), 'n1CNTRL')
  assert.deepEqual(view.device('n1CNTRL'), { name: 'host-1', owner: 'tag:a,tag:web', os: 'macOS' })
  assert.equal(directory.at(minuteNs(NOON), false).nodeOf('100.64.0.1'), undefined)
  assert.equal(directory.at(minuteNs(NOON), true).nodeOf('100.64.0.1'), 'n1CNTRL', 'the first entry counts backwards')
  await directory.stop()
})

test('the device list is believed before a node, and a node before others; a lie about others changes nobody', async () => {
  const { clock, directory, say } = createDirectoryWorld({ devices: async () => [device(1), device(2)] })
  directory.start()
  await clock.advance(5_000)
  say('n3CNTRL', nodeInfo(3))
  for (let index = 0; index < 30; index += 1) {
    await clock.advance(5_000)
    // As its own source, about itself with addresses of others; as the source of another node; and as one of the others.
    say('n666CNTRL', nodeInfo(666, { addresses: ['100.64.0.1', '100.64.0.3', '100.66.6.6'] }), [
      nodeInfo(1, { name: 'evil' }),
      nodeInfo(3, { name: 'evil' }),
      nodeInfo(4, { addresses: ['100.64.0.2', '100.64.0.3', '100.64.0.4'] }),
    ])
    say('n666CNTRL', nodeInfo(3, { name: 'evil.ts.net' }))
  }
  const view = directory.at(minuteNs(NOON + 3), false)
  assert.deepEqual(
    [1, 2, 3, 4].map((number) => view.nodeOf(`100.64.0.${number}`)),
    ['n1CNTRL', 'n2CNTRL', 'n3CNTRL', 'n4CNTRL'],
  )
  assert.deepEqual(
    [1, 2, 3, 4].map((number) => view.device(`n${number}CNTRL`)?.name),
    ['api-1', 'api-2', 'host-3', 'host-4'],
  )
  assert.equal(view.nodeOf('100.66.6.6'), 'n666CNTRL')
  await directory.stop()
})

test('an address that two nodes claim about themselves is shown in health, until the device list decides', async () => {
  let devices: readonly Device[] = []
  const { clock, directory, health, say } = createDirectoryWorld({ devices: async () => devices })
  directory.start()
  await clock.advance(5_000)
  say('n1CNTRL', nodeInfo(1))
  say('n2CNTRL', nodeInfo(2, { addresses: ['100.64.0.1'] }))
  await clock.advance(60_000)
  assert.match(health.get('contested') ?? '', /^warning names_contested 1 address is .*devices:core:read$/)
  devices = [device(1), device(2)]
  await pass(clock, DAY_MS)
  await pass(clock, 3_600_000)
  assert.equal(health.get('contested'), 'ok')
  await directory.stop()
})

test('what one reporter may say about unknown nodes is limited, and the rest is counted', async () => {
  const { clock, directory, health, say } = createDirectoryWorld()
  directory.start()
  await clock.advance(5_000)
  const many = Array.from({ length: 2_100 }, (_, index) => nodeInfo(`x${index}`, { addresses: [] }))
  say('n666CNTRL', nodeInfo(666), many)
  say('n1CNTRL', nodeInfo(1), [nodeInfo(2)])
  assert.equal(directory.nameOf('nx1999CNTRL'), 'host-x1999')
  assert.equal(directory.nameOf('nx2000CNTRL'), undefined)
  assert.equal(directory.nameOf('n2CNTRL'), 'host-2', 'others go on')
  await clock.advance(60_000)
  assert.match(health.get('excess') ?? '', /^warning names_excess .*100 descriptions/)
  await directory.stop()
})

test('each change is a point of tailnet_device, once; each device again at the start and at 00:00', async () => {
  const { clock, database, directory, say } = createDirectoryWorld()
  directory.start()
  await clock.advance(10_000)
  for (let index = 0; index < 12; index += 1) {
    say('n1CNTRL', nodeInfo(1))
    await clock.advance(5_000)
  }
  const [point] = database.points.values()
  assert.deepEqual(point, {
    ...{ node: 'n1CNTRL', name: 'host-1', owner: 'user1@example.com', os: '', source: 'self' },
    addresses: ['100.64.0.1', 'fd7a:115c:a1e0::1'],
    loggedNs: NOON_NS + 10_000_000_000n,
    from: NOON + 1,
  })
  assert.equal(database.lineCount, 1)
  await pass(clock, DAY_MS / 2)
  assert.deepEqual([...database.points.keys()], [`n1CNTRL ${NOON + 1}`, `n1CNTRL ${NOON + 12 * 60}`])
  assert.equal(database.lineCount, 2)
  await directory.stop()
})

test('a database that is away loses no change, and nothing waits for it', async () => {
  const { clock, database, directory, health, say } = createDirectoryWorld()
  directory.start()
  await clock.advance(5_000)
  database.writeFault = away()
  say('n1CNTRL', nodeInfo(1))
  await clock.advance(60_000)
  say('n1CNTRL', nodeInfo(1, { name: 'renamed' }))
  await clock.advance(600_000)
  assert.match(health.get('tailnet_device') ?? '', /^warning db_unreachable .*tried again.*Start it\.$/)
  assert.equal(directory.nameOf('n1CNTRL'), 'renamed')
  database.writeFault = undefined
  await clock.advance(300_000)
  assert.deepEqual(
    [...database.points.values()].map(({ name }) => name),
    ['host-1', 'renamed'],
  )
  assert.equal(health.get('tailnet_device'), 'ok')
  await directory.stop()
})

test('a change that the database did not take is written after the next start', async () => {
  const clock = createFakeClock()
  const state = openStateFile({ path: ':memory:' }, { clock, log: silentLog })
  const database = createFakeDatabase()
  const one = createDirectoryWorld({ clock, state, database })
  one.directory.start()
  await clock.advance(5_000)
  database.writeFault = away()
  one.say('n1CNTRL', nodeInfo(1))
  await clock.advance(5_000)
  await one.directory.stop()
  database.writeFault = undefined
  await clock.advance(600_000)
  const other = createDirectoryWorld({ clock, state, database })
  other.directory.start()
  await clock.advance(10_000)
  assert.deepEqual([...database.points.keys()], [`n1CNTRL ${NOON + 1}`, `n1CNTRL ${NOON + 11}`])
  await other.directory.stop()
})

test('a second machine reads the same back from the database, minute by minute', async () => {
  const clock = createFakeClock()
  const database = createFakeDatabase()
  let devices: readonly Device[] = [device(1), device(2)]
  const one = createDirectoryWorld({ clock, database, devices: async () => devices })
  one.directory.start()
  await clock.advance(5_000)
  one.say('n3CNTRL', nodeInfo(3))
  const labels = new Map<string, unknown>()
  const ask = async (directory: typeof one.directory, minute: number, countsBackwards: boolean) => {
    const view = await directory.load(minuteNs(minute), countsBackwards, AbortSignal.timeout(10_000))
    return [1, 2, 3, 4].map((number) => [view.nodeOf(`100.64.0.${number}`), view.device(`n${number}CNTRL`)])
  }
  for (let hour = 0; hour < 60; hour += 1) {
    if (hour === 10) devices = [device(1, { name: 'renamed' }), device(4, { addresses: ['100.64.0.2'] })]
    if (hour === 30) one.say('n3CNTRL', nodeInfo(3, { name: 'three' }))
    await pass(clock, 3_600_000)
    const minute = NOON + hour * 60
    assert.ok(one.directory.knowsMinute(minuteNs(minute)))
    labels.set(`${minute} false`, await ask(one.directory, minute, false))
  }
  for (let hour = 0; hour < 60; hour += 1)
    labels.set(`${NOON + hour * 60} true`, await ask(one.directory, NOON + hour * 60, true))
  await one.directory.stop()
  const other = createDirectoryWorld({ clock, database })
  other.directory.start()
  await other.directory.ready(AbortSignal.timeout(10_000))
  for (let hour = 0; hour < 60; hour += 1)
    for (const backwards of [false, true]) {
      const minute = NOON + hour * 60
      const expected = labels.get(`${minute} ${backwards}`)
      assert.deepEqual(await ask(other.directory, minute, backwards), expected, `hour ${hour} ${backwards}`)
    }
  assert.ok(!other.directory.knowsMinute(minuteNs(NOON)))
  await other.directory.stop()
})

test('a device that was first heard of later counts backwards in the database too; one day costs few queries', async () => {
  const clock = createFakeClock()
  const database = createFakeDatabase()
  const one = createDirectoryWorld({ clock, database })
  one.directory.start()
  await pass(clock, 20 * DAY_MS)
  one.say('n1CNTRL', nodeInfo(1))
  await clock.advance(60_000)
  await one.directory.stop()
  const other = createDirectoryWorld({ clock, database })
  other.directory.start()
  await clock.advance(5_000)
  database.queryCount = 0
  for (let minute = NOON; minute < NOON + 600; minute += 60) {
    const view = await other.directory.load(minuteNs(minute), true, AbortSignal.timeout(10_000))
    assert.equal(view.nodeOf('100.64.0.1'), 'n1CNTRL')
  }
  assert.ok(database.queryCount < 15, `${database.queryCount} queries`)
  await other.directory.stop()
})

test('a query that fails rejects, and the next one asks again', async () => {
  const { clock, database, directory } = createDirectoryWorld()
  directory.start()
  await clock.advance(5_000)
  database.points.set('n9CNTRL 1', {
    node: 'n9CNTRL',
    name: '',
    owner: '',
    os: '',
    addresses: [],
    source: 'api',
    loggedNs: 0n,
    from: 1,
  })
  await directory.stop()
  const other = createDirectoryWorld({ clock, database })
  other.directory.start()
  await clock.advance(5_000)
  database.readFault = away()
  const signal = AbortSignal.timeout(10_000)
  await assert.rejects(other.directory.load(minuteNs(NOON - 600), false, signal), { code: 'db_unreachable' })
  database.readFault = undefined
  await other.directory.load(minuteNs(NOON - 600), false, signal)
  await other.directory.stop()
})

test('derived rows wait for what is read back, and with nothing anywhere for the device list, at most five minutes', async () => {
  let isListed = false
  const ready = async (world: ReturnType<typeof createDirectoryWorld>, signal: AbortSignal) => {
    let isReady = false
    const done = world.directory.ready(signal).then(() => {
      isReady = true
    })
    return { isReady: () => isReady, done }
  }
  const signal = new AbortController().signal
  const empty = createDirectoryWorld({
    devices: () => (isListed ? Promise.resolve([device(1)]) : Promise.reject(away())),
  })
  empty.directory.start()
  const first = await ready(empty, signal)
  await empty.clock.advance(30_000)
  assert.ok(!first.isReady())
  isListed = true
  await empty.clock.advance(60_000)
  assert.ok(first.isReady())
  await empty.directory.stop()

  const silent = createDirectoryWorld()
  silent.directory.start()
  const second = await ready(silent, signal)
  await silent.clock.advance(299_000)
  assert.ok(!second.isReady())
  await silent.clock.advance(2_000)
  assert.ok(second.isReady())
  await silent.directory.stop()

  const database = createFakeDatabase()
  database.readFault = away()
  const blocked = createDirectoryWorld({ database })
  blocked.directory.start()
  const stop = new AbortController()
  const third = await ready(blocked, stop.signal)
  await blocked.clock.advance(10_000)
  stop.abort(new Error('stopping'))
  await assert.rejects(third.done, /stopping/)
  await blocked.directory.stop()
})

test('nothing is learnt before what is known was read back, for a minute at most', async () => {
  const database = createFakeDatabase()
  const known = {
    node: 'n1CNTRL',
    name: 'web',
    owner: '',
    os: '',
    addresses: ['100.64.0.1'],
    source: 'self',
    loggedNs: NOON_NS,
    from: NOON - 600,
  } as const
  database.points.set('n1CNTRL', known)
  database.readFault = away()
  const { clock, directory, say } = createDirectoryWorld({ database })
  directory.start()
  await clock.advance(3_000)
  say('n666CNTRL', nodeInfo(666, { addresses: ['100.64.0.1'] }))
  assert.equal(directory.nodeOf('100.64.0.1'), undefined)
  database.readFault = undefined
  await clock.advance(5_000)
  say('n666CNTRL', nodeInfo(666, { addresses: ['100.64.0.1'] }))
  assert.equal(directory.nodeOf('100.64.0.1'), 'n1CNTRL')
  await directory.stop()

  database.readFault = away()
  const other = createDirectoryWorld({ database })
  other.directory.start()
  await other.clock.advance(70_000)
  other.say('n2CNTRL', nodeInfo(2))
  assert.equal(other.directory.nodeOf('100.64.0.2'), 'n2CNTRL')
  await other.directory.stop()
})

test('where the database takes no texts, the state file alone keeps names', async () => {
  const clock = createFakeClock()
  const state = openStateFile({ path: ':memory:' }, { clock, log: silentLog })
  const database = createFakeDatabase()
  database.isWriteOnly = true
  const one = createDirectoryWorld({ clock, state, database })
  one.directory.start()
  await clock.advance(5_000)
  one.say('n1CNTRL', nodeInfo(1))
  await pass(clock, DAY_MS)
  await one.directory.stop()
  assert.equal(database.lineCount, 0)
  const other = createDirectoryWorld({ clock, state, database })
  other.directory.start()
  await clock.advance(5_000)
  assert.equal(other.directory.nameOf('100.64.0.1'), 'host-1')
  assert.ok(other.directory.knowsMinute(minuteNs(NOON - 10_000)))
  await other.directory.stop()
})

test('a state file that cannot be written is a warning, and is tried again', async () => {
  const clock = createFakeClock()
  const state = openStateFile({ path: ':memory:' }, { clock, log: silentLog })
  let isFull = false
  const full = () =>
    new CollectorError('The disk is full: make room.', { stage: 'ledger', code: 'state_full', reaction: 'hold' })
  const transaction: typeof state.transaction = (work) => {
    if (isFull) throw full()
    return state.transaction(work)
  }
  const { directory, health, say } = createDirectoryWorld({ clock, state: { ...state, transaction } })
  directory.start()
  await clock.advance(5_000)
  isFull = true
  say('n1CNTRL', nodeInfo(1))
  await clock.advance(5_000)
  assert.match(health.get('state') ?? '', /^warning names_not_kept .*make room.*Check the disk/)
  assert.equal(directory.nameOf('n1CNTRL'), 'host-1')
  isFull = false
  await clock.advance(5_000)
  assert.equal(health.get('state'), 'ok')
  await directory.stop()
  const other = createDirectoryWorld({ clock, state })
  other.directory.start()
  assert.equal(other.directory.nameOf('n1CNTRL'), 'host-1')
  await other.directory.stop()
})

test('names are masked before anything keeps them, as their minute says', async () => {
  const hash: NameMask = {
    name: (text) => (text.startsWith('name-') ? text : `name-${text.length}`),
    owner: (text) => (text.startsWith('user-') ? text : 'user-x'),
  }
  const drop: NameMask = { name: () => undefined, owner: () => undefined }
  const keep: NameMask = { name: (text) => text, owner: (text) => text }
  const namesAt = (ns: bigint) => (ns < minuteNs(NOON + 60) ? hash : ns < minuteNs(NOON + 120) ? keep : drop)
  const { clock, database, directory, say } = createDirectoryWorld({ namesAt })
  directory.start()
  await clock.advance(5_000)
  say('n1CNTRL', nodeInfo(1))
  await clock.advance(10_000)
  assert.equal(database.points.get(`n1CNTRL ${NOON + 1}`)?.name, 'name-6')
  assert.equal(database.points.get(`n1CNTRL ${NOON + 1}`)?.owner, 'user-x')
  await clock.advance(3_600_000)
  say('n1CNTRL', nodeInfo(1))
  say('n2CNTRL', nodeInfo(2, { user: undefined }))
  assert.equal(directory.at(minuteNs(NOON + 62), false).device('n2CNTRL')?.owner, '', 'unknown stays unknown')
  const name = (minute: number) => directory.at(minuteNs(minute), false).device('n1CNTRL')?.name
  assert.deepEqual([name(NOON + 1), name(NOON + 59), name(NOON + 62)], ['name-6', 'name-6', 'host-1'])
  assert.equal(name(NOON + 120), '', 'a name that is known is not shown either')
  await clock.advance(3_600_000)
  assert.equal(directory.nameOf('n1CNTRL'), undefined)
  await directory.stop()
})

test('networks of the settings name addresses as of the minute', async () => {
  const office = [{ cidr: '10.0.0.0/8', name: 'office', fold: true }]
  const { directory } = createDirectoryWorld({ networksAt: (ns) => (ns < NOON_NS ? [] : office) })
  assert.equal(directory.at(NOON_NS - 60_000_000_000n, false).networkOf('10.1.2.3'), undefined)
  assert.deepEqual(directory.at(NOON_NS, false).networkOf('10.1.2.3'), { name: 'office', isFolded: true })
})

test('devices that were gone for 30 days are forgotten, in the state file too', async () => {
  const clock = createFakeClock(NOON_NS, 1)
  const state = openStateFile({ path: ':memory:' }, { clock, log: silentLog })
  const { directory, say } = createDirectoryWorld({ clock, state })
  directory.start()
  await clock.advance(5_000)
  say('n1CNTRL', nodeInfo(1))
  await clock.advance(60_000)
  await directory.stop()
  clock.jump(30 * DAY_MS + 60_000)
  const database = createFakeDatabase()
  const other = createDirectoryWorld({ clock, state, database })
  other.directory.start()
  await clock.advance(660_000)
  assert.equal(other.directory.nameOf('n1CNTRL'), undefined)
  await other.directory.stop()
  assert.equal(state.db.prepare('SELECT count(*) AS count FROM directory_device').get()?.['count'], 0)
})

test("the tailnet's own connected nodes are those of the newest list", async () => {
  const devices = async () => [
    device(1, { isConnected: true }),
    device(2),
    device(3, { isConnected: true, isExternal: true }),
  ]
  const { clock, directory } = createDirectoryWorld({ devices })
  directory.start()
  assert.equal(directory.connected(), undefined)
  await clock.advance(5_000)
  assert.deepEqual(directory.connected(), new Set(['n1CNTRL']))
  await directory.stop()
})

test('of too many devices those go first that only others told of, the oldest of them; the device list stays', async () => {
  const listed = Array.from({ length: 220_000 }, (_, index) => device(index, { addresses: [] }))
  const { directory, clock, entries, say } = createDirectoryWorld({ devices: async () => listed })
  directory.start()
  await clock.advance(1_000)
  assert.equal(directory.count, 220_000)
  // Each of them may tell of 2,000 in a day.
  for (let reporter = 0; reporter < 16; reporter += 1) {
    const told = Array.from({ length: 1_900 }, (_, index) =>
      nodeInfo(`x${reporter * 1_900 + index}`, { addresses: [] }),
    )
    say(`n${reporter}CNTRL`, undefined, told)
    await clock.advance(1_000)
  }
  assert.ok(directory.count > 225_000 && directory.count < 226_000, String(directory.count))
  for (const node of ['n0CNTRL', 'n219999CNTRL', 'nx30399CNTRL']) assert.ok(directory.nameOf(node), node)
  for (const node of ['nx0CNTRL', 'nx20000CNTRL']) assert.equal(directory.nameOf(node), undefined)
  assert.equal(entries.filter(({ msg }) => msg.startsWith('too many devices')).length, 1)
  await directory.stop()
})
