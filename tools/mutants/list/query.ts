/** Mistakes in what is read back: rows and raw points, and flows made of them. */
import type { Mutant } from '../mutate.ts'

const READER = 'src/query/influx-reader.ts'
const INFLUX = { file: 'src/query/influx-row-store.ts', tests: ['test/query/influx-row-store.test.ts'] }
const FLOWS = { file: 'src/query/flows.ts', tests: ['test/query/flows.test.ts', 'test/query/store-row-store.test.ts'] }

export const QUERY_MUTANTS: readonly Mutant[] = [
  {
    name: 'an answer that a limit has cut counts as whole',
    file: READER,
    in: 'rows',
    find: 'if (end.isPartial)',
    replace: 'if (end.isPartial && false)',
    tests: INFLUX.tests,
  },
  {
    name: 'a refused query is an empty answer',
    file: READER,
    in: 'rows',
    find: 'if (isNothingYet(200, end.error, spoken)) return',
    replace: 'return',
    tests: INFLUX.tests,
  },
  {
    name: 'an answer that breaks off counts as whole',
    file: 'src/query/influx-answer.ts',
    in: 'end',
    find: "outline !== '' || last === undefined",
    replace: 'last === undefined',
    tests: ['test/query/influx-answer.test.ts'],
  },
  {
    name: 'sums that are too large for the database begin again from below',
    ...INFLUX,
    in: 'hasWide',
    replace: 'return false',
  },
  {
    name: 'other tailnets are read back too',
    ...INFLUX,
    in: 'where',
    find: "equals('tailnet', tailnet)",
    replace: `'"tailnet" =~ /./'`,
  },
  {
    name: 'points of version 0.1.0 are taken for new ones',
    file: 'src/query/store-row-store.ts',
    in: 'takeOwn',
    find: "if (tags.has('src_port')) take(point, tags)",
    replace: 'take(point, tags)',
    tests: ['test/query/store-row-store.test.ts'],
  },
  {
    name: 'a tier is read that has lost the beginning',
    ...FLOWS,
    in: 'chooseTier',
    find: 'oldestNs <= fromNs || oldestNs <= beginNs',
    replace: 'oldestNs > 0n',
  },
  {
    name: 'physical flows are summed with what they carry',
    ...FLOWS,
    in: 'commonClauses',
    find: "['virtual', 'subnet', 'exit']",
    replace: "['virtual', 'subnet', 'exit', 'physical']",
  },
  {
    name: 'a device that was renamed is two',
    ...FLOWS,
    in: 'identityOf',
    find: 'return [',
    replace: 'return [namesOf(arguments[0]), ',
  },
]
