import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createColumns } from '../../../src/source/parse/columns.ts'
import { createCompactParser, MORE, ODD } from '../../../src/source/parse/compact-parser.ts'
import { createExactParser } from '../../../src/source/parse/exact-parser.ts'
import {
  DST,
  END_ADDRESS_END,
  END_ADDRESS_START,
  END_HASH,
  END_PORT,
  END_TEXT_END,
  END_TEXT_START,
  ENTRY_CELLS,
  KIND,
  type Message,
  PROTO,
  SRC,
} from '../../../src/source/parse/message.ts'
import { textOf } from '../../../src/source/parse/text.ts'

const SEED = 20_260_801
const encoder = new TextEncoder()

/** Everything a message says, independent of where its texts lie. */
function shown(message: Message): unknown {
  const at = (start: number, end: number) => textOf(message.text, message.textStart + start, message.textStart + end)
  const end = (cell: number) => {
    const c = message.cells.subarray(cell, cell + 6)
    return [
      at(c[END_TEXT_START]!, c[END_TEXT_END]!),
      at(c[END_ADDRESS_START]!, c[END_ADDRESS_END]!),
      c[END_PORT],
      c[END_HASH],
    ]
  }
  const entries = []
  for (let i = 0; i < message.entryCount; i++) {
    const cell = i * ENTRY_CELLS
    const counters = [...message.counters.subarray(i * 4, i * 4 + 4)]
    const exact = message.exact ? [...message.exact.subarray(i * 4, i * 4 + 4)] : []
    entries.push([
      message.cells[cell + KIND],
      message.cells[cell + PROTO],
      end(cell + SRC),
      end(cell + DST),
      counters,
      exact,
    ])
  }
  const nodes = message.nodes.slice(0, message.nodeCount)
  const { nodeId, startNs, loggedNs, plain, exact, protoNames, srcNode, quarantined } = message
  return {
    ...{ nodeId, startNs, loggedNs, plain, isExact: exact !== undefined, srcNode },
    ...{ entries, nodes, protoNames: [...protoNames], quarantined: [...quarantined] },
  }
}

function readExactly(json: Uint8Array): unknown {
  const columns = createColumns()
  createExactParser(columns).read(json, 0, json.length)
  return shown(columns)
}

/** Feeds the parser with the bytes up to each of `stops`, then all of them. */
function readCompactly(
  json: Uint8Array,
  stops: readonly number[] = [],
): { result: number; length: number; told: unknown } {
  const columns = createColumns()
  const parser = createCompactParser(columns, 8)
  parser.begin()
  let result: number = MORE
  // Each time in another place, as a reader moves what it holds; behind the end lies a 0 and then rubbish.
  for (const stop of [...stops, json.length]) {
    const base = stop % 7
    const bytes = new Uint8Array(base + stop + 64).fill(0x22)
    bytes.set(json.subarray(0, stop), base)
    bytes[base + stop] = 0
    result = parser.run(bytes, new DataView(bytes.buffer), base, base + stop)
    if (result >= 0) return { result, length: result - base, told: shown(columns) }
    if (result === ODD) break
  }
  return { result, length: -1, told: undefined }
}

const space = fc.constantFrom('', '', '', ' ', '\n', '\t \r\n')
const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('a"b', 'c\\d', 'é', '\ud800', '\u2028'),
)
const word = fc.string({ unit: fc.constantFrom(...'abcXYZ019 -_.:[]'), maxLength: 12 })
const usualAddress = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.ipV4(), fc.nat(70_000)).map(([ip, port]) => `${ip}:${port}`) },
  { weight: 3, arbitrary: fc.tuple(fc.ipV6(), fc.nat(65_535)).map(([ip, port]) => `[${ip}]:${port}`) },
  fc.ipV4(),
  fc.ipV6(),
  word,
  fc.constantFrom(
    '',
    ':1',
    '[]:1',
    '[::1]',
    '[::1',
    '[::1]:',
    '[::1]x',
    '1.2.3.4:',
    '1.2.3.4:0443',
    '1.2.3.4:123456',
    'host:80',
    ']',
  ),
)
const oddAddress = fc.oneof(text, fc.string({ minLength: 200, maxLength: 300, unit: fc.constantFrom('a', '1', ':') }))
const usualNumber = fc.oneof(
  fc.nat(1_000_000).map(String),
  fc.nat(9).map(String),
  fc.constantFrom('999999999999999', '99999999999'),
)
const oddNumber = fc.oneof(
  fc.maxSafeNat().map(String),
  fc.bigInt(0n, 1n << 64n).map(String),
  fc.constantFrom('-1', '1.5', '1e3', '1.0', '-0', '1000000000000000', '9007199254740992', '9223372036854775807'),
)
/** JSON text of any value. */
const anything = fc.oneof(
  fc.json({ maxDepth: 3, stringUnit: 'binary' }),
  oddNumber,
  fc.constantFrom('null', 'true', 'false', '{}', '[]', '-2.5e+3', '0.25E-1'),
)
const time = fc.constantFrom('2026-08-01T10:00:00Z', '2026-08-01T10:00:00.123456789+02:00', '2025-01-31T23:59:59.9Z')
const oddTime = fc.constantFrom('0001-01-01T00:00:00Z', 'yesterday', '')

/** A generator of JSON texts of messages. `oddity`: of a hundred places where something unusual may stand, in how many it does. */
function messages(oddity: number): fc.Arbitrary<string> {
  const either = (usual: fc.Arbitrary<string>, odd: fc.Arbitrary<string>) =>
    fc.oneof({ weight: 100 - oddity, arbitrary: usual }, { weight: oddity, arbitrary: odd })
  const rarely = (usual: fc.Arbitrary<string>) => either(usual, anything)
  const quoted = (value: fc.Arbitrary<string>) =>
    either(
      value.map((one) => JSON.stringify(one)),
      // A letter written as an escape.
      value.map((one) =>
        JSON.stringify(one).replace(/^"([a-z0-9])/, (_, c) => `"\\u00${c.charCodeAt(0).toString(16)}`),
      ),
    )
  const listOf = (element: fc.Arbitrary<string>) =>
    fc
      .tuple(fc.array(element, { maxLength: 4 }), space, space)
      .map(([all, before, after]) => `[${before}${all.join(`${after},${before}`)}${after}]`)
  /** Members in any order, some missing, with unknown ones, now and then one twice, white space anywhere. */
  const object = (members: Record<string, fc.Arbitrary<string>>, needed = 0) => {
    const known = Object.entries(members).map(([key, value], index) => {
      const member = fc.tuple(quoted(fc.constant(key)), value)
      return index < needed ? member : fc.option(member, { freq: 8 })
    })
    const more = fc.array(fc.tuple(quoted(either(word, text)), anything), { maxLength: 2 })
    return fc
      .tuple(fc.tuple(...known), more, fc.nat(99), fc.nat(), space, space)
      .map(([some, others, dice, turn, before, after]) => {
        const all = [...some.filter((one) => one !== null), ...others]
        if (dice < oddity && all.length > 0) all.push(all[0]!)
        const order = all
          .map((member, index) => [((index + 1) * (turn % 9973)) % 101, member] as const)
          .sort((a, b) => a[0] - b[0])
        return `{${before}${order.map(([, [key, value]]) => `${key}${before}:${after}${value}`).join(`${after},${before}`)}${after}}`
      })
  }
  const counter = rarely(either(usualNumber, oddNumber))
  const address = rarely(quoted(either(usualAddress, oddAddress)))
  const entry = object({
    proto: rarely(
      either(
        fc.constantFrom('6', '17', '1', '0', '255'),
        fc.constantFrom('256', '06', '"tcp"', '"6"', '"weird"', '"300"'),
      ),
    ),
    src: address,
    dst: address,
    txPkts: counter,
    txBytes: counter,
    rxPkts: counter,
    rxBytes: counter,
  })
  const nodeId = quoted(either(fc.constantFrom('n1CNTRL', 'n2CNTRL'), text))
  const node = object({
    nodeId: rarely(nodeId),
    name: rarely(quoted(either(fc.constantFrom('pc.example.ts.net', ''), text))),
    addresses: rarely(listOf(address)),
    user: rarely(quoted(text)),
    tags: rarely(listOf(quoted(text))),
  })
  const traffic = rarely(fc.oneof({ weight: 9, arbitrary: listOf(rarely(entry)) }, fc.constant('null')))
  const members = {
    nodeId,
    start: rarely(quoted(either(time, oddTime))),
    end: rarely(quoted(time)),
    logged: rarely(quoted(either(time, oddTime))),
    srcNode: rarely(node),
    dstNodes: rarely(listOf(rarely(node))),
    virtualTraffic: traffic,
    subnetTraffic: traffic,
    exitTraffic: traffic,
    physicalTraffic: traffic,
  }
  return object(members, 2)
}
const message = fc.oneof(messages(0), messages(1), messages(4))

test('what the compact parser takes, the exact parser takes the same way', () => {
  let taken = 0
  let all = 0
  fc.assert(
    fc.property(message, (json) => {
      const bytes = encoder.encode(json)
      const { result, length, told } = readCompactly(bytes)
      all += 1
      assert.notEqual(result, MORE)
      if (result === ODD) return
      taken += 1
      assert.equal(length, bytes.length)
      assert.deepEqual(told, readExactly(bytes))
    }),
    { seed: SEED, numRuns: 1_500 },
  )
  assert.ok(taken > all / 10, `only ${taken} of ${all} messages were usual: the test compares too little`)
})

test('the compact parser takes nothing that JSON.parse refuses, whatever byte is changed', () => {
  let taken = 0
  fc.assert(
    fc.property(message, fc.nat(), fc.nat(255), (json, place, byte) => {
      const bytes = encoder.encode(json)
      bytes[place % bytes.length] = byte
      const { length, told } = readCompactly(bytes)
      if (length < 0) return
      taken += 1
      // A changed byte may end the message early; what was taken must be a message all the same.
      assert.deepEqual(told, readExactly(bytes.subarray(0, length)))
    }),
    { seed: SEED, numRuns: 1_500 },
  )
  assert.ok(taken > 50, `only ${taken} changed messages were taken`)
})

const USUAL = `{"logged":"2026-08-01T10:00:09.5Z","nodeId":"n1CNTRL","start":"2026-08-01T10:00:00Z","end":"2026-08-01T10:00:05Z",
  "srcNode":{"nodeId":"n1CNTRL","name":"pc.example.ts.net","addresses":["100.64.0.1","fd7a::1"],"user":"a\\u0026b@example.com"},
  "dstNodes":[{"nodeId":"n2CNTRL","name":"nas.example.ts.net","addresses":["100.64.0.2"],"tags":["tag:x"]} , {}],
  "hint":{"a":[1,-2.5e+3,true,false,null,"é\\n"]},
  "virtualTraffic":[{"proto":6,"src":"100.64.0.1:50000","dst":"[fd7a::2]:443","txPkts":12,"txBytes":3456,"rxPkts":0,"rxBytes":7},{ }],
  "exitTraffic" : [ ], "physicalTraffic":[{"src":"100.64.0.2:0","dst":"127.3.3.40:7","rxBytes":148 , "rxPkts":1}]}`

test('the compact parser goes on wherever the bytes broke off', () => {
  const bytes = encoder.encode(USUAL)
  const expected = readExactly(bytes)
  assert.deepEqual(readCompactly(bytes).told, expected)
  for (let stop = 0; stop < bytes.length; stop++)
    assert.deepEqual(readCompactly(bytes, [stop]).told, expected, `broken at ${stop}`)
  const each = Array.from(bytes, (_, stop) => stop)
  assert.deepEqual(readCompactly(bytes, each).told, expected, 'broken after every byte')
})

test('the compact parser meets its limit of nesting as the cutter does', () => {
  const nested = (depth: number) =>
    `{"x":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)},"nodeId":"n","start":"2026-08-01T10:00:00Z"}`
  assert.ok(readCompactly(encoder.encode(nested(8))).result > 0)
  assert.equal(readCompactly(encoder.encode(nested(9))).result, ODD)
})

test('wherever the bytes break off, the compact parser takes what it would take of the whole', () => {
  let taken = 0
  fc.assert(
    fc.property(message, fc.array(fc.nat(), { maxLength: 6 }), (json, places) => {
      const bytes = encoder.encode(json)
      const stops = places.map((place) => place % bytes.length).toSorted((a, b) => a - b)
      const whole = readCompactly(bytes)
      const { result, length, told } = readCompactly(bytes, stops)
      // The position in its own memory differs; whether it is one does not.
      assert.deepEqual([Math.min(result, 0), length, told], [Math.min(whole.result, 0), whole.length, whole.told])
      if (result >= 0) taken += 1
    }),
    { seed: SEED, numRuns: 1_500 },
  )
  assert.ok(taken > 150, `only ${taken} messages were usual: the test compares too little`)
})

test('the compact parser takes what is printed for people, and members that nobody knows', () => {
  const value = JSON.parse(USUAL)
  value.virtualTraffic[0].txPktsLost = 5
  value.virtualTraffic[0].more = { a: ['b"', -1.5e3, null] }
  value.dstNodes[0].user = 'jürgen\n@example.com'
  value.dstNodes[0].location = { city: 'Zürich', at: [47.4, 8.5] }
  for (const indent of [undefined, 1, '\t']) {
    const bytes = encoder.encode(JSON.stringify(value, null, indent))
    const { told, length } = readCompactly(bytes)
    assert.equal(length, bytes.length, `indent ${indent}`)
    assert.deepEqual(told, readExactly(bytes))
  }
})

test('the compact parser goes on inside an unknown member, however long it is, and finds out at its end whether it is JSON', () => {
  const filler = '"é\\u00e9\\"[{",-1.5e-3,{"a":[true,null,{}]},'.repeat(2_000)
  for (const [last, isTaken] of [
    ['0', true],
    ['00', false],
    ['"\\x"', false],
    ['[1,]', false],
    ['{"a"}', false],
  ] as const) {
    const json = `{"more":[${filler}${last}],"nodeId":"n1","start":"2026-08-01T10:00:00Z","exitTraffic":[{"txBytes":7}]}`
    const bytes = encoder.encode(json)
    const stops = Array.from({ length: Math.floor(bytes.length / 997) }, (_, index) => index * 997)
    const { result, told } = readCompactly(bytes, stops)
    assert.equal(result >= 0, isTaken, last)
    if (isTaken) assert.deepEqual(told, readExactly(bytes))
  }
})

test('a node that was described before is the same object, and one that differs in a byte is not', () => {
  const columns = createColumns()
  const parser = createCompactParser(columns, 8)
  const read = (nodes: readonly object[], space = 0) => {
    const json = Buffer.from(
      JSON.stringify({ nodeId: 'n1CNTRL', start: '2026-11-02T12:00:00Z', dstNodes: nodes }, null, space),
    )
    const bytes = Buffer.concat([json, Buffer.alloc(64)])
    parser.begin()
    const result = parser.run(bytes, new DataView(bytes.buffer, bytes.byteOffset), 0, json.length)
    assert.equal(result, json.length)
    return columns.nodes.slice(0, columns.nodeCount)
  }
  const node = (name: string) => ({
    nodeId: 'n123456789CNTRL',
    name: `a-long-name-in-front-${name}.ts.net`,
    addresses: ['100.64.0.1'],
  })
  const [first] = read([node('a')])
  const again = read([node('a'), node('b'), node('a')])
  assert.equal(again[0], first)
  assert.equal(again[2], first)
  assert.equal(again[1]?.name, 'a-long-name-in-front-b.ts.net')
  assert.notEqual(read([node('a')], 2)[0], first, 'other bytes')
  assert.deepEqual(read([node('a')], 2)[0], first, 'that say the same')
  for (let count = 0; count < 20_000; count += 1) read([{ ...node('c'), nodeId: `n${count}CNTRL` }])
  assert.deepEqual(read([node('a')])[0], first)
})
