/** An embedded store in a folder of its own, with a clock that the test owns. */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { TestContext } from 'node:test'
import type { StoreRetention } from '../../../src/sink/config.ts'
import type { SinkMetrics } from '../../../src/sink/sink.ts'
import { createEmbeddedStore, exportLines } from '../../../src/sink/sqlite/embedded-store.ts'
import { createFakeClock, NOON_NS } from '../../helpers/fake-clock.ts'
import { countingMetrics, silentLog } from '../../helpers/silent.ts'
import { temporaryFolder } from '../../helpers/temporary-folder.ts'
import { countsOf } from '../counts-of.ts'
import { batchOf, live } from '../influxdb/influx-world.ts'

export const WEEK_MS = 7 * 86_400_000

export function placeFor(t: TestContext): string {
  const dir = temporaryFolder(t)
  return join(dir, 'data', 'store.db')
}
const A_WEEK: StoreRetention = { raw: WEEK_MS, minutes: WEEK_MS, main: WEEK_MS }

export function openIn(t: TestContext, path: string, clock = createFakeClock(), retention = A_WEEK) {
  const metrics = countingMetrics<SinkMetrics>()
  const store = createEmbeddedStore({ path, retention }, { clock, log: silentLog, metrics })
  t.after(() => store.stop())
  return {
    store,
    clock,
    metrics,
    write: (lines: readonly string[]) => store.write(batchOf(lines), live()).then(countsOf),
  }
}
export const tablesOf = (path: string) => {
  const db = new DatabaseSync(path, { readOnly: true })
  const rows = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").all()
  db.close()
  return rows.map(({ name }) => String(name))
}
export const exported = (path: string, range = {}) => [...exportLines(path, range)].map((line) => line.slice(0, -1))
/** `count` lines of `series` series, one second apart up to the clock's noon. */
export function linesOf(count: number, series = 3, first = 0): string[] {
  return Array.from({ length: count }, (_, index) => {
    const number = first + index
    return `tailnet_flow,node=n${number % series}CNTRL v=${number}i ${NOON_NS - BigInt(count + first - index) * 1_000_000_000n}`
  })
}
