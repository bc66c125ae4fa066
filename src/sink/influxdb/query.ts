/** The requests of the sink besides writing: probing write access, and creating the database. */
import type { Clock } from '../../base/clock.ts'
import { MS } from '../../base/clock.ts'
import { CollectorError } from '../../base/errors.ts'
import type { InfluxConfig } from '../config.ts'
import { messageOf } from './error-message.ts'
import { identifier, placeOf, readInfluxql } from './influxql.ts'
import { classify, isEmptyRefusal, type RawAnswer, refusal } from './response-policy.ts'
import type { InfluxHttp } from './transport.ts'

export interface Queries {
  /** Rejects with a CollectorError when a write to this path would not be accepted. Writes no points: a comment is a body without lines, and
   * the database checks credentials, database and retention policy before the body. */
  probe(path: string, signal: AbortSignal): Promise<void>
  createDatabase(signal: AbortSignal): Promise<void>
}

const PROBE = '# tailflux probes write access\n'

export function createQueries(config: InfluxConfig, deps: { http: InfluxHttp; label: string; clock: Clock }): Queries {
  const { http, label } = deps
  const { db } = placeOf(config)

  function refused(answer: RawAnswer): CollectorError {
    return refusal(answer, messageOf(answer.body), label, Number(deps.clock.now() / MS))
  }

  return {
    async probe(path, signal) {
      const answer = await http.send({ method: 'POST', path, body: PROBE }, signal)
      if (isEmptyRefusal(answer)) return
      const outcome = classify(answer, label, Number(deps.clock.now() / MS))
      if (outcome.kind === 'ack') return
      // There was no line to refuse, so the request itself is wrong.
      throw outcome.kind === 'error' || outcome.kind === 'unconfirmed' ? outcome.error : refused(answer)
    },

    async createDatabase(signal) {
      const query = encodeURIComponent(`CREATE DATABASE ${identifier(db)}`)
      const answer = await http.send({ method: 'POST', path: `/query?db=${encodeURIComponent(db)}&q=${query}` }, signal)
      const fault = answer.status === 200 ? readInfluxql(answer.body)?.error : messageOf(answer.body)
      if (fault === undefined) return
      if (answer.status !== 200 && answer.status !== 403) throw refused(answer)
      throw new CollectorError(
        `${label}: the database cannot be created (${fault}). Create it by hand, or give the user the permission to.`,
        { stage: 'sink', code: 'db_forbidden', reaction: 'hold' },
      )
    },
  }
}
