/** The embedded store: the batches of some answers into a new file, receipts and all. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../src/base/clock.ts'
import type { Batch } from '../src/sink/sink.ts'
import { createEmbeddedStore } from '../src/sink/sqlite/embedded-store.ts'
import { countingMetrics, silentLog } from '../test/helpers/silent.ts'
import { serve } from './child.ts'
import { createLine } from './routes/line.ts'
import type { RouteRun } from './routes/routes.ts'

const YEARS_MS = 3650 * 86_400_000
const dir = mkdtempSync(join(tmpdir(), 'tailflux-bench-store-'))
process.once('exit', () => rmSync(dir, { recursive: true, force: true }))
const store = createEmbeddedStore(
  { path: join(dir, 'store.db'), retention: { raw: YEARS_MS, minutes: YEARS_MS, main: YEARS_MS } },
  { clock: systemClock, log: silentLog, metrics: countingMetrics() },
)
await store.start(new AbortController().signal)

serve(async (paths: readonly string[]): Promise<RouteRun> => {
  const batches: Batch[] = []
  const { run } = createLine((bytes, lineCount) => {
    batches.push({ bytes: Buffer.from(bytes), lineCount, target: 'raw' })
  })
  const entries = paths.reduce((sum, path) => sum + run(readFileSync(path)).entries, 0)
  const before = process.cpuUsage()
  const beganMs = performance.now()
  for (const batch of batches) await store.write(batch, new AbortController().signal)
  const seconds = (performance.now() - beganMs) / 1000
  const { user, system } = process.cpuUsage(before)
  return { entries, seconds, cpuSeconds: (user + system) / 1e6 }
})
