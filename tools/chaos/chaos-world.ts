/** Where real processes are tormented: a simulated tailnet whose clock we set, a real InfluxDB, a TCP proxy before each, and the service as
 * people run it, in a process of its own, on a small disk and under libfaketime. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts'
import { type Influxd, startInfluxd } from '../../test/services/influxd.ts'
import { startProxy, type Proxy as TcpProxy } from '../../test/services/proxy.ts'
import { freePort, type Scope } from '../../test/services/server-process.ts'
import { ensure } from '../../test/services/servers.ts'
import { mountSmallDisk, noSmallDisk } from '../../test/services/small-disk.ts'
import { createSimulatedApi, type SimulatedApi } from '../../test/simulator/api.ts'
import { createTailnet, type Tailnet } from '../../test/simulator/tailnet.ts'

export const SECOND_NS = 1_000_000_000n
export const LAG_NS = 60n * SECOND_NS
export const LATE_PASSES_MS = [900_000, 7_200_000]
/** Must show up in nothing that the service prints. */
export const CANARY = 'tskey-api-demo'

export interface ApiClock {
  now(): bigint
  /** From now on it runs at this speed from this time, up to `untilNs`. Never set it back. */
  set(ns: bigint, speed: number, untilNs?: bigint): void
}

function createApiClock(): ApiClock {
  let [fromNs, fromMs, rate, lastNs] = [0n, performance.now(), 0, 0n]
  return {
    now() {
      const ns = fromNs + BigInt(Math.floor((performance.now() - fromMs) * rate)) * 1_000_000n
      return ns < lastNs ? ns : lastNs
    },
    set(ns, speed, untilNs = speed === 0 ? ns : 1n << 62n) {
      fromNs = ns
      fromMs = performance.now()
      rate = speed
      lastNs = untilNs
    },
  }
}

export interface ServiceRun {
  readonly process: ChildProcess
  readonly url: string
  readonly ended: Promise<number | NodeJS.Signals>
  output(): string
}

export interface ChaosWorld {
  readonly tailnet: Tailnet
  readonly api: SimulatedApi
  readonly apiProxy: TcpProxy
  readonly database: Influxd
  readonly dbProxy: TcpProxy
  readonly apiClock: ApiClock
  readonly dataDir: string
  readonly isSmallDisk: boolean
  /** Sets the wall clock of the service off by this many seconds, while it runs. */
  jump(seconds: number): void
  start(): Promise<ServiceRun>
  status(run: ServiceRun): Promise<Record<string, unknown> | undefined>
}

export interface ChaosWorldOptions {
  readonly seed: number
  readonly nodes: number
  readonly activity: number
  /** Nothing was recorded before. */
  readonly epochNs: bigint
  /** Up to this time some records become visible late; later ones at once, because no late pass will come for them. */
  readonly lateUntilNs: bigint
  readonly env?: Readonly<Record<string, string>>
  readonly diskBytes?: number
}

const ROOT = join(import.meta.dirname, '../..')

export async function startChaosWorld(scope: Scope, options: ChaosWorldOptions): Promise<ChaosWorld> {
  const apiClock = createApiClock()
  const tailnet = createTailnet({
    seed: options.seed,
    nodes: options.nodes,
    activity: options.activity,
    oldClients: 0,
    epochNs: options.epochNs,
    visibilityDelay: ({ slot, nodeId, loggedNs }) => {
      if (loggedNs >= options.lateUntilNs) return 0n
      const draw = (slot * 7_919 + nodeId.charCodeAt(1) * 104_729) % 100
      // One in twenty a little late, one in fifty up to a good hour: the late passes are for these.
      return BigInt(draw < 5 ? draw * 40 : draw < 7 ? (draw - 4) * 1_900 : 0) * SECOND_NS
    },
  })
  const api = createSimulatedApi(tailnet, { nowNs: apiClock.now })
  await api.start()
  scope.after(() => api.stop())
  // Names come from the messages alone: a state file that is lost takes the history of names with it.
  api.setFault({ kind: 'status', status: 403, route: 'devices' })
  const database = await startInfluxd(scope, { databases: ['flows'] })
  const apiProxy = await startProxy(scope, api.url)
  const dbProxy = await startProxy(scope, database.url)
  const isSmallDisk = options.diskBytes !== undefined && noSmallDisk() === false
  const home = temporaryFolder(scope)
  const dataDir = isSmallDisk ? mountSmallDisk(scope, options.diskBytes ?? 0) : join(home, 'data')
  mkdirSync(dataDir, { recursive: true })
  const timeFile = join(home, 'time')
  writeFileSync(timeFile, '+0\n')
  const { path: faketime } = await ensure('libfaketime')
  const running = new Set<ChildProcess>()
  scope.after(async () => {
    for (const child of running) child.kill('SIGKILL')
  })

  async function start(): Promise<ServiceRun> {
    const port = await freePort()
    const child = spawn(process.execPath, [join(ROOT, 'src/cli.js'), 'run'], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env['PATH'] ?? '',
        LD_PRELOAD: faketime,
        FAKETIME_TIMESTAMP_FILE: timeFile,
        FAKETIME_NO_CACHE: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
        TAILSCALE_API_URL: apiProxy.url,
        TAILSCALE_API_KEY: CANARY,
        TAILFLUX_TAILSCALE_HEAD_TIMEOUT: '2s',
        TAILFLUX_TAILSCALE_IDLE_TIMEOUT: '2s',
        INFLUX_URL: dbProxy.url,
        INFLUX_API: 'v1',
        INFLUX_DB: 'flows',
        TAILFLUX_INFLUX_TIMEOUT: '2s',
        TAILFLUX_INFLUX_GIVE_UP: '10s',
        TAILFLUX_INFLUX_BATCH_LINES_MAX: '500',
        TAILFLUX_DATA_DIR: dataDir,
        TAILFLUX_HTTP_PORT: String(port),
        TAILFLUX_LOG_LEVEL: 'info',
        TAILFLUX_POLL_LOOKBACK: '2h',
        TAILFLUX_POLL_INTERVAL: '5s',
        TAILFLUX_POLL_LATE_PASSES: `[${LATE_PASSES_MS.map((ms) => `${ms / 60_000}m`).join(', ')}]`,
        ...options.env,
      },
    })
    running.add(child)
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (piece: string) => {
        output += piece
      })
    const ended = once(child, 'close').then(([code, signal]) => {
      running.delete(child)
      return (code ?? signal) as number | NodeJS.Signals
    })
    return { process: child, url: `http://127.0.0.1:${port}`, ended, output: () => output }
  }

  return {
    tailnet,
    api,
    apiProxy,
    database,
    dbProxy,
    apiClock,
    dataDir,
    isSmallDisk,
    jump: (seconds) => writeFileSync(timeFile, `${seconds < 0 ? '' : '+'}${seconds}\n`),
    start,
    async status(run) {
      try {
        const answer = await fetch(`${run.url}/api/status`, { signal: AbortSignal.timeout(5_000) })
        return answer.ok ? ((await answer.json()) as Record<string, unknown>) : undefined
      } catch {
        // Not listening yet, or stopped by a signal.
        return undefined
      }
    },
  }
}
