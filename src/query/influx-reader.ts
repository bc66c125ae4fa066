/** Asks InfluxDB for rows by InfluxQL over `/query`, the only language that 1.x, 2.x and 3.x all understand, and takes them while they arrive. An answer is
 * complete or an error. */
import { type Clock, MS } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import type { InfluxApi, InfluxConfig } from '../sink/config.ts'
import { messageOf } from '../sink/influxdb/error-message.ts'
import type { Cell } from '../sink/influxdb/influxql.ts'
import type { PlaceNames } from '../sink/influxdb/places.ts'
import { isNothingYet, readRefusal } from '../sink/influxdb/read-refusals.ts'
import { refusal } from '../sink/influxdb/response-policy.ts'
import { findApi } from '../sink/influxdb/server.ts'
import type { InfluxHttp } from '../sink/influxdb/transport.ts'
import { type AnswerSeries, createAnswerReader } from './influx-answer.ts'

export interface InfluxReader {
  /** Calls `each` with the cells of every row, in the order of `columns`, which are `time`, fields and tags; the array is used again for the next row.
   * Rejects with a CollectorError (stage `sink`) that ends with the fix, with what `each` throws, or with the signal's reason. */
  rows(
    query: string,
    columns: readonly string[],
    each: (cells: readonly Cell[]) => void,
    signal: AbortSignal,
  ): Promise<void>
  /** What stands after FROM. */
  from(measurement: string): string
  /** As it is set, or as the server needs it. Rejects as `rows`. */
  api(signal: AbortSignal): Promise<InfluxApi>
}

export interface InfluxReaderDeps {
  readonly http: InfluxHttp
  readonly label: string
  readonly clock: Pick<Clock, 'now'>
  /** Where each measurement is. */
  readonly places: PlaceNames
}

/** Of one answer, which is not kept in memory. */
const ANSWER_BYTES_MAX = 1 << 30

/** `api` undefined: the server is asked for its version before the first query. */
export function createInfluxReader({ api: set }: Pick<InfluxConfig, 'api'>, deps: InfluxReaderDeps): InfluxReader {
  const { http, label, places } = deps

  function error(said: string, fix: string, cause?: unknown): CollectorError {
    return new CollectorError(`${label} does not show what it holds (${said}). ${fix}.`, {
      stage: 'sink',
      code: 'db_misconfigured',
      reaction: 'hold',
      cause,
    })
  }

  let found = set

  async function api(signal: AbortSignal): Promise<InfluxApi> {
    found ??= (await findApi(deps, signal)).api
    return found
  }

  return {
    from: places.from,
    api,
    async rows(query, columns, each, signal) {
      const spoken = await api(signal)
      let series: AnswerSeries | undefined
      let indices: readonly number[] = []
      const row: Cell[] = []
      const reader = createAnswerReader((cells, of) => {
        if (of !== series) {
          series = of
          if (!of.columns.includes('time')) throw new NoInfluxql(label)
          indices = columns.map((name) => of.columns.indexOf(name))
        }
        for (let i = 0; i < columns.length; i++) {
          const index = indices[i]!
          row[i] = (index < 0 ? of.tags[columns[i]!] : cells[index]) ?? null
        }
        each(row)
      })
      /** The transport must not take an error of ours for one of the connection. */
      const failures: unknown[] = []
      const attempt = (work: () => void) => {
        if (failures.length > 0) return
        try {
          work()
        } catch (failure) {
          failures.push(failure)
        }
      }
      const answer = await http.send(
        {
          method: 'GET',
          path: `/query?db=${encodeURIComponent(places.db)}&epoch=ns&chunked=true&q=${encodeURIComponent(query)}`,
          headers: { accept: 'application/json' },
          answerBytesMax: ANSWER_BYTES_MAX,
          onChunk: (chunk) => attempt(() => reader.push(chunk)),
        },
        signal,
      )
      if (answer.status !== 200) {
        const said = messageOf(answer.body)
        if (isNothingYet(answer.status, said, spoken)) return
        throw refused(answer.status, said, spoken) ?? refusal(answer, said, label, Number(deps.clock.now() / MS))
      }
      if (answer.body !== '') attempt(() => reader.push(Buffer.from(answer.body)))
      let end: ReturnType<typeof reader.end> | undefined
      attempt(() => {
        end = reader.end()
      })
      const [failure] = failures
      if (failure instanceof SyntaxError)
        throw error(`no answer of InfluxQL: ${failure.message}`, 'Check that INFLUX_URL is InfluxDB itself', failure)
      if (end === undefined) throw failure
      if (end.error !== undefined) {
        if (isNothingYet(200, end.error, spoken)) return
        throw (
          refused(200, end.error, spoken) ?? error(end.error, 'Run `tailflux check`, and see the log of the database')
        )
      }
      if (end.isPartial)
        throw error('only a part of the rows', 'Raise max-row-limit under [http] in influxdb.conf, or set it to 0')
    },
  }

  function refused(status: number, said: string, spoken: InfluxApi): CollectorError | undefined {
    const known = readRefusal(status, said, spoken)
    if (known === undefined) return undefined
    const { code, reaction, fix } = known
    const text = status === 200 ? said : said === '' ? status : `${status}: ${said}`
    return new CollectorError(`${label} does not show what it holds (${text}). ${fix}.`, {
      stage: 'sink',
      code,
      reaction,
    })
  }
}

/** The server has no InfluxQL: VictoriaMetrics answers every query with a list of databases. */
export class NoInfluxql extends CollectorError {
  constructor(label: string) {
    super(`${label} has no InfluxQL, so its content cannot be queried. Nothing needs to be fixed.`, {
      stage: 'sink',
      code: 'db_misconfigured',
      reaction: 'hold',
    })
  }
}

/** A cell of an integer field. */
export function integerOf(cell: Cell | undefined): bigint {
  if (typeof cell === 'bigint') return cell
  return typeof cell === 'number' ? BigInt(Math.round(cell)) : 0n
}

export function textOf(cell: Cell | undefined): string {
  return typeof cell === 'string' ? cell : ''
}
