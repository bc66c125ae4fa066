/** Classifies the answer to a write by its status, and where one status has several meanings by the database's own text. Sources: the
 * handlers of InfluxDB 1.x (services/httpd/handler.go), 2.x (http/write_handler.go), 3.x (influxdb3_server/src/http.rs), the behaviour of
 * 1.6.7, and the recorded answers of 2.9.1 and 3.10.1. */
import type { IncomingHttpHeaders } from 'node:http'
import { type Code, CollectorError, type Reaction } from '../../base/errors.ts'
import { PROXY_AUTH_REQUIRED, proxyUserRemedy } from '../../http-client/error-codes.ts'
import { retryAfterMs } from '../../http-client/retry.ts'
import { LimitError, type NewSeries } from '../limit-error.ts'
import { droppedOf, messageOf, type NamedLines, namedLines } from './error-message.ts'
import { AGAIN, type Cause, isRefusal, meaningOf } from './error-texts.ts'

/** How to fix it when the main place does not exist. */
export const MAIN_MISSING =
  'Create it with `tailflux init`, or check INFLUX_BUCKET, INFLUX_DB, INFLUX_RP, INFLUX_ORG and INFLUX_API.'

export interface RawAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders | Record<string, string | string[] | undefined>
  readonly body: string
}

/** `ack`: every line is written. `unconfirmed`: a 2xx that does not confirm it. `refused`: some lines will never be accepted. `expired`: some
 * are older than the retention, the others are written; `dropped` is the count by the database. `split`: send the same lines in smaller
 * requests. `limit`: some lines would exceed a limit of series or tag values. */
export type WriteOutcome =
  | { readonly kind: 'ack' }
  | { readonly kind: 'unconfirmed'; readonly error: CollectorError }
  | {
      readonly kind: 'refused'
      readonly detail: string
      readonly cause: Cause
      /** The lines of the request that the answer names. */
      named(texts: readonly string[]): NamedLines | undefined
    }
  | { readonly kind: 'expired'; readonly detail: string; readonly dropped: number | undefined }
  | {
      readonly kind: 'split'
      readonly error: CollectorError
      /** True: because the database is short of memory or time, which may pass. */
      readonly isPassing: boolean
    }
  | ({ readonly kind: 'limit' } & Limit)
  | {
      readonly kind: 'error'
      readonly error: CollectorError
      /** True: fewer lines at once may help. */
      readonly isAboutSize?: boolean
    }

export interface Limit {
  readonly detail: string
  /** A lower bound of how many lines were refused. Which others are written is not known: 1.6.7 drops as many lines as exceed the limit, but
   * not always these ones. */
  readonly dropped: number | undefined
  /** What the limit counts; a line whose series, or whose values, exist already, fits. */
  readonly counts: 'series' | 'values'
  error(newSeries: NewSeries): LimitError
}

/** `label` names the database for the operator; `nowMs` is the local clock, for a Retry-After that is a date; `ifMissing` is how to fix it when the
 * server does not have the place of this write. */
export function classify(answer: RawAnswer, label: string, nowMs: number, ifMissing?: string): WriteOutcome {
  const { status, body } = answer
  if (status === 204) return { kind: 'ack' }
  const detail = messageOf(body)
  const said = detail === '' ? '' : `: ${detail}`
  const fail = (text: string, code: Code, reaction: Reaction) =>
    new CollectorError(text, { stage: 'sink', code, reaction })
  const refused = (cause: Cause): WriteOutcome => ({
    kind: 'refused',
    detail,
    cause,
    named: (texts) => namedLines(body, texts),
  })

  if (status === 201 && detail !== '') return refused('syntax')
  if (status >= 200 && status < 300) {
    return {
      kind: 'unconfirmed',
      error: fail(
        `${label} answered ${status} to a write instead of 204, which is no confirmation${said}. Check that INFLUX_URL is an InfluxDB write endpoint and INFLUX_API its version.`,
        'db_unconfirmed',
        'hold',
      ),
    }
  }
  if (status === 413) {
    const text = `${label} refuses a batch as too large${said}. Smaller ones follow automatically; if every one is refused, raise the limit of the proxy or database.`
    return { kind: 'split', isPassing: false, error: fail(text, 'db_too_large', 'split') }
  }
  const means = meaningOf(status, detail)
  switch (means?.kind) {
    case 'refused':
      return refused(means.cause)
    case 'expired':
      return { kind: 'expired', detail, dropped: droppedOf(detail) }
    case 'limit': {
      const { counts, says, fix } = means
      const textWith = (whose: string) =>
        `${label} ${says} (${detail}). ${whose} Points that fit are stored, and the rest is retried until it fits. ${fix}`
      const error = (newSeries: NewSeries) => new LimitError(textWith, newSeries)
      return { kind: 'limit', detail, dropped: droppedOf(detail), counts, error }
    }
    case 'error':
      return {
        kind: 'error',
        error: refusal(answer, detail, label, nowMs, ifMissing),
        ...(means.isAboutSize ? { isAboutSize: true } : {}),
      }
    default:
      return isRefusal(status)
        ? refused('unknown')
        : { kind: 'error', error: refusal(answer, detail, label, nowMs, ifMissing) }
  }
}

/** True for the answer to a body without lines when the rest of the request is right. InfluxDB 1.x, 2.x and VictoriaMetrics answer 204;
 * InfluxDB 3 answers that the write was empty. */
export function isEmptyRefusal({ status, body }: RawAnswer): boolean {
  return status === 400 && /incoming write was empty|writing requires points/i.test(messageOf(body))
}

/** The error for an answer that is not about lines. */
export function refusal(
  answer: RawAnswer,
  detail: string,
  label: string,
  nowMs: number,
  ifMissing = MAIN_MISSING,
): CollectorError {
  const { status } = answer
  const said = detail === '' ? '' : `: ${detail}`
  const make = (text: string, code: Code, reaction: Reaction, retryAfterMs?: number) =>
    new CollectorError(`${label} ${text}`, { stage: 'sink', code, reaction, retryAfterMs })
  const known = meaningOf(status, detail)
  if (known?.kind === 'error') {
    const fix = known.code === 'db_not_found' ? ifMissing : known.fix
    return make(`${known.says} (${status}${said}). ${fix}`, known.code, known.reaction)
  }
  if (status === PROXY_AUTH_REQUIRED) return make(`cannot be reached: ${proxyUserRemedy()}.`, 'db_unreachable', 'retry')
  if (status === 401)
    return make(
      `rejected the credentials (401${said}). Check INFLUX_TOKEN, or INFLUX_USER and INFLUX_PASSWORD.`,
      'db_unauthorized',
      'hold',
    )
  if (status === 403)
    return make(
      `does not allow this user or token to write (403${said}). Give it write access to the bucket or database.`,
      'db_forbidden',
      'hold',
    )
  if (status === 404 && /^404 page not found/i.test(detail)) {
    return make(
      'does not know this API (404: page not found). INFLUX_API is for another version: v1 for InfluxDB 1.x, v2 for 2.x, v3 for 3.x; or INFLUX_URL points elsewhere. Correct the one that is wrong.',
      'db_not_found',
      'hold',
    )
  }
  if (status === 404) {
    return make(
      `does not know the database, bucket or organisation, or not this API (404${said}). ${ifMissing}`,
      'db_not_found',
      'hold',
    )
  }
  if (status === 429 || status === 503) {
    return make(
      `is overloaded (${status}${said}). ${AGAIN} If this continues, check its load.`,
      'db_overloaded',
      'retry',
      // The client library would take the seconds for milliseconds.
      retryAfterMs(answer.headers['retry-after'], nowMs),
    )
  }
  if (status === 408 || status === 425 || status === 499 || status >= 500) {
    return make(`failed (${status}${said}). ${AGAIN} If this continues, see its log.`, 'db_unavailable', 'retry')
  }
  if (status >= 300 && status < 400) {
    return make(
      `answered with a redirect (${status}), which is not followed. Set INFLUX_URL to its real address.`,
      'db_misconfigured',
      'hold',
    )
  }
  return make(`refuses the request (${status}${said}). Check INFLUX_URL and INFLUX_API.`, 'db_misconfigured', 'hold')
}
