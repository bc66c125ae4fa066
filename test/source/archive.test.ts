/** Saved flow logs: whatever they were saved as, the messages are the same. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { openArchive } from '../../src/source/archive.ts'
import { createMessageReader } from '../../src/source/parse/message-reader.ts'
import { textOf } from '../../src/source/parse/text.ts'
import { unpacked } from '../../src/source/unpack.ts'
import { NOON_NS } from '../helpers/fake-clock.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { createTailnet } from '../simulator/tailnet.ts'

const SEED = 20_261_102
const LIMITS = { answerBytesMax: 2 ** 40, messageBytesMax: 1 << 20, depthMax: 8 }
const MESSAGES = [
  ...createTailnet({ nodes: 6, seed: 3, hostile: true, bigCounters: true }).messages(
    NOON_NS,
    NOON_NS + 120_000_000_000n,
  ),
]

/** The text of each message in a file, also of what is quarantined, and how much else there is. */
function read(text: string, size = 65_536, messageBytesMax = LIMITS.messageBytesMax) {
  let others = 0
  const found: string[] = []
  const reader = createMessageReader(
    { ...LIMITS, messageBytesMax },
    { onOther: () => (others += 1), fault: ({ what, seen }) => new SyntaxError(`${what}: ${seen}`) },
  )
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += size) {
    const lent = bytes.subarray(at, at + size)
    for (const one of reader.push(Uint8Array.from(lent)))
      found.push(one.nodeId === '' ? one.quarantined[0]!.text : textOf(one.json, one.jsonStart, one.jsonEnd))
  }
  reader.end()
  return { found, others }
}

const hec = (message: string) => `{"time":1780500776.7,"event":${message},"fields":{"recorded":"2026-06-03T15:33:01Z"}}`
const answer = (messages: readonly string[]) => `{"logs":[${messages.join(',')}]}`
const pretty = (messages: readonly string[]) =>
  `{\n  "logs" : [\n${messages.join(',\n')}\n  ],\n  "next": {"a": ["}", 1]}\n}\n`

const FORMS: Record<string, (messages: readonly string[]) => string> = {
  'an answer of the API': answer,
  'a pretty one with more behind its list': pretty,
  'answers one after the other': (messages) => `${answer(messages.slice(0, 3))}\n${pretty(messages.slice(3))}`,
  'a list': (messages) => `[${messages.join(', ')}]`,
  NDJSON: (messages) => `${messages.join('\n')}\n\n`,
  'HEC, one per line': (messages) => messages.map(hec).join('\n'),
  'HEC without anything in between': (messages) => messages.map(hec).join(''),
  'a byte order mark and NDJSON': (messages) => `\ufeff${messages.join('\r\n')}`,
}

for (const [name, form] of Object.entries(FORMS)) {
  test(`${name}: the messages, and nothing else`, async () => {
    assert.ok(MESSAGES.length > 10)
    const { found, others } = read(form(MESSAGES))
    assert.deepEqual(found, MESSAGES)
    assert.equal(others, 0)
  })
}

test('however the bytes are cut, the messages are the same', async () => {
  const some = MESSAGES.slice(0, 6)
  fc.assert(
    fc.property(fc.constantFrom(...Object.values(FORMS)), fc.integer({ min: 1, max: 300 }), (form, size) => {
      assert.deepEqual(read(form(some), size), { found: some, others: 0 })
    }),
    { seed: SEED, numRuns: 60 },
  )
})

test('what is no flow log is counted and left out', async () => {
  const audit = '{"time":1,"event":{"eventGroupID":"g","action":"CREATE"},"fields":{}}'
  const { found, others } = read(`${audit}${hec(MESSAGES[0] ?? '')}{"devices":[{"nodeId":""}]}[[1],[2]]`)
  assert.equal(found.length, 1)
  assert.equal(others, 4)
  const long = read(`${MESSAGES[0]}\n{"nodeId":"n1","x":"${'y'.repeat(5_000)}"}\n${MESSAGES[1]}`, 700, 4_000)
  assert.ok(long.others >= 1)
})

test('lists of anything, and answers whose list is not their first member', () => {
  const [one = '', two = '', three = ''] = MESSAGES
  assert.deepEqual(read(`[${hec(one)},${answer([two])},{"next":{"logs":[1]},"logs":[${three}]},5,"x",{}]`), {
    found: [one, two, three],
    others: 3,
  })
  assert.deepEqual(read(`{"logs":null}{"logs":[]}\n[]{"next":1,"l\\u006fgs" : [ ${one} ]}`), {
    found: [one],
    others: 0,
  })
})

test('what log streaming wraps is told from a message that has such members itself', () => {
  const itself = '{"nodeId":"n1","start":"2026-08-01T10:00:00Z","event":{"a":1},"exitTraffic":[{"txBytes":7}]}'
  assert.deepEqual(read(`${itself}{"event":{"nodeId":"n2"}}{"event":{"exitTraffic":5}}{"event":[{"nodeId":"n3"}]}`), {
    found: [itself, '{"nodeId":"n2"}', '{"exitTraffic":5}'],
    others: 1,
  })
})

test('a message of a list that is too large is set aside with its head; by itself it is no message', () => {
  const large = `{"nodeId":"n1","x":"${'y'.repeat(5_000)}"}`
  for (const size of [700, 65_536]) {
    assert.deepEqual(
      read(answer([MESSAGES[0]!, large, MESSAGES[1]!]), size, 4_500).found.map((text) => text.slice(0, 20)),
      [MESSAGES[0]!.slice(0, 20), large.slice(0, 20), MESSAGES[1]!.slice(0, 20)],
    )
    const { found, others } = read(`${MESSAGES[0]}${large}${MESSAGES[1]}`, size, 4_500)
    assert.deepEqual([found, others], [[MESSAGES[0], MESSAGES[1]], 1])
  }
})

test('an answer of a file is not held, however long it is', () => {
  const reader = createMessageReader(
    { ...LIMITS, answerBytesMax: 1 },
    { onOther: () => assert.fail(), fault: ({ what }) => new SyntaxError(what) },
  )
  for (const _ of reader.push(Buffer.from('{"logs":['))) assert.fail()
  const chunk = Buffer.from(`${MESSAGES[0]},`.repeat(2_000))
  const before = process.memoryUsage().arrayBuffers
  let count = 0
  for (let i = 0; i < 40; i++) for (const _ of reader.push(chunk)) count += 1
  const grown = process.memoryUsage().arrayBuffers - before
  assert.equal(count, 80_000)
  assert.ok(grown < 4 * chunk.length + 16e6, `${grown} bytes held of ${40 * chunk.length}`)
})

test('a message of many lists is not put together again at each of them', async (t) => {
  const message = `{"nodeId":"n1","start":"2026-08-01T10:00:00Z",${Array.from({ length: 20_000 }, (_, index) => `"x${index}":[1]`)}}`
  const concat = Buffer.concat
  let bytes = 0
  t.mock.method(Buffer, 'concat', (pieces: Uint8Array[]) => {
    const whole = concat(pieces)
    bytes += whole.length
    return whole
  })
  assert.deepEqual(read(message, 4_096).found, [message])
  assert.ok(bytes < 2 * message.length, `${bytes} bytes were copied of a message of ${message.length}`)
})

test('what breaks off is no end', async () => {
  for (const text of [answer(MESSAGES).slice(0, -2), `${MESSAGES[0]}\n{"nodeId":"n`, '{"logs":[', 'x]']) {
    assert.throws(() => read(text), SyntaxError, text.slice(0, 40))
  }
  assert.deepEqual(read(''), { found: [], others: 0 })
})

/** The number of messages in a file, and what is told about it. */
async function readFile(path: string) {
  const { answer: saved, findings } = await openArchive(path, LIMITS)
  let messages = 0
  for await (const group of saved.groups) for (const { nodeId } of group) messages += nodeId === '' ? 0 : 1
  const { fault, ...others } = findings()
  return { messages, fault: fault?.message, ...others }
}

const PLAIN = MESSAGES.filter((one) => one.startsWith('{')).slice(0, 12)
const PADDING = Buffer.alloc(700)
const SKIPPED = Buffer.from('502a4d180400000001020304', 'hex')
const UTF16 = Buffer.from(`\ufeff${PLAIN.join('\r\n')}`, 'utf16le')
const bytesOf = (messages: readonly string[]) => Buffer.from(`${messages.join('\n')}\n`)
const [FIRST, SECOND] = [bytesOf(PLAIN.slice(0, 5)), bytesOf(PLAIN.slice(5))]

const PACKED: Record<string, Buffer> = {
  plain: bytesOf(PLAIN),
  gzip: gzipSync(bytesOf(PLAIN)),
  'gzip, padded': Buffer.concat([gzipSync(bytesOf(PLAIN)), PADDING]),
  'gzip of two members': Buffer.concat([gzipSync(FIRST), gzipSync(SECOND)]),
  'gzip of two members, padded': Buffer.concat([gzipSync(FIRST), PADDING, gzipSync(SECOND), PADDING]),
  zstd: zstdCompressSync(bytesOf(PLAIN)),
  'zstd with frames to skip': Buffer.concat([
    SKIPPED,
    zstdCompressSync(FIRST),
    SKIPPED,
    zstdCompressSync(SECOND),
    SKIPPED,
    PADDING,
  ]),
  'zstd, then gzip': Buffer.concat([zstdCompressSync(FIRST), PADDING, gzipSync(SECOND)]),
  'UTF-16': UTF16,
  'UTF-16, big-endian': Buffer.from(UTF16).swap16(),
  'UTF-16 without its mark': UTF16.subarray(2),
  'gzip of UTF-16': gzipSync(UTF16),
}

test('files, however they are packed and whatever they are called', async (t) => {
  const path = join(temporaryFolder(t), 'flows.json')
  for (const [name, bytes] of Object.entries(PACKED)) {
    writeFileSync(path, bytes)
    const expected = { messages: PLAIN.length, fault: undefined, damage: [], damageCount: 0, others: 0 }
    assert.deepEqual(await readFile(path), expected, name)
    for (const size of [3, 997]) {
      let text = Buffer.alloc(0)
      for await (const chunk of unpacked(inPieces(bytes, size))) text = Buffer.concat([text, chunk])
      assert.deepEqual(
        text.toString().replaceAll('\r', '').trim(),
        PLAIN.join('\n'),
        `${name} in pieces of ${size} bytes`,
      )
    }
  }
})

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

test('a packed file that breaks off, or continues as something else: what is before that is taken', async (t) => {
  const path = join(temporaryFolder(t), 'flows.json')
  const packed = gzipSync(bytesOf(PLAIN))
  for (const [bytes, fault] of [
    [
      packed.subarray(0, -4),
      /flows\.json cannot be read to its end: its compressed data end too early\. Get the whole/,
    ],
    [
      Buffer.concat([packed, Buffer.from('<html>')]),
      /after its byte \d+ follow bytes that are not compressed\. Get the whole/,
    ],
    [Buffer.concat([zstdCompressSync(bytesOf(PLAIN)), Buffer.from('<html>')]), /after its byte \d+ follow/],
    [Buffer.from(packed.with(-5, 1)), /its checksum before byte \d+ is wrong/],
    [
      Buffer.concat([packed, PADDING, Buffer.from('<html>')]),
      /after its byte \d+ follow bytes that are not compressed/,
    ],
  ] as const) {
    writeFileSync(path, bytes)
    const found = await readFile(path)
    assert.match(found.fault ?? '', fault)
    assert.equal(found.messages, PLAIN.length, String(fault))
  }
  writeFileSync(path, answer(PLAIN).slice(0, -2))
  const cut = await readFile(path)
  assert.equal(cut.messages, PLAIN.length)
  assert.match(
    cut.fault ?? '',
    /flows\.json ends inside its list of messages: the \d+ messages before that are taken\. Get/,
  )
})

test('a file without flow logs: what it is instead', async (t) => {
  const dir = temporaryFolder(t)
  const path = join(dir, 'flows.json')
  for (const [content, fault] of [
    ['', /flows\.json has no flow logs: it is empty; check how it was saved\.$/],
    [' \n\n', /it is empty/],
    ['<!doctype html><html><body>"Sign in"</body></html>', /it is a page \(HTML or XML\), perhaps the sign-in page/],
    ['\ufeff  <?xml version="1.0"?><Error/>', /it is a page/],
    ['{"message":"API token invalid"}', /it is an error answer of the API \("API token invalid"\); fix what it says/],
    [
      '{"version":"1.1","tailnet":"x","logs":[{"eventTime":"2026-01-01T00:00:00Z","type":"CONFIG","action":"CREATE"}]}',
      /it holds configuration audit logs; flow logs come from \/logging\/network/,
    ],
    ['{"time":1,"event":{"eventGroupID":"g","action":"CREATE"},"fields":{}}\n', /configuration audit logs/],
    ['{"devices":[{"nodeId":"n1","addresses":["100.64.0.1"]}]}', /it is a list of devices/],
    ['[{"a":1},{"b":2}]', /it is other JSON; it begins with "\[\{\\"a\\":1\}/],
    ['hello\nworld\n', /it is no JSON; it begins with "hello world"/],
    ['{"logs":[{"nodeId":"n1"', /its JSON is damaged or ends too early; save it again/],
    ['PK\x03\x04 and so on', /it is a zip archive; unpack it first/],
    [Buffer.concat([Buffer.alloc(257), Buffer.from('ustar')]), /it is a tar archive/],
    [Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]), /it is packed by xz/],
    [gzipSync('<html>'), /it is a page/],
    [Buffer.from('<html></html>', 'utf16le'), /it is (no text|a page)/],
  ] as const) {
    writeFileSync(path, content)
    const found = await readFile(path)
    assert.match(found.fault ?? '', fault, String(content).slice(0, 40))
    assert.equal(found.messages, 0)
  }
  for (const content of ['{"logs":[]}', '{"version":"1.1","logs":null}', '{"logs":[]}\n{"logs":[ ]}\n']) {
    writeFileSync(path, content)
    const nothing = { messages: 0, fault: undefined, damage: [], damageCount: 0, others: 0 }
    assert.deepEqual(await readFile(path), nothing, 'the API had nothing for that time')
  }
  await assert.rejects(openArchive(join(dir, 'nothing'), LIMITS), {
    message: /nothing cannot be read \(ENOENT\)\. Check/,
  })
  await assert.rejects(openArchive(dir, LIMITS), { message: /cannot be read \(it is not a file\)/ })
})
