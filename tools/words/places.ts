/** Where a word of the table is meant plainly in comments and names of code, and as what. */

export interface Place {
  /** Of these files. */
  readonly files: RegExp
  /** The whole word as it stands there. */
  readonly words: RegExp
  readonly meaning: string
}

export const PLACES: readonly Place[] = [
  {
    files: /^src\/(?:flatten|base|directory|sink\/line-protocol|demo)\/|^src\/observe\/line\/|^(?:bench|tools|test)\//,
    words: /^slots?$/i,
    meaning: 'a place in a hash table, in a ring of counters or in a timetable',
  },
  {
    files: /^(?:test|tools|bench|src|config)\/(?!alerts\/)/,
    words: /^pieces?$/i,
    meaning: 'a part of a text, a stream or a list',
  },
  {
    files: /^(?:test|tools|bench|config|src\/demo|src\/page)\//,
    words: /^wanted$/i,
    meaning: 'what a test expects, a tool looks for, or a page should show',
  },
  {
    files: /./,
    words: /^(?:asks?|asked|asking)$/i,
    meaning: 'to send a request to a server, or to request',
  },
  {
    files: /./,
    words: /^cut(?:s|ting|ter)?$/i,
    meaning: 'the array cutter; a text that ends at its limit; a connection that breaks',
  },
  { files: /^test\//, words: /^gates?$/i, meaning: 'a promise that lets a test continue' },
  {
    files: /^(?:src|test|tools|bench)\//,
    words: /^fold(?:s|ed|ing)?$/i,
    meaning: 'several entries of one message become one point',
  },
  { files: /^(?:src\/demo|test|tools)\//, words: /^mirrors?$/i, meaning: 'the same flow as the other node reports it' },
  { files: /./, words: /^orders?$/i, meaning: 'which comes first; an order of a shop does not occur' },
  { files: /./, words: /^blanks?$/i, meaning: 'the space character of line protocol; `_blank` of a link' },
  { files: /./, words: /^rooms?$/i, meaning: 'space that is left in a buffer or on a disk' },
  { files: /./, words: /^\d ?[KMG]iB$/, meaning: 'a size that is a power of two, beside its constant' },
  { files: /./, words: /^both ends$/i, meaning: 'first and last instant of a range' },
]

/** What the word means there, if it is meant plainly. */
export function meaningIn(file: string, word: string): string | undefined {
  return PLACES.find(({ files, words }) => files.test(file) && words.test(word))?.meaning
}
