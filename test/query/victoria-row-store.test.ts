/** The row store on a real VictoriaMetrics: what a store of numbers by milliseconds can keep of the contract. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { CollectorError } from '../../src/base/errors.ts'
import { openRows } from '../../src/query/open-rows.ts'
import { createVictoriaRowStore } from '../../src/query/victoria-row-store.ts'
import { influxSchema } from '../../src/sink/config.ts'
import { createInfluxHttp } from '../../src/sink/influxdb/transport.ts'
import { startHttpServer } from '../helpers/http-server.ts'
import { missing } from '../services/servers.ts'
import { startVictoriaMetrics } from '../services/victoria-metrics.ts'
import { rowStoreContract, TAILNET, type World } from './row-store-contract.ts'

const skip = await missing('victoria-metrics')
const signal = AbortSignal.timeout(600_000)

function storeOn(t: TestContext, url: string) {
  const http = createInfluxHttp({ ...influxSchema.parse({ url, api: 'v2', bucket: 'flows' }), url }, 'The database')
  t.after(() => http.stop())
  return createVictoriaRowStore({ tailnet: TAILNET }, { http, label: 'The database', clock: systemClock })
}

async function victoriaWorld(t: TestContext): Promise<World> {
  const victoria = await startVictoriaMetrics(t)
  return {
    store: storeOn(t, victoria.url),
    async write(lines) {
      const answer = await fetch(`${victoria.url}/api/v2/write?precision=ns`, { method: 'POST', body: lines })
      if (answer.status !== 204) throw new Error(await answer.text())
      await victoria.flush()
    },
  }
}

rowStoreContract('VictoriaMetrics', victoriaWorld, { skip, isNumbersOnly: true })

const openAt = (t: TestContext, url: string) => {
  const influx = influxSchema.parse({ url, api: 'v2', bucket: 'flows' })
  const opened = openRows({ influx, retention: {}, storePath: '', tailnet: TAILNET }, { clock: systemClock })
  t.after(() => opened.stop())
  return opened.rows
}

test('a server is asked once what it is', { skip }, async (t) => {
  const { url } = await startVictoriaMetrics(t)
  const rows = openAt(t, url)
  assert.equal(await rows.reads(signal), 'numbers')
  // Names are not there, and nothing needs to be fixed.
  assert.equal(await rows.canQuery(signal), false)
  assert.deepEqual(await rows.minutes(0n, 60_000_000_000n, signal), [])
})

/** A list of databases for every query, as VictoriaMetrics and the part of its cluster that takes writes answer. */
const DATABASES = '{"results":[{"name":"databases","series":[{"columns":["name"],"values":[["flows"]]}]}]}'

for (const [title, status, text, expected] of [
  ['takes writes alone', 400, 'unsupported path requested', 'nothing'],
  ['takes writes alone, in another way', 404, '', 'nothing'],
  ['refuses', 401, 'missing credentials', /db_unauthorized|db_forbidden/],
  ['is in trouble', 503, 'no storage', /db_unavailable|db_overloaded|db_server_error/],
] as const)
  test(`a server that ${title}`, async (t) => {
    const server = await startHttpServer(t, (request, response) => {
      const isQuery = request.url?.startsWith('/query')
      response.writeHead(isQuery ? 200 : status, { 'content-type': 'application/json' })
      response.end(isQuery ? DATABASES : text)
    })
    const asked = openAt(t, server.url).reads(signal)
    if (expected === 'nothing') return assert.equal(await asked, 'nothing')
    await assert.rejects(asked, (error) => error instanceof CollectorError && expected.test(error.code))
  })

test('an answer that is no export is told', async (t) => {
  const server = await startHttpServer(t, (_request, response) => response.end('<html>\nsign in\n</html>\n'))
  await assert.rejects(
    storeOn(t, server.url).minutes(0n, 60_000_000_000n, signal),
    /no export of VictoriaMetrics\)\. Check that INFLUX_URL is VictoriaMetrics itself\.$/,
  )
})
