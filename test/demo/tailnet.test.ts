import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDemoTailnet } from '../../src/demo/tailnet.ts'
import { assertSame, HOUR, MINUTE, NOON } from '../simulator/ranges.ts'
import { createTailnet } from '../simulator/tailnet.ts'

test('the demo shows what the simulator of the tests describes with its default options', () => {
  for (const options of [
    { seed: 1, nodes: 50 },
    { seed: 9, nodes: 5 },
  ]) {
    const demo = createDemoTailnet(options)
    const simulated = createTailnet({ ...options, renames: 'demo' })
    const messages = [...demo.messages(NOON, NOON + 20n * MINUTE)]
    assert.ok(messages.length > 200, `${messages.length} messages`)
    assertSame(messages, [...simulated.messages(NOON, NOON + 20n * MINUTE)])
    for (const atNs of [NOON, NOON + 5n * HOUR]) assertSame([...demo.devices(atNs)], [...simulated.devices(atNs)])
  }
})

test('the demo has records that come late and records that come twice, as real tailnets do', () => {
  const records = [...createTailnet({ seed: 1, nodes: 50 }).records(NOON, NOON + HOUR)]
  assert.ok(records.some(({ late, loggedNs, startNs }) => late && loggedNs - startNs > 2n * MINUTE))
  assert.ok(records.some(({ copy }) => copy))
})

test('the same seed gives the same tailnet, another seed another one', () => {
  const text = (seed: number) => [...createDemoTailnet({ seed, nodes: 10 }).messages(NOON, NOON + MINUTE)].join()
  assert.equal(text(3), text(3))
  assert.notEqual(text(3), text(4))
})
