/** Damage in saved files: whatever breaks, each line that is whole is taken, and what is left out is told and kept. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Message } from '../../src/source/parse/message.ts'
import { textOf } from '../../src/source/parse/text.ts'
import { createSavedLines } from '../../src/source/saved-lines.ts'
import { NOON_NS } from '../helpers/fake-clock.ts'
import { createTailnet } from '../simulator/tailnet.ts'

const SEED = 20_261_129
const LIMITS = { answerBytesMax: 2 ** 40, messageBytesMax: 8 << 20, depthMax: 8 }
const MESSAGES = [
  ...createTailnet({ nodes: 5, seed: 7, hostile: true, bigCounters: true }).messages(
    NOON_NS,
    NOON_NS + 90_000_000_000n,
  ),
]
const SOME = MESSAGES.slice(0, 12)

interface Read {
  /** Texts of messages, as they stand in the file. */
  readonly found: string[]
  /** Texts of damaged lines. */
  readonly letters: string[]
  readonly lines: (readonly [line: number, toLine: number])[]
  readonly others: number
  readonly isCutOff: boolean
}

function read(text: string | Buffer, size = 65_536): Read {
  const bytes = Buffer.from(text)
  const lines = createSavedLines('a.json', LIMITS)
  const found: string[] = []
  const letters: string[] = []
  function take(messages: Iterable<Message>) {
    for (const one of messages) {
      const [part] = one.quarantined
      if (one.nodeId !== '') found.push(textOf(one.json, one.jsonStart, one.jsonEnd))
      else if (part?.detail?.startsWith('a.json, line')) letters.push(part.text)
      else found.push(part?.text ?? '')
    }
  }
  for (let at = 0; at < bytes.length; at += size) take(lines.take(Buffer.from(bytes.subarray(at, at + size))))
  take(lines.end())
  assert.equal(lines.bytesRead(), bytes.length)
  return {
    found,
    letters,
    lines: lines.damage.first.map(({ line, toLine }) => [line, toLine]),
    others: lines.others(),
    isCutOff: lines.isCutOff(),
  }
}

const parsed = SOME.map((one) => JSON.parse(one) as unknown)
const hec = (message: string) => `{"time":1780500776.7,"event":${message},"fields":{"recorded":"2026-06-03T15:33:01Z"}}`
const indented = (value: unknown, by: number) =>
  by > 0 ? JSON.stringify(value, undefined, by) : JSON.stringify(value, undefined, 1).replace(/^ +/gm, '')

/** Each is valid JSON, one value after the other. */
const FORMS: Record<string, string> = {
  'an answer': `{"logs":[${SOME.join(',')}]}`,
  'an answer with a message per line': `{"logs":[\n${SOME.join(',\n')}\n]}\n`,
  'a list with a message per line': `[${SOME.join(',\n')}]`,
  NDJSON: `${SOME.join('\n')}\n`,
  'HEC without anything in between': SOME.map(hec).join(''),
  'lines of different kinds': `\ufeff${SOME.slice(0, 3).join('\r\n')}\n{"logs":[${SOME.slice(3, 7).join(',\n')}]}\n${SOME.slice(7).map(hec).join('\n')}`,
}

test('what is valid JSON is read as such, however its lines and chunks are', () => {
  for (const [name, text] of Object.entries(FORMS)) {
    for (const size of [1, 7, 1_000, 300_000]) {
      const { found, letters, others, isCutOff } = read(text, size)
      assert.deepEqual(found, SOME, `${name}, ${size}`)
      assert.deepEqual([letters, others, isCutOff], [[], 0, false], `${name}, ${size}`)
    }
  }
  for (const by of [0, 1, 2, 4]) {
    for (const value of [{ logs: parsed }, parsed, { x: 1, logs: parsed, next: { a: [{}, []] } }]) {
      const { found, letters, others } = read(indented(value, by), 500)
      assert.equal(found.length, SOME.length)
      assert.deepEqual([letters, others], [[], 0], `indented by ${by}`)
    }
    const each = read(parsed.map((one) => indented(one, by)).join('\n'), 500)
    assert.deepEqual(
      [each.found.length, each.letters, each.others],
      [SOME.length, [], 0],
      `one by one, indented by ${by}`,
    )
  }
})

test('a line that is torn anywhere costs that line, and is kept with its number', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: SOME.length - 1 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.constantFrom('end', 'beginning', 'middle', 'zeros'),
      fc.integer({ min: 1, max: 5_000 }),
      fc.boolean(),
      (index, share, part, size, isHec) => {
        const all = isHec ? SOME.map(hec) : SOME
        const line = all[index] ?? ''
        const at = Math.max(2, Math.min(line.length - 2, Math.round(share * line.length)))
        const torn = {
          end: line.slice(0, at),
          beginning: line.slice(at),
          middle: `${line.slice(0, at / 2)}${line.slice(at)}`,
          zeros: `${line.slice(0, at)}${'\0'.repeat(40)}`,
        }[part]
        const text = `${all.with(index, torn).join('\n')}\n`
        const { found, letters, lines, isCutOff } = read(text, size)
        const others = SOME.toSpliced(index, 1)
        // What is left of a line may be whole by itself: a message without its first members, or a smaller one.
        for (const one of others) assert.ok(found.includes(one), `lost: ${one.slice(0, 100)}`)
        assert.ok(found.length <= SOME.length)
        assert.equal(isCutOff, false)
        for (const [from, to] of lines) assert.deepEqual([from, to], [index + 1, index + 1])
        if (part === 'end') {
          assert.deepEqual(lines, [[index + 1, index + 1]])
          assert.equal(letters[0], torn.trimEnd().slice(0, 65_536))
        }
      },
    ),
    { seed: SEED, numRuns: 400 },
  )
})

test('two lines that run into each other, and a file whose end is lost', () => {
  const [one = '', two = '', three = '', four = ''] = SOME
  const joined = read(`${one}\n${two.slice(0, 60)}${three}\n${four}`)
  assert.deepEqual([joined.found, joined.lines], [[one, four], [[2, 2]]])
  const last = read(`${one}\n${two}\n${three.slice(0, 40)}`)
  assert.deepEqual([last.found, last.lines, last.isCutOff], [[one, two], [[3, 3]], false])
  const broken = read(`{"logs":[${one},${two},${three.slice(0, 40)}`)
  assert.deepEqual([broken.found, broken.letters, broken.isCutOff], [[one, two], [], true])
  assert.equal(read(`{"logs":[${one},${two}`).isCutOff, true)
  assert.equal(read(`[${one},\n${two},\n`).isCutOff, true)
})

test('damage inside an answer or a pretty text: what follows is taken from the next line on', () => {
  const [one = '', two = '', three = '', four = ''] = SOME
  const listed = read(`{"logs":[\n${one},\n${two.slice(0, 90)},\n${three},\n${four}\n]}\n${one}`)
  assert.deepEqual([listed.found, listed.lines], [[one, three, four, one], [[3, 3]]])
  const answer = indented({ logs: parsed.slice(0, 5) }, 2).split('\n')
  const begins = answer.flatMap((line, index) => (line === '    {' ? [index] : []))
  const hole = answer.toSpliced((begins[2] ?? 0) + 2, 3)
  for (const size of [1, 64, 65_536]) {
    const { found, lines } = read(hole.toSpliced((begins[2] ?? 0) + 1, 0, '"torn').join('\n'), size)
    assert.equal(found.length, 4, 'an element of an indented answer')
    assert.equal(lines.length, 1)
  }
  const shifted = read([one, two.slice(0, 90), three, four].map((line) => `  ${line}`).join('\n'))
  assert.deepEqual([shifted.found, shifted.lines], [[one, three, four], [[2, 2]]])
  const pretty = parsed.slice(0, 4).map((value) => indented(value, 2))
  const cut = (pretty[1] ?? '').split('\n').toSpliced(3, 2).join('\n').slice(0, -30)
  const { found, letters, lines } = read(pretty.with(1, cut).join('\n'))
  assert.equal(found.length, 3)
  assert.equal(letters.length, 1)
  const first = (pretty[0] ?? '').split('\n').length + 1
  assert.deepEqual(lines, [[first, first + cut.split('\n').length - 1]])
})

test('remarks and empty lines in between are no damage; a file of other things quarantines nothing', () => {
  const [one = '', two = ''] = SOME
  const { found, letters, others } = read(`# note: 5" disk\n\n${one}\n-- [x\n${two}\n`)
  assert.deepEqual([found, letters.length, others], [[one, two], 0, 2])
  const page = read('function a() {\n  return {b: 1}\n}\n{{{\n')
  assert.deepEqual([page.found, page.letters], [[], []])
})

test('lines of containers and collectors, in pieces too', () => {
  const long = SOME.toSorted((a, b) => b.length - a.length)[0] ?? ''
  const all = [SOME[0] ?? '', long, SOME[1] ?? '']
  const pieces = (text: string) => text.match(/.{1,700}/gsu) ?? []
  const docker = all
    .flatMap((one) => pieces(`${one}\n`))
    .map((log) => JSON.stringify({ log, stream: 'stdout', time: '2026-11-28T22:00:00Z' }))
  const kubernetes = all.flatMap((one) =>
    pieces(one).map(
      (text, index, { length }) => `2026-11-28T22:00:00.123456789Z stdout ${index === length - 1 ? 'F' : 'P'} ${text}`,
    ),
  )
  const vector = all.map((message) => JSON.stringify({ file: '/x', message, timestamp: 1 }))
  const splunk = all.map((event) => JSON.stringify({ time: 1, event }))
  const syslog = all.map((one) => `<14>1 2026-11-28T22:00:00Z host flows - - - ${one}`)
  for (const lines of [docker, kubernetes, vector, splunk, syslog]) {
    const { found, letters, others } = read(lines.join('\n'), 900)
    assert.deepEqual([found, letters, others], [all, [], 0], lines.join().slice(0, 60))
  }
  const damaged = read(vector.with(1, vector[1]?.slice(0, -20) ?? '').join('\n'))
  assert.deepEqual([damaged.found, damaged.lines], [[all[0], all[2]], [[2, 2]]])
})

test('a line without an end, and lines that never close, cost time in proportion', () => {
  const began = performance.now()
  const { found } = read(`${SOME[0]}\n${'{"a":\n'.repeat(20_000)}\n${SOME[1]}\n`)
  assert.equal(found[0], SOME[0])
  const huge = read(`${SOME[0]}\n{"x":"${'y'.repeat(3 << 20)}\n${SOME[1]}\n`)
  assert.deepEqual([huge.found, huge.lines], [[SOME[0], SOME[1]], [[2, 2]]])
  assert.ok(performance.now() - began < 20_000)
})
