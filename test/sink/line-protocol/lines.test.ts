import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { getOrInsert } from '../../../src/base/maps.ts'
import type { Points } from '../../../src/flatten/points.ts'
import type { LineLimits } from '../../../src/sink/line-protocol/batches.ts'
import { encodeLine } from '../../../src/sink/line-protocol/encode-line.ts'
import { createLineWriter } from '../../../src/sink/line-protocol/line-writer.ts'
import type { Batch } from '../../../src/sink/sink.ts'
import { createMessageReader } from '../../../src/source/parse/message-reader.ts'
import { flattenerOf } from '../../helpers/flattener.ts'
import { linesOf } from '../../helpers/lines.ts'
import { parseLine, parseLines } from './parse-lines.ts'

const SEED = 20_260_804
const LIMITS: LineLimits = { batchLinesMax: 5_000, batchBytesMax: 1 << 16 }
const textOf = (batch: Batch) => new TextDecoder('utf-8', { fatal: true }).decode(batch.bytes)

/** Flattens messages one after the other, as they are asked for. */
function* pointsOf(messages: readonly string[]): Iterable<Points> {
  const reader = createMessageReader({ answerBytesMax: 1 << 28, messageBytesMax: 1 << 24, depthMax: 8 })
  const flattener = flattenerOf('full', 'example.com')
  for (const message of reader.push(Buffer.from(`{"logs":[${messages}]}`))) yield flattener.flatten(message)
}

function messageOf(entries: number, second: number): string {
  const list = Array.from(
    { length: entries },
    (_, i) => `{"proto":6,"src":"100.64.0.1:${i + 1}","dst":"100.64.0.2:443","txBytes":${i}}`,
  )
  return `{"nodeId":"n1","start":"2026-08-01T10:00:${String(second).padStart(2, '0')}Z","virtualTraffic":[${list}]}`
}

/** All batches, taken after each message as the pipeline does. */
function batchesOf(messages: readonly string[], limits: LineLimits): Batch[] {
  const writer = createLineWriter(limits)
  const batches: Batch[] = []
  for (const points of pointsOf(messages)) {
    writer.append(points)
    for (let batch = writer.full(); batch; batch = writer.full()) batches.push(batch)
  }
  return [...batches, ...writer.rest()]
}

test('batches keep their limits, and no line is split or lost, whatever the limits are', () => {
  const messages = [messageOf(3, 1), messageOf(200, 2), messageOf(1, 3), messageOf(60, 4)]
  const all = batchesOf(messages, { ...LIMITS, batchLinesMax: 1e6, batchBytesMax: 1e7 })
  assert.equal(all.length, 1)
  const expected = textOf(all[0]!)
  assert.equal(all[0]!.lineCount, 3 + 200 + 1 + 60)
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 300 }),
      fc.integer({ min: 1, max: 20_000 }),
      (batchLinesMax, batchBytesMax) => {
        const batches = batchesOf(messages, { ...LIMITS, batchLinesMax, batchBytesMax })
        for (const batch of batches) {
          assert.ok(batch.lineCount >= 1 && batch.lineCount <= batchLinesMax)
          assert.ok(batch.bytes.length <= batchBytesMax || batch.lineCount === 1)
          assert.equal(parseLines(textOf(batch)).length, batch.lineCount)
          assert.equal(batch.target, 'raw')
        }
        assert.equal(batches.map(textOf).join(''), expected)
      },
    ),
    { seed: SEED, numRuns: 100 },
  )
})

test('a batch that is exactly full is handed over, and the next one begins empty', () => {
  const [whole] = batchesOf([messageOf(2, 1)], LIMITS)
  const writer = createLineWriter({ ...LIMITS, batchBytesMax: whole!.bytes.length })
  for (const points of pointsOf([messageOf(2, 1)])) writer.append(points)
  assert.equal(writer.full()?.lineCount, 2)
  assert.equal(writer.full(), undefined)
  assert.deepEqual(writer.rest(), [])
})

test('the longest lines fit', () => {
  const long = (letter: string) => letter.repeat(300)
  const names = [',', '=', ' ', '😀', '\u2028']
  const messages = names.map((letter, i) => {
    const entry = {
      proto: long(letter),
      src: long(letter),
      dst: `${long(letter)}x`,
      txBytes: 'N',
      txPkts: 'N',
      rxBytes: 'N',
      rxPkts: 'N',
    }
    const nodes = [{ name: long(letter), addresses: [long(letter), `${long(letter)}x`] }]
    const message = {
      nodeId: long(letter),
      start: `2026-08-01T10:00:0${i}Z`,
      srcNode: { nodeId: long(letter), name: long(letter) },
      dstNodes: nodes,
      virtualTraffic: [entry],
    }
    return JSON.stringify(message).replaceAll('"N"', '9223372036854775807')
  })
  const [batch] = batchesOf(messages, LIMITS)
  const parsed = parseLines(textOf(batch!))
  assert.equal(parsed.length, names.length)
  for (const [i, line] of parsed.entries()) {
    assert.equal(line.fields['rx_pkts'], 9223372036854775807n)
    const letter = names[i]!
    const cut = letter === '\u2028' ? '_'.repeat(256) : letter.repeat(256 / Buffer.byteLength(letter))
    for (const key of ['node', 'proto', 'src', 'dst'])
      assert.equal(line.tags[key], cut, `${key} of ${JSON.stringify(letter)}`)
  }
})

test('tags stand in byte order of their keys, `none` where something is absent, fields in the order of the data model', () => {
  const of = (traffic: string) =>
    textOf(batchesOf([`{"nodeId":"n1","start":"2026-08-01T10:00:01Z",${traffic}}`], LIMITS)[0]!)
  const end = 'flows=1i 1785578401000000000\n'
  assert.equal(
    of('"physicalTraffic":[{"src":"100.64.0.2:0","dst":"127.3.3.40:9","rxPkts":1}]'),
    `tailnet_flow,dst=127.3.3.40,dst_port=9,kind=physical,node=n1,path=derp-9,proto=none,src=100.64.0.2,src_port=0,tailnet=example.com tx_bytes=0i,tx_pkts=0i,rx_bytes=0i,rx_pkts=1i,${end}`,
  )
  assert.equal(
    of('"physicalTraffic":[{"proto":17,"src":"100.64.0.2","dst":"[2001:db8::1]:41641","txBytes":5}]'),
    `tailnet_flow,dst=2001:db8::1,dst_port=41641,kind=physical,node=n1,path=direct,proto=udp,src=100.64.0.2,src_port=none,tailnet=example.com tx_bytes=5i,tx_pkts=0i,rx_bytes=0i,rx_pkts=0i,${end}`,
  )
  assert.equal(
    of('"exitTraffic":[{"proto":"odd one","src":"100.64.0.2:5"}]'),
    `tailnet_flow,dst=none,dst_port=none,kind=exit,node=n1,path=none,proto=odd\\ one,src=100.64.0.2,src_port=5,tailnet=example.com tx_bytes=0i,tx_pkts=0i,rx_bytes=0i,rx_pkts=0i,${end}`,
  )
  assert.equal(
    of('"physicalTraffic":[{"proto":"odd","dst":"127.3.3.40:12"}]'),
    `tailnet_flow,dst=127.3.3.40,dst_port=12,kind=physical,node=n1,path=derp-12,proto=odd,src=none,src_port=none,tailnet=example.com tx_bytes=0i,tx_pkts=0i,rx_bytes=0i,rx_pkts=0i,${end}`,
  )
})

test('every count is written with the digits it has', () => {
  const values = [0n, 1n, 9n, 10n, 99n, 100n, 4_294_967_295n, 4_294_967_296n, 9_007_199_254_740_991n]
  for (let power = 1n; power < 1n << 63n; power *= 10n) values.push(power - 1n, power, power + 1n)
  const messages = values.map(
    (value, i) => `{"nodeId":"n${i}","start":"2026-08-01T10:00:01Z","exitTraffic":[{"txBytes":${value}}]}`,
  )
  const parsed = parseLines(batchesOf(messages, LIMITS).map(textOf).join(''))
  assert.deepEqual(
    parsed.map((line) => line.fields['tx_bytes']),
    values,
  )
  fc.assert(
    fc.property(fc.bigInt(0n, (1n << 63n) - 1n), (value) => {
      const [batch] = batchesOf(
        [`{"nodeId":"n","start":"2026-08-01T10:00:01Z","exitTraffic":[{"txBytes":${value}}]}`],
        LIMITS,
      )
      assert.equal(parseLines(textOf(batch!))[0]!.fields['tx_bytes'], value)
    }),
    { seed: SEED, numRuns: 300 },
  )
})

test('memory of a batch is used again after its release, never before, and twice released is once', () => {
  const limits = { ...LIMITS, batchLinesMax: 2, buffers: 2 }
  const writer = createLineWriter(limits)
  const take = (second: number): Batch[] => {
    for (const points of pointsOf([messageOf(6, second)])) writer.append(points)
    const batches: Batch[] = []
    for (let batch = writer.full(); batch; batch = writer.full()) batches.push(batch)
    return batches
  }
  const first = take(1)
  const texts = first.map(textOf)
  assert.equal(new Set(first.map((batch) => batch.bytes.buffer)).size, 3)
  const second = take(2)
  assert.deepEqual(first.map(textOf), texts, 'nobody wrote into a batch that is in flight')
  for (const batch of [...first, ...first]) writer.release(batch)
  const third = take(3)
  const lent = new Set(second.map((batch) => batch.bytes.buffer))
  assert.equal(
    new Set(third.map((batch) => batch.bytes.buffer)).size,
    3,
    'a batch never shares its memory with another',
  )
  assert.ok(third.every((batch) => !lent.has(batch.bytes.buffer)))
  const known = new Set(first.map((batch) => batch.bytes.buffer))
  assert.equal(third.filter((batch) => known.has(batch.bytes.buffer)).length, 2, 'only so many buffers are kept')
})

test('after a reset nothing of what was appended comes out', () => {
  const writer = createLineWriter({ ...LIMITS, batchLinesMax: 2 })
  for (const points of pointsOf([messageOf(5, 1)])) writer.append(points)
  writer.reset()
  assert.equal(writer.full(), undefined)
  assert.deepEqual(writer.rest(), [])
  for (const points of pointsOf([messageOf(1, 2)])) writer.append(points)
  assert.deepEqual(
    writer.rest().map((batch) => batch.lineCount),
    [1],
  )
})

test("the service's own lines are one line each, whatever their texts are", () => {
  const decode = (bytes: Uint8Array) => new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  const line = decode(
    encodeLine(
      'tailflux_window',
      { pass: '1', tailnet: 'a b,c=d\\' },
      { watermark: 5n, lag_ms: 7, ok: true, note: 'say "hi"\n\\' },
      -3n,
    ),
  )
  assert.equal(
    line,
    'tailflux_window,pass=1,tailnet=a\\ b\\,c\\=d_ watermark=5i,lag_ms=7i,ok=true,note="say \\"hi\\"__" -3\n',
  )
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const bytes = decode(encodeLine('m', { [`k${text}`]: text, end: text }, { f: 1n }, 1n))
      assert.equal(bytes.indexOf('\n'), bytes.length - 1)
      const parsed = parseLine(bytes.slice(0, -1))
      assert.equal(Object.keys(parsed.tags).length, 2)
      assert.ok(Buffer.byteLength(parsed.tags['end']!) <= 256 && parsed.tags['end'] !== '')
    }),
    { seed: SEED, numRuns: 300 },
  )
  assert.throws(() => encodeLine('m', {}, {}, 1n), RangeError)
  assert.throws(() => encodeLine('m', {}, { f: 1.5 }, 1n), RangeError)
  assert.throws(() => encodeLine('m', {}, { f: 1n << 63n }, 1n), RangeError)
})

test('a message whose encoding throws leaves no line, and those before and after it all of theirs', (t) => {
  const setBigUint64 = DataView.prototype.setBigUint64
  let throwsIn = Number.POSITIVE_INFINITY
  let threw = 0
  // Not by `t.mock`: that keeps the arguments of every call.
  DataView.prototype.setBigUint64 = function set(at: number, value: bigint, le?: boolean) {
    if (throwsIn-- === 0) {
      threw += 1
      throw new RangeError('a bug')
    }
    setBigUint64.call(this, at, value, le)
  }
  t.after(() => {
    DataView.prototype.setBigUint64 = setBigUint64
  })
  const messages = [messageOf(3, 1), messageOf(40, 2), messageOf(2, 3), messageOf(9, 4)]
  const linesIn = (batches: readonly Batch[]) => batches.flatMap((batch) => linesOf(batch.bytes))
  const known = new Map<string, Batch[]>()
  function expectedOf(whole: readonly string[]): Batch[] {
    const key = String(whole.map((message) => messages.indexOf(message)))
    return getOrInsert(known, key, () => batchesOf(whole, LIMITS))
  }
  fc.assert(
    fc.property(
      fc.nat(3),
      fc.nat(1_500),
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 1, max: 4_000 }),
      (broken, calls, batchLinesMax, batchBytesMax) => {
        const writer = createLineWriter({ batchLinesMax, batchBytesMax })
        const batches: Batch[] = []
        const whole: string[] = []
        let index = 0
        for (const points of pointsOf(messages)) {
          throwsIn = index === broken ? calls : Number.POSITIVE_INFINITY
          try {
            writer.append(points)
            whole.push(messages[index]!)
          } catch (error) {
            assert.match(String(error), /a bug/)
          }
          throwsIn = Number.POSITIVE_INFINITY
          index += 1
        }
        batches.push(...writer.rest())
        assert.deepEqual(linesIn(batches), linesIn(expectedOf(whole)))
        for (const batch of batches) {
          assert.equal(textOf(batch).split('\n').length - 1, batch.lineCount)
          assert.ok(batch.lineCount >= 1 && batch.lineCount <= batchLinesMax)
          writer.release(batch)
        }
      },
    ),
    { seed: SEED, numRuns: 400 },
  )
  assert.ok(threw > 100, `it threw ${threw} times`)
})
