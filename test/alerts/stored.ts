/** The same lines in a real InfluxDB 1.x, a real VictoriaMetrics and the embedded store, to be read back as commands read them. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { openRows } from '../../src/query/open-rows.ts'
import type { StoredRows } from '../../src/query/stored-rows.ts'
import { influxSchema } from '../../src/sink/config.ts'
import type { SinkMetrics } from '../../src/sink/sink.ts'
import { createEmbeddedStore } from '../../src/sink/sqlite/embedded-store.ts'
import { countingMetrics, silentLog } from '../helpers/silent.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { startInfluxd } from '../services/influxd.ts'
import { startVictoriaMetrics } from '../services/victoria-metrics.ts'

export interface Stored {
  readonly influx: StoredRows
  readonly victoria: StoredRows
  readonly embedded: StoredRows
  /** Environment variables with which commands read one of them. */
  readonly env: Readonly<Record<'influx' | 'victoria' | 'embedded', Record<string, string>>>
  write(lines: readonly string[]): Promise<void>
}

const YEAR_MS = 365 * 86_400_000
const AT_ONCE = 20_000

export async function createStored(t: TestContext, lines: readonly string[]): Promise<Stored> {
  const server = await startInfluxd(t, { databases: ['flows'] })
  const metrics = await startVictoriaMetrics(t)
  const dataDir = temporaryFolder(t)
  const path = join(dataDir, 'store.db')
  const sink = createEmbeddedStore(
    { path, retention: { raw: YEAR_MS, minutes: YEAR_MS, main: YEAR_MS } },
    { clock: systemClock, log: silentLog, metrics: countingMetrics<SinkMetrics>() },
  )
  const signal = AbortSignal.timeout(600_000)
  await sink.start(signal)
  t.after(() => sink.stop())
  const retention = { raw: undefined, minutes: undefined, rest: undefined }
  const config = { retention, storePath: path, tailnet: 'default' }
  const open = (influx: object) => openRows({ ...config, influx: influxSchema.parse(influx) }, { clock: systemClock })
  const influx = open({ url: server.url, api: 'v1', db: 'flows' })
  // What it is, is found out.
  const victoria = open({ url: metrics.url, bucket: 'flows' })
  const embedded = open({})
  for (const one of [influx, victoria, embedded]) t.after(() => one.stop())

  async function write(more: readonly string[]): Promise<void> {
    for (let at = 0; at < more.length; at += AT_ONCE) {
      const some = more.slice(at, at + AT_ONCE)
      const body = Buffer.from(`${some.join('\n')}\n`)
      for (const { url } of [server, metrics]) {
        const answer = await fetch(`${url}/write?db=flows`, { method: 'POST', body })
        assert.equal(answer.status, 204, await answer.text())
      }
      await sink.write({ bytes: body, lineCount: some.length, target: 'main' }, signal)
    }
    await metrics.flush()
  }

  await write(lines)
  return {
    influx: influx.rows,
    victoria: victoria.rows,
    embedded: embedded.rows,
    env: {
      influx: { INFLUX_API: 'v1', INFLUX_DB: 'flows', INFLUX_URL: server.url },
      victoria: { INFLUX_URL: metrics.url, INFLUX_BUCKET: 'flows' },
      embedded: { TAILFLUX_DATA_DIR: dataDir },
    },
    write,
  }
}
