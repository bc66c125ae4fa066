/** The embedded store: can it be opened, written and read, and does it keep points long enough? */
import { existsSync } from 'node:fs'
import type { Clock } from '../base/clock.ts'
import type { StoreRetention } from '../sink/config.ts'
import { encodeLine } from '../sink/line-protocol/encode-line.ts'
import { createEmbeddedStore, type EmbeddedStore, exportLines } from '../sink/sqlite/embedded-store.ts'
import { diagnoseRetention, type WritingPlan } from './diagnose-influx.ts'
import { counted, type Finding, findingsOf, outcomeOf } from './finding.ts'

const { ok, error } = findingsOf('database')

export async function checkStore(
  store: { readonly path: string; readonly retention: StoreRetention; readonly tailnet: string },
  plan: WritingPlan,
  deps: Parameters<typeof createEmbeddedStore>[1] & { clock: Clock },
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const { path, retention } = store
  const kept = diagnoseRetention(
    'retention',
    'The embedded store (raw points)',
    retention.raw / 1000,
    plan,
    'Raise it: TAILFLUX_RETENTION_RAW',
  )
  if (!existsSync(path)) {
    return [
      ok('database', `Without INFLUX_URL points go to the embedded store ${path}; the first start creates it.`),
      kept,
    ]
  }
  const opened = createEmbeddedStore(store, deps)
  try {
    return [...(await tried(opened, store, deps.clock, signal)), kept]
  } finally {
    await opened.stop()
  }
}

async function tried(
  opened: EmbeddedStore,
  { path, tailnet }: { path: string; tailnet: string },
  clock: Clock,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const stats = opened.stats()
  const holds =
    stats === undefined
      ? ''
      : `, which holds ${counted(stats.points, 'point')} in ${counted(stats.series, 'series', 'series')}`
  const found = ok('database', `Without INFLUX_URL points go to the embedded store ${path}${holds}.`)
  const ns = clock.now()
  const bytes = encodeLine('tailflux_check', { tailnet }, { nonce: ns }, ns)
  const written = await outcomeOf(() => opened.write({ bytes, lineCount: 1, target: 'main' }, signal))
  if ('error' in written) return [found, error('sample point', written.error.message)]
  const line = Buffer.from(bytes).toString()
  const readBack = exportLines(path, { fromNs: ns, toNs: ns, measurement: 'tailflux_check' })
  for (const one of readBack) {
    if (one === line) return [found, ok('sample point', 'It was written and read back (measurement tailflux_check).')]
  }
  return [
    found,
    error(
      'sample point',
      'It was written, but cannot be read back.',
      `Move ${path} away; the next start creates a new one.`,
    ),
  ]
}
