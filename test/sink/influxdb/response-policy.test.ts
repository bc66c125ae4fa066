/** The status table: one row per answer, and what it means. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { messageOf, namedLines } from '../../../src/sink/influxdb/error-message.ts'
import { classify } from '../../../src/sink/influxdb/response-policy.ts'
import { recordedAnswers } from './recorded-answers.ts'

const NOW_MS = Date.parse('2026-11-02T12:00:00Z')
const outcomeOf = (status: number, body = '', headers = {}) => classify({ status, body, headers }, 'db', NOW_MS)
const error = (text: string) => JSON.stringify({ error: text })

test('each answer has one meaning', () => {
  const V2 = 'failure writing points to database: partial write: '
  const FOR = ' dropped=2 for database: 0a for retention policy: autogen'
  const table: [status: number, body: string, meaning: string][] = [
    [204, '', 'ack'],
    [200, '', 'unconfirmed'],
    [201, '', 'unconfirmed'],
    [201, 'partial', 'refused syntax'],
    [202, '', 'unconfirmed'],
    [206, '', 'unconfirmed'],
    [207, '', 'unconfirmed'],
    [301, '', 'db_misconfigured hold'],
    [307, '', 'db_misconfigured hold'],
    [400, error("unable to parse 'm': missing fields"), 'refused syntax'],
    [
      400,
      error(
        "partial write: unable to parse 'm v= 2': missing field value\nunable to parse 'bad': missing fields dropped=0",
      ),
      'refused syntax',
    ],
    [
      400,
      error(
        'partial write: field type conflict: input field "v" on measurement "m" is type float, already exists as type integer dropped=1',
      ),
      'db_conflict hold',
    ],
    [400, error('field type conflict'), 'db_conflict hold'],
    [
      400,
      error('partial write: invalid tag key: input tag "time" on measurement "m" is invalid dropped=1'),
      'refused syntax',
    ],
    [400, error('partial write: max key length exceeded: 65537 > 65535 dropped=1'), 'refused content'],
    [400, error('partial write of line protocol occurred'), 'refused syntax'],
    [400, error('write buffer error: line protocol parse failed: No fields were provided'), 'refused syntax'],
    [400, 'anything else', 'refused unknown'],
    [400, '', 'refused unknown'],
    [422, 'anything else', 'refused unknown'],
    [422, error(`${V2}field type conflict: input field "v"${FOR}`), 'db_conflict hold'],
    [
      500,
      error(`unexpected error writing points to database: partial write: field type conflict: input field "v"${FOR}`),
      'db_conflict hold',
    ],
    [400, error('partial write: points beyond retention policy dropped=7'), 'expired 7'],
    [400, error('partial write: points beyond retention policy'), 'expired undefined'],
    [
      422,
      error(`${V2}dropped 350 points outside retention policy of duration 72h0m0s - oldest point m,a="b" at x${FOR}`),
      'expired 350',
    ],
    [500, error('partial write: points beyond retention policy dropped=7'), 'expired 7'],
    [
      400,
      error(
        'partial write: max-values-per-tag limit exceeded (80/50): measurement="card" tag="p" value="81" dropped=10',
      ),
      'limit of values',
    ],
    [400, error('partial write: max-series-per-database limit exceeded: (10) dropped=5'), 'limit of series'],
    [422, error('write would exceed number of tables'), 'limit of series'],
    [400, error('database is required'), 'db_misconfigured hold'],
    [400, error('invalid precision "us" (use n, u, ms, s, m or h)'), 'db_misconfigured hold'],
    [400, error('bucket is required'), 'db_misconfigured hold'],
    [400, error('write buffer error: error from wal: flush failed'), 'db_unavailable retry'],
    [400, error('catalog update error: object store error: timed out'), 'db_unavailable retry'],
    [401, error('authorization failed'), 'db_unauthorized hold'],
    [403, error('"r" user is not authorized to write to database "t"'), 'db_forbidden hold'],
    [404, error('database not found: "t"'), 'db_not_found hold'],
    [404, '404 page not found', 'db_not_found hold'],
    [405, '', 'db_misconfigured hold'],
    [408, '', 'db_unavailable retry'],
    [409, '', 'db_misconfigured hold'],
    [411, '', 'db_misconfigured hold'],
    [413, error('Request Entity Too Large'), 'split'],
    [415, '', 'db_misconfigured hold'],
    [425, '', 'db_unavailable retry'],
    [429, '', 'db_overloaded retry'],
    [499, '', 'db_unavailable retry'],
    [500, error('timeout'), 'db_unavailable retry, fewer lines may help'],
    [
      500,
      error('engine: cache-max-memory-size exceeded: (1074008346/1073741824)'),
      'db_unavailable retry, fewer lines may help',
    ],
    [500, error('retention policy not found: week'), 'db_not_found hold'],
    [500, error('hinted handoff queue not empty'), 'db_unavailable retry'],
    [500, error('unexpected error writing points to database: timeout'), 'db_unavailable retry, fewer lines may help'],
    [500, error('write /data/wal/_00001.wal: no space left on device'), 'db_storage hold'],
    [500, error('[shard 3] engine is closed'), 'db_storage hold'],
    [500, error('open /data/wal/_00002.wal: read-only file system'), 'db_storage hold'],
    [500, error('open /data/wal/_00002.wal: too many open files'), 'db_storage hold'],
    [500, error('open /data/wal/_00002.wal: permission denied'), 'db_storage hold'],
    [501, '', 'db_unavailable retry'],
    [502, '<html>Bad Gateway</html>', 'db_unavailable retry'],
    [503, error('request throttled, queue full'), 'db_overloaded retry'],
    [504, '', 'db_unavailable retry'],
  ]
  for (const [status, body, meaning] of table) {
    const outcome = outcomeOf(status, body)
    const reported =
      outcome.kind === 'error'
        ? `${outcome.error.code} ${outcome.error.reaction}${outcome.isAboutSize ? ', fewer lines may help' : ''}`
        : outcome.kind === 'expired'
          ? `expired ${outcome.dropped}`
          : outcome.kind === 'refused'
            ? `refused ${outcome.cause}`
            : outcome.kind === 'limit'
              ? `limit of ${outcome.counts}`
              : outcome.kind
    assert.equal(reported, meaning, `${status} ${body}`)
    if (outcome.kind === 'error') assert.match(outcome.error.message, /^db .*\. .*\.$/, 'it ends with what to do')
  }
})

test('the recorded answers of 2.9.1 and 3.10.1 to writes have one meaning each', () => {
  const meanings: [status: number, title: RegExp, kind: string][] = [
    [204, /./, 'ack'],
    [200, /v3 write/, 'db_unconfirmed hold'],
    [401, /./, 'db_unauthorized hold'],
    [403, /./, 'db_forbidden hold'],
    [404, /./, 'db_not_found hold'],
    [413, /./, 'split'],
    [500, /not gzip though said/, 'db_unavailable retry'],
    [400, /empty body/, 'refused unknown'],
    [400, /no org|no db|bad db name|precision|not gzip/, 'db_misconfigured hold'],
    [400, /conflict|tag becomes field/, 'db_conflict hold'],
    [400, /limit$/, 'refused content'],
    [400, /./, 'refused syntax'],
    [422, /retention/, 'expired'],
    [422, /conflict/, 'db_conflict hold'],
    [422, /columns/, 'limit'],
    [422, /beyond the limit/, 'db_misconfigured hold'],
    [422, /field named time/, 'refused syntax'],
  ]
  let count = 0
  for (const { title, request, response } of recordedAnswers()) {
    if (request.method !== 'POST' || !/write/.test(request.path)) continue
    count += 1
    const outcome = outcomeOf(response.status, response.body)
    const reported =
      outcome.kind === 'error' || outcome.kind === 'unconfirmed'
        ? `${outcome.error.code} ${outcome.error.reaction}`
        : outcome.kind === 'refused'
          ? `refused ${outcome.cause}`
          : outcome.kind
    const meaning = meanings.find(([status, name]) => status === response.status && name.test(title))?.[2]
    // What stands behind a quoted line is looked at for each line by itself.
    assert.equal(
      reported.replace('content', 'syntax'),
      meaning?.replace('content', 'syntax'),
      `${title}: ${response.body}`,
    )
  }
  assert.ok(count > 60, `${count} answers`)
})

test('lines that an answer names are found, and nothing else', () => {
  const bad = "m,t=it's\\ '':\\ x v=1x 5"
  const texts = ['m v=1i 1', bad, 'm v=2i 2', bad, 'm,t=ü v=1x 6']
  const quoting = (...rows: string[]) => JSON.stringify({ code: 'invalid', message: rows.join('\n') })
  const row = (line: string) => `unable to parse '${line}': invalid number`
  const placesIn = (body: string) => [...(namedLines(body, texts)?.lines.keys() ?? [])]
  assert.deepEqual(placesIn(quoting(row(bad), row(texts[4]!))), [1, 3, 4])
  assert.deepEqual(
    placesIn(JSON.stringify({ error: `partial write: ${row(bad)}\n${row(texts[4]!)} dropped=0` })),
    [1, 3, 4],
  )
  assert.equal(namedLines(quoting(row(bad)), texts)?.lines.get(1)?.why, 'invalid number')
  // Cut on the way: lines that are there as a whole count.
  const whole = quoting(row(bad), row(texts[4]!), row(bad))
  assert.deepEqual(placesIn(whole.slice(0, -30)), [1, 3, 4])
  assert.deepEqual(placesIn(quoting(row(bad)).slice(0, -9)), [1, 3])
  assert.deepEqual(placesIn(quoting(row(bad)).slice(0, -25)), [])
  // A line that is none of ours, a part of one, one that quotes another one, and a damaged one.
  for (const line of [
    'm v=3i 3',
    'm v=1i',
    `x,t=unable\\ to\\ parse\\ '${texts[0]}':\\ no v=1 1`,
    'm,t=\ufffd v=1x 6',
  ]) {
    assert.deepEqual(placesIn(quoting(row(line))), [], line)
  }
  const numbered = (line: unknown, begin: unknown, said: unknown = 'No fields were provided') =>
    JSON.stringify({
      error: 'line protocol parsing error',
      data: { error_message: said, line_number: line, original_line: begin },
    })
  assert.deepEqual(namedLines(numbered(2, "m,t=it's"), texts)?.kind, 'first')
  assert.deepEqual(placesIn(numbered(2, "m,t=it's")), [1])
  assert.deepEqual(placesIn(numbered(5, 'm,t=\ufffd')), [4], 'cut in the middle of a character')
  for (const [line, begin] of [
    [1, 'm,t='],
    [0, 'm'],
    [6, 'm'],
    [1.5, 'm'],
    ['x', 'm'],
    [undefined, 'm'],
  ]) {
    assert.deepEqual(placesIn(numbered(line, begin)), [], `${line}`)
  }
  assert.deepEqual(placesIn(numbered(1, 'm v=1i 1', 7)), [])
  for (const body of ['', '<html>', '{', 'null', '[]', '{"data":7}', '{"error":"unable to parse \'x\': y"}'])
    assert.equal(namedLines(body, texts), undefined, body)
})

test('messages are found in every shape of body, and cut', () => {
  const cases: [string, string][] = [
    ['{"error":"a"}\n', 'a'],
    ['{"code":"invalid","message":"b"}', 'b'],
    ['{"error":"partial","data":[{"error_message":"c","line_number":2}]}', 'partial: c'],
    ['{"error":"parsing","data":{"error_message":"d"}}', 'parsing: d'],
    ['{"error":"e","data":null}', 'e'],
    ['{"error":"f","data":[null]}', 'f'],
    ['{"other":1}', '{"other":1}'],
    ['[1]', '[1]'],
    ['null', 'null'],
    ['  plain\n\ttext ', 'plain text'],
    ['', ''],
    ['{"error":', '{"error":'],
  ]
  for (const [body, message] of cases) assert.equal(messageOf(body), message)
  assert.equal(messageOf('x'.repeat(2_000)).length, 512)
})

test('Retry-After: seconds, a date, or nothing that can be read', () => {
  const waitOf = (header: string | string[] | undefined) => {
    const outcome = outcomeOf(503, '', { 'retry-after': header })
    return outcome.kind === 'error' ? outcome.error.retryAfterMs : assert.fail()
  }
  assert.equal(waitOf('0'), 0)
  assert.equal(waitOf(' 12 '), 12_000)
  assert.equal(waitOf(['3', '4']), 3_000)
  assert.equal(waitOf('99999999999999999999999'), 600_000)
  assert.equal(waitOf('Mon, 02 Nov 2026 12:01:00 GMT'), 60_000)
  assert.equal(waitOf('Mon, 02 Nov 2026 11:01:00 GMT'), 0)
  assert.equal(waitOf('1.5x'), undefined)
  assert.equal(waitOf('-5'), undefined)
  assert.equal(waitOf(undefined), undefined)
})
