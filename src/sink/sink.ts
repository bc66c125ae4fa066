import type { CollectorError } from '../base/errors.ts'

/** The sink: points become lines, lines become batches, batches become receipts. This file is the interface of the module. */

/** Where a batch goes: raw points (`tailnet_flow`), rows of minutes (`tailnet_edge`, `tailnet_node`), or everything else. With `retention.*` the
 * first two have places of their own. */
export type Target = 'raw' | 'minutes' | 'main'

/** Where the points of a measurement are. */
export function targetOf(measurement: string): Target {
  if (measurement === 'tailnet_flow') return 'raw'
  return measurement === 'tailnet_edge' || measurement === 'tailnet_node' ? 'minutes' : 'main'
}

/** Lines ready to send: line protocol in UTF-8, each line ended by "\n", timestamps in ns. `bytes` must not change before the
 * receipt; afterwards the owner may use the memory again. */
export interface Batch {
  readonly bytes: Uint8Array
  readonly lineCount: number
  readonly target: Target
  /** Lines of an observer, such as alert events: listeners are not called for them, so their failures never stop the line. */
  readonly isBestEffort?: true
}

/** The proof that a batch is delivered: each line was acknowledged by the database or is fsynced in the dead-letter file. */
export interface Receipt {
  readonly written: number
  /** Lines that the database will never accept; now in the dead-letter file. */
  readonly rejected: number
  /** Lines older than the retention of the database: policy, counted, not kept. */
  readonly expired: number
  /** When the first request of the batch that got a response was sent, ms of monotonic time: an earlier outage cannot have lost any of it. */
  readonly sentMs: number
}

/** One point of `tailflux_window` as the database shows it: the checkpoint of one window. */
export interface CheckpointPoint {
  /** The point's time: how far its window was done, ns of `logged` time. */
  readonly timeNs: bigint
  /** Tag: the pass of the window; other texts (`probe`) are not windows. */
  readonly pass: string
  /** Tag: which ledger wrote it; undefined for points of versions without this tag. */
  readonly writer: string | undefined
  /** When the content of the window was acknowledged, by the writer's own clock of acknowledgements, ns; undefined when that pass wrote
   * nothing, because it found nothing new. */
  readonly ackedNs: bigint | undefined
  /** The watermark of the ledger then, ns. */
  readonly watermarkNs: bigint | undefined
  /** Up to here every late pass was made as well, ns. */
  readonly passedNs: bigint | undefined
}

/** What a point of `tailflux_window` carries of the ledger that wrote it, for a new ledger that continues; undefined where it carries none. */
export interface CheckpointState {
  readonly pass: string
  readonly writer: string | undefined
  /** The list of what is not settled (ledger/unsettled-text.ts). */
  readonly unsettled: string | undefined
  /** The changes of settings (ledger/settings-history.ts). */
  readonly settings: string | undefined
}

/** Why the checkpoint cannot be queried. */
export interface Unanswered {
  /** A sentence with the fix. */
  readonly cannotBeQueried: string
  /** This kind of database has no such queries (write-only stores), so there is nothing to fix. */
  readonly isByNature?: boolean
}

export type CheckpointAnswer = { readonly points: readonly CheckpointPoint[] } | Unanswered
export type CheckpointStatesAnswer = { readonly states: readonly CheckpointState[] } | Unanswered

/** Both ends inclusive, ns. */
export interface TimeRange {
  readonly fromNs: bigint
  readonly toNs: bigint
}

export interface Sink {
  /** For display: `influxdb v1 http://127.0.0.1:8086/telemetry` or `embedded store data/store.db`, never with secrets. */
  readonly label: string
  /** Opens files, and creates the database if configured. May reject with a CollectorError; may be called again. */
  start(signal: AbortSignal): Promise<void>
  /** Resolves when a write would be accepted now: reachable, credentials good, database there. Rejects with a CollectorError
   * (`retry` or `hold`) whose text says how to fix it. Without `line` it writes no points, which proves little. With it this line is written
   * once, without retries; it also resolves when the database refuses the line for its content. */
  probe(signal: AbortSignal, line?: Uint8Array): Promise<void>
  /** Retries inside, same bytes, until `giveUpMs` of its settings is over; then rejects with the last CollectorError (`retry`),
   * or at once with `hold` when a person must act, or with the signal's reason. An unknown outcome is retried: writes are idempotent. */
  write(batch: Batch, signal: AbortSignal): Promise<Receipt>
  /** The points of `tailflux_window` of one tailnet whose time lies in `range` (both ends inclusive; at most twelve hours, or InfluxDB 3 Core
   * may refuse the query). A failure is returned as a text. Rejects with the signal's reason only. */
  checkpoint(tailnet: string, range: TimeRange, signal: AbortSignal): Promise<CheckpointAnswer>
  /** What the points of `tailflux_window` of exactly this time carry: texts, so it is asked for the newest points only. Fails as `checkpoint`. */
  checkpointStates(tailnet: string, timeNs: bigint, signal: AbortSignal): Promise<CheckpointStatesAnswer>
  /** Calls `listener` for each request of `write`; returns a function that removes it. Any number of listeners; none may throw. */
  listen(listener: SinkListener): () => void
  stop(): Promise<void>
}

/** Sees the result of each request, also when `write` as a whole succeeds after a few attempts. */
export interface SinkListener {
  /** An attempt inside `write` failed, whether it is retried or not: no connection, a timeout, a refusal that is not about
   * single lines. Refused or expired lines are no failure. */
  failed(error: CollectorError): void
  /** The database acknowledged a request with `written` lines, at least one; they may belong to a batch that fails later. */
  succeeded(written: number): void
}

/** Keeps data that cannot be stored in the database: one JSON line each, fsynced before the promise resolves. */
export interface DeadLetters {
  /** Resolves when each letter is kept durably, or counted where a quota or the limit is used up. Returns the new ones: a letter that was there
   * before, as when a window is read again, is not written twice. Rejects with a CollectorError `dead_letters_failed` (hold). */
  append(letters: readonly DeadLetter[]): Promise<readonly DeadLetter[]>
  /** The problem that the operator should fix; undefined when there is none. */
  problem(): LetterProblem | undefined
  stop(): Promise<void>
}
export interface LetterProblem {
  readonly code: string
  /** A sentence with the fix. */
  readonly text: string
}
export interface DeadLetter {
  readonly stage: 'source' | 'flatten' | 'sink'
  /** Closed list of the stage: a metric label. */
  readonly reason: string
  /** The error message of the API or the database, at most 512 characters. */
  readonly detail?: string | undefined
  /** The line or the JSON text. */
  readonly text: string
  /** Length of the whole text, if it was truncated before. */
  readonly bytes?: number | undefined
  /** The reporting node, if known; its quota applies. */
  readonly node?: string | undefined
  /** When the API got the message, ns; the quota of this hour applies. */
  readonly loggedNs?: bigint | undefined
  /** The number of entries that the letter stands for (default 1). */
  readonly count?: number | undefined
  /** 16 hexadecimal digits, equal for the same message read again. Without it the text is compared. */
  readonly id?: string | undefined
  /** tailflux itself failed on it. */
  readonly isOurFault?: boolean | undefined
}

/** What the sink reports about itself; observe/ turns it into metrics. */
export interface SinkMetrics {
  request(code: string, durationMs: number): void
  written(lines: number, bytes: number): void
  rejected(lines: number, reason: 'rejected' | 'expired'): void
  /** A request failed and is sent again after this time. */
  retried(code: string, waitMs: number): void
}
