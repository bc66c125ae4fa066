/** One statement of InfluxQL over `/query`, as 1.x, 2.x and 3.x take it. */
import { messageOf } from './error-message.ts'
import { type InfluxqlAnswer, readInfluxql } from './influxql.ts'
import type { RawAnswer } from './response-policy.ts'
import type { InfluxHttp } from './transport.ts'

export interface InfluxqlStatement {
  readonly query: string
  /** Undefined for statements about no database. */
  readonly db: string | undefined
  /** Statements that change something are posted. */
  readonly method?: 'GET' | 'POST'
  readonly answerBytesMax?: number
}

/** What the server showed, or in `said` why it did not. A server without InfluxQL shows no results. */
export type InfluxqlResult =
  | { readonly answer: RawAnswer; readonly shown: InfluxqlAnswer; readonly said: undefined }
  | { readonly answer: RawAnswer; readonly shown: undefined; readonly said: string }

/** Rejects as the transport does: with a CollectorError when there is no answer. Times are ns. */
export async function askInfluxql(
  http: InfluxHttp,
  { query, db, method = 'GET', answerBytesMax }: InfluxqlStatement,
  signal: AbortSignal,
): Promise<InfluxqlResult> {
  const of = db === undefined ? '' : `db=${encodeURIComponent(db)}&`
  const answer = await http.send(
    {
      method,
      path: `/query?${of}epoch=ns&q=${encodeURIComponent(query)}`,
      headers: { accept: 'application/json' },
      ...(answerBytesMax === undefined ? {} : { answerBytesMax }),
    },
    signal,
  )
  if (answer.status !== 200) return { answer, shown: undefined, said: messageOf(answer.body) }
  const shown = readInfluxql(answer.body)
  if (shown === undefined) return { answer, shown, said: `no results: ${messageOf(answer.body)}` }
  if (shown.error !== undefined) return { answer, shown: undefined, said: shown.error }
  return { answer, shown, said: undefined }
}
