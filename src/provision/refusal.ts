/** Why a server refuses to be read or changed, for the operator. */
import { CollectorError } from '../base/errors.ts'
import type { HttpMethod } from '../http-client/ask.ts'
import { messageOf } from '../sink/influxdb/error-message.ts'
import { type RawAnswer, refusal } from '../sink/influxdb/response-policy.ts'
import type { InfluxHttp } from '../sink/influxdb/transport.ts'

export interface ProvisionDeps {
  readonly http: InfluxHttp
  /** Names the server. */
  readonly label: string
  /** Local clock, ms since the epoch. */
  readonly nowMs: () => number
}

/** `what` is what was tried: `create bucket flows`. The versions differ: for a right that is missing 1.x and 3.x answer 403, 2.x answers 401 and names the right. */
export function provisionError(
  { label, nowMs }: ProvisionDeps,
  what: string,
  answer: RawAnswer,
  said = messageOf(answer.body),
): CollectorError {
  const { status } = answer
  const isMissingRight =
    status === 403 || (status === 401 && /\w+:\S.* is unauthorized|requires admin|not authorized/i.test(said))
  if (isMissingRight || /requires admin privilege|not authorized to execute/i.test(said)) {
    return new CollectorError(
      `${label} does not allow this user or token to ${what} (${status}: ${said}). Use one that may: an administrator of 1.x, an all-access token of 2.x, an admin token of 3.x.`,
      { stage: 'sink', code: 'db_forbidden', reaction: 'hold' },
    )
  }
  if (status >= 300) return refusal(answer, said, label, nowMs())
  return new CollectorError(
    `${label} did not ${what}: ${said}. Check that INFLUX_URL and INFLUX_API fit this database.`,
    { stage: 'sink', code: 'db_misconfigured', reaction: 'hold' },
  )
}

/** A request with JSON in both directions. Undefined for what is not there (404 to GET), and for an answer without a text. Rejects with a CollectorError for any other refusal. */
export async function requestJson<T>(
  deps: ProvisionDeps,
  what: string,
  request: { readonly method: HttpMethod; readonly path: string; readonly body?: unknown },
  signal: AbortSignal,
): Promise<T | undefined> {
  const { method, path, body } = request
  const answer = await deps.http.send(
    {
      method,
      path,
      headers: { accept: 'application/json', 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    },
    signal,
  )
  if (answer.status === 404 && method === 'GET') return undefined
  // Another run was faster; the next plan shows what it made.
  if (method === 'POST' && isThereAlready(answer)) return undefined
  if (answer.status >= 300) throw provisionError(deps, what, answer)
  if (answer.body.trim() === '') return undefined
  try {
    return JSON.parse(answer.body) as T
  } catch {
    throw provisionError(deps, what, answer, `it answered ${answer.status} with something else than JSON`)
  }
}

function isThereAlready({ status, body }: RawAnswer): boolean {
  return status === 409 || (status === 422 && /already exists|and rp exists/.test(messageOf(body)))
}
