/** What an answer to a write means, by status first and by text only where one status has several meanings. Sources: the handlers of
 * InfluxDB 1.x (services/httpd/handler.go), 2.x (http/write_handler.go), 3.x (influxdb3_server/src/http.rs) and the behaviour of 1.6.7. */
import type { IncomingHttpHeaders } from 'node:http'
import { type Code, CollectorError, excerpt, type Reaction } from '../errors.ts'

export interface RawAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders | Record<string, string | string[] | undefined>
  readonly body: string
}

/** `ack`: every line is written. `isolate`: some lines will never fit; find them. `expired`: some are older than the retention, the others
 * are written; `dropped` is how many the database says. `unconfirmed`: a 2xx that does not say that the lines are written. */
export type Verdict =
  | { readonly kind: 'ack' }
  | { readonly kind: 'unconfirmed'; readonly error: CollectorError }
  | {
      readonly kind: 'isolate'
      readonly detail: string
      /** False: a refusal in unknown words, which may as well be about the request. */
      readonly isAboutLines: boolean
    }
  | { readonly kind: 'expired'; readonly detail: string; readonly dropped: number | undefined }
  | { readonly kind: 'split'; readonly error: CollectorError }
  | { readonly kind: 'error'; readonly error: CollectorError }

const RETRY_AFTER_MAX_MS = 600_000
const ABOUT_LINES =
  /partial write|unable to parse|field type conflict|invalid column type|line protocol|invalid tag key|max key length/i
const EXPIRED = /beyond retention policy|outside retention policy/i
const NO_SUCH_POLICY = /retention policy not found/i
const ABOUT_SERIES = /max-series-per-database|max-values-per-tag|would exceed number of/i
/** InfluxDB 3 tells its own troubles as 400 on the v2 path. */
const TRANSIENT_400 = /error from wal|object store|wal buffer full|persister|overloaded/i
const SETTINGS_400 =
  /database is required|invalid precision|missing bucket|bucket.* (is )?(required|not specified)|unacceptable content-/i
/** InfluxDB Enterprise 1.x: the lines are taken, for a node that is away just now. */
const QUEUED = /hinted handoff queue not empty/i

/** `label` names the database for the operator. */
export function judge(answer: RawAnswer, label: string, nowMs: number): Verdict {
  const { status } = answer
  const detail = messageOf(answer.body)
  const words = ownWords(detail)
  const said = detail === '' ? '' : `: ${detail}`
  const error = (text: string, code: Code, reaction: Reaction, retryAfterMs?: number) =>
    new CollectorError(text, { stage: 'sink', code, reaction, retryAfterMs })

  if (status === 204) return { kind: 'ack' }
  if (status >= 200 && status < 300) {
    if (status === 201 && detail !== '') return { kind: 'isolate', detail, isAboutLines: true }
    return {
      kind: 'unconfirmed',
      error: error(
        `${label} answered ${status} to a write instead of 204, which confirms nothing${said}. Check that INFLUX_URL is an InfluxDB write endpoint and INFLUX_API its version.`,
        'db_unconfirmed',
        'hold',
      ),
    }
  }
  if (status === 413) {
    return {
      kind: 'split',
      error: error(
        `${label} refuses a batch as too large${said}; smaller ones follow by themselves.`,
        'db_too_large',
        'split',
      ),
    }
  }
  if (status >= 500 && QUEUED.test(words)) return { kind: 'ack' }
  const isRefusal = status === 400 || status === 422 || (status >= 500 && ABOUT_LINES.test(words))
  if (!isRefusal || NO_SUCH_POLICY.test(words)) return { kind: 'error', error: refusal(answer, detail, label, nowMs) }
  if (status === 400 && TRANSIENT_400.test(words)) {
    return {
      kind: 'error',
      error: error(`${label} cannot write just now${said}; it is tried again.`, 'db_unavailable', 'retry'),
    }
  }
  if (status === 400 && SETTINGS_400.test(words)) {
    return {
      kind: 'error',
      error: error(
        `${label} does not understand the request${said}. Check INFLUX_API and the bucket or database.`,
        'db_misconfigured',
        'hold',
      ),
    }
  }
  if (ABOUT_SERIES.test(words)) {
    return {
      kind: 'error',
      error: error(
        `${label} is at its limit of series or tag values${said}. Raise the limit (InfluxDB 1.x: max-series-per-database, max-values-per-tag, or index-version tsi1), or write fewer series with TAILFLUX_PORTS=none.`,
        'db_misconfigured',
        'hold',
      ),
    }
  }
  if (EXPIRED.test(words)) return { kind: 'expired', detail, dropped: droppedOf(detail) }
  return { kind: 'isolate', detail, isAboutLines: ABOUT_LINES.test(words) }
}

/** What a body without any line is told when everything else about the request is in order: InfluxDB 1.x, 2.x and VictoriaMetrics say 204,
 * InfluxDB 3 says that the write was empty. */
export function isEmptyRefusal({ status, body }: RawAnswer): boolean {
  return status === 400 && /incoming write was empty|writing requires points/i.test(messageOf(body))
}

/** The error for every status that is not about lines. */
export function refusal(answer: RawAnswer, detail: string, label: string, nowMs: number): CollectorError {
  const { status } = answer
  const said = detail === '' ? '' : `: ${detail}`
  const make = (text: string, code: Code, reaction: Reaction, retryAfterMs?: number) =>
    new CollectorError(text, { stage: 'sink', code, reaction, retryAfterMs })
  if (status === 401)
    return make(
      `${label} does not accept the credentials (401${said}). Check INFLUX_TOKEN, or INFLUX_USER and INFLUX_PASSWORD.`,
      'db_unauthorized',
      'hold',
    )
  if (status === 403)
    return make(
      `${label} does not allow this user or token to write (403${said}). Give it write access to the bucket or database.`,
      'db_forbidden',
      'hold',
    )
  if (status === 404 && /^404 page not found/i.test(detail)) {
    return make(
      `${label} does not know this API (404: page not found). INFLUX_API is for another version: v1 for InfluxDB 1.x, v2 for 2.x, v3 for 3.x; or INFLUX_URL points elsewhere.`,
      'db_not_found',
      'hold',
    )
  }
  if (status === 404 && !NO_SUCH_POLICY.test(ownWords(detail))) {
    return make(
      `${label} does not know the database, bucket or organisation, or not this API (404${said}). Create it (1.x: TAILFLUX_INFLUX_CREATE_DATABASE=true), or check INFLUX_BUCKET, INFLUX_DB, INFLUX_ORG and INFLUX_API.`,
      'db_not_found',
      'hold',
    )
  }
  if (status >= 400 && NO_SUCH_POLICY.test(ownWords(detail))) {
    return make(
      `${label} does not know the retention policy (${status}${said}). Create it, or check INFLUX_RP and influx.nodesBucket.`,
      'db_not_found',
      'hold',
    )
  }
  if (status === 429 || status === 503) {
    return make(
      `${label} is overloaded (${status}${said}); it is tried again by itself.`,
      'db_overloaded',
      'retry',
      retryAfterOf(answer, nowMs),
    )
  }
  if (status === 408 || status === 425 || status === 499 || status >= 500) {
    return make(`${label} failed (${status}${said}); it is tried again by itself.`, 'db_unavailable', 'retry')
  }
  if (status >= 300 && status < 400) {
    return make(
      `${label} answered with a redirect (${status}), which is not followed. Set INFLUX_URL to where it really is.`,
      'db_misconfigured',
      'hold',
    )
  }
  return make(
    `${label} refuses the request (${status}${said}). Check INFLUX_URL and INFLUX_API.`,
    'db_misconfigured',
    'hold',
  )
}

/** `Retry-After` in seconds or as an HTTP date, ms; at most ten minutes. The client library would take the seconds for milliseconds. */
function retryAfterOf(answer: RawAnswer, nowMs: number): number | undefined {
  const raw = answer.headers['retry-after']
  const text = (Array.isArray(raw) ? raw[0] : raw)?.trim()
  if (text === undefined) return undefined
  // A date begins with a weekday; Date.parse would make one of almost anything.
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : /^[a-z]{3}/i.test(text) ? Date.parse(text) - nowMs : Number.NaN
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), RETRY_AFTER_MAX_MS)
}

/** The message of an error body: `{"error":…}` (1.x, 3.x), `{"message":…}` (2.x), or the text itself. At most 512 characters. InfluxDB 3
 * sends its errors without a content type, so the body is looked at, not the header. */
export function messageOf(body: string): string {
  const text = body.trim()
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed === 'object' && parsed !== null) {
      const { error, message, data } = parsed as { error?: unknown; message?: unknown; data?: unknown }
      const said = typeof error === 'string' ? error : typeof message === 'string' ? message : text
      const first = Array.isArray(data) ? data[0] : data
      const reason = (first as { error_message?: unknown } | null | undefined)?.error_message
      return excerpt(typeof reason === 'string' ? `${said}: ${reason}` : said)
    }
  } catch {
    // Not JSON: the text is the message.
  }
  return excerpt(text)
}

/** The part of a message that the database wrote by itself. Behind it lines are quoted, and a tag value of somebody's choice may read like
 * any of the phrases above. */
function ownWords(detail: string): string {
  return /^.*?(?=['"]| point )/s.exec(detail)?.[0] ?? detail
}

function droppedOf(detail: string): number | undefined {
  const found = /dropped=(\d+)|dropped (\d+) points/.exec(detail)
  const count = Number(found?.[1] ?? found?.[2])
  return Number.isSafeInteger(count) && count > 0 ? count : undefined
}
