/** In front of a real InfluxDB 1.x: passes everything on, but refuses marked lines exactly as 1.x refuses a line that it cannot parse: the others
 * of the batch are written, the answer is a 400 that quotes the lines. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import type { Scope } from '../../test/services/server-process.ts'

export interface Refuser {
  readonly url: string
  /** Requests by path, and those that were answered 400. */
  readonly counts: { write: number; query: number; other: number; refused: number }
}

export async function startRefuser(scope: Scope, target: () => string, mark: string): Promise<Refuser> {
  const counts = { write: 0, query: 0, other: 0, refused: 0 }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '/'
    const kind = path.startsWith('/write') ? 'write' : path.startsWith('/query') ? 'query' : 'other'
    counts[kind] += 1
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    let body = Buffer.concat(chunks)
    const headers = new Headers()
    for (const name of ['authorization', 'content-type']) {
      const value = request.headers[name]
      if (typeof value === 'string') headers.set(name, value)
    }
    if (request.headers['content-encoding'] === 'gzip') body = gunzipSync(body)
    const bad: string[] = []
    if (kind === 'write' && body.includes(mark)) {
      const lines = body.toString().split('\n')
      bad.push(...lines.filter((line) => line.includes(mark)))
      body = Buffer.from(lines.filter((line) => !line.includes(mark)).join('\n'))
    }
    const isAll = bad.length > 0 && body.toString().trim() === ''
    const answer = isAll
      ? undefined
      : await fetch(`${target()}${path}`, {
          method: request.method ?? 'GET',
          headers,
          ...(request.method === 'POST' ? { body } : {}),
        })
    const text = answer === undefined ? '' : await answer.text()
    if (bad.length === 0 || (answer !== undefined && answer.status !== 204)) {
      const version = answer?.headers.get('x-influxdb-version')
      response.writeHead(answer?.status ?? 500, {
        ...(version ? { 'x-influxdb-version': version } : {}),
        'content-type': answer?.headers.get('content-type') ?? 'application/json',
      })
      response.end(text)
      return
    }
    counts.refused += 1
    const quoted = bad.map((line) => `unable to parse '${line}': bad timestamp`).join('\n')
    const error = isAll ? quoted : `partial write: ${quoted} dropped=0`
    response.writeHead(400, { 'content-type': 'application/json' })
    response.end(`${JSON.stringify({ error })}\n`)
  }

  const server = createServer((request, response) => {
    handle(request, response).catch(() => {
      // The database is away just now: so is what stands in front of it.
      response.destroy()
    })
  })
  // InfluxDB keeps idle connections; a server of Node would close them after five seconds.
  server.keepAliveTimeout = 600_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  scope.after(async () => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, counts }
}
