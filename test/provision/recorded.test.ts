/** Every recorded exchange with InfluxDB 2.9.1 and 3.10.1, and what tailflux makes of the answer: of writes, of `/ping`, of queries, and of requests of
 * `tailflux init`. What tailflux never sends is listed too, so that no exchange is forgotten. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CollectorError } from '../../src/base/errors.ts'
import { requestJson } from '../../src/provision/refusal.ts'
import { askInfluxql } from '../../src/sink/influxdb/ask-influxql.ts'
import { isNothingYet, readRefusal } from '../../src/sink/influxdb/read-refusals.ts'
import { classify, isEmptyRefusal, type RawAnswer } from '../../src/sink/influxdb/response-policy.ts'
import { apiFor, apiOfAnswer, greet } from '../../src/sink/influxdb/server.ts'
import type { InfluxHttp } from '../../src/sink/influxdb/transport.ts'
import { type RecordedAnswer, recordedAnswers } from '../sink/influxdb/recorded-answers.ts'

const signal = new AbortController().signal
const nowMs = () => 1_796_000_000_000
const clock = { now: () => 1_796_000_000_000_000_000n }

function answerOf({ response: { status, headers, body } }: RecordedAnswer): RawAnswer {
  const lower = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])
  return { status, headers: Object.fromEntries(lower), body }
}

const httpFor = (answer: RawAnswer): InfluxHttp => ({ send: async () => answer, stop: () => undefined })

async function codeOf(work: () => Promise<string>): Promise<string> {
  try {
    return await work()
  } catch (error) {
    assert.ok(error instanceof CollectorError, String(error))
    assert.match(error.message, /\.$/, 'it ends with the fix')
    return `${error.code} ${error.reaction}`
  }
}

async function meaningOf(recorded: RecordedAnswer): Promise<string> {
  const { method, path } = recorded.request
  const answer = answerOf(recorded)
  const http = httpFor(answer)
  const deps = { http, label: 'db', clock, nowMs }
  const api = apiOfAnswer(answer)
  if (/^\/ping/.test(path)) return await codeOf(async () => `is ${apiFor(await greet(deps, signal))}`)
  if (method === 'POST' && /^\/(api\/v[23]\/)?write/.test(path)) {
    if (isEmptyRefusal(answer)) return 'accepts writes'
    const outcome = classify(answer, 'db', nowMs())
    if (outcome.kind === 'error' || outcome.kind === 'unconfirmed')
      return `${outcome.error.code} ${outcome.error.reaction}`
    return outcome.kind === 'refused' ? `refused ${outcome.cause}` : outcome.kind
  }
  if (/^\/query/.test(path) && !/csv|two statements|chunked|POST form/.test(recorded.title)) {
    const { shown, said } = await askInfluxql(http, { query: '', db: 'flows' }, signal)
    if (said === undefined) return `rows ${shown.tables.reduce((sum, { rows }) => sum + rows.length, 0)}`
    if (isNothingYet(answer.status, said, api)) return 'nothing yet'
    return `cannot be read: ${readRefusal(answer.status, said, api)?.code ?? 'unknown'}`
  }
  if (
    /^\/api\/(v2\/(buckets|dbrps|orgs|authorizations)|v3\/(configure|query_sql))/.test(path) &&
    recorded.title !== 'SQL, syntax'
  ) {
    return await codeOf(async () => {
      const verb = method as 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
      const found = await requestJson<object>(deps, 'do it', { method: verb, path }, signal)
      return found === undefined
        ? answer.status === 404
          ? 'is not there'
          : 'done'
        : method === 'GET'
          ? 'shown'
          : 'done'
    })
  }
  return 'not sent'
}

const MEANINGS: Readonly<Record<'2.9.1' | '3.10.1', Readonly<Record<string, readonly string[]>>>> = {
  '2.9.1': {
    'not sent': [
      'health',
      'ready',
      'InfluxQL, two statements',
      'InfluxQL, chunked',
      'InfluxQL, POST form',
      'InfluxQL, csv',
      'set-up allowed',
      'set-up again',
      'unknown path',
      'flux',
      'delete',
    ],
    'is v2': ['ping', 'ping HEAD'],
    ack: [
      'write, accepted',
      'write, gzip',
      'write, empty body',
      'write, org by id',
      'write, bucket by id',
      'write, timestamp at the limit',
      'write, tag and field of one name',
      'write, body of 60 MB',
      'v1 write, token',
      'v1 write, user and password in query',
    ],
    'db_unavailable retry': ['write, not gzip though said', 'create bucket, retention of 10 s'],
    'db_unauthorized hold': ['write, no token', 'write, bad token', 'buckets, bad token'],
    'db_forbidden hold': [
      'write, read token',
      'write, other bucket',
      'create bucket, write-only token',
      'write, inactive token',
    ],
    'db_not_found hold': ['write, no such bucket', 'write, no such org', 'v1 write, no such db'],
    'db_misconfigured hold': ['write, no org', 'write, bad precision'],
    'refused syntax': [
      'write, one line unreadable of three',
      'write, two unreadable',
      'write, timestamp beyond the limit',
      'write, int64 overflow',
      'write, tag named time',
      'write, field named time',
      'write, no fields',
      'write, tag key of 70000 bytes',
    ],
    expired: ['write, beyond retention, two of three', 'write, all beyond retention'],
    'db_conflict hold': ['write, field type conflict, one of two', 'write, field type conflict within the batch'],
    'rows 2': ['InfluxQL, rows'],
    'rows 0': ['InfluxQL, no such measurement', 'InfluxQL, no such db'],
    'cannot be read: unknown': [
      'InfluxQL, syntax',
      'InfluxQL, CREATE DATABASE',
      'InfluxQL, SHOW SHARDS',
      'InfluxQL, cardinality',
    ],
    'cannot be read: db_forbidden': ['InfluxQL, no token', 'InfluxQL, bad token', 'InfluxQL, inactive token'],
    'cannot be read: db_not_found': ['InfluxQL, write-only token'],
    'rows 1': ['InfluxQL, read token', 'InfluxQL, SHOW RETENTION POLICIES'],
    'rows 4': ['InfluxQL, SHOW DATABASES'],
    shown: [
      'buckets by name',
      'buckets, orgID',
      'buckets, write-only token',
      'dbrps',
      'dbrps of a database',
      'orgs',
      'orgs, write-only token',
      'authorizations',
    ],
    'is not there': ['buckets, org by id in org', 'buckets, no such', 'buckets, no such org'],
    done: [
      'create bucket',
      'create bucket again',
      'change retention',
      'create dbrp',
      'create dbrp again',
      'create authorization',
    ],
    'db_unconfirmed hold': ['v3 write'],
  },
  '3.10.1': {
    'not sent': [
      'GET /health',
      'GET /health without token',
      'GET /ready',
      'GET /ready without token',
      'InfluxQL, two statements',
      'InfluxQL, chunked',
      'SQL, syntax',
      'v3 InfluxQL',
      'unknown path',
    ],
    'is v3': ['GET /ping', 'GET /ping without token'],
    ack: [
      'write, accepted',
      'write, gzip',
      'write, no_sync',
      'write, no such db (made by the write)',
      'write, precision auto',
      'write, field type float once',
      'write, new tag on an existing table',
      'write, time 9223372036854775807',
      'write, time 9223372036854775806',
      'write, time -9223372036854775808',
      'write, time -9223372036854775806',
      'write, time 4102444800000000000',
      'write, same tag twice',
      'write, 5 MB',
      'v2 write',
      'v2 write, Token scheme',
      'v1 write',
      'v1 write, user and password',
      'overwrite same identity',
      'write to the deleted database',
    ],
    'accepts writes': ['write, empty body'],
    'db_misconfigured hold': [
      'write, not gzip though said',
      'write, no db',
      'write, bad db name',
      'write, bad precision',
      'create database 3',
      'create database 4',
      'create database 5',
      'create database 6',
      'create database 7',
      'write to a database beyond the limit',
      'create database with retention',
    ],
    'db_unauthorized hold': ['write, no token', 'write, bad token'],
    'refused syntax': [
      'write, one line unreadable of three',
      'write, two unreadable of three',
      'write, one line unreadable of three&accept_partial=true',
      'write, two unreadable of three&accept_partial=true',
      'write, one line unreadable of three&accept_partial=false',
      'write, two unreadable of three&accept_partial=false',
      'write, int64 overflow',
      'write, tag named time',
      'write, field named time',
      'write, no fields',
      'v2 write, one unreadable of three',
      'v1 write, unreadable',
    ],
    'rows 2': [
      'how many',
      'rows then',
      'rows then',
      'InfluxQL, rows',
      'InfluxQL, SHOW TAG KEYS',
      'InfluxQL, SHOW FIELD KEYS',
      'InfluxQL, max_row, aggregate',
      'InfluxQL, top',
    ],
    'db_conflict hold': [
      'write, field type conflict, three of four',
      'write, field type conflict, three of four&accept_partial=false',
      'write, conflict within the batch',
      'write, conflict in two measurements',
      'write, tag becomes field',
      'v2 write, conflict',
    ],
    'rows 1': [
      'rows ok1, ok2',
      'InfluxQL, SHOW RETENTION POLICIES',
      'InfluxQL, subquery',
      'InfluxQL, regex',
      'InfluxQL, order desc',
      'InfluxQL, percentile',
    ],
    'refused content': ['write, tag value of 70000 bytes'],
    limit: ['write, 600 columns'],
    split: ['write, body over 10 MiB', 'write, gzip over 10 MiB unpacked'],
    done: [
      'create database 0',
      'create database 1',
      'create database 2',
      'create database again',
      'change retention',
      'create table with tag order',
      'create table again',
      'delete database',
    ],
    shown: ['databases', 'databases with retention', 'SQL'],
    'rows 0': ['InfluxQL, no such measurement'],
    'cannot be read: unknown': ['InfluxQL, syntax', 'InfluxQL, DROP MEASUREMENT', 'InfluxQL, into', 'InfluxQL, SLIMIT'],
    'rows 6': ['InfluxQL, SHOW DATABASES'],
    'rows 10': ['InfluxQL, SHOW MEASUREMENTS'],
    'nothing yet': ['InfluxQL, no such db'],
    'cannot be read: db_forbidden': ['InfluxQL, no token', 'InfluxQL, bad token'],
    'is not there': ['buckets'],
  },
}

for (const version of ['2.9.1', '3.10.1'] as const) {
  test(`${version}: each recorded answer has the meaning that is listed`, async () => {
    const found: Record<string, string[]> = {}
    for (const recorded of recordedAnswers(version)) {
      const meaning = await meaningOf(recorded)
      found[meaning] = [...(found[meaning] ?? []), recorded.title]
    }
    assert.deepEqual(found, MEANINGS[version])
  })
}
