/** A database that takes points and does not answer the question for the checkpoint, or answers it for another database: ingestion continues, `/health`
 * says so with the fix, and the answer is not believed. In front of a real InfluxDB 1.x stands what answers this one question otherwise. */
import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { type TestContext, test } from 'node:test'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { startInfluxd } from '../services/influxd.ts'
import { type Asked, fault, hang, type Reply, startScriptedInflux } from '../sink/influxdb/scripted-influx.ts'
import { assertTruth, storedIn } from './truth-in.ts'
import { LAG_NS, originOf, type Running, startWorld } from './world.ts'

const LOOKBACK_NS = 1_800_000_000_000n
const COMPARE_EVERY_MS = 600_000
const json = (body: string) => ({ status: 200, body, headers: { 'content-type': 'application/json' } })
const said = (error: string) => json(JSON.stringify({ results: [{ statement_id: 0, error }] }))
const rows = (more: string) =>
  json(
    `{"results":[{"statement_id":0,"series":[{"name":"tailflux_window","columns":["time","acked","watermark","passed","pass","writer"],"values":[]${more}}]}]}`,
  )
const PARTIAL = ',"partial":true'

/** What is answered instead; `elsewhere`: the question is passed on to a database of that name. */
type Instead = Reply | { readonly elsewhere: 'empty' | 'foreign' | 'before' }

const CASES: readonly (readonly [
  what: string,
  api: 'v1' | 'v2' | 'v3',
  instead: Instead,
  code: string,
  fix: RegExp,
])[] = [
  // As 3 Core 3.10.1 answers.
  [
    '3.10.1: 500 about 432 files',
    'v3',
    fault(500, 'external error: Query would scan 432 Parquet files, exceeding the file limit.'),
    'checkpoint_unanswered',
    /432 Parquet files.*--query-file-limit/,
  ],
  [
    '3.10.1: 401',
    'v3',
    { status: 401, body: '{"error": "the request was not authenticated"}' },
    'checkpoint_unanswered',
    /401.*read access/,
  ],
  // As 2.9.1 answers a token without the read access.
  [
    '2.9.1: 401',
    'v2',
    { status: 401, body: '{"code":"unauthorized","message":"Unauthorized"}' },
    'checkpoint_unanswered',
    /401.*read access/,
  ],
  [
    '2.9.1: a token that may only write',
    'v2',
    said('database not found: flows'),
    'checkpoint_unanswered',
    /read access.*tailflux init/,
  ],
  // 1.x.
  [
    '1.x: a user who may only write',
    'v1',
    said('w not authorized to execute statement, requires READ on flows'),
    'checkpoint_unanswered',
    /read access/,
  ],
  [
    '1.x: max-select-series',
    'v1',
    said('max-select-series limit exceeded: (100002/100000)'),
    'checkpoint_unanswered',
    /\[coordinator\] in influxdb\.conf/,
  ],
  ['1.x: query-timeout', 'v1', said('query-timeout limit exceeded'), 'checkpoint_unanswered', /Raise query-timeout/],
  ['1.x: max-row-limit', 'v1', rows(PARTIAL), 'checkpoint_unanswered', /Raise max-row-limit/],
  [
    'no answer at all',
    'v1',
    hang,
    'checkpoint_unanswered',
    /no answer within 1 s|did not answer within 1 s.*Check its load/,
  ],
  // For another database or organisation, or by a mapping to another bucket.
  [
    'another organisation, whose bucket is empty',
    'v2',
    { elsewhere: 'empty' },
    'checkpoint_unseen',
    /INFLUX_ORG.*influx v1 dbrp list/,
  ],
  [
    'another organisation with a tailflux of its own',
    'v2',
    { elsewhere: 'foreign' },
    'checkpoint_unseen',
    /INFLUX_ORG.*influx v1 dbrp list/,
  ],
  [
    'a mapping to the bucket of before an upgrade',
    'v2',
    { elsewhere: 'before' },
    'checkpoint_unseen',
    /INFLUX_ORG.*influx v1 dbrp list/,
  ],
]

const isQuestion = ({ path, query }: Asked) => path === '/query' && (query['q'] ?? '').includes('"tailflux_window"')

/** In front of influxd: whatever the API, points go to its database. */
async function startFront(t: TestContext, target: string, db: string) {
  const server = await startScriptedInflux(t)
  let instead: Instead | undefined
  let questions = 0
  async function forward(asked: Asked, response: ServerResponse, to = db): Promise<void> {
    const isWrite = asked.path !== '/query'
    const query = new URLSearchParams({ ...(isWrite ? {} : asked.query), db: to })
    const path = isWrite && asked.path !== '/ping' ? '/write' : asked.path
    const answer = await fetch(`${target}${path}?${query}`, {
      method: asked.method,
      ...(asked.method === 'POST' ? { body: asked.body } : {}),
    })
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'application/json' })
    response.end(await answer.text())
  }
  server.script((asked, response) => {
    const isIt = isQuestion(asked)
    if (isIt) questions += 1
    if (isIt && instead !== undefined) {
      if (typeof instead === 'function') return instead(asked, response)
      if (!('elsewhere' in instead)) return instead
    }
    const elsewhere = isIt && instead && 'elsewhere' in instead ? `${db}-${instead.elsewhere}` : undefined
    forward(asked, response, elsewhere).catch(() => response.destroy())
    return undefined
  })
  return {
    url: server.url,
    questions: () => questions,
    answer(next: Instead | undefined) {
      instead = next
    },
  }
}

const sinkOf = ({ service }: Running) => service.health.state().components.find(({ component }) => component === 'sink')

test('a question for the checkpoint that is refused, or answered by somebody else', { concurrency: 3 }, async (t) => {
  const influxd = await startInfluxd(t)
  const cases = CASES.map(([what, api, instead, code, fix], index) =>
    t.test(`${what}: ingestion continues, the warning has the fix, nothing is read twice`, async (t) => {
      const db = `flows${index}`
      for (const name of [db, `${db}-empty`, `${db}-foreign`, `${db}-before`])
        await influxd.query(`CREATE DATABASE "${name}"`)
      const world = await startWorld(t, { tailnet: { nodes: 5 }, speed: 20 })
      const { clock, api: demo, tailnet } = world
      const foreign = `tailflux_window,pass=1,tailnet=default,writer=other watermark=${clock.now()}i,acked=${clock.now()}i,passed=0i`
      await fetch(`${influxd.url}/write?db=${db}-foreign`, {
        method: 'POST',
        body: `${foreign} ${clock.now() - LAG_NS}`,
      })
      const front = await startFront(t, influxd.url, db)
      const dataDir = temporaryFolder(t)
      const open = () =>
        world.service(
          {
            'influx.url': front.url,
            'influx.api': api,
            'influx.timeout': '1s',
            'influx.gzip': 'off',
            'poll.interval': '30s',
            'poll.lookback': '30m',
            ...(api === 'v1'
              ? { 'influx.db': db }
              : { 'influx.bucket': db, 'influx.token': 'canary-token-0123', 'influx.org': 'home' }),
          },
          { dataDir, logLevel: 'info' },
        )

      const isBefore = typeof instead === 'object' && 'elsewhere' in instead && instead.elsewhere === 'before'
      // At a first start nothing is known yet; the bucket of before an upgrade begins to differ later.
      if (!isBefore) front.answer(instead)
      const startedNs = clock.now()
      const first = open()
      await first.catchUp()
      if (isBefore)
        await influxd.query(`SELECT * INTO "${db}-before"..tailflux_window FROM tailflux_window GROUP BY *`, db)
      else assert.deepEqual([sinkOf(first)?.status, sinkOf(first)?.code], ['warning', code])
      front.answer(instead)
      // Twice: what is compared is what was acknowledged before.
      clock.skip(COMPARE_EVERY_MS)
      await first.catchUp()
      clock.skip(COMPARE_EVERY_MS)
      await first.until((result) => result === 'caught_up' && sinkOf(first)?.code === code)
      const { status, text = '' } = sinkOf(first) ?? {}
      assert.equal(status, 'warning')
      assert.match(text, /points are written, but lost points are not noticed/)
      assert.match(text, fix)
      assert.equal(first.service.pipeline.status().database.state, 'closed')
      await first.service.stop()

      // Over a restart: what was acknowledged in the last ten minutes is read again, no more, and no loss is reported.
      const asked = front.questions()
      const points = first.service.pipeline.status().totals.points
      const second = open()
      await second.until((result) => result === 'caught_up' && sinkOf(second)?.code === code)
      assert.ok(front.questions() > asked)
      assert.doesNotMatch([...first.log, ...second.log].join('\n'), /has lost acknowledged points/)
      const again = second.service.pipeline.status().totals.points
      assert.ok(again < points * 0.6, `${again} of ${points} points were read again`)

      front.answer(undefined)
      clock.skip(COMPARE_EVERY_MS)
      await second.until((result) => result === 'caught_up' && sinkOf(second)?.status === 'ok')
      assert.doesNotMatch(second.log.join('\n'), /has lost acknowledged points/)
      const nowNs = clock.freeze()
      await second.until(() => second.service.pipeline.status().watermarkNs === String(nowNs - LAG_NS))
      await second.service.stop()
      assert.ok(originOf(demo) <= startedNs - LOOKBACK_NS + 60_000_000_000n)
      const truth = tailnet.truth(originOf(demo), nowNs - LAG_NS)
      const count = await assertTruth(storedIn({ url: influxd.url, db }), truth)
      t.diagnostic(
        `${what}: ${code}, ${again} of ${points} points written again at a restart, ${count} points as the truth has them`,
      )
    }),
  )
  await Promise.all(cases)
})
