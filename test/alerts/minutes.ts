/** Final minutes for tests of alerts: rows made of everything that was read, by the real function, with none of the rollup's own waiting; and a database that
 * has them. A minute is told once it is final, and again as soon as its rows are others. */
import { getOrInsert } from '../../src/base/maps.ts'
import type { DirectoryView } from '../../src/directory/view.ts'
import type { Points } from '../../src/flatten/points.ts'
import type { Ledger } from '../../src/ledger/ledger.ts'
import { rowsOfMinute } from '../../src/rollup/make/rows.ts'
import type { FinalMinute, MinuteReader } from '../../src/rollup/minute-reader.ts'
import { finality, finalTo } from '../../src/rollup/points/coverage.ts'
import { createHeldMinutes } from '../../src/rollup/points/held-minutes.ts'
import type { MinuteRows } from '../../src/rollup/rows/row.ts'
import type { RowStore } from '../../src/rollup/rows/row-store.ts'
import { addTo, EDGE, edgeTable, exists, NODE, nodeTable, type RowTable } from '../../src/rollup/rows/row-table.ts'
import { createMinuteFacts } from '../../src/rollup/settle/minute-facts.ts'

const MIN = 60_000_000_000n
const LOOK_BACK = 60n
const LENGTHS: Readonly<Record<string, bigint>> = { '': MIN, _1h: 60n * MIN, _1d: 1440n * MIN }

interface Made {
  readonly rows: MinuteRows
  readonly edges: RowTable
  readonly nodes: RowTable
  readonly hasGap: boolean
}

export interface Minutes {
  /** A window begins. Its points count when it is done. */
  begin(): { put(points: Points): void; done(): void }
  /** Makes what is final, and tells it. */
  step(reader: MinuteReader): void
  /** A test may replace what it answers. */
  readonly database: { -readonly [name in 'rows' | 'summed' | 'reads']: RowStore[name] }
  readonly made: ReadonlyMap<bigint, Made>
}

export function createMinutes(
  ledger: () => Pick<Ledger, 'settled' | 'gaps' | 'originNs'>,
  directory: DirectoryView,
  onRequest: () => void,
): Minutes {
  const held = createHeldMinutes()
  const facts = createMinuteFacts()
  const made = new Map<bigint, Made>()
  const dirty = new Set<bigint>()

  function make(startNs: bigint): Made {
    const { points, texts } = held.find(startNs)!
    const rows = rowsOfMinute(points, texts, directory, facts.before(Number(startNs / MIN)))
    const { settled, gaps } = ledger()
    const { isFinal, hasGap } = finality(startNs, settled(), gaps())
    const [edges, nodes] = [edgeTable('default', rows.edges), nodeTable('default', rows.nodes)]
    return { rows, edges, nodes, hasGap: hasGap || !isFinal }
  }

  const database: Minutes['database'] = {
    reads: async () => 'all',
    async rows(measurement, fromNs, toNs, each) {
      onRequest()
      const [, name = '', suffix = ''] = /^tailnet_(edge|node)(.*)$/.exec(measurement) ?? []
      const length = LENGTHS[suffix]!
      const tables = new Map<bigint, RowTable>()
      for (const [startNs, one] of made) {
        const timeNs = startNs - (startNs % length)
        if (timeNs < fromNs || timeNs >= toNs) continue
        const table = getOrInsert(tables, timeNs, () => new Map())
        addTo(table, name === 'edge' ? one.edges : one.nodes, name === 'edge' ? EDGE : NODE)
      }
      for (const [timeNs, table] of tables)
        for (const [key, fields] of table) if (exists(fields)) each(timeNs, key, fields)
    },
    async summed(measurement, fromNs, toNs) {
      onRequest()
      const table: RowTable = new Map()
      const isEdge = measurement.startsWith('tailnet_edge')
      for (const [startNs, one] of made)
        if (startNs >= fromNs && startNs < toNs) addTo(table, isEdge ? one.edges : one.nodes, isEdge ? EDGE : NODE)
      return table
    },
  }

  return {
    made,
    database,
    begin() {
      const window = {}
      return {
        put: (points) => held.add(window, points),
        done() {
          for (const { startNs } of held.done(window)) dirty.add(startNs)
        },
      }
    },
    step(reader) {
      const { settled, gaps, originNs } = ledger()
      const begin = originNs()
      if (begin === undefined) return
      const isFinal = (startNs: bigint) =>
        finality(startNs, settled(), gaps()).isFinal ||
        (startNs < begin && finality(startNs, [...settled(), { fromNs: 0n, toNs: begin }], gaps()).isFinal)
      // What was in a gap may be complete now.
      for (const [startNs, one] of made) if (one.hasGap) dirty.add(startNs)
      while (true) {
        const startNs = [...dirty].filter(isFinal).toSorted((one, other) => (one < other ? -1 : 1))[0]
        if (startNs === undefined) break
        dirty.delete(startNs)
        const before = made.get(startNs)
        const now = make(startNs)
        const reporters = (one: Made | undefined) => new Set(one?.rows.nodes.map(({ node }) => node.id))
        facts.setReporting(Number(startNs / MIN), reporters(now))
        made.set(startNs, now)
        if (reporters(before).symmetricDifference(reporters(now)).size > 0)
          for (let later = 1n; later <= LOOK_BACK; later++)
            if (made.has(startNs + later * MIN)) dirty.add(startNs + later * MIN)
        if (before === undefined || !isSame(before, now)) reader.minute(told(startNs, now))
      }
      reader.finalTo(finalTo(begin, settled(), gaps()))
    },
  }
}

function told(startNs: bigint, { rows, hasGap }: Made): FinalMinute {
  return {
    startNs,
    hasGap,
    eachEdge: (visit) => rows.edges.forEach(visit),
    eachNode: (visit) => rows.nodes.forEach(visit),
  }
}

function isSame(one: Made, other: Made): boolean {
  const text = ({ edges, nodes, hasGap }: Made) =>
    [...edges, ...nodes]
      .map(([key, fields]) => `${key} ${fields.join()}`)
      .toSorted()
      .join('\n') + hasGap
  return text(one) === text(other)
}
