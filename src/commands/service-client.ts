/** Client of the running service on this machine: status and commands. */

import { type Code, CollectorError, messageOf } from '../base/errors.ts'
import type { Settings } from '../config/settings.ts'
import { readControlToken } from '../http/control-token.ts'
import { ask } from '../http-client/ask.ts'
import { codeOf, isTlsFault } from '../http-client/error-codes.ts'
import type { StatusAnswer } from '../observe/status.ts'
import { addressOf, UNTRUSTED } from './healthcheck.ts'

export interface ServiceClient {
  readonly url: string
  /** Rejects with a CollectorError (`service_unreachable`) when there is no answer, or access is denied. */
  status(): Promise<StatusAnswer>
  /** POST to a path of `/api/`; resolves with the answer. Rejects as `status`, or with the error that the service returns (`config_invalid` when the request is
   * wrong). */
  post(path: string): Promise<Record<string, unknown>>
}

const TIMEOUT_MS = 10_000
/** Far more than a status has. */
const BODY_BYTES_MAX = 32 << 20

/** `url`: the address of the service, without a slash at its end, if not the configured one. */
export function createServiceClient(settings: Pick<Settings, 'http' | 'dataDir'>, url?: string): ServiceClient {
  const base = url ?? addressOf(settings)
  const trust = url === undefined ? { isThisMachine: true } : { caFile: settings.http.tls?.cert }

  async function askService(path: string, method: 'GET' | 'POST'): Promise<Record<string, unknown>> {
    const token = readControlToken(settings.dataDir) ?? (await settings.http.token?.read())
    let status: number
    let body: Record<string, unknown>
    try {
      const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
      const answer = await ask({ url: `${base}${path}`, method, headers, ...trust }, AbortSignal.timeout(TIMEOUT_MS))
      status = answer.status
      body = JSON.parse((await answer.text(BODY_BYTES_MAX)).text) as Record<string, unknown>
    } catch (cause) {
      if (cause instanceof CollectorError) throw cause
      const remedy = isTlsFault(codeOf(cause))
        ? UNTRUSTED
        : 'Is it running? Check TAILFLUX_HTTP_HOST, TAILFLUX_HTTP_PORT and TAILFLUX_HTTP_TLS, or pass --url.'
      throw failure(`No answer from tailflux at ${base} (${messageOf(cause)}). ${remedy}`, cause)
    }
    if (status >= 200 && status < 300) return body
    const reason = typeof body['error'] === 'string' ? body['error'] : `tailflux answered ${status}; see its log.`
    // The service says that the request itself is wrong.
    if (status === 400 || status === 422) throw failure(reason, undefined, 'config_invalid')
    if (status !== 401 && status !== 403) throw failure(reason)
    throw failure(
      `The tailflux at ${base} rejected this user. Run the command as the user of the service, with its TAILFLUX_DATA_DIR (now ${settings.dataDir}), or set TAILFLUX_HTTP_TOKEN.`,
    )
  }

  return {
    url: base,
    status: async () => (await askService('/api/status', 'GET')) as unknown as StatusAnswer,
    post: (path) => askService(path, 'POST'),
  }
}

function failure(text: string, cause?: unknown, code: Code = 'service_unreachable'): CollectorError {
  return new CollectorError(text, {
    stage: 'config',
    code,
    reaction: code === 'config_invalid' ? 'hold' : 'retry',
    cause,
  })
}
