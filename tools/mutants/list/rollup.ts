/** Mistakes in derived rows. */
import type { Mutant } from '../mutate.ts'

const HISTORY = ['test/rollup/history.test.ts']
const ROWS = ['test/rollup/rows.test.ts']

export const ROLLUP_MUTANTS: readonly Mutant[] = [
  {
    name: 'tailflux_minute is written before the rows',
    file: 'src/rollup/minutes.ts',
    in: 'settle',
    find: "if (rows > 0) await writer.write('minutes', tableLines(changes, '', startNs), signal)",
    replace:
      "await writer.write('main', minuteLine(startNs, made, isYoung), signal)\n    setRecord(minute, recordOf(startNs, made))\n    if (rows > 0) await writer.write('minutes', tableLines(changes, '', startNs), signal)",
    tests: HISTORY,
  },
  {
    name: 'a minute is made again from fewer points',
    file: 'src/rollup/minutes.ts',
    in: 'fromDatabase',
    find: 'points.count < record.points',
    replace: 'points.count < 0',
    tests: HISTORY,
  },
  {
    name: 'what an earlier process read counts as if it were in memory',
    file: 'src/rollup/engine.ts',
    in: 'wholeMinute',
    find: 'return coverage.holds(startNs, ledger.settled()) ? minute : undefined',
    replace: 'return minute',
    tests: HISTORY,
  },
  {
    name: 'an equal digest proves that nothing else was read',
    file: 'src/rollup/engine.ts',
    in: 'begin',
    find: "unsettled.all('minute').filter(({ must }) => must === 0)",
    replace: "unsettled.all('minute').slice(0, 0)",
    tests: HISTORY,
  },
  {
    name: 'minutes that look back are not made again',
    file: 'src/rollup/minutes.ts',
    in: 'followers',
    find: 'if (nodes.size === 0) return []',
    replace: 'if (nodes.size >= 0) return []',
    tests: HISTORY,
  },
  {
    name: 'what was heard of a node stands for its row',
    file: 'src/rollup/minute-facts.ts',
    in: 'hasRow',
    find: 'hasBit(facts.get(minute)?.reporting, number)',
    replace: 'isReporting(minute, number)',
    tests: HISTORY,
  },
  {
    name: 'a minute before the origin is never final',
    file: 'src/rollup/engine.ts',
    in: 'isFinal',
    find: 'startNs >= originNs',
    replace: 'startNs < originNs',
    tests: HISTORY,
  },
  {
    name: 'rows that are no longer true stay',
    file: 'src/rollup/row-table.ts',
    in: 'changesOf',
    find: 'if (!wanted.has(key) && exists(fields))',
    replace: 'if (!wanted.has(key) && !exists(fields))',
    tests: HISTORY,
  },
  {
    name: 'an hour does not follow its minutes',
    file: 'src/rollup/minutes.ts',
    in: 'settle',
    find: "{ tier: 'hour', startNs: startNs - (startNs % HOUR) },",
    replace: '',
    tests: HISTORY,
  },
  {
    name: 'a receiver is believed although the sender reports',
    file: 'src/rollup/edge-rows.ts',
    in: 'believe',
    find: 'const forth = reports(src) ? BY_SRC : BY_DST',
    replace: 'const forth = srcTold ? BY_SRC : BY_DST',
    tests: ROWS,
  },
  {
    name: 'a word for another node counts',
    file: 'src/rollup/parties.ts',
    in: 'createParties',
    find: 'near[point] = kind === VIRTUAL || kind === PHYSICAL || isUnnamed[point] === 1 ? own : addressIndex(src)',
    replace: 'near[point] = isUnnamed[point] === 1 ? own : addressIndex(src)',
    tests: ROWS,
  },
  {
    name: 'a claim moves an address that another node used',
    file: 'src/rollup/parties.ts',
    in: 'claimed',
    find: 'before.wasUsedByOther(address, node) ? undefined : node',
    replace: 'node',
    tests: ROWS,
  },
  {
    name: 'a copy of a message is added to it',
    file: 'src/rollup/raw-points.ts',
    in: 'add',
    find: 'const row = isKnown ? findOrAdd() : append()',
    replace: 'const row = append()',
    tests: HISTORY,
  },
]
