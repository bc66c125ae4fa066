/** Masks through the real line: nothing that is masked gets through, the numbers stay, and the same message stays the same points. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Names } from '../../src/directory/names.ts'
import { createNames } from '../../src/directory/sqlite-names.ts'
import { openStateFile } from '../../src/ledger/sqlite/state-file.ts'
import type { PrivacyConfig } from '../../src/privacy/config.ts'
import { createMask } from '../../src/privacy/mask.ts'
import { maskedDevices, maskedFlattener, maskedNames } from '../../src/privacy/masked.ts'
import { privacyKey } from '../../src/privacy/privacy.ts'
import { createLineWriter } from '../../src/sink/line-protocol/line-writer.ts'
import { deviceOf } from '../../src/source/devices.ts'
import { createMessageReader } from '../../src/source/parse/message-reader.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { flattenerOf } from '../helpers/flattener.ts'
import { silentLog } from '../helpers/silent.ts'
import { answerOf } from '../helpers/through-the-line.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { type ParsedLine, parseLines } from '../sink/line-protocol/parse-lines.ts'

const KEY = Buffer.alloc(32, 7)
const KEEP: PrivacyConfig = { names: 'keep', externalAddresses: 'keep' }
const FROM = NOON_NS
const TO = NOON_NS + 180_000_000_000n

const TAILNETS = {
  'exit destinations': createTailnet({ nodes: 14, seed: 5, exitDestinations: true, oldClients: 0.4 }),
  'hostile texts': createTailnet({ nodes: 12, seed: 6, hostile: true, exitDestinations: true, bigCounters: true }),
}

function state() {
  return openStateFile({ path: ':memory:' }, { clock: createFakeClock(), log: silentLog })
}

function linesOf(
  tailnet: (typeof TAILNETS)['hostile texts'],
  config: PrivacyConfig,
  ports: 'service' | 'full' = 'service',
  chunk = 10_007,
) {
  const mask = createMask(config, KEY)
  const names: Names = maskedNames(createNames(state(), 'x'), mask)
  const devices = [...tailnet.devices(FROM)].flatMap((text) => deviceOf(JSON.parse(text), 0) ?? [])
  names.observe(devices, FROM)
  const flattener = maskedFlattener(flattenerOf(ports, 'x'), mask)
  const reader = createMessageReader({ answerBytesMax: 2 ** 40, messageBytesMax: 2 ** 22, depthMax: 64 })
  const writer = createLineWriter({ batchLinesMax: 1e6, batchBytesMax: 1 << 26 })
  for (const bytes of answerOf(tailnet.messages(FROM, TO), chunk)) {
    for (const message of reader.push(bytes)) if (message.entryCount > 0) writer.append(flattener.flatten(message))
  }
  const text = writer
    .rest()
    .map((batch) => Buffer.from(batch.bytes).toString())
    .join('')
  return { text, lines: parseLines(text).filter(({ measurement }) => measurement === 'tailnet_flow') }
}

/** Sums per message and kind: what a mask must not change. */
function sumsOf(lines: readonly ParsedLine[]): Map<string, string> {
  const sums = new Map<string, bigint[]>()
  for (const { tags, fields, timestampNs } of lines) {
    const key = `${tags['node']} ${tags['kind']} ${timestampNs}`
    const values = ['tx_bytes', 'rx_bytes', 'tx_pkts', 'rx_pkts', 'flows'].map((name) => fields[name] as bigint)
    sums.set(
      key,
      values.map((value, index) => value + (sums.get(key)?.[index] ?? 0n)),
    )
  }
  return new Map([...sums].map(([key, values]) => [key, values.join()]))
}

function isPublic(address: string): boolean {
  const v4 = /^(\d+)\.(\d+)\.(\d+)\.(\d+)(:\d+)?$/.exec(address)
  if (v4) {
    const [a = 0, b = 0] = [Number(v4[1]), Number(v4[2])]
    if (a > 255 || b > 255) return true
    return !(
      a === 10 ||
      a === 127 ||
      a >= 224 ||
      (a === 172 && b >= 16 && b < 32) ||
      (a === 192 && b === 168) ||
      (a === 100 && b >= 64 && b < 128) ||
      (a === 169 && b === 254)
    )
  }
  return /^\[?2[0-9a-f]{3}:/i.test(address)
}

for (const [name, tailnet] of Object.entries(TAILNETS)) {
  test(`${name}: with nothing masked the lines are byte for byte those without masks`, () => {
    const mask = createMask(KEEP, KEY)
    const flattener = flattenerOf('service', 'x')
    assert.equal(maskedFlattener(flattener, mask), flattener)
  })

  test(`${name}: what names are masked like changes no line, because lines have no names`, () => {
    const plain = linesOf(tailnet, KEEP).text
    const named = [...tailnet.devices(FROM)].flatMap((text) => deviceOf(JSON.parse(text), 0)?.name ?? [])
    const hosts = new Set(named.filter((one) => one.length > 4))
    assert.ok(hosts.size > 5)
    for (const host of hosts) assert.ok(!plain.includes(host), host)
    for (const names of ['hash', 'drop'] as const) assert.equal(linesOf(tailnet, { ...KEEP, names }).text, plain)
  })

  test(`${name}: public addresses truncated, hashed or dropped never get through; entries that become equal are summed`, () => {
    for (const ports of ['service', 'full'] as const) {
      const plain = linesOf(tailnet, KEEP, ports)
      const secret = new Set(
        plain.lines.flatMap(({ tags }) => [tags['src'] ?? '', tags['dst'] ?? '']).filter((one) => isPublic(one)),
      )
      assert.ok(secret.size > 3)
      for (const externalAddresses of ['truncate', 'hash', 'drop'] as const) {
        const masked = linesOf(tailnet, { ...KEEP, externalAddresses }, ports)
        assert.deepEqual(sumsOf(masked.lines), sumsOf(plain.lines), externalAddresses)
        const seen = new Set<string>()
        for (const { tags, timestampNs } of masked.lines) {
          const key = JSON.stringify([tags, String(timestampNs)])
          assert.ok(!seen.has(key), `twice: ${key}`)
          seen.add(key)
          for (const tag of ['src', 'dst']) {
            const value = tags[tag] ?? ''
            if (externalAddresses === 'truncate' && /(\.0|::)(\]?:\d+)?$/.test(value)) continue
            assert.ok(!secret.has(value), `${externalAddresses}: ${value}`)
          }
        }
      }
    }
  })

  test(`${name}: however the answer is cut, the masked lines are the same bytes`, () => {
    const config: PrivacyConfig = { names: 'hash', externalAddresses: 'hash' }
    assert.equal(linesOf(tailnet, config, 'service', 733).text, linesOf(tailnet, config).text)
  })
}

test('entries that look alike behind the mask become one point, with their sum', () => {
  const entry = (dst: string, bytes: number) =>
    `{"proto":6,"src":"100.64.0.1:50000","dst":"${dst}","txBytes":${bytes},"txPkts":1}`
  const message = `{"nodeId":"n1","start":"2026-11-02T12:00:00Z","exitTraffic":[${entry('203.0.113.7:443', 10)},${entry('203.0.113.9:443', 200)},${entry('[2001:db8::1]:443', 3_000)},${entry('10.0.0.1:443', 40_000)}]}`
  const fold = (externalAddresses: PrivacyConfig['externalAddresses']) => {
    const flattener = flattenerOf('service', 'x')
    const masked = maskedFlattener(flattener, createMask({ names: 'keep', externalAddresses }, KEY))
    const reader = createMessageReader({ answerBytesMax: 1e6, messageBytesMax: 1e6, depthMax: 8 })
    const flows: [string, bigint, number][] = []
    for (const one of reader.push(Buffer.from(`{"logs":[${message}]}`))) {
      const points = masked.flatten(one)
      for (let index = 0; index < points.count; index += 1) {
        const { dst, txBytes, flows: count } = points.flow(index)
        flows.push([dst, txBytes, count])
      }
    }
    return flows
  }
  assert.deepEqual(fold('truncate'), [
    ['203.0.113.0', 210n, 2],
    ['2001:db8::', 3_000n, 1],
    ['10.0.0.1', 40_000n, 1],
  ])
  assert.deepEqual(fold('drop'), [
    ['external', 3_210n, 3],
    ['10.0.0.1', 40_000n, 1],
  ])
})

test('masks: what is public, and what is not', () => {
  const of = (externalAddresses: PrivacyConfig['externalAddresses']) =>
    createMask({ names: 'keep', externalAddresses }, KEY)
  for (const own of [
    '100.64.1.2',
    'fd7a:115c:a1e0::1',
    '10.1.2.3',
    '192.168.7.8',
    '127.3.3.40',
    'fe80::1',
    '224.0.0.1',
    '::1',
    '172.16.0.9',
  ]) {
    for (const how of ['truncate', 'hash', 'drop'] as const) assert.equal(of(how).address(own), own)
  }
  const rows: [string, string][] = [
    ['203.0.113.77', '203.0.113.0'],
    ['8.8.8.8', '8.8.8.0'],
    ['2001:db8:1:2:3::4', '2001:db8:1::'],
    ['::ffff:198.51.100.7', '198.51.100.0'],
    ['not-an-address', 'external'],
  ]
  for (const [address, network] of rows) assert.equal(of('truncate').address(address), network)
  assert.match(of('hash').address('8.8.8.8'), /^ext-[0-9a-f]{12}$/)
  assert.equal(of('hash').address('2001:DB8::1'), of('hash').address('2001:db8:0::1'))
  assert.notEqual(
    createMask({ names: 'keep', externalAddresses: 'hash' }, Buffer.alloc(32, 8)).address('8.8.8.8'),
    of('hash').address('8.8.8.8'),
  )
  assert.equal(of('drop').address('8.8.8.8'), 'external')
})

test('the key stays the same in a state file, and devices are masked for all who hear of them', () => {
  const file = state()
  assert.deepEqual([...privacyKey(file)], [...privacyKey(file)])
  assert.notDeepEqual([...privacyKey(file)], [...privacyKey(state())])
  const device = { nodeId: 'n1', name: 'alice-laptop', addresses: ['100.64.0.1'], owner: 'alice' }
  const hash = createMask({ ...KEEP, names: 'hash' }, KEY)
  assert.match(maskedDevices([device], hash)[0]?.name ?? '', /^name-/)
  assert.match(maskedDevices([device], hash)[0]?.owner ?? '', /^user-[0-9a-f]{12}$/)
  const drop = createMask({ ...KEEP, names: 'drop' }, KEY)
  assert.deepEqual(maskedDevices([device], drop), [{ nodeId: 'n1', name: '', addresses: ['100.64.0.1'] }])
  const tagged = { ...device, owner: 'tag:db,tag:prod' }
  for (const mask of [hash, drop]) assert.equal(maskedDevices([tagged], mask)[0]?.owner, 'tag:db,tag:prod')
  const unnamed = createNames(state(), 'x')
  maskedNames(unnamed, drop).observe([device], NOON_NS)
  assert.equal(unnamed.nameOf('n1', NOON_NS), undefined)
  // What was observed behind the mask is not masked a second time; what was kept before it is masked when it is shown.
  const names = maskedNames(createNames(file, 'x'), hash)
  names.observe([device], NOON_NS)
  assert.equal(names.nameOf('n1', NOON_NS), hash.name('alice-laptop'))
  const before = createNames(state(), 'x')
  before.observe([device], NOON_NS)
  assert.equal(maskedNames(before, hash).nameOf('n1', NOON_NS), hash.name('alice-laptop'))
})
