/** What the sink asks of InfluxDB besides writing: may I write, create the database, and what does `tailflux_window` tell. */
import type { Clock } from '../clock.ts'
import { MS } from '../clock.ts'
import { CollectorError } from '../errors.ts'
import { tagValue } from '../flatten/tag-value.ts'
import type { InfluxConfig } from './config.ts'
import { classify, isEmptyRefusal, type RawAnswer, refusal } from './influx-answer.ts'
import type { InfluxHttp } from './influx-http.ts'
import { messageOf } from './influx-message.ts'
import { identifier, literal, measurementOf, placeOf } from './influxql.ts'
import type { Mirror } from './sink.ts'

export interface Queries {
  /** Rejects with a CollectorError when a write to this path would not be accepted. Writes no rows: a comment is a body without lines, and
   * credentials, database and retention policy are looked at before the body. */
  probe(path: string, signal: AbortSignal): Promise<void>
  createDatabase(signal: AbortSignal): Promise<void>
  lastMirror(tailnet: string, signal: AbortSignal): Promise<Mirror | 'unanswerable' | undefined>
}

const PROBE = '# tailflux asks whether it may write\n'

export function createQueries(config: InfluxConfig, deps: { http: InfluxHttp; label: string; clock: Clock }): Queries {
  const { http, label } = deps
  const { db, rp } = placeOf(config)

  function refused(answer: RawAnswer): CollectorError {
    return refusal(answer, messageOf(answer.body), label, Number(deps.clock.now() / MS))
  }

  async function influxql(query: string, signal: AbortSignal, method: 'GET' | 'POST' = 'GET'): Promise<RawAnswer> {
    const path = config.api === 'v3' ? '/api/v3/query_influxql' : '/query'
    // JSON of 1.x and 2.x tells errors, which their CSV leaves out.
    const format = config.api === 'v3' ? '&format=csv' : '&epoch=ns'
    return await http.send(
      {
        method,
        path: `${path}?db=${encodeURIComponent(db)}${format}&q=${encodeURIComponent(query)}`,
        headers: { accept: config.api === 'v3' ? 'text/csv' : 'application/json' },
      },
      signal,
    )
  }

  return {
    async probe(path, signal) {
      const answer = await http.send({ method: 'POST', path, body: PROBE }, signal)
      if (isEmptyRefusal(answer)) return
      const verdict = classify(answer, label, Number(deps.clock.now() / MS))
      if (verdict.kind === 'ack') return
      // There was no line to refuse: it is the request that does not suit.
      throw verdict.kind === 'error' || verdict.kind === 'unconfirmed' ? verdict.error : refused(answer)
    },

    async createDatabase(signal) {
      const answer = await influxql(`CREATE DATABASE ${identifier(db)}`, signal, 'POST')
      const fault = answer.status === 200 ? answerOf(answer.body).error : messageOf(answer.body)
      if (fault === undefined) return
      if (answer.status !== 200 && answer.status !== 403) throw refused(answer)
      throw new CollectorError(
        `${label}: the database cannot be created (${fault}). Create it by hand, or give the user the right to.`,
        { stage: 'sink', code: 'db_forbidden', reaction: 'hold' },
      )
    },

    async lastMirror(tailnet, signal) {
      const from = measurementOf('tailflux_window', rp)
      const answer = await influxql(
        `SELECT max("watermark") AS "watermark", max("acked") AS "acked", max("passed") AS "passed" FROM ${from} WHERE "tailnet" = ${literal(tagValue(tailnet))}`,
        signal,
      )
      if (answer.status === 200) {
        const { error, mirror } = answerOf(answer.body)
        if (error === undefined) return mirror
        if (!/not found|dbrp/i.test(error)) throw refused({ ...answer, status: 500, body: error })
        // 2.x: there is a bucket, but no mapping by which InfluxQL would find it.
        if (config.api !== 'v1') return 'unanswerable'
        throw refused({ ...answer, status: 404, body: error })
      }
      // Write-only stores (VictoriaMetrics) and tokens that may only write cannot be asked; a 2.x without a mapping for InfluxQL neither.
      if ([400, 403, 404, 405, 422, 501].includes(answer.status)) {
        return config.api === 'v3' && /not found/i.test(answer.body) ? undefined : 'unanswerable'
      }
      throw refused(answer)
    },
  }
}

interface QueryAnswer {
  readonly error?: string | undefined
  readonly mirror: Mirror | 'unanswerable' | undefined
}

interface Series {
  readonly columns?: readonly string[]
  readonly values?: readonly (readonly unknown[])[]
}

/** Reads the answer to the question for the mirror: JSON (1.x, 2.x) or CSV (3.x). Whole numbers stay exact beyond 2^53. VictoriaMetrics
 * answers whatever it is asked with a list of databases: that is no answer. */
export function answerOf(body: string): QueryAnswer {
  const text = body.trim()
  if (!text.startsWith('{')) {
    const [head, row] = text.split(/\r?\n/)
    return { mirror: row === undefined ? undefined : mirrorOf(head?.split(',') ?? [], row.split(',')) }
  }
  const parsed = parsedExactly(text)
  const results = Array.isArray(parsed?.['results'])
    ? (parsed['results'] as { error?: unknown; series?: Series[] }[])
    : []
  const error = parsed?.['error'] ?? results.find((result) => result.error !== undefined)?.error
  if (error !== undefined) return { error: String(error), mirror: undefined }
  if (results.length === 0) return { mirror: 'unanswerable' }
  const series = results[0]?.series?.[0]
  return { mirror: series && mirrorOf(series.columns ?? [], series.values?.[0] ?? []) }
}

function mirrorOf(names: readonly string[], cells: readonly unknown[]): Mirror | 'unanswerable' | undefined {
  const cell = (name: string) => {
    const text = String(cells[names.indexOf(name)] ?? '')
    return /^-?\d+$/.test(text) ? BigInt(text) : undefined
  }
  if (!names.includes('watermark')) return 'unanswerable'
  const watermarkNs = cell('watermark')
  if (watermarkNs === undefined) return undefined
  const passedNs = cell('passed')
  return { watermarkNs, ackedNs: cell('acked') ?? 0n, ...(passedNs === undefined ? {} : { passedNs }) }
}

function parsedExactly(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text, (_key, value: unknown, context?: { source?: string }) =>
      typeof value === 'number' ? (context?.source ?? value) : value,
    ) as Record<string, unknown>
  } catch {
    return undefined
  }
}
