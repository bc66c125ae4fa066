import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPeople } from '../../src/alerts/people.ts'
import type { Device } from '../../src/source/source.ts'

test('an address that two devices claim is the same one’s at every look, in whatever order they are listed', () => {
  const own: Device = { nodeId: 'n2CNTRL', name: 'laptop', addresses: ['100.64.0.1'], owner: 'ann@example.com' }
  const guest: Device = { nodeId: 'n1CNTRL', name: 'guest', addresses: ['100.64.0.1'], isExternal: true }
  for (const listed of [
    [own, guest],
    [guest, own],
  ]) {
    const people = createPeople()
    people.observe(listed)
    assert.equal(people.nodeOf('100.64.0.1'), 'n2CNTRL')
    const { version } = people
    people.observe(listed.toReversed())
    assert.equal(people.version, version)
    // What else changes about the guest gives it nothing.
    people.observe(listed.map((one) => (one === guest ? { ...guest, owner: 'bob@example.com' } : one)))
    assert.equal(people.nodeOf('100.64.0.1'), 'n2CNTRL')
    assert.equal(people.ownerOf('n1CNTRL'), 'bob@example.com')
  }
})
