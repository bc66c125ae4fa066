/** The counter of words: which texts it reads, and which words it counts by sense. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { meaningIn } from '../../tools/words/places.ts'
import { wordsIn } from '../../tools/words/senses.ts'
import { codeWordsIn, messagesIn } from '../../tools/words/texts.ts'

test('messages are the literals with more than one word, without comments, codes, paths and regular expressions', () => {
  const source = [
    '// a comment that tells',
    "import { x } from './a-room.ts'",
    '/* "not this one" */ const code = "config_invalid"',
    "const a = 'it\\'s a message'",
    'const b = `the file $' + '{name(`inner text here`, {})} is full`',
    'const c = text.replace(/["`] quoted/g, "two words") / 2',
  ].join('\n')
  assert.deepEqual(messagesIn(source), [
    { text: "it's a message", line: 4 },
    { text: 'inner text here', line: 5 },
    { text: 'the file … is full', line: 5 },
    { text: 'two words', line: 6 },
  ])
})

test('a word counts by its sense', () => {
  const left = (text: string) => wordsIn(text).flatMap(({ word, isPlain }) => (isPlain ? [] : [word]))
  const rows: [text: string, words: string[]][] = [
    ['Mend it, and nobody is told.', ['Mend', 'told', 'nobody']],
    ['It tells you what to fix, in time order, up to the end of a range.', []],
    ['orders to the service', ['orders']],
    ['Both ends report 3 MiB; see `told.test.ts`.', ['Both ends', '3 MiB']],
    ['The default is 8MiB.', []],
    ['SELECT piece, slot FROM parts', []],
    ['| Most lines of one request | Most of it', ['| Most lines']],
  ]
  for (const [text, words] of rows) assert.deepEqual(left(text).toSorted(), words.toSorted(), text)
})

test('comments and names of code are read as words, line by line', () => {
  const source = [
    '/** Nobody is told.',
    ' * Ever. */',
    "const isUnderWay = toldLines['x y'] // so many",
    'MAX_ROOMS /= 2',
  ].join('\n')
  assert.deepEqual(codeWordsIn(source), [
    { text: '/** Nobody is told.\n * Ever. */', line: 1 },
    { text: '// so many', line: 3 },
    { text: 'const, is under way, told lines', line: 3 },
    { text: 'max rooms', line: 4 },
  ])
})

test('a word may be meant plainly in some places of the code', () => {
  assert.equal(
    meaningIn('src/flatten/points.ts', 'slots'),
    'a place in a hash table, in a ring of counters or in a timetable',
  )
  assert.equal(meaningIn('src/pipeline/planner.ts', 'slots'), undefined)
  assert.equal(meaningIn('src/pipeline/planner.ts', 'told'), undefined)
})
