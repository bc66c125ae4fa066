import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createDeviceHistory } from '../../src/directory/device-history.ts'
import { type DeviceEntry, type DeviceVersion, SOURCES } from '../../src/directory/device-version.ts'

const MINUTE = 60_000_000_000n
/** In the middle of a minute. */
const at = (minute: number) => BigInt(minute) * MINUTE + 30_000_000_000n

function entry(node: string, more: Partial<DeviceEntry> = {}): DeviceEntry {
  return {
    node,
    name: node.slice(1),
    owner: '',
    os: 'linux',
    addresses: [`100.64.0.${node.slice(1)}`],
    source: 'api',
    loggedNs: at(100),
    ...more,
  }
}

test('a change is valid from the next whole minute on, and at most one per device and minute', () => {
  const history = createDeviceHistory()
  assert.equal(history.learn(entry('n1', { name: 'old' }), at(100))[0]?.from, 101)
  assert.equal(history.learn(entry('n1', { name: 'new' }), at(200))[0]?.from, 201)
  assert.equal(history.learn(entry('n1', { name: 'newest' }), at(200))[0]?.from, 201)
  const names = [99, 101, 200, 201].map((minute) => history.at('n1', minute, true)?.name)
  assert.deepEqual(names, ['old', 'old', 'old', 'newest'])
  assert.equal(history.at('n1', 99, false), undefined)
  assert.deepEqual(history.learn(entry('n1', { name: 'newest' }), at(300)), [], 'nothing new')
})

test('a lower source changes nothing, and neither does an older message of the same source', () => {
  const history = createDeviceHistory()
  history.learn(entry('n1', { source: 'self', name: 'self', loggedNs: at(100) }), at(100))
  assert.deepEqual(history.learn(entry('n1', { source: 'peer', name: 'peer' }), at(110)), [])
  assert.deepEqual(history.learn(entry('n1', { source: 'self', name: 'older', loggedNs: at(90) }), at(110)), [])
  assert.equal(history.learn(entry('n1', { source: 'api', name: 'api', loggedNs: at(50) }), at(120))[0]?.name, 'api')
  assert.deepEqual(history.learn(entry('n1', { source: 'self', name: 'liar', loggedNs: at(130) }), at(130)), [])
  assert.equal(history.at('n1', 130, false)?.name, 'api')
})

test('what others say counts only for nodes and addresses that nobody else knows', () => {
  const history = createDeviceHistory()
  history.learn(entry('n1'), at(100))
  const told = history.learn(entry('n2', { source: 'peer', addresses: ['100.64.0.1', '100.64.0.2'] }), at(100))
  assert.deepEqual(told[0]?.addresses, ['100.64.0.2'])
  assert.equal(history.ownerOf('100.64.0.1', 101, false), 'n1')
})

test('of two nodes that claim an address about themselves, the earlier keeps it while it says so; the device list decides', () => {
  const history = createDeviceHistory()
  const shared = { addresses: ['100.64.0.9'] }
  const claim = (node: string, minute: number) =>
    history.learn(entry(node, { ...shared, source: 'self', loggedNs: at(minute) }), at(minute))
  const owner = (minute: number) => history.ownerOf('100.64.0.9', minute, false)
  claim('n1', 100)
  claim('n2', 200)
  assert.equal(owner(201), 'n1')
  assert.equal(history.contested(at(201)), 1)
  claim('n1', 1_000)
  claim('n2', 100 + 24 * 60)
  assert.equal(owner(101 + 24 * 60), 'n1', 'it said so less than a day ago')
  claim('n2', 1_000 + 24 * 60)
  assert.equal(owner(1_000 + 24 * 60), 'n1', 'what was valid stays so')
  assert.equal(owner(1_001 + 24 * 60), 'n2', 'it has not said so for a day')
  assert.deepEqual(history.at('n1', 1_001 + 24 * 60, false)?.addresses, [])
  history.learn(entry('n3', { ...shared, loggedNs: at(3_000) }), at(3_000))
  assert.equal(owner(3_001), 'n3')
  claim('n2', 3_100)
  assert.equal(owner(3_101), 'n3')
  history.learn(entry('n4', { ...shared, loggedNs: at(4_000) }), at(4_000))
  assert.equal(owner(4_001), 'n4', 'n3 left the list, and its address was given to n4')
  assert.equal(history.contested(at(8_000)), 0)
})

test('a device that left the list keeps its addresses until another one claims them', () => {
  const history = createDeviceHistory()
  history.learn(entry('n1'), at(100))
  assert.equal(history.ownerOf('100.64.0.1', 20_000, false), 'n1')
  const claim = { source: 'self', addresses: ['100.64.0.1'], loggedNs: at(20_000) } as const
  const changes = history.learn(entry('n2', claim), at(20_000))
  assert.deepEqual(
    changes.map(({ node, from, addresses }) => [node, from, addresses]),
    [
      ['n2', 20_001, ['100.64.0.1']],
      ['n1', 20_001, []],
    ],
  )
  assert.equal(history.ownerOf('100.64.0.1', 20_001, false), 'n2')
})

test('what the device list said does not stand in the way once it was not read for a day; others never may say it instead', () => {
  const history = createDeviceHistory()
  history.learn(entry('n1'), at(100))
  const later = { name: 'renamed', loggedNs: at(100 + 24 * 60) } as const
  assert.deepEqual(history.learn(entry('n1', { ...later, source: 'peer' }), at(100 + 24 * 60)), [])
  assert.equal(history.learn(entry('n1', { ...later, source: 'self' }), at(100 + 24 * 60)).length, 1)
})

test('others do not contradict each other: the first is believed while it is repeated', () => {
  const history = createDeviceHistory()
  const say = (name: string, minute: number) =>
    history.learn(entry('n1', { source: 'peer', name, loggedNs: at(minute) }), at(minute)).length
  assert.equal(say('one', 100), 1)
  assert.equal(say('two', 200), 0)
  assert.equal(say('one', 1_000), 0)
  assert.equal(say('two', 1_000 + 24 * 60 - 1), 0)
  assert.equal(say('two', 1_000 + 24 * 60), 1)
})

test('in whatever order claims of one minute are learnt, the same is valid afterwards', () => {
  const node = fc.constantFrom('n1', 'n2', 'n3')
  const claim = fc.record({
    node,
    name: fc.constantFrom('a', 'b'),
    source: fc.constantFrom<DeviceEntry['source']>('self', 'self', 'api'),
    second: fc.integer({ min: 0, max: 50 }),
  })
  // A node says one thing about its addresses; the list, which gives each address once, another.
  const addressesOf = { self: { n1: ['x', 'y'], n2: ['x'], n3: ['y', 'z'] }, api: { n1: ['x'], n2: ['y'], n3: ['z'] } }
  const property = fc.property(
    fc.uniqueArray(claim, { selector: ({ node, source }) => `${node} ${source}` }),
    fc.gen(),
    (claims, gen) => {
      const shuffled = gen(fc.shuffledSubarray, claims, { minLength: claims.length, maxLength: claims.length })
      const [one, other] = [claims, shuffled].map((order) => {
        const history = createDeviceHistory()
        for (const { node, name, source, second } of order) {
          const addresses = addressesOf[source === 'api' ? 'api' : 'self'][node as 'n1']
          const loggedNs = at(100) + BigInt(second) * 1_000_000n
          history.learn(entry(node, { name, source, addresses, loggedNs }), at(100))
        }
        // Every node says again what it says.
        for (const node of ['n1', 'n2', 'n3'] as const) {
          const known = history.newestOf(node)
          if (known?.source === 'self')
            history.learn({ ...known, addresses: addressesOf.self[node], loggedNs: at(100) + 60_000_000n }, at(100))
        }
        return ['n1', 'n2', 'n3', 'x', 'y', 'z'].map((key) =>
          key.startsWith('n') ? history.at(key, 101, false)?.name : history.ownerOf(key, 101, false),
        )
      })
      assert.deepEqual(other, one)
    },
  )
  fc.assert(property, { seed: 20_261_129, numRuns: 2_000 })
})

test('a hostile node that claims names and addresses of others all the time changes nobody', () => {
  const claim = fc.record({
    node: fc.constantFrom('n1', 'n2', 'n3', 'n666'),
    addresses: fc.subarray(['100.64.0.1', '100.64.0.2', '100.64.0.3']),
    minute: fc.integer({ min: 101, max: 1_400 }),
  })
  const property = fc.property(fc.array(claim, { maxLength: 40 }), (claims) => {
    const history = createDeviceHistory()
    history.learn(entry('n1'), at(100))
    history.learn(entry('n2', { source: 'self' }), at(100))
    history.learn(entry('n3', { source: 'peer' }), at(100))
    for (const { node, addresses, minute } of claims.toSorted((one, other) => one.minute - other.minute)) {
      // It can only speak about itself as such; about others it is one of the others.
      const source = node === 'n666' ? 'self' : 'peer'
      history.learn(entry(node, { name: 'evil', source, addresses, loggedNs: at(minute) }), at(minute))
    }
    for (const node of ['n1', 'n2']) {
      assert.equal(history.at(node, 2_000, false)?.name, node.slice(1))
      assert.equal(history.ownerOf(`100.64.0.${node.slice(1)}`, 2_000, false), node)
    }
    assert.equal(history.at('n3', 2_000, false)?.name, '3')
  })
  fc.assert(property, { seed: 20_261_129, numRuns: 2_000 })
})

test('what was written and put back in any order gives the same answers', () => {
  const step = fc.record({
    node: fc.constantFrom('n1', 'n2', 'n3'),
    name: fc.constantFrom('a', 'b'),
    source: fc.constantFrom(...SOURCES),
    addresses: fc.subarray(['x', 'y', 'z']),
    minute: fc.integer({ min: 100, max: 110 }),
  })
  const property = fc.property(fc.array(step, { maxLength: 30 }), fc.gen(), (steps, gen) => {
    const history = createDeviceHistory()
    const written = new Map<string, DeviceVersion>()
    for (const { minute, ...one } of steps.toSorted((a, b) => a.minute - b.minute))
      for (const version of history.learn(entry(one.node, { ...one, loggedNs: at(minute) }), at(minute)))
        written.set(`${version.node} ${version.from}`, version)
    const all = [...written.values()]
    const again = createDeviceHistory()
    const order = gen(fc.shuffledSubarray, all, { minLength: all.length, maxLength: all.length })
    for (const version of order) again.restore(version)
    for (let minute = 100; minute <= 112; minute++)
      for (const backwards of [false, true]) {
        for (const address of ['x', 'y', 'z'])
          assert.equal(again.ownerOf(address, minute, backwards), history.ownerOf(address, minute, backwards))
        for (const node of ['n1', 'n2', 'n3'])
          assert.equal(again.at(node, minute, backwards)?.name, history.at(node, minute, backwards)?.name)
      }
  })
  fc.assert(property, { seed: 20_261_129, numRuns: 2_000 })
})

test('a first entry counts backwards, but not for an address that another device had', () => {
  const history = createDeviceHistory()
  history.learn(entry('n1', { addresses: ['100.64.0.9'] }), at(100))
  history.learn(entry('n1', { addresses: ['100.64.0.1'] }), at(200))
  history.learn(entry('n2', { addresses: ['100.64.0.9', '100.64.0.2'] }), at(300))
  assert.equal(history.ownerOf('100.64.0.9', 150, true), 'n1')
  assert.equal(history.ownerOf('100.64.0.2', 150, true), 'n2')
  assert.equal(history.ownerOf('100.64.0.2', 150, false), undefined)
  assert.equal(history.ownerOf('100.64.0.9', 250, true), 'n2')
})

test('versions that are over are forgotten, and so are devices that are gone; addresses go with them', () => {
  const history = createDeviceHistory()
  history.learn(entry('n1', { addresses: ['100.64.0.1'], loggedNs: at(100) }), at(100))
  history.learn(entry('n1', { addresses: ['100.64.0.2'], loggedNs: at(200) }), at(200))
  history.learn(entry('n2', { loggedNs: at(50) }), at(50))
  assert.deepEqual(history.forget(['n1', 'n2'], 210, at(60)), ['n2'])
  assert.equal(history.heldFrom, 201, 'before that, not everything is held any more')
  assert.equal(history.count, 1)
  assert.equal(history.ownerOf('100.64.0.1', 150, true), undefined)
  assert.equal(history.at('n1', 210, false)?.addresses[0], '100.64.0.2')
  assert.equal(history.at('n2', 210, true), undefined)
  assert.deepEqual(
    [...history.newest()].map(({ node }) => node),
    ['n1'],
  )
})
