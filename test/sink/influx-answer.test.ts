/** The status table: one row per answer, and what it means. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judge, messageOf } from '../../src/sink/influx-answer.ts'

const NOW_MS = Date.parse('2026-11-02T12:00:00Z')
const verdictOf = (status: number, body = '', headers = {}) => judge({ status, body, headers }, 'db', NOW_MS)
const error = (text: string) => JSON.stringify({ error: text })

test('each answer has one meaning', () => {
  const V2 = 'failure writing points to database: partial write: '
  const FOR = ' dropped=2 for database: 0a for retention policy: autogen'
  const table: [status: number, body: string, meaning: string][] = [
    [204, '', 'ack'],
    [200, '', 'unconfirmed'],
    [201, '', 'unconfirmed'],
    [201, 'partial', 'isolate'],
    [202, '', 'unconfirmed'],
    [206, '', 'unconfirmed'],
    [207, '', 'unconfirmed'],
    [301, '', 'db_misconfigured hold'],
    [307, '', 'db_misconfigured hold'],
    [400, error("unable to parse 'm': missing fields"), 'isolate'],
    [
      400,
      error(
        "partial write: unable to parse 'm v= 2': missing field value\nunable to parse 'bad': missing fields dropped=0",
      ),
      'isolate',
    ],
    [
      400,
      error(
        'partial write: field type conflict: input field "v" on measurement "m" is type float, already exists as type integer dropped=1',
      ),
      'isolate',
    ],
    [400, error('field type conflict'), 'isolate'],
    [400, error('partial write: invalid tag key: input tag "time" on measurement "m" is invalid dropped=1'), 'isolate'],
    [400, error('partial write: max key length exceeded: 65537 > 65535 dropped=1'), 'isolate'],
    [400, error('partial write of line protocol occurred'), 'isolate'],
    [400, error('write buffer error: line protocol parse failed: No fields were provided'), 'isolate'],
    [400, 'anything else', 'isolate unclear'],
    [400, '', 'isolate unclear'],
    [422, 'anything else', 'isolate unclear'],
    [422, error(`${V2}field type conflict: input field "v"${FOR}`), 'isolate'],
    [
      500,
      error(`unexpected error writing points to database: partial write: field type conflict: input field "v"${FOR}`),
      'isolate',
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
      'db_misconfigured hold',
    ],
    [400, error('partial write: max-series-per-database limit exceeded: (10) dropped=5'), 'db_misconfigured hold'],
    [422, error('write would exceed number of tables'), 'db_misconfigured hold'],
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
    [500, error('timeout'), 'db_unavailable retry'],
    [500, error('engine: cache-max-memory-size exceeded: (1074008346/1073741824)'), 'db_unavailable retry'],
    [500, error('retention policy not found: week'), 'db_not_found hold'],
    [500, error('hinted handoff queue not empty'), 'ack'],
    [501, '', 'db_unavailable retry'],
    [502, '<html>Bad Gateway</html>', 'db_unavailable retry'],
    [503, error('request throttled, queue full'), 'db_overloaded retry'],
    [504, '', 'db_unavailable retry'],
  ]
  for (const [status, body, meaning] of table) {
    const verdict = verdictOf(status, body)
    const told =
      verdict.kind === 'error'
        ? `${verdict.error.code} ${verdict.error.reaction}`
        : verdict.kind === 'expired'
          ? `expired ${verdict.dropped}`
          : verdict.kind === 'isolate' && !verdict.isAboutLines
            ? 'isolate unclear'
            : verdict.kind
    assert.equal(told, meaning, `${status} ${body}`)
  }
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
    const verdict = verdictOf(503, '', { 'retry-after': header })
    return verdict.kind === 'error' ? verdict.error.retryAfterMs : assert.fail()
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
