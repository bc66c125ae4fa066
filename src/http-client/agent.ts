/** How requests leave this process: connections that stay open, the authorities that are trusted, and the proxy of the environment. Each service
 * that is asked has one agent. */
import type { Agent } from 'node:http'
import { http, https } from './node-http.ts'
import { readProxy, variableFor } from './proxy.ts'
import { trustWith } from './tls.ts'

export interface AgentConfig {
  /** Of the service: its protocol decides. */
  readonly url: string
  /** More authorities than those of Node; read now. */
  readonly caFile?: string | undefined
  /** The service is on this machine, which is reached by an address that its certificate need not have: any certificate will do, as none is needed
   * by http. */
  readonly isThisMachine?: boolean
  readonly maxSockets?: number
  /** Idle connections that are kept; more are closed. */
  readonly maxFreeSockets?: number
  /** ms until an idle connection is closed; undefined: never. */
  readonly idleMs?: number
  /** ms for a proxy to open a connection. Node does not end that wait when its request is given up. */
  readonly proxyMs: number
}

/** Opens nothing. Rejects with a CollectorError (`config_invalid`) when `caFile` or the proxy cannot be used. */
export async function createAgent(config: AgentConfig, env = process.env): Promise<Agent> {
  const { url, caFile, isThisMachine = false, maxSockets, maxFreeSockets, idleMs, proxyMs } = config
  const proxy = readProxy(env).env
  const hasProxy = proxy[variableFor(url)] !== undefined
  const timeout = hasProxy ? Math.min(idleMs ?? proxyMs, proxyMs) : idleMs
  const options = {
    keepAlive: true,
    ...(maxSockets === undefined ? {} : { maxSockets }),
    ...(maxFreeSockets === undefined ? {} : { maxFreeSockets }),
    ...(timeout === undefined ? {} : { timeout }),
    ...(hasProxy ? { proxyEnv: proxy } : {}),
  }
  if (!url.startsWith('https:')) return new http.Agent(options)
  const trust = caFile === undefined ? {} : { secureContext: await trustWith(caFile) }
  return new https.Agent({ ...options, ...trust, ...(isThisMachine ? { rejectUnauthorized: false } : {}) })
}
