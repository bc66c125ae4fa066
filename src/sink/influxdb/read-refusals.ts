/** Why a database refuses to show what it holds, by its status and text, each with the fix. */
import type { Code, Reaction } from '../../base/errors.ts'
import type { InfluxApi } from '../config.ts'

export interface ReadRefusal {
  readonly code: Code
  readonly reaction: Reaction
  /** A sentence without its full stop. */
  readonly fix: string
}

const NO_READ_ACCESS: ReadRefusal = {
  code: 'db_forbidden',
  reaction: 'hold',
  fix: 'Give the token or user of tailflux read access to this database or bucket as well',
}

/** The first match counts; `api`: only for that version. */
const REFUSALS: readonly (ReadRefusal & { readonly says: RegExp; readonly api?: InfluxApi })[] = [
  {
    says: /would scan \d+ parquet files|file limit/i,
    code: 'db_limit',
    reaction: 'split',
    fix: 'Raise --query-file-limit of InfluxDB 3 Core, or compact (Enterprise)',
  },
  {
    says: /max-select-(series|point|buckets)/i,
    code: 'db_limit',
    reaction: 'hold',
    fix: 'Raise that limit under [coordinator] in influxdb.conf, or set it to 0',
  },
  {
    says: /max-concurrent-queries/i,
    code: 'db_overloaded',
    reaction: 'retry',
    fix: 'Raise max-concurrent-queries under [coordinator] in influxdb.conf',
  },
  {
    says: /query-timeout|time-?out|timed out|deadline/i,
    code: 'db_timeout',
    reaction: 'retry',
    fix: 'Raise query-timeout of the database, or check its load',
  },
  {
    says: /unauthorized|not authorized|not authenticated|authoriz|authenticat|forbidden|permission/i,
    ...NO_READ_ACCESS,
  },
  {
    says: /retention policy not found/i,
    api: 'v1',
    code: 'db_not_found',
    reaction: 'hold',
    fix: 'Create that retention policy with `tailflux init`',
  },
  {
    says: /database not found/i,
    api: 'v1',
    code: 'db_not_found',
    reaction: 'hold',
    fix: 'Check INFLUX_DB, or create the database with `tailflux init`',
  },
  {
    says: /not found|dbrp/i,
    api: 'v2',
    code: 'db_not_found',
    reaction: 'hold',
    fix: 'Give the token read access to the bucket as well; if it has it, run `tailflux init`, which maps the bucket for InfluxQL',
  },
]

export function readRefusal(
  status: number | undefined,
  said: string,
  api: InfluxApi | undefined,
): ReadRefusal | undefined {
  if (status === 401 || status === 403) return NO_READ_ACCESS
  return REFUSALS.find(({ says, api: only }) => says.test(said) && (only === undefined || only === api))
}

/** InfluxDB 3 makes a database or table with its first write: until then there is nothing to show. */
export function isNothingYet(status: number, said: string, api: InfluxApi | undefined): boolean {
  return api === 'v3' && (status === 200 || status === 404) && /(database|table) not found/i.test(said)
}
