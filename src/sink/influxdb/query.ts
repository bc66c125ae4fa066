/** The requests of the sink besides writing: probing write access, and creating the database. */
import type { Clock } from '../../base/clock.ts'
import { MS } from '../../base/clock.ts'
import { CollectorError } from '../../base/errors.ts'
import { askInfluxql } from './ask-influxql.ts'
import { messageOf } from './error-message.ts'
import { identifier } from './influxql.ts'
import type { Place, Places } from './places.ts'
import { isNothingYet } from './read-refusals.ts'
import { classify, isEmptyRefusal, refusal } from './response-policy.ts'
import type { InfluxHttp } from './transport.ts'

export interface Queries {
  /** Rejects with a CollectorError when a write to this place would not be accepted. Writes no points: a comment is a body without lines, and
   * the database checks credentials, database and retention policy before the body. */
  probe(place: Place, signal: AbortSignal): Promise<void>
  /** Rejects with a CollectorError (`db_not_found`) when a write would make this place, which should keep its points for a time, and would so keep them forever.
   * Queries once; does not reject where it may not read. */
  expectMade(place: Place, signal: AbortSignal): Promise<void>
  createDatabase(signal: AbortSignal): Promise<void>
}

const PROBE = '# tailflux probes write access\n'

/** `labelOf` names a place for the operator. */
export function createQueries(
  { db, of }: Places,
  deps: { http: InfluxHttp; labelOf: (place: Place) => string; clock: Clock },
): Queries {
  const { http, labelOf } = deps
  const label = labelOf(of('main'))
  const nowMs = () => Number(deps.clock.now() / MS)

  const made = new Set<Place>()

  async function expectMade(place: Place, signal: AbortSignal): Promise<void> {
    const { name = db, isMadeByWriting, retentionMs } = place
    if (!isMadeByWriting || retentionMs === undefined || made.has(place)) return
    const query = `SHOW RETENTION POLICIES ON ${identifier(name)}`
    const { answer, said } = await askInfluxql(http, { query, db: name }, signal)
    if (said !== undefined && isNothingYet(answer.status, said, 'v3')) {
      throw new CollectorError(
        `${labelOf(place)} is not there. A write would make it, and it would keep its points forever. ${place.ifMissing}`,
        { stage: 'sink', code: 'db_not_found', reaction: 'hold' },
      )
    }
    // Refused for another reason, such as missing rights: the write itself shows more.
    if (said === undefined) made.add(place)
  }

  return {
    expectMade,
    async probe(place, signal) {
      await expectMade(place, signal)
      const answer = await http.send({ method: 'POST', path: place.path, body: PROBE }, signal)
      if (isEmptyRefusal(answer)) return
      const outcome = classify(answer, labelOf(place), nowMs(), place.ifMissing)
      if (outcome.kind === 'ack') return
      // There was no line to refuse, so the request itself is wrong.
      if (outcome.kind === 'error' || outcome.kind === 'unconfirmed') throw outcome.error
      throw refusal(answer, messageOf(answer.body), labelOf(place), nowMs(), place.ifMissing)
    },

    async createDatabase(signal) {
      const query = `CREATE DATABASE ${identifier(db)}`
      const { answer, said } = await askInfluxql(http, { query, db, method: 'POST' }, signal)
      if (said === undefined) return
      if (answer.status !== 200 && answer.status !== 403) throw refusal(answer, said, label, nowMs())
      throw new CollectorError(
        `${label}: the database cannot be created (${said}). Create it by hand, or give the user the permission to.`,
        { stage: 'sink', code: 'db_forbidden', reaction: 'hold' },
      )
    },
  }
}
