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
    find: 'points.digest = digest.of(message.nodeId, startNs)',
    replace: `points.digest = digest.of(message.nodeId, startNs)
points.node = 'any'`,
  },
  {
    name: 'settings of now make points of before',
    file: 'src/flatten/flatten.ts',
    in: 'flatten',
    find: 'aggregation.ports = portsAt(startNs)',
    replace: 'aggregation.ports = portsAt(1n << 62n)',
    tests: ['test/flatten/flatten.test.ts'],
  },
  {
    name: 'both ports of a service are kept',
    file: 'src/flatten/aggregate.ts',
    in: 'aggregateEntries',
    find: 'if (srcPort === port) srcKept = port',
    replace: 'srcKept = port',
    tests: ['test/flatten/flatten.test.ts'],
  },
  {
    name: 'what a key is missing for is written without a mask',
    file: 'src/privacy/masked.ts',
    in: 'flatten',
    find: "if (mask === 'keep') return flattener.flatten(message)",
    replace: "if (mask === 'keep' || mask === 'no_key') return flattener.flatten(message)",
    tests: ['test/privacy/masked.test.ts'],
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
