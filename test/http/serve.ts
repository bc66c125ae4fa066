/** A running server with everything around it made up, for the tests of http/. */
import type { TestContext } from 'node:test'
import { MINUTE, systemClock } from '../../src/base/clock.ts'
import type { HttpDeps } from '../../src/http/app.ts'
import type { HttpConfig } from '../../src/http/config.ts'
import { createHttpServer } from '../../src/http/server.ts'
import { createHealth } from '../../src/observe/health.ts'
import { createStages } from '../../src/observe/stages.ts'
import type { ServiceStatus } from '../../src/observe/status.ts'
import { createTraffic, type Traffic, type TrafficView } from '../../src/observe/traffic/traffic.ts'
import type { EdgeRow } from '../../src/rollup/rows/row.ts'
import { fixedSecret } from '../../src/secrets/secret.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { createMemoryUnsettled } from '../helpers/memory-unsettled.ts'
import { silentLog } from '../helpers/silent.ts'
import { createMemoryDatabase } from '../rollup/memory-database.ts'

export const TOKEN = 'canary-http-token-0123456789'

export const someStatus: ServiceStatus = {
  tailnet: 'example.com',
  sink: 'influxdb v2 http://127.0.0.1:8086/tailflux',
  watermarkNs: '1793620800000000000',
  watermark: '2026-11-02T12:00:00.000Z',
  horizon: '2026-11-02T12:00:30.000Z',
  origin: '2026-11-01T12:00:00.000Z',
  lagSeconds: 38,
  backlogSeconds: 0,
  etaSeconds: null,
  windowSeconds: 60,
  inFlight: 0,
  rates: { messages: 1.5, entries: 30, points: 12_400, bytes: 2_000 },
  totals: {
    windows: 3,
    messages: 10,
    entries: 200,
    points: 150,
    bytes: 9_000,
    quarantined: 0,
    rejected: 0,
    expired: 0,
    late: 0,
  },
  gaps: [],
  passes: [],
  lastWindow: null,
  lastTick: null,
  database: { state: 'closed', code: null, next: null },
  api: { next: null },
  live: {
    stages: createStages(systemClock)
      .view()
      .map((one) => ({ ...one, perSecond: 12_400 })),
  },
  devicesKnown: 7,
  clockSkewSeconds: 0.1,
  paused: false,
  demo: false,
  nextPoll: null,
  backfill: null,
}

/** As much as a minute says. */
export const someTraffic: TrafficView = viewOf((traffic) => {
  const [src, dst] = [
    { id: 'n1CNTRL', name: 'laptop', owner: 'alice@example.com', isNode: true },
    { id: 'n2CNTRL', name: 'db', owner: 'tag:db', isNode: true },
  ]
  const counters = { txBytes: 10_000, rxBytes: 5_000, txPkts: 10, rxPkts: 5, flows: 1, reporters: 2 }
  traffic.minute({
    startNs: NOON_NS - MINUTE,
    eachEdge(visit) {
      const edge = { proto: 'tcp', port: '5432', path: 'none', src, dst, ...counters } as unknown as EdgeRow
      visit({ ...edge, kind: 'virtual' })
      visit({ ...edge, kind: 'physical', path: 'direct' })
    },
    eachNode: () => undefined,
    hasGap: false,
  })
})

function viewOf(tell: (traffic: Traffic) => void): TrafficView {
  const traffic = createTraffic({
    store: createMemoryDatabase(),
    ledger: { settled: () => [], gaps: () => [], unsettled: createMemoryUnsettled() },
    clock: createFakeClock(),
    onBroken: () => undefined,
  })
  tell(traffic)
  return traffic.view()
}

/** For tests that do not look at what failed. */
export const silentFailures = { failed: () => undefined, works: () => undefined }

export async function serve(
  t: TestContext,
  options: { token?: string; config?: Partial<HttpConfig> } & Partial<HttpDeps> = {},
) {
  const { token, config, clock = systemClock, ...others } = options
  const health = createHealth({ clock: systemClock })
  health.setReady(true)
  const deps: HttpDeps = {
    log: silentLog,
    clock,
    version: '0.0.0-test',
    began: { atNs: clock.now(), ms: clock.monotonicMs() },
    health,
    metrics: { render: async () => 'tailflux_up 1\n', contentType: 'text/plain; version=0.0.4; charset=utf-8' },
    status: () => someStatus,
    flows: async ({ fromNs, toNs }) => ({ tier: 'minutes', fromNs, toNs, flows: [] }),
    failures: silentFailures,
    run: async () => 'caught_up',
    ...others,
  }
  const settings: HttpConfig = {
    host: '127.0.0.1',
    port: 0,
    ...(token === undefined ? {} : { token: fixedSecret(token, 'the test') }),
    ...config,
  }
  const server = createHttpServer(settings, deps)
  t.after(() => server.stop())
  const url = await server.start()
  const get = (path: string, init: RequestInit = {}) =>
    fetch(url + path, { ...init, signal: AbortSignal.timeout(5_000) })
  return { server, url, port: Number(new URL(url).port), health, get }
}

export function bearer(token: string): RequestInit {
  return { headers: { authorization: `Bearer ${token}` } }
}

/** Reads a stream of events up to and including the first one that `isWanted` takes. */
export async function readEvent(body: AsyncIterable<Uint8Array>, isWanted: (data: string) => boolean): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true })
    const complete = text.split('\n\n').slice(0, -1)
    for (const event of complete) {
      const data = event
        .split('\n')
        .filter((line) => line.startsWith('data: '))
        .map((line) => line.slice(6))
        .join('\n')
      if (data !== '' && isWanted(data)) return data
    }
    text = text.slice(text.lastIndexOf('\n\n') + 2)
  }
  throw new Error('the stream ended before the event came')
}
