/** The mutants are run by `npm run mutants`; here only that they still fit the sources, so that none of them dies of old age. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { MUTANTS } from '../../tools/mutants/mutants.ts'
import { type Mutant, mutate } from '../../tools/mutants/mutate.ts'

const SOURCE = `const LIMIT = 3
export function createX() {
  function low(a: number): number {
    return a < 1 ? 1
      : a
  }
  return { low, high(a: number) { return a > 1 ? 1 : a }, failed: () => 1 }
}
function other(a: number) { return a < 1 ? 1 : a }
`

function mutated(patch: Partial<Mutant>): string {
  return mutate(SOURCE, { name: 'too low', file: 'src/x.ts', in: 'low', replace: '', ...patch })
}

test('each mutant fits its function, makes a program, and the tests that it names exist', () => {
  for (const mutant of MUTANTS) {
    const source = readFileSync(new URL(`../../${mutant.file}`, import.meta.url), 'utf8')
    assert.notEqual(mutate(source, mutant), source)
    for (const file of mutant.tests ?? []) assert.ok(existsSync(new URL(`../../${file}`, import.meta.url)), file)
  }
})

test('no two mutants have one name', () => {
  assert.equal(new Set(MUTANTS.map(({ name }) => name)).size, MUTANTS.length)
})

test('a mutant changes its function alone, however its lines are broken', () => {
  const low = mutated({ find: 'a < 1 ? 1 : a', replace: '0' })
  assert.match(low, /function low\(a: number\): number \{\s+return 0\s+\}/)
  assert.match(low, /function other\(a: number\) \{ return a < 1 \? 1 : a \}/)
})

test('methods, arrow functions and constants are found too', () => {
  assert.match(mutated({ in: 'high', find: 'a > 1 ? 1 : a', replace: "'$&'" }), /high\(a: number\) \{ return '\$&' \}/)
  assert.match(mutated({ in: 'failed', find: '1', replace: '2' }), /failed: \(\) => 2 /)
  assert.match(mutated({ in: 'LIMIT', find: '3', replace: '4' }), /^const LIMIT = 4\n/)
})

test('without a text the mutant begins the body', () => {
  assert.match(
    mutated({ in: 'other', replace: 'if (a) return 7' }),
    /function other\(a: number\) \{\s+if \(a\) return 7\s+return a/,
  )
})

for (const [what, patch, message] of [
  [
    'whose function is gone',
    { in: 'lower', find: 'a' },
    /^Error: mutant "too low" does not fit: src\/x.ts has no lower/,
  ],
  ['whose text is gone', { find: 'a > 1' }, /^Error: mutant "too low" does not fit: low in src\/x.ts has no a > 1/],
  [
    'that has no body to begin',
    { in: 'failed', replace: 'x' },
    /^Error: mutant "too low" does not fit: failed in .* has no body/,
  ],
  [
    'that makes no program',
    { find: 'return a', replace: 'return )' },
    /^Error: mutant "too low" is no longer a program/,
  ],
] as const)
  test(`a mutant ${what} is an error that names it`, () => {
    assert.throws(() => mutated(patch), message)
  })
