/** The row store on a real InfluxDB 1.x, on a real VictoriaMetrics, and on servers that answer as 2.9.1 and 3.10.1 did. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { CollectorError } from '../../src/base/errors.ts'
import { createInfluxReader } from '../../src/query/influx-reader.ts'
import { createInfluxRowStore } from '../../src/query/influx-row-store.ts'
import { openRows } from '../../src/query/open-rows.ts'
import { influxSchema } from '../../src/sink/config.ts'
import { type Cell, identifier } from '../../src/sink/influxdb/influxql.ts'
import { createInfluxHttp } from '../../src/sink/influxdb/transport.ts'
import { startHttpServer } from '../helpers/http-server.ts'
import { type Influxd, startInfluxd } from '../services/influxd.ts'
import { missing } from '../services/servers.ts'
import { startVictoriaMetrics } from '../services/victoria-metrics.ts'
import { recordedAnswers } from '../sink/influxdb/recorded-answers.ts'
import { DAY_NS, rowStoreContract, TAILNET, type World } from './row-store-contract.ts'

const skip = await missing('influxd')
const signal = AbortSignal.timeout(600_000)
const LABEL = 'The database'
const HOUR = 3_600_000_000_000n

interface Place {
  readonly url: string
  readonly api?: 'v1' | 'v2' | 'v3'
  readonly db?: string
  readonly user?: string
  readonly from?: (measurement: string) => string
}

function depsOf(t: TestContext, { url, api = 'v1', db = 'flows', user, from = identifier }: Place) {
  const access = user === undefined ? {} : { user, password: user }
  const parsed = influxSchema.parse({ url, api, ...(api === 'v1' ? { db } : { bucket: db, org: 'home' }), ...access })
  const http = createInfluxHttp({ ...parsed, url }, LABEL)
  t.after(() => http.stop())
  return { http, label: LABEL, clock: systemClock, places: { db, from } }
}

function storeOn(t: TestContext, place: Place) {
  return createInfluxRowStore({ api: place.api ?? 'v1', tailnet: TAILNET }, depsOf(t, place))
}

async function worldOn(t: TestContext, influxd: Influxd): Promise<World> {
  return {
    store: storeOn(t, influxd),
    async write(lines) {
      const answer = await fetch(`${influxd.url}/write?db=flows`, { method: 'POST', body: lines })
      if (answer.status !== 204) throw new Error(await answer.text())
    },
  }
}

/** The error's fix is its last sentence. */
function refusal(code: string, text: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof CollectorError)
    assert.equal(error.stage, 'sink')
    assert.match(error.message, text)
    assert.equal(error.code, code, error.message)
    return true
  }
}

rowStoreContract('1.x', async (t) => worldOn(t, await startInfluxd(t, { databases: ['flows'] })), { skip })

test('1.x: rows beyond max-row-limit come all the same', { skip }, async (t) => {
  const influxd = await startInfluxd(t, { databases: ['flows'], settings: { http: { 'max-row-limit': 2 } } })
  const { store, write } = await worldOn(t, influxd)
  const line = (i: number) => `tailflux_minute,tailnet=ex\\=ample\\,\\ net points=${i}i ${DAY_NS + BigInt(i)}\n`
  await write(Array.from({ length: 12 }, (_, i) => line(i)).join(''))
  assert.equal((await store.minutes(DAY_NS, DAY_NS + HOUR, signal)).length, 12)
})

test('1.x: limits of a query, missing places and missing rights are errors with the fix', { skip }, async (t) => {
  const limited = await startInfluxd(t, {
    databases: ['flows'],
    settings: { coordinator: { 'max-select-series': 1, 'max-select-point': 0 } },
  })
  const { store, write } = await worldOn(t, limited)
  const line = (node: string) =>
    `tailnet_flow,kind=virtual,node=${node},src_port=none,tailnet=ex\\=ample\\,\\ net flows=1i ${DAY_NS}\n`
  await write(line('a') + line('b'))
  await assert.rejects(
    store.rawPoints(DAY_NS, () => undefined, signal),
    refusal(
      'db_limit',
      /max-select-series.*\. Raise that limit under \[coordinator\] in influxdb\.conf, or set it to 0\.$/,
    ),
  )
  await assert.rejects(
    storeOn(t, { url: limited.url, db: 'nodb' }).rawPoints(DAY_NS, () => undefined, signal),
    refusal('db_not_found', /database not found: nodb\)\. Check INFLUX_DB, or create the database/),
  )
  await assert.rejects(
    storeOn(t, { url: limited.url, from: (name) => `"flows"."raw".${identifier(name)}` }).rawPoints(
      DAY_NS,
      () => undefined,
      signal,
    ),
    refusal('db_not_found', /retention policy not found: raw\)\. Create that retention policy with `tailflux init`/),
  )

  const guarded = await startInfluxd(t, { databases: ['flows'], auth: true })
  await guarded.query(`CREATE USER "writer" WITH PASSWORD 'writer'`)
  await guarded.query('GRANT WRITE ON "flows" TO "writer"')
  for (const user of [undefined, 'writer', 'nobody'])
    await assert.rejects(
      storeOn(t, { url: guarded.url, ...(user === undefined ? {} : { user }) }).canQuery(signal),
      refusal(
        'db_forbidden',
        /\. Give the token or user of tailflux read access to this database or bucket as well\.$/,
      ),
    )
})

test('VictoriaMetrics has no InfluxQL', { skip: await missing('victoria-metrics') }, async (t) => {
  const { url } = await startVictoriaMetrics(t)
  const store = storeOn(t, { url, api: 'v2' })
  assert.equal(await store.canQuery(signal), false)
  await assert.rejects(
    store.standing('tailnet_edge', DAY_NS, signal),
    refusal('db_misconfigured', /has no InfluxQL.*Nothing needs to be fixed\.$/),
  )
})

const RECORDED: Readonly<Record<string, readonly (readonly [title: string, code: string, text: RegExp])[]>> = {
  '2.9.1': [
    ['InfluxQL, no token', 'db_forbidden', /401: unauthorized access\)\. Give the token .* read access/],
    ['InfluxQL, inactive token', 'db_forbidden', /read access/],
    [
      'InfluxQL, write-only token',
      'db_not_found',
      /read access to the bucket as well; if it has it, run `tailflux init`/,
    ],
    ['InfluxQL, syntax', 'db_misconfigured', /refuses the request \(400/],
    ['InfluxQL, SHOW SHARDS', 'db_misconfigured', /not implemented: SHOW SHARDS\)\. Run `tailflux check`/],
  ],
  '3.10.1': [
    ['InfluxQL, no token', 'db_forbidden', /401: the request was not authenticated\)\. Give the token .* read access/],
    ['InfluxQL, SLIMIT', 'db_misconfigured', /SLIMIT or SOFFSET\)\. Run `tailflux check`/],
  ],
}

for (const [version, refusals] of Object.entries(RECORDED)) {
  const api = version.startsWith('3') ? 'v3' : 'v2'
  const answers = recordedAnswers(version as '2.9.1' | '3.10.1')

  /** A server that gives the recorded answer of this title to whatever is asked. */
  async function serverOf(t: TestContext, title: string) {
    const recorded = answers.find((one) => one.title === title)
    assert.ok(recorded !== undefined, title)
    const { status, body } = recorded.response
    return startHttpServer(t, (_request, response) => response.writeHead(status).end(body))
  }

  test(`${version}: refusals as recorded`, async (t) => {
    for (const [title, code, text] of refusals) {
      const { url } = await serverOf(t, title)
      await assert.rejects(
        storeOn(t, { url, api }).rawPoints(DAY_NS, () => undefined, signal),
        refusal(code, text),
        title,
      )
    }
  })

  test(`${version}: rows as recorded: in chunks, by tag, none`, async (t) => {
    const rowsOf = async (title: string, columns: readonly string[]) => {
      const { url } = await serverOf(t, title)
      const rows: Cell[][] = []
      const reader = createInfluxReader({ api }, depsOf(t, { url, api }))
      await reader.rows('SELECT', columns, (cells) => rows.push([...cells]), signal)
      return rows
    }
    const chunked = await rowsOf('InfluxQL, chunked', ['time', 'tx_bytes'])
    assert.equal(chunked.length, 5)
    assert.deepEqual(
      chunked.map(([, bytes]) => bytes),
      [1n, 1n, 1n, 1n, 1n],
    )
    assert.ok(chunked.every(([time]) => typeof time === 'bigint' && time > 1_795_913_000_000_000_000n))
    assert.deepEqual(await rowsOf('InfluxQL, no such measurement', ['time']), [])
    const rows = await rowsOf('InfluxQL, rows', ['node', 'tx_bytes', 'absent'])
    assert.deepEqual(rows[0], ['n1', 1n, null])
    if (api === 'v3') {
      assert.deepEqual(await rowsOf('InfluxQL, no such db', ['time']), [])
      assert.deepEqual(await rowsOf('InfluxQL, max_row, aggregate', ['node', 'sum']), [
        ['n1', 2n],
        ['n3', 1n],
      ])
    }
  })
}

test('3 Core: too many files for one query is an error with the fix', async (t) => {
  const body = JSON.stringify({ error: 'Query would scan 433 Parquet files, exceeding the file limit' })
  const { url } = await startHttpServer(t, (_request, response) => response.writeHead(500).end(body))
  await assert.rejects(
    storeOn(t, { url, api: 'v3' }).minutes(DAY_NS, DAY_NS + HOUR, signal),
    refusal('db_limit', /\. Raise --query-file-limit of InfluxDB 3 Core, or compact \(Enterprise\)\.$/),
  )
})

test('an answer that breaks off, is cut by a limit, or is no answer of InfluxQL', async (t) => {
  const rows = '{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","points"],"values":[[1,2]]'
  for (const [body, text] of [
    [rows, /the response breaks off\)\. Check that INFLUX_URL is InfluxDB itself\.$/],
    [`${rows},"partial":true}]}]}`, /only a part of the rows\)\. Raise max-row-limit/],
    ['<html>', /Check that INFLUX_URL is InfluxDB itself\.$/],
    ['', /Check that INFLUX_URL is InfluxDB itself\.$/],
  ] as const) {
    const { url } = await startHttpServer(t, (_request, response) => response.writeHead(200).end(body))
    await assert.rejects(
      storeOn(t, { url }).minutes(DAY_NS, DAY_NS + HOUR, signal),
      refusal('db_misconfigured', text),
      body,
    )
  }
  const gone = await startHttpServer(t, (_request, response) => {
    response.writeHead(200)
    response.write(rows)
    setImmediate(() => response.destroy())
  })
  await assert.rejects(
    storeOn(t, { url: gone.url }).minutes(DAY_NS, DAY_NS + HOUR, signal),
    refusal('db_unreachable', /cannot be reached/),
  )
})

test('an answer that goes on coming is waited for longer than one that does not', async (t) => {
  const begin = '{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","points"],"values":['
  const { url } = await startHttpServer(t, async (request, response) => {
    response.writeHead(200)
    response.write(begin)
    if (request.url?.includes('tailnet_flow') === true) return
    for (let i = 0; i < 8; i++) {
      await new Promise((resolve) => setTimeout(resolve, 250))
      response.write(`${i === 0 ? '' : ','}[${i},1]`)
    }
    response.end(']}]}]}')
  })
  const parsed = influxSchema.parse({ url, api: 'v1', db: 'flows', timeout: '1s' })
  const http = createInfluxHttp({ ...parsed, url }, LABEL)
  t.after(() => http.stop())
  const places = { db: 'flows', from: identifier }
  const store = createInfluxRowStore(
    { api: 'v1', tailnet: TAILNET },
    { http, label: LABEL, clock: systemClock, places },
  )
  assert.equal((await store.minutes(DAY_NS, DAY_NS + HOUR, signal)).length, 8)
  await assert.rejects(
    store.rawPoints(DAY_NS, () => undefined, signal),
    refusal('db_timeout', /did not answer within 1 s/),
  )
})

test('1.x: raw points and minutes in places of their own', { skip }, async (t) => {
  const influxd = await startInfluxd(t, { databases: ['flows'] })
  for (const name of ['raw', 'minutes'])
    await influxd.query(`CREATE RETENTION POLICY "${name}" ON "flows" DURATION 0s REPLICATION 1`)
  const tags = (name: string) => `${name},tailnet=t`
  for (const [rp, line] of [
    ['raw', `${tags('tailnet_flow')},src_port=none flows=1i ${DAY_NS}`],
    ['minutes', `${tags('tailnet_node')},node=n1 flows=1i ${DAY_NS}`],
    ['autogen', `${tags('tailflux_minute')} points=1i ${DAY_NS}`],
  ]) {
    const answer = await fetch(`${influxd.url}/write?db=flows&rp=${rp}`, { method: 'POST', body: line! })
    assert.equal(answer.status, 204)
  }
  const influx = influxSchema.parse({ url: influxd.url, api: 'v1', db: 'flows' })
  const config = { influx, retention: { raw: 30 * 86_400_000, minutes: 60 * 86_400_000 }, storePath: '', tailnet: 't' }
  const { rows, stop } = openRows(config, { clock: systemClock })
  t.after(stop)
  const found: string[] = []
  await rows.rawPoints(DAY_NS, ({ node }) => found.push(node), signal)
  assert.equal(found.length, 1)
  assert.equal((await rows.reporting(DAY_NS, DAY_NS + HOUR, signal)).size, 1)
  assert.equal((await rows.minutes(DAY_NS, DAY_NS + HOUR, signal)).length, 1)
})

test('without an API that is set the server is asked once, and 3.x gets ranges that it can read', async (t) => {
  const paths: string[] = []
  const { url } = await startHttpServer(t, (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://influx')
    paths.push(pathname)
    response.setHeader('cluster-uuid', 'eca6abd4-0b51-4cb7-9d8b-5265f842b272')
    if (pathname === '/ping') return void response.end('{"product_name":"InfluxDB 3 Core","version":"3.10.1"}')
    response.end('{"results":[{"statement_id":0}]}')
  })
  const { rows, stop } = openRows(
    { influx: influxSchema.parse({ url, bucket: 'flows' }), retention: {}, storePath: 'unused', tailnet: TAILNET },
    { clock: systemClock },
  )
  t.after(stop)
  assert.deepEqual(await rows.newestDevices(62n * 86_400_000_000_000n, signal), [])
  assert.equal(paths.filter((path) => path === '/ping').length, 1)
  assert.ok(paths.length > 10, 'three days at a time')
})
