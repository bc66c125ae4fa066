/** The server that holds the rows of the dashboards' tests: InfluxDB 1.x, or with TAILFLUX_TEST_ROWS_ON (`v2`, `v3`) a newer one, with places for raw points and
 * minutes. */
import type { Influxd, QueryResult } from '../services/influxd.ts'
import { startInfluxd } from '../services/influxd.ts'
import { ORG, startInfluxd2 } from '../services/influxd2.ts'
import { startInfluxd3 } from '../services/influxd3.ts'
import type { Scope } from '../services/server-process.ts'

/** What asks it. */
export type Queried = Pick<Influxd, 'url' | 'query' | 'adminHeaders' | 'stop' | 'dir' | 'pid'>

export interface RowsServer {
  readonly influx: Queried
  /** Lines in ms, into the main place (`autogen`), `raw` or `minutes`. */
  post(lines: string, policy: string): Promise<void>
}

export const ROWS_ON = process.env['TAILFLUX_TEST_ROWS_ON'] ?? 'v1'
const PLACES = ['raw', 'minutes']

export async function startRowsServer(db: string, scope?: Scope): Promise<RowsServer> {
  if (ROWS_ON === 'v2') return await startOn2(db, scope)
  return ROWS_ON === 'v3' ? await startOn3(db, scope) : await startOn1(db, scope)
}

async function startOn1(db: string, scope: Scope | undefined): Promise<RowsServer> {
  const influx = await startInfluxd(scope, {
    index: 'tsi1',
    databases: [db],
    settings: {
      // New series are slow where other work has the processors.
      coordinator: { 'write-timeout': '120s' },
      data: { 'max-series-per-database': 0, 'max-values-per-tag': 0, 'cache-max-memory-size': 3_000_000_000 },
    },
  })
  // As the documentation sets them up.
  await influx.query(`ALTER RETENTION POLICY "autogen" ON "${db}" SHARD DURATION 90d`)
  for (const policy of PLACES)
    await influx.query(`CREATE RETENTION POLICY "${policy}" ON "${db}" DURATION 0s REPLICATION 1 SHARD DURATION 1d`)
  const post = (lines: string, policy: string) =>
    posted(`${influx.url}/write?db=${db}&rp=${policy}&precision=ms`, lines, {})
  return { influx, post }
}

async function startOn2(db: string, scope: Scope | undefined): Promise<RowsServer> {
  const server = await startInfluxd2(scope, { bucket: db })
  for (const policy of PLACES) {
    const body = { orgID: server.orgId, name: `${db}/${policy}`, retentionRules: [] }
    await server.request('POST', '/api/v2/buckets', body)
  }
  const adminHeaders = { authorization: `Token ${server.token}` }
  const post = (lines: string, policy: string) => {
    const bucket = encodeURIComponent(placeOf(db, policy))
    return posted(`${server.url}/api/v2/write?org=${ORG}&bucket=${bucket}&precision=ms`, lines, adminHeaders)
  }
  return { influx: Object.assign(server, { adminHeaders, query: queryWith(server.url, adminHeaders) }), post }
}

async function startOn3(db: string, scope: Scope | undefined): Promise<RowsServer> {
  const server = await startInfluxd3(scope)
  const adminHeaders = { authorization: `Bearer ${server.token}` }
  const post = (lines: string, policy: string) => {
    const place = encodeURIComponent(placeOf(db, policy))
    return posted(`${server.url}/api/v3/write_lp?db=${place}&precision=millisecond`, lines, adminHeaders)
  }
  return { influx: Object.assign(server, { adminHeaders, query: queryWith(server.url, adminHeaders) }), post }
}

function placeOf(db: string, policy: string): string {
  return policy === 'autogen' ? db : `${db}/${policy}`
}

async function posted(url: string, body: string, headers: Readonly<Record<string, string>>): Promise<void> {
  const answer = await fetch(url, { method: 'POST', body, headers })
  if (answer.status !== 204) throw new Error(`${answer.status} ${await answer.text()}`)
}

function queryWith(url: string, headers: Readonly<Record<string, string>>): Influxd['query'] {
  return async (text, db = '') => {
    const asked = new URLSearchParams({ db, epoch: 'ns', q: text })
    const body = (await (await fetch(`${url}/query?${asked}`, { headers })).json()) as {
      results?: QueryResult[]
      error?: string
    }
    const error = body.error ?? body.results?.find((result) => result.error !== undefined)?.error
    if (error !== undefined) throw new Error(`${text}: ${error}`)
    return body.results ?? []
  }
}
