/** Asks the running service on this machine, and gives it orders. */

import { CollectorError } from '../base/errors.ts'
import type { Settings } from '../config/settings.ts'
import { readControlToken } from '../http/control-token.ts'
import type { StatusAnswer } from '../http/status.ts'
import { addressOf } from './healthcheck.ts'

export interface ServiceClient {
  readonly url: string
  /** Rejects with a CollectorError (`service_unreachable`) when nobody answers, or not to us. */
  status(): Promise<StatusAnswer>
  /** POST to a path of `/api/`; resolves with the answer. Rejects as `status`, or with what the service says about the order. */
  order(path: string): Promise<Record<string, unknown>>
}

const TIMEOUT_MS = 10_000

/** `url`: where it listens, if not where the settings say. */
export function createServiceClient(settings: Pick<Settings, 'http' | 'dataDir'>, url?: string): ServiceClient {
  const base = (url ?? addressOf(settings)).replace(/\/+$/, '')

  async function ask(path: string, method: 'GET' | 'POST'): Promise<Record<string, unknown>> {
    const token = readControlToken(settings.dataDir) ?? (await settings.http.token?.read())
    let answer: Response
    let body: Record<string, unknown>
    try {
      answer = await fetch(`${base}${path}`, {
        method,
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        signal: AbortSignal.timeout(TIMEOUT_MS),
        redirect: 'error',
      })
      body = (await answer.json()) as Record<string, unknown>
    } catch (cause) {
      const reason = cause instanceof Error ? (cause.cause instanceof Error ? cause.cause.message : cause.message) : ''
      throw failure(
        `No tailflux answers at ${base} (${reason}). Is it running? Check TAILFLUX_HTTP_HOST and TAILFLUX_HTTP_PORT, or give --url.`,
        cause,
      )
    }
    if (answer.ok) return body
    const said = typeof body['error'] === 'string' ? body['error'] : `it answers ${answer.status}`
    if (answer.status !== 401 && answer.status !== 403) throw failure(said)
    throw failure(
      `The tailflux at ${base} does not let this user in. Run the command as the user of the service, with its TAILFLUX_DATA_DIR (now ${settings.dataDir}), or set TAILFLUX_HTTP_TOKEN.`,
    )
  }

  return {
    url: base,
    status: async () => (await ask('/api/status', 'GET')) as unknown as StatusAnswer,
    order: (path) => ask(path, 'POST'),
  }
}

function failure(text: string, cause?: unknown): CollectorError {
  return new CollectorError(text, { stage: 'config', code: 'service_unreachable', reaction: 'retry', cause })
}
