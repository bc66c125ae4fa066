/** A simulated tailnet behind its API, for the command line. */
import type { TestContext } from 'node:test'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { createSimulatedApi, type SimulatedApiOptions } from '../simulator/api.ts'
import type { Tailnet } from '../simulator/tailnet.ts'

/** Starts the API. `env`: how a command reaches it, with a data directory of its own. */
export async function startSimulated(t: TestContext, tailnet: Tailnet, options: SimulatedApiOptions = {}) {
  const api = createSimulatedApi(tailnet, options)
  await api.start()
  t.after(() => api.stop())
  const dir = temporaryFolder(t)
  const env = { TAILSCALE_API_URL: api.url, TAILSCALE_API_KEY: 'tskey-api-demo', TAILFLUX_DATA_DIR: dir }
  return { api, dir, env }
}
