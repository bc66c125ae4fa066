/** Queries stored data by InfluxQL over `/query`, the only language that InfluxDB 1.x, 2.x and 3.x all understand. */
import { type Clock, MS } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import type { InfluxConfig } from '../sink/config.ts'
import { messageOf } from '../sink/influxdb/error-message.ts'
import { measurementOf, placeOf } from '../sink/influxdb/influxql.ts'
import { type RawAnswer, refusal } from '../sink/influxdb/response-policy.ts'
import type { InfluxHttp } from '../sink/influxdb/transport.ts'

/** Integers are bigint, whatever their size: times are nanoseconds, counters go up to 2^63-1. */
export type Cell = bigint | number | string | boolean | null

/** One series of an answer. */
export interface Table {
  readonly name: string
  readonly tags: Readonly<Record<string, string>>
  readonly columns: readonly string[]
  readonly rows: readonly (readonly Cell[])[]
}

export interface InfluxQl {
  /** The tables of the first statement; times are ns. Rejects with a CollectorError (stage `sink`) when the database does not answer or refuses: `db_not_found`
   * when InfluxQL does not find the database, bucket or policy. */
  ask(query: string, signal: AbortSignal): Promise<readonly Table[]>
  /** `"rp"."measurement"` where the points of tailflux are. */
  from(measurement: string): string
}

/** The whole response is kept in memory. */
const ANSWER_BYTES_MAX = 256 << 20

export function createInfluxQl(
  config: InfluxConfig,
  deps: { readonly http: InfluxHttp; readonly label: string; readonly clock: Pick<Clock, 'now'> },
): InfluxQl {
  const { http, label } = deps
  const { db, rp } = placeOf(config)

  function refused(answer: RawAnswer, said: string): CollectorError {
    if (/not found|dbrp/i.test(said)) {
      return new CollectorError(
        `${label} does not find ${db} by InfluxQL: ${said}. Check INFLUX_BUCKET or INFLUX_DB; InfluxDB 2.x may need a DBRP mapping (influx v1 dbrp create).`,
        {
          stage: 'sink',
          code: 'db_not_found',
          reaction: 'hold',
        },
      )
    }
    if (answer.status !== 200) return refusal(answer, said, label, Number(deps.clock.now() / MS))
    return new CollectorError(
      `${label} cannot answer by InfluxQL: ${said}. Check that INFLUX_URL and INFLUX_API fit this database.`,
      {
        stage: 'sink',
        code: 'db_misconfigured',
        reaction: 'hold',
      },
    )
  }

  return {
    async ask(query, signal) {
      const path = `/query?db=${encodeURIComponent(db)}&epoch=ns&q=${encodeURIComponent(query)}`
      const answer = await http.send(
        { method: 'GET', path, headers: { accept: 'application/json' }, answerBytesMax: ANSWER_BYTES_MAX },
        signal,
      )
      if (answer.status !== 200) throw refused(answer, messageOf(answer.body))
      const { error, tables } = tablesOf(answer.body)
      if (error !== undefined) throw refused(answer, error)
      return tables
    },
    from: (measurement) => measurementOf(measurement, rp),
  }
}

interface WireResult {
  readonly error?: unknown
  readonly series?: readonly {
    readonly name?: string
    readonly tags?: Record<string, string>
    readonly columns?: readonly string[]
    readonly values?: readonly (readonly Cell[])[]
  }[]
}

/** Parses a response of `/query`. Integers are read from their text, so that none is rounded. */
function tablesOf(body: string): { readonly error?: string; readonly tables: readonly Table[] } {
  let parsed: { error?: unknown; results?: readonly WireResult[] }
  try {
    parsed = JSON.parse(body, (_key, value: unknown, context?: { source?: string }) =>
      typeof value === 'number' && /^-?\d+$/.test(context?.source ?? '') ? BigInt(context?.source ?? '') : value,
    ) as typeof parsed
  } catch {
    return { error: `no JSON: ${messageOf(body)}`, tables: [] }
  }
  const result = Array.isArray(parsed?.results) ? parsed.results[0] : undefined
  const error = parsed?.error ?? result?.error
  if (error !== undefined) return { error: String(error), tables: [] }
  if (result === undefined) return { error: `no results: ${messageOf(body)}`, tables: [] }
  return {
    tables: (result.series ?? []).map(({ name = '', tags = {}, columns = [], values = [] }) => ({
      name,
      tags,
      columns,
      rows: values,
    })),
  }
}

/** The cell of a row under a column's name; null when there is none. */
export function cellOf(table: Table, row: readonly Cell[], column: string): Cell {
  return row[table.columns.indexOf(column)] ?? null
}
