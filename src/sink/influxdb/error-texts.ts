/** The texts by which an answer of the database is recognised, each with its meaning and, for errors, what happened and how to fix it. This is
 * the only place where texts are compared. */
import type { Code, Reaction } from '../../base/errors.ts'
import { ownWords } from './error-message.ts'

/** Why a line is refused. `content`: for one of its values, such as its time. `syntax`: by a text about lines, which may mean a bug in our
 * encoder. `unknown`: by a text that may be about the whole request. */
export type Cause = 'content' | 'syntax' | 'unknown'

/** Statuses of which the text decides. */
export const isRefusal = (status: number) => status === 400 || status === 422
const isFailure = (status: number) => status >= 500
const isEither = (status: number) => isRefusal(status) || isFailure(status)
const isAny = (status: number) => status >= 400

export type Meaning =
  | { readonly kind: 'refused'; readonly cause: Cause }
  | { readonly kind: 'expired' }
  | { readonly kind: 'limit'; readonly counts: 'series' | 'values'; readonly says: string; readonly fix: string }
  | {
      readonly kind: 'error'
      readonly code: Code
      readonly reaction: Reaction
      /** What happened; follows the name of the database. */
      readonly says: string
      readonly fix: string
      readonly isAboutSize?: boolean
    }

interface Known {
  /** Searched in the database's own text only. */
  readonly words: RegExp
  readonly on: (status: number) => boolean
  readonly means: Meaning
}

const error = (code: Code, reaction: Reaction, says: string, fix: string) =>
  ({ kind: 'error', code, reaction, says, fix }) as const
const storage = (says: string, fix: string) =>
  error('db_storage', 'hold', says, `${fix} Polling then resumes automatically.`)
export const AGAIN = 'The request is retried automatically.'
const SERIES_FIX =
  'or set index-version = "tsi1", in the configuration of InfluxDB 1.x, and restart it; or write fewer series: TAILFLUX_PORTS=none.'

/** Every text by which an answer is recognised; the first one that fits counts. */
const KNOWN: readonly Known[] = [
  {
    words: /hinted handoff queue not empty/i,
    on: isAny,
    means: error(
      'db_unavailable',
      'retry',
      'has only queued the lines for another node of its cluster, which is no confirmation',
      `${AGAIN} If this continues, check the nodes of the cluster.`,
    ),
  },
  {
    words: /retention policy not found/i,
    on: isAny,
    means: error('db_not_found', 'hold', 'does not know the retention policy', 'Create it, or check INFLUX_RP.'),
  },
  {
    words: /field type conflict|invalid column type/i,
    on: isEither,
    means: error(
      'db_conflict',
      'hold',
      'has a field or tag of tailflux with another type',
      'Another program writes this measurement, or wrote it before. Stop it and drop the measurement (3.x: the table), or give tailflux a database of its own. Nothing is lost; polling then resumes automatically.',
    ),
  },
  {
    words: /max-values-per-tag limit exceeded/i,
    on: isEither,
    means: {
      kind: 'limit',
      counts: 'values',
      says: 'has reached its limit of values of one tag',
      fix: `Raise max-values-per-tag, ${SERIES_FIX}`,
    },
  },
  {
    words: /max-series-per-database limit exceeded/i,
    on: isEither,
    means: {
      kind: 'limit',
      counts: 'series',
      says: 'has reached its limit of series',
      fix: `Raise max-series-per-database, ${SERIES_FIX}`,
    },
  },
  {
    words: /would exceed number of (tables|columns)/i,
    on: isEither,
    means: {
      kind: 'limit',
      counts: 'series',
      says: 'has reached its limit of tables or columns',
      fix: 'Delete unused tables, or give tailflux a database of its own.',
    },
  },
  {
    words: /would exceed limit of \d+ databases/i,
    on: isEither,
    means: error(
      'db_misconfigured',
      'hold',
      'cannot create the database, because it has reached its limit of databases',
      'Delete an unused one, or set INFLUX_BUCKET to an existing one.',
    ),
  },
  { words: /beyond retention policy|outside retention policy/i, on: isEither, means: { kind: 'expired' } },
  {
    words: /no space left|disk quota exceeded|not enough space|disk is full/i,
    on: isEither,
    means: storage(
      'cannot store points, because its disk is full',
      'Free space there, and restart InfluxDB if it does not recover (2.x does not).',
    ),
  },
  {
    words: /read-only file system/i,
    on: isEither,
    means: storage(
      'cannot store points, because its disk is read-only',
      'Check the system log of its machine for disk errors, remount the disk writable, and restart InfluxDB.',
    ),
  },
  {
    words: /too many open files/i,
    on: isEither,
    means: storage(
      'cannot open more files',
      'Raise its limit of open files (LimitNOFILE or ulimit -n, 65536 or more) and restart InfluxDB.',
    ),
  },
  {
    words: /engine (is )?closed|shard (is )?(closed|disabled)|input\/output error|file already closed/i,
    on: isFailure,
    means: storage('has closed its storage', 'See its log for the cause, usually the disk, and restart InfluxDB.'),
  },
  {
    words: /permission denied/i,
    on: isFailure,
    means: storage(
      'has no permission to write its own files',
      'Make its data folder writable for the user that InfluxDB runs as.',
    ),
  },
  {
    words: /cache-max-memory-size exceeded|resources exhausted|out of memory|memory limit/i,
    on: isFailure,
    means: {
      ...error(
        'db_unavailable',
        'retry',
        'has no memory for more points at the moment',
        `${AGAIN} If this continues, smaller batches are tried; raise cache-max-memory-size, or give it a faster disk.`,
      ),
      isAboutSize: true,
    },
  },
  {
    words: /(^|: )timeout$/i,
    on: (status) => status === 500,
    means: {
      ...error(
        'db_unavailable',
        'retry',
        'did not finish a write in its own time limit',
        `${AGAIN} If this continues, smaller batches are tried; check the load of its machine and disk.`,
      ),
      isAboutSize: true,
    },
  },
  // InfluxDB 3 reports its own failures as 400 on the v2 path.
  {
    words: /error from wal|object store|wal buffer full|persister|overloaded/i,
    on: (status) => status === 400,
    means: error('db_unavailable', 'retry', 'cannot write at the moment', `${AGAIN} If this continues, see its log.`),
  },
  {
    words:
      /database is required|invalid precision|missing bucket|bucket.* (is )?(required|not specified)|unacceptable content-|orgID or org|missing query parameter|in database or rp name|serde error|error decoding gzip/i,
    on: (status) => status === 400,
    means: error(
      'db_misconfigured',
      'hold',
      'does not understand the request',
      'Check INFLUX_API, INFLUX_ORG and the name of the bucket or database.',
    ),
  },
  {
    words: /time outside range|max key length exceeded|greater than 64KB/i,
    on: isEither,
    means: { kind: 'refused', cause: 'content' },
  },
  {
    words: /partial write|unable to parse|line protocol|invalid tag key|invalid field name/i,
    on: isEither,
    means: { kind: 'refused', cause: 'syntax' },
  },
]

/** The cause of a refusal by the database's text about one line, from the same table. */
export function causeOf(why: string): Cause {
  const known = KNOWN.find(({ words, means }) => means.kind === 'refused' && words.test(why))
  return known?.means.kind === 'refused' ? known.means.cause : 'syntax'
}

/** The meaning of the text of an answer; undefined where its status decides, or where the text is unknown. */
export function meaningOf(status: number, detail: string): Meaning | undefined {
  if (status === 401 || status === 403) return undefined
  const own = ownWords(detail)
  return KNOWN.find(({ words, on }) => on(status) && words.test(own))?.means
}
