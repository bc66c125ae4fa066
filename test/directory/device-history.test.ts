import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDeviceHistory, type DeviceEntry } from '../../src/directory/device-history.ts'

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
  assert.equal(history.learn(entry('n1', { name: 'old' }), at(100))?.from, 101)
  assert.equal(history.learn(entry('n1', { name: 'new' }), at(200))?.from, 201)
  assert.equal(history.learn(entry('n1', { name: 'newest' }), at(200))?.from, 201)
  const names = [99, 101, 200, 201].map((minute) => history.at('n1', minute, true)?.name)
  assert.deepEqual(names, ['old', 'old', 'old', 'newest'])
  assert.equal(history.at('n1', 99, false), undefined)
  assert.equal(history.learn(entry('n1', { name: 'newest' }), at(300)), undefined, 'nothing new')
})

test('a lower source changes nothing, and neither does an older message of the same source', () => {
  const history = createDeviceHistory()
  history.learn(entry('n1', { source: 'self', name: 'self', loggedNs: at(100) }), at(100))
  assert.equal(history.learn(entry('n1', { source: 'peer', name: 'peer' }), at(110)), undefined)
  assert.equal(history.learn(entry('n1', { source: 'self', name: 'older', loggedNs: at(90) }), at(110)), undefined)
  assert.equal(history.learn(entry('n1', { source: 'api', name: 'api', loggedNs: at(50) }), at(120))?.name, 'api')
  assert.equal(history.learn(entry('n1', { source: 'self', name: 'liar', loggedNs: at(130) }), at(130)), undefined)
  assert.equal(history.at('n1', 130, false)?.name, 'api')
})

test('what others say counts only for nodes and addresses that nobody else knows', () => {
  const history = createDeviceHistory()
  history.learn(entry('n1'), at(100))
  const told = history.learn(entry('n2', { source: 'peer', addresses: ['100.64.0.1', '100.64.0.2'] }), at(100))
  assert.deepEqual(told?.addresses, ['100.64.0.2'])
  assert.equal(history.ownerOf('100.64.0.1', 101, false), 'n1')
})

test('an address belongs to the better source, then to the later claim; of two about themselves the earlier keeps it while it says so', () => {
  const history = createDeviceHistory()
  const shared = { addresses: ['100.64.0.9'] }
  history.learn(entry('n1', { ...shared, source: 'self', loggedNs: at(100) }), at(100))
  history.learn(entry('n2', { ...shared, source: 'self', loggedNs: at(200) }), at(200))
  assert.equal(history.ownerOf('100.64.0.9', 201, false), 'n1')
  assert.deepEqual(history.contested(201), ['100.64.0.9'])
  assert.equal(history.ownerOf('100.64.0.9', 101 + 24 * 60, false), 'n2', 'it has not said so for a day')
  history.learn(entry('n1', { ...shared, source: 'self', loggedNs: at(1_000) }), at(1_000))
  assert.equal(history.ownerOf('100.64.0.9', 101 + 24 * 60, false), 'n1', 'it has')
  history.learn(entry('n3', shared), at(300))
  assert.equal(history.ownerOf('100.64.0.9', 300, false), 'n1')
  assert.equal(history.ownerOf('100.64.0.9', 301, false), 'n3')
  history.learn(entry('n4', shared), at(400))
  assert.equal(history.ownerOf('100.64.0.9', 401, false), 'n4', 'n3 left the list, and its address was given to n4')
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
  history.forget(210, at(60))
  assert.equal(history.count, 1)
  assert.equal(history.ownerOf('100.64.0.1', 150, true), undefined)
  assert.equal(history.at('n1', 210, false)?.addresses[0], '100.64.0.2')
  assert.equal(history.at('n2', 210, true), undefined)
  assert.deepEqual(
    [...history.newest()].map(({ node }) => node),
    ['n1'],
  )
})
