/** The real service makes each alert fire once, in a real Prometheus: what the metrics say in trouble is what the rules look for. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import { parse } from 'yaml'
import { type Clock, HOUR, MINUTE, systemClock } from '../../src/base/clock.ts'
import { loadSettings } from '../../src/config/load.ts'
import { createService, type Service } from '../../src/main.ts'
import { createSecretRegistry } from '../../src/secrets/redactor.ts'
import { eventually } from '../helpers/eventually.ts'
import { startHttpServer } from '../helpers/http-server.ts'
import { silentLog } from '../helpers/silent.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { type Influxd, startInfluxd } from '../services/influxd.ts'
import { freePort } from '../services/server-process.ts'
import { createSimulatedApi, type SimulatedApi } from '../simulator/api.ts'
import { API_CREDENTIALS } from '../simulator/credentials.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { type Prometheus, startPrometheus } from './prometheus.ts'

const RULES = resolve(import.meta.dirname, '../../config/prometheus/tailflux.rules.yml')
const tailnet = createTailnet({ nodes: 8, seed: 3 })
const fired = new Set<string>()
const stops: (() => Promise<void> | void)[] = []
const scope = { after: (stop: () => Promise<void>) => void stops.push(stop) }

let port: number
let prometheus: Prometheus
let api: SimulatedApi
let influx: Influxd
before(async () => {
  port = await freePort()
  prometheus = await startPrometheus(scope, { rules: RULES, job: 'tailflux', port })
  influx = await startInfluxd(scope)
  await influx.query('CREATE DATABASE "short" WITH DURATION 1h REPLICATION 1 SHARD DURATION 1h NAME "short"')
  await influx.query('CREATE DATABASE "long"')
  api = createSimulatedApi(tailnet)
  await api.start()
  stops.push(() => api.stop())
})
after(async () => {
  for (const stop of stops.reverse()) await stop()
})

async function fires(...alerts: readonly string[]): Promise<void> {
  for (const alert of alerts) {
    const labels = await prometheus.firing(alert)
    assert.equal(labels['service'], 'tailflux')
    fired.add(alert)
  }
}

/** The service on the scraped port, for as long as `work` takes. */
async function withService(
  changes: Record<string, unknown>,
  work: (service: Service) => Promise<void>,
  clock: Clock = systemClock,
): Promise<void> {
  const { settings, secrets } = loadSettings({
    env: {},
    changes: {
      'tailscale.apiUrl': api.url,
      'tailscale.apiKey': API_CREDENTIALS.apiKeys[0],
      'http.port': port,
      'poll.interval': '5s',
      'poll.lag': '5s',
      'poll.lookback': '10m',
      ...changes,
    },
  })
  const broken = Promise.withResolvers<never>()
  const service = createService(settings, {
    log: silentLog,
    secrets: createSecretRegistry(secrets),
    onBroken: broken.reject,
    clock,
  })
  try {
    await service.start()
    await Promise.race([work(service), broken.promise])
  } finally {
    await service.stop()
    api.clearFaults()
  }
}

/** What a service leaves behind that was ended at that time, as seen from now. */
async function dataDirAsOf(byNs: bigint): Promise<string> {
  const dataDir = temporaryFolder({ after: (stop) => void stops.push(stop) })
  const past = createSimulatedApi(tailnet, { nowNs: () => systemClock.now() + byNs })
  await past.start()
  const isRead = async (service: Service) => {
    await eventually('a window', async () => {
      await service.pipeline.tick()
      return service.status().totals.windows > 0
    })
  }
  await withService({ dataDir, 'tailscale.apiUrl': past.url }, isRead, shifted(byNs))
  await past.stop()
  return dataDir
}
const influxOf = (db: string) => ({ 'influx.api': 'v1', 'influx.url': influx.url, 'influx.db': db })
const SHORT_RETENTION = { 'poll.retention': '1d', 'poll.latePasses': [] }

const shifted = (byNs: bigint): Clock => ({ ...systemClock, now: () => systemClock.now() + byNs })

test('nothing listens: down', async () => {
  await fires('TailfluxDown')
})

test('the API refuses, and the state file was damaged: hold, state file', async () => {
  const dataDir = temporaryFolder({ after: (stop) => void stops.push(stop) })
  writeFileSync(join(dataDir, 'state.db'), 'this is no database')
  api.setFault({ kind: 'status', status: 403 })
  await withService({ dataDir }, () => fires('TailfluxHold', 'TailfluxStateFile'))
})

test('the API says 429 again and again: rate limited, API errors', async () => {
  api.setFault({ kind: 'status', status: 429, retryAfter: '0' })
  await withService({ dataDir: temporaryFolder({ after: (stop) => void stops.push(stop) }) }, async (service) => {
    let isOver = false
    const asking = (async () => {
      while (!isOver) {
        await service.pipeline.tick()
        await systemClock.sleep(100)
      }
    })()
    await fires('TailfluxRateLimited', 'TailfluxApiErrors').finally(() => {
      isOver = true
    })
    await asking
  })
})

test('back after 20 hours, and the API does not answer: lag, retention', async () => {
  const dataDir = await dataDirAsOf(-20n * HOUR)
  api.setFault({ kind: 'status', status: 502 })
  await withService({ dataDir, ...SHORT_RETENTION }, () => fires('TailfluxLag', 'TailfluxRetentionUsed'))
})

test('a range that no request gets, counters below zero, a database that keeps an hour: gap, quarantine, points dropped', async () => {
  const nowNs = systemClock.now()
  api.setFault({
    kind: 'status',
    status: 504,
    overlaps: { fromNs: nowNs - 70n * MINUTE, toNs: nowNs - 70n * MINUTE + 5n },
  })
  await using proxy = await startHttpServer(undefined, async (request, response) => {
    const { authorization = '' } = request.headers
    const answer = await fetch(`${api.url}${request.url}`, { headers: { authorization } })
    const text = (await answer.text()).replace(/"txPkts":\d+/, '"txPkts":-1')
    response
      .writeHead(answer.status, { 'content-type': 'application/json', date: answer.headers.get('date') ?? '' })
      .end(text)
  })
  const changes = {
    dataDir: temporaryFolder({ after: (stop) => void stops.push(stop) }),
    'tailscale.apiUrl': proxy.url,
    ...influxOf('short'),
    'poll.lookback': '2h',
  }
  await withService(changes, () => fires('TailfluxGap', 'TailfluxQuarantine', 'TailfluxPointsDropped'))
})

test('away for longer than the API keeps flow logs: data lost', async () => {
  const dataDir = await dataDirAsOf(-49n * HOUR)
  await withService({ dataDir, ...SHORT_RETENTION }, () => fires('TailfluxDataLost'))
})

test('a clock ten minutes behind: skew, and a poll loop that seems to stand still', async () => {
  await withService(
    { dataDir: temporaryFolder({ after: (stop) => void stops.push(stop) }) },
    () => fires('TailfluxClockSkew', 'TailfluxStalled'),
    shifted(-10n * MINUTE),
  )
})

test('the database is killed: database down', async () => {
  await withService(
    { dataDir: temporaryFolder({ after: (stop) => void stops.push(stop) }), ...influxOf('long') },
    async () => {
      await influx.kill()
      await fires('TailfluxDatabaseDown')
    },
  )
})

test('every rule has fired', () => {
  const { groups } = parse(readFileSync(RULES, 'utf8')) as { groups: { rules: { alert: string }[] }[] }
  const alerts = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert))
  assert.deepEqual([...fired].sort(), alerts.toSorted())
})
