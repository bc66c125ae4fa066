/** Masks through the real line: nothing that is masked gets through, the numbers stay, and the same message stays the same points. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CollectorError } from '../../src/base/errors.ts'
import { type PrivacyConfig, privacySchema } from '../../src/privacy/config.ts'
import { keyBytes, keyFingerprint } from '../../src/privacy/key.ts'
import { type AddressMask, createAddressMask, createMask } from '../../src/privacy/mask.ts'
import { maskedDevices, maskedFlattener } from '../../src/privacy/masked.ts'
import { createPrivacy } from '../../src/privacy/privacy.ts'
import { createLineWriter } from '../../src/sink/line-protocol/line-writer.ts'
import { deviceOf } from '../../src/source/devices.ts'
import { createMessageReader } from '../../src/source/parse/message-reader.ts'
import { NOON_NS } from '../helpers/fake-clock.ts'
import { flattenerOf } from '../helpers/flattener.ts'
import { answerOf, throughTheLine } from '../helpers/through-the-line.ts'
import { createTailnet, type Tailnet } from '../simulator/tailnet.ts'
import { type ParsedLine, parseLines } from '../sink/line-protocol/parse-lines.ts'

const KEY = 'k'.repeat(32)
const BYTES = keyBytes(KEY)
type Mode = PrivacyConfig['externalAddresses']
const FROM = NOON_NS
const TO = NOON_NS + 180_000_000_000n

const TAILNETS = {
  'exit destinations': createTailnet({ nodes: 14, seed: 5, exitDestinations: true, oldClients: 0.4 }),
  'hostile texts': createTailnet({ nodes: 12, seed: 6, hostile: true, exitDestinations: true, bigCounters: true }),
}

/** The lines of three minutes, with addresses masked in one way. */
function linesOf(tailnet: Tailnet, mode: Mode, ports: 'service' | 'full' = 'service', chunk = 10_007) {
  const flattener = maskedFlattener(flattenerOf(ports, 'x'), () => maskOf(mode))
  const reader = createMessageReader({ answerBytesMax: 2 ** 40, messageBytesMax: 2 ** 22, depthMax: 64 })
  const writer = createLineWriter({ batchLinesMax: 1e6, batchBytesMax: 1 << 26 })
  for (const bytes of answerOf(tailnet.messages(FROM, TO), chunk)) {
    for (const message of reader.push(bytes)) if (message.entryCount > 0) writer.append(flattener.flatten(message))
  }
  const text = writer
    .rest()
    .map((batch) => Buffer.from(batch.bytes).toString())
    .join('')
  return { text, lines: parseLines(text) }
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

function maskOf(mode: Mode): AddressMask | 'keep' {
  return mode === 'keep' ? mode : createAddressMask(mode, BYTES)
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
    const { lines } = throughTheLine(answerOf(tailnet.messages(FROM, TO)), { tailnet: 'x' })
    assert.deepEqual(linesOf(tailnet, 'keep').lines, lines)
  })

  test(`${name}: lines have no names of devices, whatever messages say`, () => {
    const plain = linesOf(tailnet, 'keep').text
    const named = [...tailnet.devices(FROM)].flatMap((text) => deviceOf(JSON.parse(text), 0)?.name ?? [])
    const hosts = new Set(named.filter((one) => one.length > 4))
    assert.ok(hosts.size > 5)
    for (const host of hosts) assert.ok(!plain.includes(host), host)
  })

  test(`${name}: public addresses truncated, hashed or dropped never get through; entries that become equal are summed`, () => {
    for (const ports of ['service', 'full'] as const) {
      const plain = linesOf(tailnet, 'keep', ports)
      const secret = new Set(
        plain.lines.flatMap(({ tags }) => [tags['src'] ?? '', tags['dst'] ?? '']).filter((one) => isPublic(one)),
      )
      assert.ok(secret.size > 3)
      for (const externalAddresses of ['truncate', 'hash', 'drop'] as const) {
        const masked = linesOf(tailnet, externalAddresses, ports)
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
    assert.equal(linesOf(tailnet, 'hash', 'service', 733).text, linesOf(tailnet, 'hash').text)
  })
}

test('entries that look alike behind the mask become one point, with their sum', () => {
  const entry = (dst: string, bytes: number) =>
    `{"proto":6,"src":"100.64.0.1:50000","dst":"${dst}","txBytes":${bytes},"txPkts":1}`
  const message = `{"nodeId":"n1","start":"2026-11-02T12:00:00Z","exitTraffic":[${entry('203.0.113.7:443', 10)},${entry('203.0.113.9:443', 200)},${entry('[2001:db8::1]:443', 3_000)},${entry('10.0.0.1:443', 40_000)}]}`
  const fold = (mode: Mode) => {
    const masked = maskedFlattener(flattenerOf(), () => maskOf(mode))
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
  const of = (mode: Exclude<Mode, 'keep'>) => createAddressMask(mode, BYTES)
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
    for (const how of ['truncate', 'hash', 'drop'] as const) assert.equal(of(how)(own), own)
  }
  const rows: [string, string][] = [
    ['203.0.113.77', '203.0.113.0'],
    ['8.8.8.8', '8.8.8.0'],
    ['2001:db8:1:2:3::4', '2001:db8:1::'],
    ['::ffff:198.51.100.7', '198.51.100.0'],
    ['not-an-address', 'external'],
  ]
  for (const [address, network] of rows) assert.equal(of('truncate')(address), network)
  assert.match(of('hash')('8.8.8.8'), /^ext-[0-9a-f]{12}$/)
  assert.equal(of('hash')('2001:DB8::1'), of('hash')('2001:db8:0::1'))
  assert.notEqual(createAddressMask('hash', Buffer.alloc(32, 8))('8.8.8.8'), of('hash')('8.8.8.8'))
  assert.equal(of('drop')('8.8.8.8'), 'external')
})

test('devices are masked for all who hear of them', () => {
  const device = { nodeId: 'n1', name: 'alice-laptop', addresses: ['100.64.0.1'], owner: 'alice' }
  const hash = createMask({ names: 'hash' }, BYTES)
  const [once] = maskedDevices([device], hash)
  assert.match(once?.name ?? '', /^name-[0-9a-f]{12}$/)
  assert.match(once?.owner ?? '', /^user-[0-9a-f]{12}$/)
  assert.deepEqual(maskedDevices([once!], hash), [once], 'what is masked already stays as it is')
  const drop = createMask({ names: 'drop' }, BYTES)
  assert.deepEqual(maskedDevices([device], drop), [{ nodeId: 'n1', name: '', addresses: ['100.64.0.1'] }])
  const tagged = { ...device, owner: 'tag:db,tag:prod' }
  for (const mask of [hash, drop]) assert.equal(maskedDevices([tagged], mask)[0]?.owner, 'tag:db,tag:prod')
  assert.notEqual(createMask({ names: 'hash' }, Buffer.alloc(32, 8)).name('alice-laptop'), once?.name)
})

test('a message gets the mask of its own start; where a key is gone it is refused, and nothing of it is written', () => {
  const other = 'o'.repeat(40)
  const changes = [
    { names: 'hash', externalAddresses: 'hash', keyFingerprint: keyFingerprint('lost'.repeat(10)) },
    { names: 'hash', externalAddresses: 'hash', keyFingerprint: keyFingerprint(other) },
    { names: 'keep', externalAddresses: 'truncate' },
    { names: 'drop', externalAddresses: 'hash', keyFingerprint: keyFingerprint(KEY) },
  ] as const
  const config = privacySchema.parse({ externalAddresses: 'hash', key: KEY, formerKey: other })
  const privacy = createPrivacy(config, (startNs) => changes[Number(startNs / 60_000_000_000n) % 60]!)
  const masked = privacy.flattener(flattenerOf())
  const message = (minute: number) =>
    `{"nodeId":"n1","start":"2026-11-02T12:0${minute}:59Z","exitTraffic":[{"src":"100.64.0.1:1","dst":"8.8.8.8:443"}]}`
  const reader = createMessageReader({ answerBytesMax: 1e6, messageBytesMax: 1e6, depthMax: 8 })
  const results: string[] = []
  for (const one of reader.push(Buffer.from(`{"logs":[${[3, 0, 1, 2, 1, 3].map(message)}]}`))) {
    try {
      results.push(masked.flatten(one).flow(0).dst)
    } catch (error) {
      assert.ok(error instanceof CollectorError)
      assert.match(error.message, /set privacy.formerKey .*backfill --again/)
      results.push(`${error.stage} ${error.code} ${error.reaction}`)
    }
  }
  const [now, former] = [KEY, other].map((key) => createAddressMask('hash', keyBytes(key))('8.8.8.8'))
  assert.deepEqual(results, [now, 'flatten privacy_key_missing hold', former, '8.8.8.0', former, now])
})

test('a hash needs a key that nobody guesses, and the error says how to make one', () => {
  const faults = (settings: object) =>
    privacySchema.safeParse(settings).error?.issues.map(({ path, message }) => `${path.join('.')} ${message}`) ?? []
  for (const hashed of [{ names: 'hash' }, { externalAddresses: 'hash' }]) {
    assert.match(faults(hashed).join(), /^key is required .*run: openssl rand -hex 32 /)
    assert.deepEqual(faults({ ...hashed, key: KEY, formerKey: KEY }), [])
  }
  for (const name of ['key', 'formerKey']) {
    assert.match(
      faults({ [name]: 'a'.repeat(31) }).join(),
      new RegExp(`^${name} has 31 characters .*openssl rand -hex 32`),
    )
  }
  assert.deepEqual(faults({ names: 'drop', externalAddresses: 'truncate' }), [])
})
