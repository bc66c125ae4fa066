import assert from 'node:assert/strict'
import { test } from 'node:test'
import { entriesOfList, entryOfNode } from '../../src/directory/device-entry.ts'
import type { NodeInfo } from '../../src/source/parse/message.ts'
import { KEEP } from './directory-world.ts'

const INFO: NodeInfo = {
  ...{ id: 'n1CNTRL', name: 'host.tail.ts.net', user: 'rob@example.com', tags: [], os: 'linux', addresses: [] },
  ...{ selfRound: 0, peerRound: 0 },
}
const entryOf = (more: Partial<NodeInfo>) => entryOfNode({ ...INFO, ...more }, 'self', 1n, KEEP)

test('in one list an address is that of one device, whatever their order: of the own tailnet, then by the id', () => {
  const devices = [
    { nodeId: 'n3', name: 'three', addresses: ['100.64.0.1', '100.64.0.3'] },
    { nodeId: 'n2', name: 'two', addresses: ['100.64.0.1'] },
    { nodeId: 'n1', name: 'shared', addresses: ['100.64.0.1'], isExternal: true as const },
    { nodeId: 'n2', name: 'zwo', addresses: ['100.64.0.1'] },
  ]
  for (const list of [devices, devices.toReversed()])
    assert.deepEqual(
      new Map(entriesOfList(list, 1n, KEEP).map(({ node, name, addresses }) => [node, [name, ...addresses]])),
      new Map([
        ['n3', ['three', '100.64.0.3']],
        ['n2', ['two', '100.64.0.1']],
        ['n1', ['shared']],
      ]),
    )
})

test('hostile texts become what a tag value may be, and what is read back is the same', () => {
  assert.deepEqual(entryOf({ name: 'a\nb\\c"d.ts.net', user: 'x\u0000y', os: `${'o'.repeat(300)}` }), {
    ...{ node: 'n1CNTRL', name: 'a_b_c"d', owner: 'x_y', os: 'o'.repeat(256) },
    ...{ addresses: [], source: 'self', loggedNs: 1n },
  })
})

test('only addresses of a tailnet are taken, and at most sixteen of them', () => {
  const many = Array.from({ length: 20 }, (_, index) => `100.64.0.${index}`)
  assert.deepEqual(
    entryOf({
      addresses: [
        '',
        'host',
        '100.64.0.1:80',
        'fe80::1%eth0',
        '8.8.8.8',
        '10.0.0.5',
        '100.128.0.1',
        'fd7a:115c:a1e0::1%eth0',
        'fd7a:115c:a1e0::1',
      ],
    })?.addresses,
    ['fd7a:115c:a1e0::1'],
  )
  assert.equal(entryOf({ addresses: many })?.addresses.length, 16)
})

test('an id that could not be one, or that is the name of something else, says nothing', () => {
  for (const id of ['', 'none', 'other', 'a b', 'a\nb', 'a\\b', 'x'.repeat(300)])
    assert.equal(entryOf({ id }), undefined)
})

test('the owner: tags in order, or else the user', () => {
  assert.equal(entryOf({ tags: ['tag:b', '', 'tag:a'] })?.owner, 'tag:a,tag:b')
  assert.equal(entryOf({})?.owner, 'rob@example.com')
  assert.equal(entryOf({ user: '' })?.owner, '')
})
