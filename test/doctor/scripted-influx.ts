/** A small real HTTP server that answers as InfluxDB 2.x and 3.x do where they differ from 1.x: the shapes are those of the handlers of 2.7
 * (http/write_handler.go, http/legacy, tenant/http_server_bucket.go) and 3.x (influxdb3_server/src/http.rs, http/v1). It keeps the sample
 * point in memory, so that what is written can be read back. */
import type { TestContext } from 'node:test'
import { startHttpServer } from '../helpers/http-server.ts'
import { linesOf } from '../helpers/lines.ts'

export interface ScriptedInflux {
  readonly version: string
  readonly token: string
  readonly bucket: string
  readonly retentionSeconds?: number
  /** Other buckets or databases, with their retention, seconds. */
  readonly others?: Readonly<Record<string, number>>
  /** Without: InfluxQL does not find the bucket. */
  readonly hasMapping?: boolean
  /** The token may write, and nothing else. */
  readonly isWriteOnly?: boolean
  /** Acknowledges, and forgets. */
  readonly forgets?: boolean
  /** Instead of the checkpoint. */
  readonly checkpoint?: { readonly status: number; readonly body: unknown }
  /** InfluxQL of the checkpoint shows no point that was written. */
  readonly showsOther?: boolean
  /** Added to its clock, ms. */
  readonly skewMs?: number
}

export async function startScriptedInflux(t: TestContext, script: ScriptedInflux): Promise<{ url: string }> {
  const isV3 = script.version.startsWith('3')
  const others: Readonly<Record<string, number>> = script.others ?? {}
  let lines: string[] = []
  return await startHttpServer(t, async (request, response) => {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    const { pathname, searchParams: query } = new URL(request.url ?? '/', 'http://influx')
    response.sendDate = false
    response.setHeader('date', new Date(Date.now() + (script.skewMs ?? 0)).toUTCString())
    const send = (status: number, value?: unknown) => {
      response.writeHead(status, {
        'content-type': 'application/json',
        'x-influxdb-version': isV3 ? script.version : `v${script.version}`,
        'x-influxdb-build': isV3 ? 'Core' : 'OSS',
      })
      response.end(value === undefined ? undefined : JSON.stringify(value))
    }
    const isKnown = [`Token ${script.token}`, `Bearer ${script.token}`].includes(request.headers.authorization ?? '')
    const unknown = isV3
      ? { error: 'the request was not authenticated' }
      : { code: 'unauthorized', message: 'unauthorized access' }
    if (pathname === '/ping') {
      if (!isV3) return send(204)
      return isKnown ? send(200, { version: script.version, revision: 'abcdef' }) : send(401, unknown)
    }
    if (!isKnown) return send(401, unknown)
    const asked = query.get(isV3 && pathname === '/api/v3/write_lp' ? 'db' : 'bucket')
    if (pathname === '/api/v2/write' || (isV3 && pathname === '/api/v3/write_lp')) {
      if (!isV3 && asked !== script.bucket && others[asked ?? ''] === undefined) {
        return send(404, { code: 'not found', message: `bucket "${asked}" not found` })
      }
      if (body.startsWith('#')) {
        return isV3 ? send(400, { error: 'incoming write was empty' }) : send(204)
      }
      if (!script.forgets) lines = [...lines, ...linesOf(body)]
      return send(204)
    }
    if (pathname === '/api/v2/buckets' && !isV3) {
      const all = Object.entries({ [script.bucket]: script.retentionSeconds ?? 0, ...others })
      const buckets = all.map(([name, everySeconds]) => ({ name, retentionRules: [{ type: 'expire', everySeconds }] }))
      return send(200, { buckets: script.isWriteOnly ? [] : buckets.filter(({ name }) => name === query.get('name')) })
    }
    if (pathname === '/query') {
      if (script.isWriteOnly) return send(403, { code: 'forbidden', message: 'insufficient permissions' })
      if (script.hasMapping === false) {
        return send(200, { results: [{ statement_id: 0, error: `database not found: ${script.bucket}` }] })
      }
      const shown = /^SHOW RETENTION POLICIES ON "(.*)"$/.exec(query.get('q') ?? '')?.[1]
      if (shown !== undefined && isV3 && script.others !== undefined) {
        const seconds = shown === script.bucket ? (script.retentionSeconds ?? 0) : others[shown]
        if (seconds === undefined) {
          const why = `Cannot retrieve database: External error: database not found: ${shown}`
          return send(200, { results: [{ statement_id: 0, error: why }] })
        }
        const values = [[shown, `${seconds / 3600}h0m0s`, true]]
        const series = [{ name: 'retention_policies', columns: ['name', 'duration', 'default'], values }]
        return send(200, { results: [{ statement_id: 0, series }] })
      }
      const question = /FROM "tailflux_window".* time >= (\d+) AND time <= (\d+)$/.exec(query.get('q') ?? '')
      if (question) {
        if (script.checkpoint) return send(script.checkpoint.status, script.checkpoint.body)
        const [, fromNs = '0', toNs = '0'] = question
        // As text: numbers of this size would be rounded.
        const rows = lines.flatMap((line) => {
          const [, tags, acked, ns = '0'] = /^tailflux_window(\S*) acked=(\d+)i (\d+)$/.exec(line) ?? []
          if (acked === undefined || script.showsOther || BigInt(ns) < BigInt(fromNs) || BigInt(ns) > BigInt(toNs))
            return []
          const tag = (name: string) => JSON.stringify(new RegExp(`,${name}=([^,]*)`).exec(tags ?? '')?.[1] ?? null)
          return [`[${ns},${acked},null,null,${tag('pass')},${tag('writer')}]`]
        })
        const columns = '["time","acked","watermark","passed","pass","writer"]'
        const series =
          rows.length === 0 ? '' : `,"series":[{"name":"tailflux_window","columns":${columns},"values":[${rows}]}]`
        response.writeHead(200, { 'content-type': 'application/json' })
        return response.end(`{"results":[{"statement_id":0${series}}]}`)
      }
      const ns = /time = (\d+)/.exec(query.get('q') ?? '')?.[1]
      const line = lines.find((one) => ns !== undefined && one.endsWith(` ${ns}`))
      const nonce = /nonce=(\d+)i/.exec(line ?? '')?.[1]
      if (nonce === undefined) return send(200, { results: [{ statement_id: 0 }] })
      const series = { name: 'tailflux_check', columns: ['time', 'nonce'], values: [[Number(ns), Number(nonce)]] }
      return send(200, { results: [{ statement_id: 0, series: [series] }] })
    }
    return send(404, { code: 'not found', message: 'path not found' })
  })
}
