/** The mutants are run by `npm run mutants`; here only that they still fit the sources, so that none of them dies of old age. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { MUTANTS, mutate } from '../../tools/mutants/mutants.ts'

test('each mutant fits exactly one place of the sources', () => {
  for (const mutant of MUTANTS) {
    const source = readFileSync(new URL(`../../${mutant.file}`, import.meta.url), 'utf8')
    assert.notEqual(mutate(source, mutant), source)
  }
})
