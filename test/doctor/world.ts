import type { TestContext } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { checkAll } from '../../src/commands/check.ts'
import { loadSettings } from '../../src/config/load.ts'
import type { Finding } from '../../src/doctor/finding.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { createSimulatedApi, type SimulatedApi, type SimulatedApiOptions } from '../simulator/api.ts'
import { createTailnet } from '../simulator/tailnet.ts'

export async function demo(t: TestContext, options: SimulatedApiOptions = {}): Promise<SimulatedApi> {
  const server = createSimulatedApi(createTailnet({ nodes: 8, seed: 3 }), options)
  await server.start()
  t.after(() => server.stop())
  return server
}

export interface Checked {
  readonly findings: readonly Finding[]
  /** The finding of that name; fails without one. */
  of(check: string): Finding
  /** `✗ bucket`, `! retention`: everything that is not OK. */
  readonly faults: readonly string[]
}

/** Runs the whole of `check` with these variables. */
export async function checked(t: TestContext, env: Record<string, string>): Promise<Checked> {
  const loaded = loadSettings({ env: { TAILFLUX_DATA_DIR: temporaryFolder(t), TAILFLUX_HTTP_PORT: '0', ...env } })
  const findings = await checkAll(loaded, { clock: systemClock })
  return {
    findings,
    of(check) {
      const found = findings.find((finding) => finding.check === check)
      if (found === undefined) throw new Error(`there is no finding ${check}: ${JSON.stringify(findings)}`)
      return found
    },
    faults: findings.flatMap(({ status, check }) =>
      status === 'error' ? [`✗ ${check}`] : status === 'warning' ? [`! ${check}`] : [],
    ),
  }
}

/** Variables for a server of the simulated tailnet. */
export function apiOf(server: SimulatedApi, key = 'tskey-api-demo'): Record<string, string> {
  return { TAILSCALE_API_URL: server.url, TAILSCALE_API_KEY: key }
}
