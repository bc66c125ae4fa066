import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createValueScanner } from '../../../src/source/parse/value-scanner.ts'

const SEED = 20_261_129

/** Looks for the end of a value whose bytes come in pieces that end at `stops`; a comma and rubbish follow it. */
function scan(text: string, stops: readonly number[]) {
  const bytes = Buffer.from(`${text},"`)
  const scanner = createValueScanner()
  scanner.begin()
  let from = 0
  for (const stop of [...stops, bytes.length]) {
    const padded = new Uint8Array(stop + 32)
    padded.set(bytes.subarray(0, stop))
    const end = scanner.run(padded, new DataView(padded.buffer), from, stop)
    if (end >= 0) return { end, isValue: scanner.isValue(), isJson: scanner.isJson(), deepest: scanner.deepest() }
    from = stop
  }
  return undefined
}

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}

const value = fc.oneof(
  fc.json({ maxDepth: 4, stringUnit: 'binary' }),
  fc.tuple(fc.jsonValue(), fc.constantFrom(1, '\t')).map(([one, indent]) => JSON.stringify(one, null, indent)),
  fc.constantFrom('-0', '1e5', '0.25E-1', '{}', '[ ]', '"\\u00e9\\n"', '{"a" : [ { } ]}'),
)
const places = fc.array(fc.nat(), { maxLength: 5 })
const stopsOf = (text: string, some: readonly number[]) =>
  some.map((place) => place % (Buffer.byteLength(text) + 1)).toSorted((a, b) => a - b)

test('a value ends where it does, in whatever pieces it comes', () => {
  fc.assert(
    fc.property(value, places, (text, some) => {
      const found = { end: Buffer.byteLength(text), isValue: true, isJson: true, deepest: depthOf(JSON.parse(text)) }
      assert.deepEqual(scan(text, stopsOf(text, some)), found, text)
    }),
    { seed: SEED, numRuns: 1_000 },
  )
})

test('it is JSON only if JSON.parse takes it, whatever letter is changed', () => {
  const count = { json: 0, other: 0 }
  const letter = fc.constantFrom(...'"\\{}[]:,0-.eEtn \n\u0001xu/')
  fc.assert(
    fc.property(value, fc.nat(), fc.array(letter, { maxLength: 2 }), places, (text, at, letters, some) => {
      const place = at % text.length
      const changed = text.slice(0, place) + letters.join('') + text.slice(place + 1)
      const found = scan(changed, stopsOf(changed, some))
      if (found === undefined) return assert.ok(!parses(changed), `no end of ${changed}`)
      const taken = Buffer.from(`${changed},"`).subarray(0, found.end).toString()
      // White space around a value is not the scanner's matter.
      assert.equal(found.isJson, taken.trim() === taken && parses(taken), JSON.stringify(changed))
      count[found.isJson ? 'json' : 'other'] += 1
    }),
    { seed: SEED, numRuns: 3_000 },
  )
  assert.ok(count.json > 200 && count.other > 200, JSON.stringify(count))
})

test('what is nested too deep to be watched is not vouched for', () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
  assert.equal(scan(nested(31), [])?.isJson, true)
  assert.deepEqual(scan(nested(32), []), { end: 64, isValue: true, isJson: false, deepest: 32 })
  assert.equal(scan('[}', [])?.isValue, false)
  for (const text of ['<html>', 'nope', '01', '+1']) assert.equal(scan(text, [])?.isValue, false, text)
})
