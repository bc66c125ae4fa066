/** The whole service in this process, on a simulated tailnet, as the status page sees it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Clock } from '../../src/base/clock.ts'
import { loadSettings } from '../../src/config/load.ts'
import { createService, type Service, type ServiceDeps } from '../../src/main.ts'
import { createSecretRegistry } from '../../src/secrets/redactor.ts'
import { silentLog } from '../helpers/silent.ts'
import { createSimulatedApi, type SimulatedApi } from '../simulator/api.ts'
import type { TailnetOptions } from '../simulator/options.ts'
import { createTailnet } from '../simulator/tailnet.ts'

export interface WholeService {
  readonly api: SimulatedApi
  readonly service: Service
  readonly url: string
}

export async function startWholeService(
  t: TestContext,
  options: {
    tailnet?: TailnetOptions
    env?: Record<string, string>
    isDemo?: boolean
    clock?: Clock
    reload?: ServiceDeps['reload']
  } = {},
): Promise<WholeService> {
  const dataDir = mkdtempSync(join(tmpdir(), 'tailflux-page-'))
  const api = createSimulatedApi(createTailnet({ nodes: 10, seed: 2, ...options.tailnet }))
  await api.start()
  const { settings, secrets } = loadSettings({
    env: {
      TAILSCALE_API_URL: api.url,
      TAILSCALE_API_KEY: 'tskey-api-demo',
      TAILFLUX_DATA_DIR: dataDir,
      TAILFLUX_HTTP_PORT: '0',
      TAILFLUX_POLL_INTERVAL: '5s',
      TAILFLUX_POLL_LAG: '5s',
      TAILFLUX_POLL_LOOKBACK: '20m',
      ...options.env,
    },
  })
  const service = createService(settings, {
    log: silentLog,
    secrets: createSecretRegistry(secrets),
    onBroken: (error) => {
      throw error
    },
    isDemo: options.isDemo ?? false,
    ...(options.reload ? { reload: options.reload } : {}),
    ...(options.clock ? { clock: options.clock } : {}),
  })
  t.after(async () => {
    await service.stop()
    await api.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })
  return { api, service, url: await service.start() }
}
