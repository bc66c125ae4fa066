/** Queries stored data by InfluxQL over `/query`, the only language that InfluxDB 1.x, 2.x and 3.x all understand. */
import { type Clock, MS } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { messageOf } from '../sink/influxdb/error-message.ts'
import { type Cell, readInfluxql, type Table } from '../sink/influxdb/influxql.ts'
import { createPlaces, type PlacesConfig } from '../sink/influxdb/places.ts'
import { type RawAnswer, refusal } from '../sink/influxdb/response-policy.ts'
import type { InfluxHttp } from '../sink/influxdb/transport.ts'

export interface InfluxQl {
  /** The tables of the first statement; times are ns. Rejects with a CollectorError (stage `sink`) when the database does not answer or refuses: `db_not_found`
   * when InfluxQL does not find the database, bucket or policy. */
  query(query: string, signal: AbortSignal): Promise<readonly Table[]>
  /** What stands after FROM to read a measurement of tailflux. */
  from(measurement: string): string
}

/** The whole response is kept in memory. */
const ANSWER_BYTES_MAX = 256 << 20

export function createInfluxQl(
  config: PlacesConfig,
  deps: { readonly http: InfluxHttp; readonly label: string; readonly clock: Pick<Clock, 'now'> },
): InfluxQl {
  const { http, label } = deps
  const { db, from } = createPlaces(config)

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
    async query(query, signal) {
      const path = `/query?db=${encodeURIComponent(db)}&epoch=ns&q=${encodeURIComponent(query)}`
      const answer = await http.send(
        { method: 'GET', path, headers: { accept: 'application/json' }, answerBytesMax: ANSWER_BYTES_MAX },
        signal,
      )
      if (answer.status !== 200) throw refused(answer, messageOf(answer.body))
      const read = readInfluxql(answer.body)
      if (read === undefined) throw refused(answer, `no results: ${messageOf(answer.body)}`)
      if (read.error !== undefined) throw refused(answer, read.error)
      return read.tables
    },
    from,
  }
}

/** The cell of a row under a column's name; null when there is none. */
export function cellOf(table: Table, row: readonly Cell[], column: string): Cell {
  return row[table.columns.indexOf(column)] ?? null
}
