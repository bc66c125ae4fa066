import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Code, CollectorError, type Reaction } from '../../../src/base/errors.ts'
import { KINDS } from '../../../src/source/parse/message.ts'
import { createMessageReader, type ReaderLimits } from '../../../src/source/parse/message-reader.ts'

const SEED = 20_260_802
const LIMITS: ReaderLimits = { answerBytesMax: 1 << 24, messageBytesMax: 1 << 20, depthMax: 8 }
const encoder = new TextEncoder()
const bytesOf = (text: string) => encoder.encode(text)

interface Told {
  nodeId: string
  entries: number
  txBytes: number
  quarantined: readonly { reason: string; text: string; kind?: string }[]
}

/** Reads a body in these chunks, to its end. */
function read(chunks: Iterable<Uint8Array>, limits: Partial<ReaderLimits> = {}): Told[] {
  const reader = createMessageReader({ ...LIMITS, ...limits })
  const reported: Told[] = []
  for (const chunk of chunks) {
    // The reader copies: what happens to the chunk afterwards is none of its business.
    const lent = chunk.slice()
    const messages = reader.push(lent)
    lent.fill(0x7d)
    for (const message of messages) {
      let txBytes = 0
      for (let i = 0; i < message.entryCount; i++) txBytes += message.counters[i * 4]!
      reported.push({
        nodeId: message.nodeId,
        entries: message.entryCount,
        txBytes,
        quarantined: [...message.quarantined],
      })
    }
  }
  reader.end()
  return reported
}
const readText = (text: string, limits: Partial<ReaderLimits> = {}) => read([bytesOf(text)], limits)

function* oneByOne(bytes: Uint8Array): Iterable<Uint8Array> {
  for (let i = 0; i < bytes.length; i++) yield bytes.subarray(i, i + 1)
}

function message(nodeId: string, more = ''): string {
  return `{"nodeId":"${nodeId}","start":"2026-08-01T10:00:00Z","virtualTraffic":[{"proto":6,"src":"1.2.3.4:5","txBytes":7}]${more}}`
}

const MIXED = `\ufeff {"a": {"logs":[1]}, "b" : "}]\\"\\\\" ,"logs":[ ${message('n1')},
  ${message('n2', ',"x":"}]{[\\"\\\\ é 😀"')} , null,${message('n3', ',"\\u0073tart":"2026-08-01T10:00:00Z"')},
  {"nodeId":"n4","start":"2026-08-01T10:00:00Z","virtualTraffic":[{"txBytes":-5},{"txBytes":9007199254740993},{"txBytes":1}]}, {"nodeId": nope}
  ] , "l\\u006fgs" : null, "c":-1.5e3,"d":[[[[]]]],"logs":[${message('n5')}]} \n`

test('an answer is the same in whatever pieces it comes', async (t) => {
  const bytes = bytesOf(MIXED)
  const expected = read([bytes])
  assert.deepEqual(
    expected.map((one) => [one.nodeId, one.entries, one.quarantined.map((part) => part.reason).join()]),
    [
      ['n1', 1, ''],
      ['n2', 1, ''],
      ['', 0, 'not_an_object'],
      ['n3', 1, ''],
      ['n4', 2, 'bad_counter'],
      ['', 0, 'bad_json'],
      ['n5', 1, ''],
    ],
  )
  await t.test('at every split point', () => {
    for (let i = 0; i <= bytes.length; i++) {
      assert.deepEqual(read([bytes.subarray(0, i), bytes.subarray(i)]), expected, `split at ${i}`)
    }
  })
  await t.test('byte by byte', () => assert.deepEqual(read(oneByOne(bytes)), expected))
  await t.test('in random pieces', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 120 }), { minLength: 1 }), (sizes) => {
        const chunks: Uint8Array[] = []
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = Math.max(sizes[i % sizes.length]!, i >= sizes.length ? 1 : 0)
          chunks.push(bytes.subarray(at, at + size))
          at += size
        }
        assert.deepEqual(read(chunks), expected)
      }),
      { seed: SEED, numRuns: 300 },
    )
  })
})

test('one reader takes answer after answer, whether they were whole or not', () => {
  const reader = createMessageReader(LIMITS)
  const take = (bytes: Uint8Array) => Array.from(reader.push(bytes), (one) => one.nodeId)
  const bytes = bytesOf(MIXED)
  const whole = take(bytes)
  reader.end()
  for (let i = 0; i <= bytes.length; i += 7) {
    reader.reset()
    take(bytes.subarray(0, i))
    reader.reset()
    assert.deepEqual(take(bytes), whole, `after ${i} bytes`)
    reader.end()
    assert.equal(reader.bytesRead(), bytes.length)
  }
  reader.reset()
  assert.throws(() => take(bytesOf('<html>')), { code: 'api_not_json' })
  reader.reset()
  assert.deepEqual(take(bytes), whole)
})

test('an empty window is no error', () => {
  for (const body of ['{"logs":[]}', '{"logs":null}', ' {"x":1 , "logs" : [ ] }', '{"logs":null,"logs":[]}']) {
    assert.deepEqual(readText(body), [], body)
    assert.deepEqual(read(oneByOne(bytesOf(body))), [], body)
  }
})

function fails(body: string, code: Code, reaction: Reaction, limits: Partial<ReaderLimits> = {}): void {
  for (const chunks of [[bytesOf(body)], oneByOne(bytesOf(body))]) {
    assert.throws(
      () => read(chunks, limits),
      (error) => {
        assert.ok(error instanceof CollectorError, String(error))
        assert.deepEqual([error.stage, error.code, error.reaction], ['source', code, reaction], body)
        assert.ok(error.message.length < 1_000)
        return true
      },
      body,
    )
  }
}

test('what is not the JSON of flow logs is never taken for an empty window', () => {
  const bodies = [
    '',
    '  ',
    '<html><body>Sign in</body></html>',
    '{}',
    '[]',
    '[{"logs":[]}]',
    '5',
    'null',
    '"logs"',
    '{"message":"no"}',
  ]
  for (const body of bodies) fails(body, 'api_not_json', 'retry')
  for (const body of ['{"logs":{}}', '{"logs":"x"}', '{"logs":5}', '{"logs":nope}', '{"x":{"logs":[]}}'])
    fails(body, 'api_not_json', 'retry')
  for (const body of ['{,"logs":[]}', '{"logs" []}', '{"logs":[],}', '{"logs":[] "x":1}', '{"x":nope,"logs":[]}']) {
    fails(body, 'api_not_json', 'retry')
  }
  for (const after of ['x', '{"logs":[]}', '\0', ']']) fails(`{"logs":[]}${after}`, 'api_not_json', 'retry')
})

test('a body that breaks off is an error at every byte', () => {
  const whole = `{"x":1,"logs":[${message('n1')},${message('n2')}]}`
  for (let length = 1; length < whole.length; length++) fails(whole.slice(0, length), 'api_truncated', 'split')
})

test('damage inside the list is an error, not silence', () => {
  const [one, two] = [message('n1'), message('n2')]
  for (const list of [
    `${one} ${two}`,
    `${one},,${two}`,
    `${one},`,
    `,${one}`,
    `${one}x`,
    `${one}}`,
    `nope,${one}`,
    `${one},{]`,
    `tru e`,
  ]) {
    fails(`{"logs":[${list}]}`, 'api_truncated', 'split')
  }
})

test('after an error the reader repeats it', () => {
  const reader = createMessageReader(LIMITS)
  assert.throws(() => [...reader.push(bytesOf('<html>'))], { code: 'api_not_json' })
  assert.throws(() => reader.push(bytesOf('{"logs":[]}')), { code: 'api_not_json' })
  assert.throws(() => reader.end(), { code: 'api_not_json' })
})

test('an answer over the limit of bytes asks for a shorter window', () => {
  const body = `{"logs":[${message('n1')}]}`
  const length = bytesOf(body).length
  assert.equal(readText(body, { answerBytesMax: length }).length, 1)
  fails(body, 'api_too_large', 'split', { answerBytesMax: length - 1 })
  const reader = createMessageReader(LIMITS)
  for (const _ of reader.push(bytesOf(body)));
  assert.equal(reader.bytesRead(), length)
})

test('a message over its limit is set aside with its head, and the line goes on', () => {
  for (const filler of ['"x', '{"unusual":nope,"x']) {
    const big = message('big', `,"pad":${filler}${'é'.repeat(60_000)}"${filler.startsWith('{') ? '}' : ''}`)
    const body = bytesOf(`{"logs":[${message('n1')},${big},${message('n2')}]}`)
    const limits = { messageBytesMax: 100_000 }
    const whole = read([body], limits)
    assert.deepEqual(
      whole.map((one) => [one.nodeId, one.quarantined.map((part) => part.reason).join()]),
      [
        ['n1', ''],
        ['', 'too_large'],
        ['n2', ''],
      ],
    )
    const { text } = whole[1]!.quarantined[0]!
    assert.ok(big.startsWith(text), 'the head is cut between characters')
    assert.ok(bytesOf(text).length <= 65_536 && bytesOf(text).length > 65_530)
    const pieces = Array.from({ length: Math.ceil(body.length / 1_000) }, (_, i) =>
      body.subarray(i * 1_000, (i + 1) * 1_000),
    )
    assert.deepEqual(read(pieces, limits), whole)
    assert.equal(
      read([body], { messageBytesMax: bytesOf(big).length })[1]!.quarantined[0]?.reason,
      filler.startsWith('{') ? 'bad_json' : undefined,
    )
  }
})

test('a message that is too large is not held while it streams', () => {
  const reader = createMessageReader({ ...LIMITS, answerBytesMax: 1e9, messageBytesMax: 100_000 })
  for (const _ of reader.push(bytesOf('{"logs":[{"x":"'))) assert.fail()
  const filler = new Uint8Array(1 << 20).fill(0x61)
  const before = process.memoryUsage().arrayBuffers
  for (let i = 0; i < 64; i++) for (const _ of reader.push(filler)) assert.fail()
  const grown = process.memoryUsage().arrayBuffers - before
  assert.ok(grown < 16e6, `${grown} bytes held of a message of 64 MiB`)
  const reasons = []
  for (const one of reader.push(bytesOf('"}]}'))) reasons.push(one.quarantined[0]?.reason)
  assert.deepEqual(reasons, ['too_large'])
  reader.end()
})

test('other members of the answer are not held either', () => {
  const reader = createMessageReader({ ...LIMITS, answerBytesMax: 1e9 })
  for (const _ of reader.push(bytesOf(`{"${'k'.repeat(1000)}":${'['.repeat(5_000)}"`))) assert.fail()
  const filler = new Uint8Array(1 << 20).fill(0x5d)
  const before = process.memoryUsage().arrayBuffers
  for (let i = 0; i < 64; i++) for (const _ of reader.push(filler)) assert.fail()
  const grown = process.memoryUsage().arrayBuffers - before
  assert.ok(grown < 16e6, `${grown} bytes held of a member of 64 MiB`)
  let messages = 0
  for (const _ of reader.push(bytesOf(`"${']'.repeat(5_000)},"logs":[${message('n1')}]}`))) messages += 1
  reader.end()
  assert.equal(messages, 1)
})

test('a message nested too deep is set aside', () => {
  const nested = (depth: number) =>
    message('n1', `,"x":${'[{"y":'.repeat((depth - 1) / 2)}1${'}]'.repeat((depth - 1) / 2)}`)
  assert.equal(readText(`{"logs":[${nested(7)}]}`)[0]!.entries, 1)
  const [deep, next] = readText(`{"logs":[${nested(9)},${message('n2')}]}`)
  assert.deepEqual([deep?.entries, deep?.quarantined[0]], [0, { reason: 'too_deep', text: nested(9) }])
  assert.equal(next?.nodeId, 'n2')
  // A limit below what usual messages have is a limit too.
  assert.equal(readText(`{"logs":[${message('n1')}]}`, { depthMax: 2 })[0]!.quarantined[0]?.reason, 'too_deep')
})

test('text that is not UTF-8 is replaced and never stops the line', () => {
  const bytes = bytesOf(`{"logs":[${message('n1', ',"srcNode":{"name":"XX"}')},${message('n2')}]}`)
  const at = bytes.indexOf(0x58)
  bytes[at] = 0xc3
  bytes[at + 1] = 0xff
  assert.deepEqual(
    read([bytes]).map((one) => one.nodeId),
    ['n1', 'n2'],
  )
})

test('what cannot be taken is reported with its reason, its kind and its text', () => {
  const start = '"start":"2026-08-01T10:00:00Z"'
  const rows: [string, number, string[]][] = [
    ['{}', 0, ['no_node undefined {}']],
    [`{"nodeId":"",${start}}`, 0, [`no_node undefined {"nodeId":"",${start}}`]],
    [`{"nodeId":7,${start}}`, 0, [`no_node undefined {"nodeId":7,${start}}`]],
    ['{"nodeId":"n"}', 0, ['bad_time undefined {"nodeId":"n"}']],
    [
      '{"nodeId":"n","start":"0001-01-01T00:00:00Z"}',
      0,
      ['bad_time undefined {"nodeId":"n","start":"0001-01-01T00:00:00Z"}'],
    ],
    ['[1]', 0, ['not_an_object undefined [1]']],
    ['"text"', 0, ['not_an_object undefined "text"']],
    [`{"nodeId":"n",${start},"exitTraffic":5,"subnetTraffic":[{}]}`, 1, ['bad_traffic exit 5']],
    [`{"nodeId":"n",${start},"exitTraffic":{"a":1},"subnetTraffic":null}`, 0, ['bad_traffic exit {"a":1}']],
    [
      `{"nodeId":"n",${start},"physicalTraffic":[5,null,[],{}]}`,
      1,
      ['bad_entry physical 5', 'bad_entry physical null', 'bad_entry physical []'],
    ],
    [
      `{"nodeId":"n",${start},"virtualTraffic":[{"src":5},{"dst":[]},{"proto":true},{"proto":1.5},{"proto":{}}]}`,
      0,
      [
        'bad_entry virtual {"src":5}',
        'bad_entry virtual {"dst":[]}',
        'bad_entry virtual {"proto":true}',
        'bad_entry virtual {"proto":1.5}',
        'bad_entry virtual {"proto":{}}',
      ],
    ],
    [
      `{"nodeId":"n",${start},"virtualTraffic":[{"txBytes":9223372036854775808},{"rxPkts":18446744073709551615},{"rxBytes":0.5},{"txPkts":"1"},{"txBytes":9223372036854775807}]}`,
      1,
      [
        'bad_counter virtual {"txBytes":9223372036854775808}',
        'bad_counter virtual {"rxPkts":18446744073709551615}',
        'bad_counter virtual {"rxBytes":0.5}',
        'bad_counter virtual {"txPkts":"1"}',
      ],
    ],
    [`{"nodeId":"n",${start},"virtualTraffic":[{"txBytes":null,"src":null,"dst":null,"proto":null}]}`, 1, []],
  ]
  for (const [json, entries, expected] of rows) {
    const [reported] = readText(`{"logs":[${json}]}`)
    assert.equal(reported?.entries, entries, json)
    assert.deepEqual(
      reported?.quarantined.map((one) => `${one.reason} ${one.kind} ${one.text}`),
      expected,
      json,
    )
  }
  assert.deepEqual(KINDS, ['virtual', 'subnet', 'exit', 'physical'])
})

test('a start too far from logged, or without one from the window, sets its message aside with that reason', () => {
  const bounds = { clockBehindMax: 31 * 86_400_000, clockAheadMax: 3_600_000 }
  const text = readFileSync(new URL('../fixtures/clocks-out-of-bounds.json', import.meta.url), 'utf8')
  const reported = readText(text, bounds)
  assert.deepEqual(
    reported.map((one) => [one.entries, one.quarantined.map((part) => part.reason).join()]),
    Array.from({ length: 6 }, () => [0, 'clock_out_of_bounds']),
  )
  assert.deepEqual(
    reported.map((one) => JSON.parse(one.quarantined[0]!.text)),
    JSON.parse(text).logs,
  )
  const window = { fromNs: 1_785_578_400_000_000_000n, toNs: 1_785_578_460_000_000_000n }
  // The bounds themselves are still taken; a nanosecond beyond is not.
  const rows: [start: string, logged: string | undefined, isTaken: boolean][] = [
    ['2026-07-01T10:00:00Z', '2026-08-01T10:00:00Z', true],
    ['2026-07-01T09:59:59.999999999Z', '2026-08-01T10:00:00Z', false],
    ['2026-08-01T11:00:00Z', '2026-08-01T10:00:00Z', true],
    ['2026-08-01T11:00:00.000000001Z', '2026-08-01T10:00:00Z', false],
    ['2026-07-01T10:00:00Z', undefined, true],
    ['2026-07-01T09:59:59.999999999Z', 'never', false],
    ['2026-08-01T11:01:00Z', undefined, true],
    ['2026-08-01T11:01:00.000000001Z', undefined, false],
  ]
  for (const odd of ['', ',"x":"\\u0041","x":1']) {
    const reader = createMessageReader({ ...LIMITS, ...bounds })
    const logs = rows.map(
      ([start, logged]) =>
        `{"nodeId":"n","start":"${start}"${logged === undefined ? '' : `,"logged":"${logged}"`},"exitTraffic":[{"txBytes":1}]${odd}}`,
    )
    reader.reset(window)
    const taken: boolean[] = []
    for (const one of reader.push(bytesOf(`{"logs":[${logs.join()}]}`))) taken.push(one.quarantined.length === 0)
    assert.deepEqual(
      taken,
      rows.map(([, , isTaken]) => isTaken),
    )
  }
})

test('a message that breaks the reader itself is set aside alone, with its text and the error', (t) => {
  const parse = JSON.parse
  t.mock.method(JSON, 'parse', (text: string, revive?: (key: string, value: unknown) => unknown) => {
    if (text.includes('breaks the exact parser')) throw new TypeError('a bug')
    return parse(text, revive)
  })
  const getInt32 = DataView.prototype.getInt32
  let breaksIn = Number.POSITIVE_INFINITY
  t.mock.method(DataView.prototype, 'getInt32', function read(this: DataView, at: number, isLittle?: boolean) {
    if (breaksIn-- === 0) throw new RangeError('a bug')
    return getInt32.call(this, at, isLittle)
  })
  const exact = message('n2', ',"\\u0078":"breaks the exact parser"')
  const body = bytesOf(`{"logs":[${message('n1')},${exact},${message('n3')}]}`)
  for (const chunks of [[body], [...oneByOne(body)]]) {
    const reported = read(chunks)
    assert.deepEqual(
      reported.map((one) => [one.nodeId, one.entries, one.quarantined[0]?.reason]),
      [
        ['n1', 1, undefined],
        ['', 0, 'read_failed'],
        ['n3', 1, undefined],
      ],
    )
    const part: { text: string; detail?: string } | undefined = reported[1]!.quarantined[0]
    assert.equal(part?.text, exact)
    assert.match(part?.detail ?? '', /TypeError: a bug/)
  }
  breaksIn = 3
  const reported = read([bytesOf(`{"logs":[${message('n1')},${message('n2')}]}`)])
  assert.deepEqual(
    reported.map((one) => [one.nodeId, one.quarantined[0]?.reason, one.quarantined[0]?.text]),
    [
      ['', 'read_failed', message('n1')],
      ['n2', undefined, undefined],
    ],
  )
})

test('a part without end is looked through once, however many pieces it comes in', (t) => {
  const getInt32 = DataView.prototype.getInt32
  let words = 0
  // No mock: it would remember millions of calls.
  DataView.prototype.getInt32 = function count(at, isLittle) {
    words += 1
    return getInt32.call(this, at, isLittle)
  }
  t.after(() => {
    DataView.prototype.getInt32 = getInt32
  })
  const limits = { answerBytesMax: 1 << 28, messageBytesMax: 1 << 26 }
  const filler = Buffer.alloc(20 << 20, 'x')
  const parts: [what: string, before: string, after: string][] = [
    ['an unknown member', '{"nodeId":"n1","start":"2026-08-01T10:00:00Z","exitTraffic":[{"txBytes":7}],"x":"', '"}'],
    [
      'an unknown member of a node',
      '{"nodeId":"n1","start":"2026-08-01T10:00:00Z","exitTraffic":[{"txBytes":7}],"dstNodes":[{"x":"',
      '"}]}',
    ],
    [
      'an unknown member of an entry',
      '{"nodeId":"n1","start":"2026-08-01T10:00:00Z","exitTraffic":[{"txBytes":7,"x":"',
      '"}]}',
    ],
  ]
  for (const [what, before, after] of parts) {
    words = 0
    const body = Buffer.concat([Buffer.from(`{"logs":[${before}`), filler, Buffer.from(`${after}]}`)])
    const reported = read(
      (function* pieces() {
        for (let at = 0; at < body.length; at += 65_536) yield body.subarray(at, at + 65_536)
      })(),
      limits,
    )
    assert.deepEqual([reported[0]?.entries, reported[0]?.txBytes, reported[0]?.quarantined], [1, 7, []], what)
    // Once is a quarter of its bytes; again with each piece would be 160 times as many.
    assert.ok(words < body.length / 3, `${what}: ${words} words of ${body.length} bytes`)
  }
})
