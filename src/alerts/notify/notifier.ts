/** What notifiers share: the notification before it has their form, and one POST with deadline and retries. */

import { backoffAfter } from '../../base/backoff.ts'
import { type Clock, MS } from '../../base/clock.ts'
import { type Code, CollectorError, type CollectorErrorOptions } from '../../base/errors.ts'
import { type Ask, ask, type SmallAnswer } from '../../http-client/ask.ts'
import { codeOf, isTlsFault, PROXY_AUTH_REQUIRED, proxyUserRemedy, remedyOr } from '../../http-client/error-codes.ts'
import { retry, retryAfterMs } from '../../http-client/retry.ts'
import type { SecretRegistry } from '../../secrets/redactor.ts'
import { isHeaderText, NO_HEADER_TEXT, type NotifierConfig, type NotifierKind } from './config.ts'

/** What is sent about one alert. */
export interface Notification {
  readonly fingerprint: string
  readonly status: 'firing' | 'resolved'
  readonly labels: Readonly<Record<string, string>>
  /** The sentence. */
  readonly summary: string
  readonly title: string
  /** The three largest edges behind the value, where they are known. */
  readonly edges?: string | undefined
  /** More for people: value, threshold, window. */
  readonly annotations: Readonly<Record<string, string>>
  readonly startsNs: bigint
  /** 0 while it fires. */
  readonly endsNs: bigint
}

export interface Notifier {
  /** Unique among those of the settings, and the same after a restart. Secret, as the URL is. */
  readonly id: string
  readonly kind: NotifierKind
  /** For people, without secrets. */
  readonly label: string
  /** ms after which what still fires is sent again; undefined: each change is sent once. */
  readonly repeatMs: number | undefined
  /** What goes into one request each. */
  portions(notifications: readonly Notification[]): Notification[][]
  /** Resolves when the portion was taken. Rejects with a CollectorError (stage `alerts`). Retries inside. */
  send(portion: readonly Notification[], signal: AbortSignal): Promise<void>
}

export interface NotifierDeps {
  readonly clock: Clock
  readonly random: () => number
  /** One attempt ended: an HTTP status, or `error`. */
  readonly onAttempt: (kind: NotifierKind, code: string, durationMs: number) => void
  /** Where people reach the status page. */
  readonly pageUrl: string | undefined
  /** What receivers answer may hold what was sent. */
  readonly secrets: Pick<SecretRegistry, 'excerpt'>
}

/** For one request, from the name look-up to the end of the answer. */
const DEADLINE_MS = 10_000
/** Then the state as it is by then is sent instead. */
const ATTEMPTS_MAX = 4
const BACKOFF = { minMs: 1_000, maxMs: 15_000 } as const
/** A longer Retry-After is left to the next round of the dispatcher. */
const WAIT_MS_MAX = 60_000
const ANSWER_BYTES_MAX = 4_096

/** What is sent where. */
export type Post = { readonly url: string } & (
  | { readonly json: unknown }
  | { readonly text: string; readonly contentType: string }
)

/** Posts until it is taken. */
export async function post(
  config: NotifierConfig,
  given: Post,
  deps: NotifierDeps,
  signal: AbortSignal,
): Promise<void> {
  const { url } = given
  const [body, type] =
    'text' in given ? [given.text, given.contentType] : [JSON.stringify(given.json), 'application/json']
  await retry(() => attempt(config, { url, body, headers: { 'content-type': type } }, deps, signal), {
    clock: deps.clock,
    signal,
    waitMs(error, attempt) {
      if (attempt === ATTEMPTS_MAX) return undefined
      const ceilingMs = backoffAfter(attempt, BACKOFF)
      const jittered = ceilingMs / 2 + (ceilingMs / 2) * deps.random()
      return Math.min(Math.max(jittered, error.retryAfterMs ?? 0), WAIT_MS_MAX)
    },
  })
}

async function attempt(config: NotifierConfig, request: Ask, deps: NotifierDeps, signal: AbortSignal): Promise<void> {
  const over = AbortSignal.timeout(DEADLINE_MS)
  const beganMs = deps.clock.monotonicMs()
  const ended = (code: string) => deps.onAttempt(config.kind, code, deps.clock.monotonicMs() - beganMs)
  let answer: SmallAnswer
  let said = ''
  try {
    const headers = { ...request.headers, 'user-agent': 'tailflux', ...(await authorization(config)) }
    const { caFile } = config
    answer = await ask({ ...request, caFile, method: 'POST', headers }, AbortSignal.any([signal, over]))
    // Taken: whatever is wrong with the rest of the answer must not send it again.
    if (isGood(answer.status)) answer.close()
    else {
      const { text, isCut } = await answer.text(ANSWER_BYTES_MAX)
      said = deps.secrets.excerpt(text, isCut)
    }
  } catch (error) {
    signal.throwIfAborted()
    ended('error')
    throw error instanceof CollectorError ? error : unreachable(config, request.url, error, over.aborted)
  }
  const { status, headers } = answer
  ended(String(status))
  if (!isGood(status))
    throw refused(config, status, said, retryAfterMs(headers['retry-after'], Number(deps.clock.now() / MS)))
}

function isGood(status: number): boolean {
  return status >= 200 && status < 300
}

async function authorization({ token, user, password }: NotifierConfig): Promise<Record<string, string>> {
  if (token) {
    const value = await token.read()
    // At the start it was; its file has changed since.
    if (!isHeaderText(value)) throw fault('notify_unauthorized', `The token in ${token.origin} ${NO_HEADER_TEXT}.`)
    return { authorization: `Bearer ${value}` }
  }
  if (user !== undefined && password)
    return { authorization: `Basic ${Buffer.from(`${user}:${await password.read()}`).toString('base64')}` }
  return {}
}

function unreachable(config: NotifierConfig, url: string, cause: unknown, isLate: boolean): CollectorError {
  const label = labelOf(config)
  if (isLate) {
    const text = `${label} did not answer within ${DEADLINE_MS / 1000} s; it is tried again by itself. Check its load and the way to it.`
    return fault('notify_timeout', text, { reaction: 'retry', cause })
  }
  const code = codeOf(cause)
  const remedy = isTlsFault(code)
    ? 'Its certificate is not trusted: set caFile beside its URL in alerts.notify to its authority, or check the clock and the host name'
    : remedyOr('check that it runs and that its URL is right', cause, url)
  const text = `${label} cannot be reached${code && ` (${code})`}; it is tried again by itself. ${remedy}.`
  return fault('notify_unreachable', text, { reaction: 'retry', cause })
}

function refused(config: NotifierConfig, status: number, answer: string, waitMs: number | undefined): CollectorError {
  const label = labelOf(config)
  const said = `(${status})${answer === '' ? '' : `: ${answer}`}`
  if (status === PROXY_AUTH_REQUIRED)
    return fault('notify_unreachable', `${label} cannot be reached: ${proxyUserRemedy()}.`, { reaction: 'retry' })
  if (status === 401 || status === 403)
    return fault('notify_unauthorized', `${label} refuses the credentials ${said}. Check token, user and password.`)
  if (status === 429 || status >= 500) {
    const text = `${label} cannot take alerts now ${said}; it is tried again by itself. If this continues, check its load and its log.`
    return fault('notify_unavailable', text, { reaction: 'retry', retryAfterMs: waitMs })
  }
  const body = config.body === undefined ? '' : ' and the body'
  const redirect = status < 400 ? '; redirects are not followed' : ''
  return fault('notify_refused', `${label} does not take alerts ${said}. Check its URL${body}${redirect}.`)
}

function fault(code: Code, text: string, more: Partial<CollectorErrorOptions> = {}): CollectorError {
  return new CollectorError(text, { stage: 'alerts', code, reaction: 'hold', ...more })
}

/** For people. */
export function labelOf({ kind, url }: NotifierConfig): string {
  return `${kind} ${url.origin}`
}

/** Stays inside of the state file: it holds the whole URL. */
export function idOf({ kind, url }: NotifierConfig): string {
  return `${kind} ${url.reveal()}`
}

/** The sentence, and what is behind it. */
export function summaryText({ summary, edges }: Notification): string {
  return edges ? `${summary}. ${largestText(edges)}` : summary
}

export function largestText(edges: string): string {
  return edges === '' ? '' : `Largest: ${edges}`
}

/** As Alertmanager has them. */
export function annotationsOf(notification: Notification): Record<string, string> {
  const { title, edges, annotations } = notification
  return { summary: summaryText(notification), title, ...annotations, ...(edges ? { edges } : {}) }
}

/** Where the status page shows alerts. */
export function linkOf(pageUrl: string): string {
  return `${pageUrl.replace(/\/$/, '')}/#alerts`
}

/** Parts of at most `most` each. */
export function cutInto<T>(all: readonly T[], most: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / most) }, (_, index) => all.slice(index * most, (index + 1) * most))
}

/** Notifications of one rule together. */
export function byRule(notifications: readonly Notification[]): Notification[][] {
  return [...Map.groupBy(notifications, (one) => one.labels['alertname'] ?? '').values()]
}
