/** Hostile input by the thousand: answers that are damaged or go for the prototype, and messages whose lines a real InfluxDB must take.
 * TAILFLUX_FUZZ_RUNS asks for more. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CollectorError } from '../../../src/base/errors.ts'
import { createLineWriter } from '../../../src/sink/line-protocol/line-writer.ts'
import { createMessageReader } from '../../../src/source/parse/message-reader.ts'
import { flattenerOf } from '../../helpers/flattener.ts'
import { linesOf } from '../../helpers/lines.ts'
import { iteratePoints } from '../../services/influx-read.ts'
import { startInfluxd } from '../../services/influxd.ts'
import { missing } from '../../services/servers.ts'

const RUNS = Number(process.env['TAILFLUX_FUZZ_RUNS'] ?? 2_000)
const SEED = Number(process.env['TAILFLUX_FUZZ_SEED'] ?? 20_261_125)
const LIMITS = { answerBytesMax: 1 << 20, messageBytesMax: 1 << 16, depthMax: 12 }

const hostileText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.constantFrom(
    '__proto__',
    'constructor',
    'a,b=c d',
    'x\\',
    '\n{"level":60}',
    '\u001b[31m',
    '""',
    '🦊',
    '\u2028',
    ' ',
    '',
  ),
)
const counter = fc.oneof(
  fc.nat(),
  fc.constantFrom(0, 1.5, -1, 2 ** 53, 1e300, null, '7', {}, [], true),
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map((value) => `big:${value}`),
)
const endText = fc.oneof(
  hostileText,
  fc.constantFrom('100.64.0.1:443', '[fd7a::1]:80', '127.3.3.40:7', '1.2.3.4:0', ':', '[', ']:1'),
)
const entry = fc.record(
  {
    proto: fc.oneof(fc.integer({ min: -1, max: 300 }), hostileText),
    src: endText,
    dst: endText,
    txBytes: counter,
    rxPkts: counter,
  },
  { requiredKeys: [] },
)
const node = fc.record({ nodeId: hostileText, name: hostileText, addresses: fc.array(endText, { maxLength: 3 }) })
const message = fc.record(
  {
    nodeId: fc.oneof(fc.constant('n1CNTRL'), hostileText),
    logged: fc.constantFrom('2026-11-02T12:00:00Z', 'never', '9999-12-31T23:59:59Z'),
    start: fc.constantFrom('2026-11-02T11:59:54.123456789Z', '0001-01-01T00:00:00Z', '2262-01-01T00:00:00Z', 'x'),
    srcNode: node,
    dstNodes: fc.array(node, { maxLength: 2 }),
    virtualTraffic: fc.oneof(fc.array(entry, { maxLength: 4 }), fc.constantFrom(null, {}, 'no')),
    physicalTraffic: fc.array(entry, { maxLength: 3 }),
    __proto__x: fc.constant(1),
  },
  { requiredKeys: ['nodeId', 'start', 'virtualTraffic'] },
)

/** JSON with integers beyond 2^53, and with the keys that go for the prototype as keys of their own. */
function jsonOf(value: unknown): string {
  return JSON.stringify(value)
    .replace(/"big:(\d+)"/g, '$1')
    .replaceAll('"__proto__x"', '"__proto__"')
}

/** One for all answers, as in the service: what one leaves behind must not hurt the next. */
const flattener = flattenerOf('full')
const writer = createLineWriter({ batchLinesMax: 1_000, batchBytesMax: 1 << 20 })

/** Lines of an answer, and how many entries it had; a CollectorError is a good end too. */
function linesMadeOf(body: Uint8Array, cut: number): { lines: string[]; refused: boolean } {
  const reader = createMessageReader(LIMITS)
  const lines: string[] = []
  try {
    for (const chunk of [body.subarray(0, cut), body.subarray(cut)]) {
      for (const one of reader.push(chunk)) if (one.entryCount > 0) writer.append(flattener.flatten(one))
    }
    reader.end()
    for (const batch of writer.rest()) {
      lines.push(...linesOf(batch.bytes))
      writer.release(batch)
    }
    return { lines, refused: false }
  } catch (error) {
    // Anything else is a crash.
    if (!(error instanceof CollectorError)) throw error
    writer.reset()
    return { lines, refused: true }
  }
}

test('answers with any byte changed end in messages or in an error of ours, never in a crash', (t) => {
  let refused = 0
  fc.assert(
    fc.property(fc.array(message, { maxLength: 3 }), fc.nat(), fc.nat(255), fc.nat(), (messages, at, byte, cut) => {
      const body = Buffer.from(`{"logs":[${messages.map(jsonOf).join(',')}]}`)
      body[at % body.length] = byte
      if (linesMadeOf(body, cut % body.length).refused) refused += 1
    }),
    { numRuns: RUNS, seed: SEED },
  )
  t.diagnostic(`${RUNS} damaged answers, ${refused} refused with an error of ours, 0 crashes`)
})

test('no answer reaches the prototype', (t) => {
  const before = Object.getOwnPropertyNames(Object.prototype).sort()
  const bodies = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'].flatMap((key) => [
    `{"${key}":{"polluted":1},"logs":[{"${key}":{"polluted":1},"nodeId":"n1","start":"2026-11-02T12:00:00Z","virtualTraffic":[{"${key}":{"polluted":1},"src":"${key}","dst":"${key}:1","proto":"${key}","txBytes":1}]}]}`,
    `{"logs":[{"nodeId":"${key}","start":"2026-11-02T12:00:00Z","srcNode":{"nodeId":"${key}","name":"${key}","addresses":["${key}"]},"virtualTraffic":[{"src":"${key}","dst":"${key}"}]}]}`,
  ])
  for (const body of bodies) {
    const bytes = Buffer.from(body)
    for (let cut = 0; cut < bytes.length; cut += 7) assert.ok(linesMadeOf(bytes, cut).lines.length > 0, body)
  }
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
  assert.deepEqual(Object.getOwnPropertyNames(Object.prototype).sort(), before)
  t.diagnostic(`${bodies.length} answers`)
})

test('whatever line is made of a hostile message, a real InfluxDB takes it, and there are as many as were made', {
  skip: await missing('influxd'),
}, async (t) => {
  const database = await startInfluxd(t, { databases: ['fuzz'] })
  const samples = fc.sample(message, { numRuns: RUNS, seed: SEED })
  const keys = new Set<string>()
  let lineCount = 0
  for (let at = 0; at < samples.length; at += 200) {
    const lines = samples.slice(at, at + 200).flatMap((one) => {
      const body = Buffer.from(`{"logs":[${jsonOf(one)}]}`)
      return linesMadeOf(body, body.length).lines
    })
    lineCount += lines.length
    for (const line of lines)
      keys.add(line.slice(0, line.lastIndexOf(' tx_bytes=')) + line.slice(line.lastIndexOf(' ')))
    const answer = await fetch(`${database.url}/write?db=fuzz`, { method: 'POST', body: `${lines.join('\n')}\n` })
    assert.equal(answer.status, 204, await answer.text())
  }
  let stored = 0
  for await (const _ of iteratePoints({ url: database.url, db: 'fuzz' }, 'tailnet_flow')) stored += 1
  assert.equal(stored, keys.size)
  t.diagnostic(`${samples.length} messages, ${lineCount} lines, ${stored} points stored, none refused`)
})
