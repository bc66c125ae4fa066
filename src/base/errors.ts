/** What the caller should do about an error. `retry`: the same request again, later. `split`: the same data in smaller requests. `reject`: this data
 * will never be accepted, quarantine it. `hold`: a person must change something; keep everything and probe slowly. */
const REACTIONS = ['retry', 'split', 'reject', 'hold'] as const
export type Reaction = (typeof REACTIONS)[number]

/** The component where the error occurred. */
const STAGES = ['source', 'flatten', 'sink', 'ledger', 'config', 'alerts'] as const
export type Stage = (typeof STAGES)[number]

/** Every code there is. Codes are metric labels, so they are never built from input. */
export const CODES = [
  // source: the Tailscale API
  'api_unreachable', // no connection, reset, DNS, TLS
  'api_timeout', // header, idle or total time is up
  'api_rate_limited', // 429
  'api_unavailable', // 500, 503 and other 5xx
  'api_gateway', // 502, 504: the window may be too large
  'api_unauthorized', // 401: key or token expired, revoked, wrong
  'api_forbidden', // 403: scope, plan, role
  'api_feature_off', // 403, and /settings says that network flow logging is off
  'api_not_found', // 404: tailnet or URL
  'api_bad_request', // 400 and other 4xx
  'api_redirect', // 3xx: never followed
  'api_not_json', // 200 with HTML or another type or shape: a proxy or a portal in between
  'api_truncated', // the body ended before the JSON did
  'api_too_large', // decoded bytes over the limit
  'api_credentials', // credentials cannot be read or exchanged
  // flatten
  'imbalance', // counters in differ from counters out: a bug
  'privacy_key_missing', // addresses of that time were hashed with a key that is not in the settings
  // sink: the database
  'db_unreachable',
  'db_timeout',
  'db_overloaded', // 429, 503
  'db_unavailable', // 5xx
  'db_interrupted', // it was away between two batches of one window
  'db_unauthorized',
  'db_forbidden',
  'db_not_found', // database, bucket or organisation does not exist
  'db_too_large', // 413
  'db_rejected', // 400, 422: some lines will never fit
  'db_conflict', // a field or tag is there with another type
  'db_limit', // limit of series, tag values, tables or columns
  'db_storage', // disk full, read-only, out of files: does not pass by itself
  'db_unconfirmed', // a 2xx that does not confirm the write
  'db_misconfigured', // redirect, wrong endpoint, wrong precision, ...
  'dead_letters_failed',
  // ledger: the state file
  'state_locked',
  'state_damaged',
  'state_full',
  'state_failed',
  // alerts: where notifications are sent
  'notify_unreachable',
  'notify_timeout',
  'notify_unavailable', // 429 and 5xx
  'notify_unauthorized', // 401, 403
  'notify_refused', // any other status
  // config
  'config_invalid',
  'service_unreachable', // a command does not reach the running service
] as const
export type Code = (typeof CODES)[number]

export interface CollectorErrorOptions {
  readonly stage: Stage
  readonly code: Code
  readonly reaction: Reaction
  /** How long to wait, if the other side said so. */
  readonly retryAfterMs?: number | undefined
  readonly cause?: unknown
}

/** The only error class. `message` is a sentence for the operator whose last part is the fix; it has no secret and at most 512 bytes of a response
 * body. A foreign error is wrapped once, where it occurs, and logged once, where it is handled. */
export class CollectorError extends Error {
  override readonly name = 'CollectorError'
  readonly stage: Stage
  readonly code: Code
  readonly reaction: Reaction
  readonly retryAfterMs: number | undefined
  constructor(text: string, options: CollectorErrorOptions) {
    super(text, options.cause === undefined ? undefined : { cause: options.cause })
    this.stage = options.stage
    this.code = options.code
    this.reaction = options.reaction
    this.retryAfterMs = options.retryAfterMs
  }
}

/** The beginning of a response body for a log line or an error: at most 512 bytes, control characters replaced. */
export function excerpt(body: string): string {
  const flat = body.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim()
  return flat.length > 512 ? `${flat.slice(0, 509)}...` : flat
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The code of an error of the system or of Node (`ENOENT`), if it has one. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}
