/** Names that are remembered as bytes are those that the history of names gives, at every time and after every change. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { HOUR, MINUTE } from '../../src/base/clock.ts'
import { createNames } from '../../src/directory/sqlite-names.ts'
import { createFlattener } from '../../src/flatten/flatten.ts'
import { NameCache } from '../../src/flatten/name-cache.ts'
import { openStateFile } from '../../src/ledger/sqlite/state-file.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { silentLog } from '../helpers/silent.ts'
import { answerOf, throughTheLine } from '../helpers/through-the-line.ts'

const encoder = new TextEncoder()

function viewOf(text: string): [DataView, number] {
  const { length } = encoder.encode(text)
  const bytes = new Uint8Array(length + 32)
  bytes.set(encoder.encode(text))
  return [new DataView(bytes.buffer), length]
}

test('what is found is what was kept for this address and this time, however hashes collide', () => {
  const address = fc.oneof(
    fc.integer({ min: 0, max: 4 }).map((n) => `100.64.0.${n}`),
    fc.constantFrom(
      'fd7a:115c:a1e0:ab12:4843:cd96:6258:b240',
      'fd7a:115c:a1e0:ab12:4843:cd96:6258:b24',
      `fd7a:${'0'.repeat(40)}`,
      'a',
    ),
  )
  const step = fc.record({
    address,
    hash: fc.constantFrom(1, 2, 3),
    name: fc.string({ minLength: 1, maxLength: 70 }),
    fromNs: fc.bigInt(0n, 40n),
    lengthNs: fc.bigInt(1n, 20n),
    atNs: fc.bigInt(0n, 70n),
    hasMarks: fc.boolean(),
    changes: fc.constantFrom(false, false, false, true),
  })
  let foundCount = 0
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const cache = new NameCache()
      let version = 0
      let kept: { address: string; hash: number; name: string; fromNs: bigint; toNs: bigint; hasMarks: boolean }[] = []
      for (const { address, hash, name, fromNs, lengthNs, atNs, hasMarks, changes } of steps) {
        if (changes) {
          version += 1
          kept = []
        }
        cache.useVersion(version)
        const toNs = fromNs + lengthNs
        const [view, end] = viewOf(address)
        const [nameView, nameEnd] = viewOf(name)
        const both = new DataView(new ArrayBuffer(end + nameEnd + 64))
        for (let i = 0; i < end; i++) both.setUint8(i, view.getUint8(i))
        for (let i = 0; i < nameEnd; i++) both.setUint8(end + i, nameView.getUint8(i))
        const overlaps = kept.some((one) => one.address === address && one.fromNs < toNs && fromNs < one.toNs)
        if (!overlaps) {
          cache.put(both, [0, end], hash, [end, end + nameEnd], hasMarks, { fromNs, toNs })
          kept.push({ address, hash, name, fromNs, toNs, hasMarks })
        }
        const place = cache.find(view, 0, end, hash, atNs)
        if (place < 0) continue
        foundCount += 1
        const truth = kept.find((one) => one.address === address && one.fromNs <= atNs && atNs < one.toNs)
        const [from, to] = [cache.start(place), cache.end(place)]
        assert.equal(Buffer.from(cache.names.buffer, from, to - from).toString(), truth?.name)
        assert.equal(cache.hasMarks(place), truth?.hasMarks)
      }
    }),
    { numRuns: 800, seed: 7 },
  )
  assert.ok(foundCount > 300, `only ${foundCount} were found`)
})

test('points have the same names with and without memory of them, through renames, in any order of time', () => {
  const names = createNames(
    openStateFile({ path: ':memory:' }, { clock: createFakeClock(), log: silentLog }),
    'default',
  )
  const devices = (suffix: string) =>
    Array.from({ length: 40 }, (_, n) => ({
      nodeId: `n${n}CNTRL`,
      name: n % 7 === 0 ? `host ${n}, ${suffix}=x` : `host-${n}${n % 3 === 0 ? suffix : ''}`,
      addresses: [`100.64.0.${n}`, `fd7a:115c:a1e0:ab12:4843:cd96:6258:${n}`],
    }))
  names.observe(devices(''), NOON_NS)
  names.readingBegins(NOON_NS)
  const message = (n: number, ns: bigint) => {
    const start = new Date(Number(ns / 1_000_000n)).toISOString()
    const entries = Array.from(
      { length: 6 },
      (_, i) =>
        `{"proto":6,"src":"100.64.0.${(n + i) % 45}:5000${i}","dst":"[fd7a:115c:a1e0:ab12:4843:cd96:6258:${(n * i) % 45}]:443","txBytes":${i + 1}}`,
    )
    return `{"nodeId":"n${n % 45}CNTRL","start":"${start}","logged":"${start}","virtualTraffic":[${entries}]}`
  }
  const plain = { nameOf: names.nameOf, version: names.version }
  let named = 0
  for (let round = 1; round <= 6; round++) {
    // Times on both sides of every rename so far, newest and oldest in turn.
    const messages = Array.from({ length: 90 }, (_, n) => message(n, NOON_NS + BigInt((n * 37) % 400) * MINUTE - HOUR))
    const known = throughTheLine(answerOf(messages), { names }).lines
    assert.deepEqual(known, throughTheLine(answerOf(messages), { names: plain }).lines)
    named += known.filter(({ tags }) => tags['src_name']?.startsWith('host')).length
    names.observe(devices(`-r${round}`), NOON_NS + BigInt(round) * HOUR)
  }
  assert.ok(named > 1_000, `only ${named} lines have a name`)
})

test('one memory serves several flatteners', () => {
  const names = createNames(
    openStateFile({ path: ':memory:' }, { clock: createFakeClock(), log: silentLog }),
    'default',
  )
  names.observe([{ nodeId: 'n1CNTRL', name: 'web', addresses: ['100.64.0.1'] }], NOON_NS)
  let asked = 0
  const counted = {
    ...names,
    recordOf(of: string, atNs: bigint) {
      if (of === '100.64.0.1') asked += 1
      return names.recordOf?.(of, atNs)
    },
  }
  const cache = new NameCache()
  const body =
    '{"nodeId":"n2","start":"2026-08-01T10:00:00Z","virtualTraffic":[{"proto":6,"src":"100.64.0.1:50000","dst":"2.2.2.2:22","txPkts":1}]}'
  for (let worker = 0; worker < 3; worker++) {
    const flattener = createFlattener({ tailnet: '-', ports: 'none' }, { names: counted, nameCache: cache })
    const { lines } = throughTheLine(answerOf([body, body]), { flattener })
    assert.equal(lines[0]?.tags['src_name'], 'web')
  }
  assert.equal(asked, 1)
})
