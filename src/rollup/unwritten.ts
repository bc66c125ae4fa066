/** Minutes that were made and told, and whose rows the database does not show yet: where rows are written once, that is 16 minutes after their minute. Who
 * reads the newest minutes from the database (alerts and the status page after a restart, the edges behind an alert) gets these from memory. */
import { MINUTE } from '../base/clock.ts'
import { getOrInsert } from '../base/maps.ts'
import { KINDS } from '../source/parse/message.ts'
import { eachEdge, eachNode, type MinuteColumns, rowsOf } from './rows/minute-columns.ts'
import type { RowMeasurement, RowStore } from './rows/row-store.ts'
import { addTo, edgeTable, exists, nodeTable, type RowTable, shapeOf } from './rows/row-table.ts'
import { ONCE_SHOWN_MS } from './settle/settling.ts'

/** What is read of rows, without how they were made. */
type ReadRows = Pick<RowStore, 'reads' | 'rows' | 'summed' | 'kinds' | 'reporting' | 'minutes'>

export interface Unwritten {
  /** Keeps a minute, in place of what was kept of it. `tailnet`: the tag of its rows. */
  keep(startNs: bigint, minute: UnwrittenMinute): void
  /** Gives up minutes that `waits` no longer for being written, once the database shows them. `nowMs`: monotonic time. */
  tidy(waits: (startNs: bigint) => boolean, nowMs: number): void
  /** The rows of a database together with these. */
  over(store: RowStore): ReadRows
}

interface UnwrittenMinute {
  readonly tailnet: string
  readonly columns: MinuteColumns
  readonly hasGap: boolean
}

/** Memory for these minutes; beyond it the oldest ones go. */
const BYTES_MAX = 64 << 20
/** Of an endpoint with its texts, roughly. */
const ENDPOINT_BYTES = 200

export function createUnwritten(): Unwritten {
  const minutes = new Map<bigint, UnwrittenMinute>()
  /** Of minutes that no longer wait: since when, ms of monotonic time. */
  const writtenMs = new Map<bigint, number>()

  function within(fromNs: bigint, toNs: bigint): [bigint, UnwrittenMinute][] {
    return [...minutes].filter(([startNs]) => startNs >= fromNs && startNs < toNs)
  }

  function forget(startNs: bigint): void {
    minutes.delete(startNs)
    writtenMs.delete(startNs)
  }

  function limitMemory(): void {
    let bytes = minutes.values().reduce((sum, { columns }) => sum + bytesOf(columns), 0)
    for (const startNs of [...minutes.keys()].toSorted((one, other) => (one < other ? -1 : 1))) {
      if (bytes <= BYTES_MAX) break
      bytes -= bytesOf(minutes.get(startNs)!.columns)
      forget(startNs)
    }
  }

  return {
    keep(startNs, minute) {
      minutes.set(startNs, minute)
      limitMemory()
    },
    tidy(waits, nowMs) {
      for (const startNs of minutes.keys()) {
        if (waits(startNs)) writtenMs.delete(startNs)
        else if (nowMs - getOrInsert(writtenMs, startNs, () => nowMs) >= ONCE_SHOWN_MS) forget(startNs)
      }
    },

    over(store) {
      async function rows(...[measurement, fromNs, toNs, each, signal]: Parameters<RowStore['rows']>): Promise<void> {
        const mine = isOfMinutes(measurement) ? within(fromNs, toNs) : []
        const known = new Set(mine.map(([startNs]) => startNs))
        await store.rows(
          measurement,
          fromNs,
          toNs,
          (timeNs, key, fields) => {
            if (!known.has(timeNs)) each(timeNs, key, fields)
          },
          signal,
        )
        for (const [startNs, minute] of mine)
          for (const [key, fields] of tableOf(measurement, minute)) if (exists(fields)) each(startNs, key, fields)
      }

      return {
        reads: store.reads,
        rows,
        async summed(measurement, fromNs, toNs, signal) {
          if (!isOfMinutes(measurement) || within(fromNs, toNs).length === 0)
            return await store.summed(measurement, fromNs, toNs, signal)
          const table: RowTable = new Map()
          const shape = shapeOf(measurement)
          await rows(
            measurement,
            fromNs,
            toNs,
            (_, key, fields) => addTo(table, new Map([[key, fields]]), shape),
            signal,
          )
          return table
        },
        async kinds(fromNs, toNs, each, signal) {
          const mine = within(fromNs, toNs)
          const known = new Set(mine.map(([startNs]) => startNs))
          await store.kinds(
            fromNs,
            toNs,
            (timeNs, kind, bytes) => {
              if (!known.has(timeNs - (timeNs % MINUTE))) each(timeNs, kind, bytes)
            },
            signal,
          )
          for (const [startNs, { columns }] of mine) {
            const sums = KINDS.map(() => 0)
            eachEdge(columns, ({ kind, txBytes, rxBytes }) => {
              sums[KINDS.indexOf(kind)]! += Number(txBytes) + Number(rxBytes)
            })
            for (const [index, kind] of KINDS.entries()) each(startNs, kind, sums[index]!)
          }
        },
        async reporting(fromNs, toNs, signal) {
          const found = new Map(await store.reporting(fromNs, toNs, signal))
          for (const [startNs, { columns }] of within(fromNs, toNs)) {
            const nodes = new Set<string>()
            eachNode(columns, ({ node }) => nodes.add(node.id))
            found.set(startNs, nodes)
          }
          return found
        },
        async minutes(fromNs, toNs, signal) {
          const found = new Map((await store.minutes(fromNs, toNs, signal)).map((one) => [one.startNs, one]))
          for (const [startNs, { columns, hasGap: isGap }] of within(fromNs, toNs)) {
            const rows = columns.edges.count + columns.nodes.count
            getOrInsert(found, startNs, () => ({ ...{ startNs, rows, isGap }, digest: '', writer: '', points: 0 }))
          }
          return [...found.values()].toSorted((one, other) => (one.startNs < other.startNs ? -1 : 1))
        },
      }
    },
  }
}

const isOfMinutes = (measurement: RowMeasurement) => measurement === 'tailnet_edge' || measurement === 'tailnet_node'

function tableOf(measurement: RowMeasurement, { tailnet, columns }: UnwrittenMinute): RowTable {
  const { edges, nodes } = rowsOf(columns)
  return measurement === 'tailnet_edge' ? edgeTable(tailnet, edges) : nodeTable(tailnet, nodes)
}

function bytesOf({ endpoints, edges, nodes }: MinuteColumns): number {
  const bytes = ({ cells, values }: MinuteColumns['edges']) => cells.byteLength + values.byteLength
  return bytes(edges) + bytes(nodes) + endpoints.length * ENDPOINT_BYTES
}
