/** The long form, by hand: a whole day of a large tailnet through the whole service into a real InfluxDB 1.6.7, and its sums against the truth.
 *
 *   node test/line/heavy.ts [--nodes 1000] [--hours 24] [--ports service]
 *
 * The simulated API runs in a thread of its own. Exit code 1 when anything differs. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { loadSettings } from '../../src/config/load.ts'
import { createService } from '../../src/main.ts'
import { createLog } from '../../src/observe/log.ts'
import { createSecretRegistry } from '../../src/secrets/redactor.ts'
import { readOptions } from '../../tools/options.ts'
import { startInfluxd } from '../services/influxd.ts'
import { createSimulatedApi } from '../simulator/api.ts'
import { DAY, NOON } from '../simulator/ranges.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { createLineClock, HOUR_NS, LAG_NS } from './world.ts'

const FIELDS = { txBytes: 'tx_bytes', txPkts: 'tx_pkts', rxBytes: 'rx_bytes', rxPkts: 'rx_pkts' } as const
const KINDS = ['virtual', 'subnet', 'exit', 'physical'] as const
const NOW = NOON + DAY

if (isMainThread) await main()
else {
  const api = createSimulatedApi(createTailnet({ nodes: workerData }), { nowNs: () => NOW })
  await api.start()
  parentPort?.postMessage(api.url)
}

async function main(): Promise<void> {
  const values = readOptions('node test/line/heavy.ts', {
    nodes: { type: 'string', default: '1000' },
    hours: { type: 'string', default: '24' },
    ports: { type: 'string', default: 'service' },
  })
  const nodes = Number(values.nodes)
  const worker = new Worker(new URL(import.meta.url), { workerData: nodes })
  const url = await new Promise<string>((resolve) => worker.once('message', resolve))
  await using database = await startInfluxd(undefined, { index: 'tsi1', databases: ['flows'] })
  const dataDir = mkdtempSync(join(tmpdir(), 'tailflux-heavy-'))
  const loaded = loadSettings({
    env: {},
    changes: {
      'tailscale.apiUrl': url,
      'tailscale.apiKey': 'tskey-api-demo',
      'influx.url': database.url,
      'influx.api': 'v1',
      'influx.db': 'flows',
      'poll.lookback': `${values.hours}h`,
      'http.port': 0,
      ports: values.ports,
      dataDir,
    },
  })
  const secrets = createSecretRegistry(loaded.secrets)
  const service = createService(loaded.settings, {
    log: createLog({ level: 'warn', secrets }),
    secrets,
    clock: createLineClock(NOW),
    onBroken(error) {
      throw error
    },
  })
  let rssMax = 0
  const watch = setInterval(() => {
    rssMax = Math.max(rssMax, process.memoryUsage.rss())
  }, 250)
  const beganMs = performance.now()
  while ((await service.pipeline.tick()) !== 'caught_up');
  const seconds = (performance.now() - beganMs) / 1000
  clearInterval(watch)
  const { totals, watermarkNs, gaps } = service.pipeline.status()
  await service.stop()
  const perSecond = (count: number) => Math.round(count / seconds)
  console.log({
    seconds: Math.round(seconds),
    ...totals,
    entriesPerSecond: perSecond(totals.entries),
    pointsPerSecond: perSecond(totals.points),
    rssMaxMB: Math.round(rssMax / 1e6),
  })

  assert.equal(watermarkNs, String(NOW - LAG_NS))
  assert.deepEqual(gaps, [])
  const fromNs = NOW - HOUR_NS * BigInt(values.hours)
  const truth = createTailnet({ nodes }).sums(fromNs, NOW - LAG_NS)
  for (const kind of KINDS) {
    const wanted = { flows: BigInt(truth[kind].entries) } as Record<string, bigint>
    for (const [counter, field] of Object.entries(FIELDS)) wanted[field] = truth[kind][counter as keyof typeof FIELDS]
    const what = Object.keys(wanted).map((field) => `sum(${field}) AS ${field}`)
    const [result] = await database.query(`SELECT ${what} FROM tailnet_flow WHERE kind = '${kind}'`, 'flows')
    const series = result?.series?.[0]
    const reported = Object.fromEntries(
      Object.keys(wanted).map((field) => [field, BigInt(series?.values[0]?.[series.columns.indexOf(field)] ?? 0)]),
    )
    assert.deepEqual(reported, wanted, kind)
    console.log(kind, reported)
  }
  await worker.terminate()
  rmSync(dataDir, { recursive: true, force: true })
}
