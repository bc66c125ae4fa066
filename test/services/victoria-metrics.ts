/** A real VictoriaMetrics, single node. */
import { join } from 'node:path'
import { jsonLinesOf } from '../helpers/lines.ts'
import { type Scope, type ServerProcess, startServer } from './server-process.ts'
import { ensure } from './servers.ts'

export interface VictoriaMetrics extends ServerProcess {
  /** Makes what was written visible to queries at once, instead of after about a second. */
  flush(): Promise<void>
  /** All samples of the series that `match` selects, by series. Values are floats; beyond 2^53 VictoriaMetrics itself rounds. */
  exportSeries(match: string): Promise<Series[]>
}

export interface Series {
  readonly metric: Readonly<Record<string, string>>
  readonly values: readonly number[]
  /** ms since the epoch. */
  readonly timestamps: readonly number[]
}

export async function startVictoriaMetrics(
  scope?: Scope,
  options: { flags?: readonly string[] } = {},
): Promise<VictoriaMetrics> {
  const { path } = await ensure('victoria-metrics')
  const server = await startServer(scope, {
    name: 'victoria-metrics',
    program: path,
    args: ({ dir, port }) => [
      `-httpListenAddr=127.0.0.1:${port}`,
      `-storageDataPath=${join(dir, 'data')}`,
      // Without it a point that is written twice counts twice.
      '-dedup.minScrapeInterval=1ms',
      '-retentionPeriod=10y',
      '-memory.allowedBytes=256MB',
      ...(options.flags ?? []),
    ],
    readyPath: '/health',
  })
  return Object.assign(server, {
    async flush() {
      const answer = await fetch(`${server.url}/internal/force_flush`)
      if (!answer.ok) throw new Error(`force_flush: ${answer.status}`)
    },
    async exportSeries(match: string) {
      const answer = await fetch(`${server.url}/api/v1/export?match[]=${encodeURIComponent(match)}`)
      if (!answer.ok) throw new Error(`export ${match}: ${answer.status} ${await answer.text()}`)
      const text = await answer.text()
      return jsonLinesOf<Series>(text)
    },
  })
}
