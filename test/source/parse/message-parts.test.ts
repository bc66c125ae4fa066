import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PROTO_TAGS, protoOf } from '../../../src/base/protocol.ts'
import { claimsOf } from '../../../src/pipeline/claims.ts'
import { splitAddress } from '../../../src/source/parse/address.ts'
import { parseTime } from '../../../src/source/parse/time.ts'

const encoder = new TextEncoder()

test('times are read to the nanosecond, whatever their fraction and offset', () => {
  const rows: [string, bigint | undefined][] = [
    ['1970-01-01T00:00:00Z', 0n],
    ['2025-10-28T22:39:51.890385065Z', 1761691191890385065n],
    ['2025-10-28T22:39:51.8Z', 1761691191800000000n],
    ['2025-10-28T22:39:51.8903850659999Z', 1761691191890385065n],
    ['2025-10-28T23:39:51+01:00', 1761691191000000000n],
    ['2025-10-28T16:09:51.000000001-06:30', 1761691191000000001n],
    ['2024-02-29T00:00:00Z', 1709164800000000000n],
    ['1969-12-31T23:59:59.999999999Z', -1n],
    ['2262-04-11T23:47:16.854775807Z', 9223372036854775807n],
    ['2262-04-11T23:47:16.854775808Z', undefined],
    ['1677-09-21T00:12:43.145224192Z', -9223372036854775808n],
    ['1677-09-21T00:12:43.145224191Z', undefined],
    ['0001-01-01T00:00:00Z', undefined],
    ['9999-12-31T23:59:59Z', undefined],
    ['2023-02-29T00:00:00Z', undefined],
    ['2100-02-29T00:00:00Z', undefined],
    ['2023-13-01T00:00:00Z', undefined],
    ['2023-00-01T00:00:00Z', undefined],
    ['2023-04-31T00:00:00Z', undefined],
    ['2023-04-00T00:00:00Z', undefined],
    ['2023-01-01T24:00:00Z', undefined],
    ['2023-01-01T00:60:00Z', undefined],
    ['2016-12-31T23:59:60Z', undefined],
    ['2023-01-01T00:00:00', undefined],
    ['2023-01-01 00:00:00Z', undefined],
    ['2023-01-01T00:00:00.Z', undefined],
    ['2023-01-01T00:00:00Zx', undefined],
    ['2023-01-01T00:00:00+1:00', undefined],
    ['2023-01-01T00:00:00+24:00', undefined],
    ['2023-01-01T00:00:00+01:0', undefined],
    ['2023-1-01T00:00:00Z', undefined],
    ['', undefined],
  ]
  for (const [text, expected] of rows) {
    const bytes = encoder.encode(`x${text}9`)
    assert.equal(parseTime(bytes, 1, bytes.length - 1), expected, text)
    if (expected !== undefined && text.length <= 24 && expected > -1n) {
      assert.equal(BigInt(Date.parse(text)) * 1_000_000n, expected, text)
    }
  }
})

test('every day from 1900 to 2200 is where Date says it is', () => {
  for (let day = -25_567; day < 84_000; day += 1) {
    const text = new Date(day * 86_400_000).toISOString()
    const bytes = encoder.encode(text)
    assert.equal(parseTime(bytes, 0, bytes.length), BigInt(day) * 86_400_000_000_000n, text)
  }
})

test('addresses lose their port, and stay whole where there is doubt', () => {
  const rows: [string, string, number][] = [
    ['100.64.0.1:443', '100.64.0.1', 443],
    ['100.64.0.1:0', '100.64.0.1', 0],
    ['100.64.0.1:65535', '100.64.0.1', 65535],
    ['100.64.0.1:65536', '100.64.0.1:65536', -1],
    ['100.64.0.1:000080', '100.64.0.1:000080', -1],
    ['100.64.0.1:', '100.64.0.1:', -1],
    ['100.64.0.1', '100.64.0.1', -1],
    ['100.99.888.77:2049', '100.99.888.77', 2049],
    ['[fd7a:115c:a1e0::1]:443', 'fd7a:115c:a1e0::1', 443],
    ['[::ffff:1.2.3.4]:1', '::ffff:1.2.3.4', 1],
    ['[fe80::1%eth0]:5', 'fe80::1%eth0', 5],
    ['[fd7a::1]', 'fd7a::1', -1],
    ['[fd7a::1]:', '[fd7a::1]:', -1],
    ['[fd7a::1]x', '[fd7a::1]x', -1],
    ['[fd7a::1', '[fd7a::1', -1],
    ['[fd7a::1]:99999', '[fd7a::1]:99999', -1],
    ['fd7a::1', 'fd7a::1', -1],
    ['fd7a::1:443', 'fd7a::1:443', -1],
    ['host name:80', 'host name', 80],
    ['no port', 'no port', -1],
    [':80', ':80', -1],
    ['[]:80', '[]:80', -1],
    ['', '', -1],
  ]
  for (const [text, address, port] of rows) {
    const bytes = encoder.encode(`..${text}..`)
    const cells = new Int32Array(8)
    splitAddress(bytes, 2, bytes.length - 2, 1, cells, 1)
    const decoded = new TextDecoder().decode(bytes.subarray(cells[3]! + 1, cells[4]! + 1))
    assert.deepEqual([decoded, cells[5], cells[1]! + 1, cells[2]! + 1], [address, port, 2, bytes.length - 2], text)
  }
})

test('protocols are known by number, numeric text and name', () => {
  const rows: [string, number | string][] = [
    ['6', 6],
    ['006', 6],
    ['TCP', 6],
    ['tcp', 6],
    ['udp', 17],
    ['ICMPv4', 1],
    ['icmp', 1],
    ['IGMP', 2],
    ['ICMPv6', 58],
    ['icmp6', 58],
    ['ipv6-icmp', 58],
    ['TSMP', 99],
    ['Fragment', 255],
    ['sctp', 132],
    ['0', 0],
    ['-0', 0],
    ['', 0],
    ['none', 0],
    ['255', 255],
    ['256', '256'],
    ['-5', '-5'],
    ['0300', '300'],
    ['ipv4', 'ipv4'],
    ['Weird One', 'weird one'],
    ['1.5', '1.5'],
    ['99999999999999999999', '99999999999999999999'],
  ]
  for (const [text, expected] of rows) assert.strictEqual(protoOf(text), expected, text)
  assert.deepEqual(
    [0, 1, 6, 17, 58, 99, 200, 255].map((number) => PROTO_TAGS[number]),
    ['none', 'icmp', 'tcp', 'udp', 'ipv6-icmp', 'tsmp', '200', 'fragment'],
  )
})

test('what cannot be read still tells its node and time, from its own members only', () => {
  const logged = '2026-08-01T10:00:00Z'
  const loggedNs = 1_785_578_400_000_000_000n
  const rows: [text: string, claims: object][] = [
    [`{"nodeId":"n1CNTRL","logged":"${logged}","x":nope`, { node: 'n1CNTRL', loggedNs }],
    [`{"srcNode":{"nodeId":"nOther"},"dstNodes":[{"nodeId":"nOther"}],"nodeId" : "n1CNTRL"`, { node: 'n1CNTRL' }],
    [`{"x":"\\","nodeId":"nOther"","y":"nodeId","nodeId":7,"logged":"never"}`, {}],
    [`{"x":"torn in the middle of a text, "nodeId":`, {}],
    [`{"nodeId":"","logged":"${logged}"}`, { loggedNs }],
    [`{"nodeId":"${'n'.repeat(65)}"}`, {}],
    [`[{"nodeId":"n1CNTRL"}]`, {}],
    ['"nodeId"', {}],
    ['', {}],
  ]
  for (const [text, claims] of rows) assert.deepEqual(claimsOf(text), claims, text)
})
