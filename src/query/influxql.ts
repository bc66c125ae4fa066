/** Queries stored data by InfluxQL over `/query`, the only language that InfluxDB 1.x, 2.x and 3.x all understand. */
import { type Clock, MS } from '../base/clock.ts'
import { type Code, CollectorError, type Reaction } from '../base/errors.ts'
import { askInfluxql, type InfluxqlResult } from '../sink/influxdb/ask-influxql.ts'
import type { Table } from '../sink/influxdb/influxql.ts'
import { createPlaceNames, type NamesConfig } from '../sink/influxdb/places.ts'
import { readRefusal } from '../sink/influxdb/read-refusals.ts'
import { refusal } from '../sink/influxdb/response-policy.ts'
import { apiOfAnswer } from '../sink/influxdb/server.ts'
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
  config: NamesConfig,
  deps: { readonly http: InfluxHttp; readonly label: string; readonly clock: Pick<Clock, 'now'> },
): InfluxQl {
  const { http, label } = deps
  const { db, from } = createPlaceNames(config)

  function refused({ answer, said }: InfluxqlResult & { readonly said: string }): CollectorError {
    const fail = (text: string, code: Code, reaction: Reaction) =>
      new CollectorError(`${label} ${text}`, { stage: 'sink', code, reaction })
    const known = readRefusal(answer.status, said, config.api ?? apiOfAnswer(answer))
    const shown = answer.status === 200 ? said : `${answer.status}: ${said}`
    if (known !== undefined)
      return fail(`does not show what it holds (${shown}). ${known.fix}.`, known.code, known.reaction)
    if (answer.status !== 200) return refusal(answer, said, label, Number(deps.clock.now() / MS))
    return fail(
      `cannot answer by InfluxQL: ${said}. Check that INFLUX_URL and INFLUX_API fit this database.`,
      'db_misconfigured',
      'hold',
    )
  }

  return {
    async query(query, signal) {
      const result = await askInfluxql(http, { query, db, answerBytesMax: ANSWER_BYTES_MAX }, signal)
      if (result.said !== undefined) throw refused(result)
      return result.shown.tables
    },
    from,
  }
}
