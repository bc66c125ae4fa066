/** Mistakes in reading and flattening. */
import type { Mutant } from '../mutate.ts'

export const SOURCE_MUTANTS: readonly Mutant[] = [
  {
    name: 'milliseconds instead of nanoseconds',
    file: 'src/flatten/flat-points.ts',
    in: 'begin',
    find: 'this.startNs = message.startNs',
    replace: 'this.startNs = (message.startNs / 1_000_000n) * 1_000_000n',
  },
  {
    name: 'node dropped from the identity',
    file: 'src/flatten/flatten.ts',
    in: 'flatten',
    find: 'naming.name(message)',
    replace: `naming.name(message)
points.node = 'any'
points.nodeName = 'any'`,
  },
  {
    name: 'a wild clock is believed',
    file: 'src/source/parse/message-reader.ts',
    in: 'finish',
    find: 'if (isOutOfBounds(columns, window)) {',
    replace: 'if (isOutOfBounds(columns, window) && start < 0) {',
    tests: ['test/source/parse/array-cutter.test.ts'],
  },
  {
    name: 'a message that breaks the parser ends the window',
    file: 'src/source/parse/message-reader.ts',
    in: 'readExactly',
    find: 'thrown = error',
    replace: 'throw error',
    tests: ['test/source/parse/array-cutter.test.ts'],
  },
  {
    name: 'a huge member is scanned again with each piece',
    file: 'src/source/parse/compact-parser.ts',
    in: 'run',
    find: 'return p === MORE && end - base - at <= AGAIN_BYTES_MAX ? MORE : ODD',
    replace: 'return p',
    tests: ['test/source/parse/array-cutter.test.ts'],
  },
]
