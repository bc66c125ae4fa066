import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { HOUR, MINUTE } from '../../src/base/clock.ts'
import { hashBytes } from '../../src/base/hash.ts'
import { createNames } from '../../src/directory/sqlite-names.ts'
import { openStateFile } from '../../src/ledger/sqlite/state-file.ts'
import { deviceOf } from '../../src/source/devices.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { silentLog } from '../helpers/silent.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'

function open(path = ':memory:') {
  return openStateFile({ path }, { clock: createFakeClock(), log: silentLog })
}
const web = { nodeId: 'n1CNTRL', name: 'web', addresses: ['100.64.0.1', 'fd7a::1'] }

test('the first observation, before anything was read, counts from the beginning of time', () => {
  const names = createNames(open(), 'default')
  names.observe([web], NOON_NS)
  for (const key of ['n1CNTRL', '100.64.0.1', 'fd7a::1']) assert.equal(names.nameOf(key, 0n), 'web')
  assert.equal(names.nameOf('100.64.0.2', NOON_NS), undefined)
  assert.equal(names.count(), 1)
})

test('whether a text was ever seen is known by its hash alone, also after a restart', () => {
  const state = open()
  const hashOf = (text: string) => hashBytes(Buffer.from(text), 0, text.length)
  createNames(state, 'default').observe([web], NOON_NS)
  const names = createNames(state, 'default')
  for (const key of ['n1CNTRL', '100.64.0.1', 'fd7a::1']) assert.ok(names.mayKnow?.(hashOf(key)), key)
  assert.equal(names.mayKnow?.(hashOf('100.64.0.2')), false)
})

test('once reading has begun, a device is known only from its first observation on', () => {
  const names = createNames(open(), 'default')
  names.readingBegins(NOON_NS)
  names.observe([web], NOON_NS + MINUTE)
  assert.equal(names.nameOf('100.64.0.1', NOON_NS + MINUTE - 1n), undefined)
  assert.equal(names.nameOf('100.64.0.1', NOON_NS + MINUTE), 'web')
})

test('a renamed device keeps its old name for old messages, a removed one keeps its last', () => {
  const names = createNames(open(), 'default')
  names.observe([web], NOON_NS)
  names.readingBegins(NOON_NS)
  const version = names.version()
  names.observe([{ ...web, name: 'shop' }], NOON_NS + MINUTE)
  assert.ok(names.version() > version)
  names.observe([], NOON_NS + 2n * MINUTE)
  assert.equal(names.nameOf('n1CNTRL', NOON_NS + MINUTE - 1n), 'web')
  assert.equal(names.nameOf('n1CNTRL', NOON_NS + 3n * MINUTE), 'shop')
})

test('one answer of the devices API gives one name for an address, the same in whatever order and however often', () => {
  const text = readFileSync(new URL('../source/fixtures/devices-one-address-twice.json', import.meta.url), 'utf8')
  const wire = (JSON.parse(text) as { devices: unknown[] }).devices
  const devices = wire.map(deviceOf).filter((device) => device !== undefined)
  assert.equal(devices.length, 4)
  for (const listed of [devices, devices.toReversed()]) {
    const state = open()
    const names = createNames(state, 'default')
    names.readingBegins(NOON_NS)
    const rows = () => Number(state.db.prepare('SELECT count(*) AS rows FROM names_history').get()?.['rows'])
    names.observe(listed, NOON_NS)
    const [version, first] = [names.version(), rows()]
    // Four ids and one address: what stands in the place of an address is none.
    assert.equal(first, 5)
    for (let look = 1n; look <= 20n; look += 1n)
      names.observe(look % 2n === 0n ? listed : listed.toReversed(), NOON_NS + look * MINUTE)
    assert.deepEqual([names.version(), rows()], [version, first])
    // The tailnet's own device before the one that is shared in.
    assert.equal(names.nameOf('100.64.0.1', NOON_NS + HOUR), 'laptop')
    assert.equal(names.nameOf('n000002CNTRL', NOON_NS + HOUR), 'guest')
    assert.equal(names.nameOf('no-tailscale-IP-found', NOON_NS + HOUR), undefined)
  }
})

test('among devices of the tailnet with one address the first node id has it', () => {
  const names = createNames(open(), 'default')
  const other = { nodeId: 'n0CNTRL', name: 'shop', addresses: ['100.64.0.1'] }
  for (const listed of [
    [web, other],
    [other, web],
  ]) {
    names.observe(listed, NOON_NS)
    assert.equal(names.nameOf('100.64.0.1', NOON_NS), 'shop')
  }
})

test('an answer once given never changes, across restarts too', (t) => {
  const key = fc.constantFrom('a', 'b', 'c')
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('observe' as const),
      names: fc.array(fc.tuple(key, fc.constantFrom('x', 'y', 'z'))),
    }),
    fc.record({ kind: fc.constant('ask' as const), key, agoMs: fc.integer({ min: 0, max: 50 }) }),
    fc.record({ kind: fc.constant('restart' as const) }),
    fc.record({ kind: fc.constant('begin' as const) }),
  )
  const folder = temporaryFolder(t)
  let runs = 0
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      runs += 1
      const path = join(folder, `${runs}.db`)
      let file = open(path)
      let names = createNames(file, 'default')
      let nowNs = NOON_NS
      let isReading = false
      const given = new Map<string, string | undefined>()
      for (const one of steps) {
        nowNs += 10n
        if (one.kind === 'observe') {
          const devices = new Map(one.names)
          names.observe(
            [...devices].map(([nodeId, name]) => ({ nodeId, name, addresses: [] })),
            nowNs,
          )
        } else if (one.kind === 'begin') {
          names.readingBegins(nowNs)
          isReading = true
        } else if (one.kind === 'restart') {
          file.close()
          file = open(path)
          names = createNames(file, 'default')
        } else if (isReading) {
          const atNs = nowNs - BigInt(one.agoMs)
          given.set(`${one.key} ${atNs}`, names.nameOf(one.key, atNs))
        }
        for (const [question, answer] of given) {
          const [asked = '', at = ''] = question.split(' ')
          assert.equal(names.nameOf(asked, BigInt(at)), answer, question)
        }
      }
      file.close()
    }),
    { numRuns: 60, seed: 3 },
  )
})
