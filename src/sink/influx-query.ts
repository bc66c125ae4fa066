/** What the sink asks of InfluxDB besides writing: may I write, create the database, and what does `tailflux_window` tell. */
import type { Clock } from '../clock.ts'
import { MS } from '../clock.ts'
import { CollectorError } from '../errors.ts'
import type { InfluxConfig } from './config.ts'
import { judge, messageOf, type RawAnswer, refusal } from './influx-answer.ts'
import type { InfluxHttp } from './influx-http.ts'
import type { Mirror } from './sink.ts'

export interface Queries {
  /** Rejects with a CollectorError when a write to this path would not be accepted. Writes no rows: a comment is a body without lines, and
   * credentials and database are looked at before the body. */
  probe(path: string, signal: AbortSignal): Promise<void>
  createDatabase(signal: AbortSignal): Promise<void>
  lastMirror(tailnet: string, signal: AbortSignal): Promise<Mirror | 'unanswerable' | undefined>
}

const PROBE = '# tailflux asks whether it may write\n'

export function createQueries(config: InfluxConfig, deps: { http: InfluxHttp; label: string; clock: Clock }): Queries {
  const { http, label } = deps
  const store = config.api === 'v1' ? config.db : (config.bucket ?? config.db)
  let wasCreated = false

  function refused(answer: RawAnswer): CollectorError {
    return refusal(answer, messageOf(answer.body), label, Number(deps.clock.now() / MS))
  }

  async function influxql(query: string, signal: AbortSignal, method: 'GET' | 'POST' = 'GET'): Promise<RawAnswer> {
    const path = config.api === 'v3' ? '/api/v3/query_influxql' : '/query'
    const format = config.api === 'v3' ? '&format=csv' : '&epoch=ns'
    return await http.send(
      {
        method,
        path: `${path}?db=${encodeURIComponent(store ?? '')}${format}&q=${encodeURIComponent(query)}`,
        headers: { accept: 'application/csv' },
      },
      signal,
    )
  }

  return {
    async probe(path, signal) {
      const answer = await http.send({ method: 'POST', path, body: PROBE }, signal)
      const verdict = judge(answer, label, Number(deps.clock.now() / MS))
      // Without a line there is nothing to refuse: a 400 about the body says that everything before it was in order.
      if (verdict.kind === 'ack' || verdict.kind === 'isolate') return
      throw 'error' in verdict ? verdict.error : refused(answer)
    },

    async createDatabase(signal) {
      if (wasCreated) return
      const answer = await influxql(`CREATE DATABASE "${quoted(store ?? '', '"')}"`, signal, 'POST')
      if (answer.status !== 200) throw refused(answer)
      const fault = /"error":/.test(answer.body) ? messageOf(answer.body) : undefined
      if (fault !== undefined) {
        throw new CollectorError(
          `${label}: the database cannot be created (${fault}). Create it by hand, or give the user the right to.`,
          {
            stage: 'sink',
            code: 'db_forbidden',
            reaction: 'hold',
          },
        )
      }
      wasCreated = true
    },

    async lastMirror(tailnet, signal) {
      const where = `"tailnet" = '${quoted(tailnet, "'")}'`
      const answer = await influxql(
        `SELECT max("watermark") AS watermark, max("acked") AS acked FROM "tailflux_window" WHERE ${where}`,
        signal,
      )
      if (answer.status === 200) return mirrorOf(answer.body)
      // Write-only stores (VictoriaMetrics) and tokens that may only write cannot be asked; a 2.x without a mapping for InfluxQL neither.
      if ([400, 403, 404, 405, 422, 501].includes(answer.status)) {
        return config.api === 'v3' && /not found/i.test(answer.body) ? undefined : 'unanswerable'
      }
      throw refused(answer)
    },
  }
}

/** Reads the CSV answer, because JSON numbers would be rounded beyond 2^53. VictoriaMetrics answers `{"results":[]}`-like JSON to
 * whatever it is asked: that is no answer. */
export function mirrorOf(body: string): Mirror | 'unanswerable' | undefined {
  const text = body.trim()
  if (text.startsWith('{')) return 'unanswerable'
  const [head, row] = text.split(/\r?\n/)
  if (head === undefined || row === undefined) return undefined
  const names = head.split(',')
  const cells = row.split(',')
  const cell = (name: string) => cells[names.indexOf(name)]
  const [watermark, acked] = [cell('watermark'), cell('acked')]
  if (watermark === undefined || !/^-?\d+$/.test(watermark)) return undefined
  return { watermarkNs: BigInt(watermark), ackedNs: BigInt(/^-?\d+$/.test(acked ?? '') ? (acked ?? '0') : '0') }
}

function quoted(text: string, quote: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll(quote, `\\${quote}`)
}
