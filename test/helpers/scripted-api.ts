/** A small real HTTP(S) server that answers what a test scripts, and keeps what it was asked. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { startHttpServer } from './http-server.ts'

export interface Asked {
  readonly method: string
  /** As sent: path and query, encoded. */
  readonly url: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly body: string
}
export type Reply = (response: ServerResponse, asked: Asked, request: IncomingMessage) => void | Promise<void>

/** How the paths of the Tailscale API end. */
export type Route = 'logging/network' | 'devices' | 'settings' | 'oauth/token' | 'oauth/token-exchange'

export interface ScriptedApi extends AsyncDisposable {
  /** Without a slash at the end. */
  readonly url: string
  /** From now on the route gives these replies, one per request, and then the last one again and again. Routes without any give 404. */
  on(route: Route, ...replies: [Reply, ...Reply[]]): void
  /** What came in so far, in order; of one route or of all. */
  asked(route?: Route): readonly Asked[]
  /** Resolves when this many requests of the route have come in. */
  arrived(route: Route, count: number): Promise<void>
  openSockets(): number
  /** Sockets that were ever opened. */
  socketsSeen(): number
  /** Resolves when no socket is open any more. */
  allClosed(): Promise<void>
  close(): Promise<void>
}

export async function startScriptedApi(tls?: { key: string; cert: string }): Promise<ScriptedApi> {
  const replies = new Map<string, Reply[]>()
  const asked: { route: string; asked: Asked }[] = []

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece)
    const url = new URL(request.url ?? '/', 'http://scripted')
    const one: Asked = {
      method: request.method ?? '',
      url: request.url ?? '',
      query: url.searchParams,
      headers: request.headers,
      body: Buffer.concat(pieces).toString(),
    }
    const route =
      /(logging\/network|devices|settings|oauth\/token-exchange|oauth\/token)$/.exec(url.pathname)?.[1] ?? url.pathname
    asked.push({ route, asked: one })
    server.changed()
    const script = replies.get(route)
    const reply = (script && script.length > 1 ? script.shift() : script?.[0]) ?? json(404, { message: 'not found' })
    await reply(response, one, request)
  }

  const server = await startHttpServer(undefined, handle, { tls })
  const of = (route?: Route) =>
    asked.filter((one) => route === undefined || one.route === route).map((one) => one.asked)

  return {
    url: server.url,
    on: (route, ...list) => void replies.set(route, [...list]),
    asked: of,
    arrived: (route, count) => server.until(() => of(route).length >= count),
    openSockets: server.openSockets,
    socketsSeen: server.socketsSeen,
    allClosed: () => server.until(() => server.openSockets() === 0),
    close: server.close,
    [Symbol.asyncDispose]: server.close,
  }
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Reply {
  return text(status, JSON.stringify(body), { 'content-type': 'application/json', ...headers })
}

export function text(status: number, body: string | Uint8Array, headers: Record<string, string> = {}): Reply {
  return (response) => {
    response.writeHead(status, { 'content-type': 'text/html', ...headers }).end(body)
  }
}

/** One message with one entry, as `logging/network` lists them. */
export function wireMessage(index = 0): Record<string, unknown> {
  const second = String(index % 60).padStart(2, '0')
  return {
    logged: `2026-11-02T12:00:${second}.5Z`,
    nodeId: `n${index}CNTRL`,
    start: `2026-11-02T11:59:${second}.000000001Z`,
    end: `2026-11-02T11:59:${second}.9Z`,
    virtualTraffic: [{ proto: 6, src: '100.64.0.1:40000', dst: '100.64.0.2:443', txPkts: 1, txBytes: 100 + index }],
  }
}

/** Takes the request and never answers. */
export const silence: Reply = () => undefined

/** Good head, then these pieces, then nothing more: neither bytes nor an end. */
export function stall(...pieces: (string | Uint8Array)[]): Reply {
  return (response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    for (const piece of pieces) response.write(piece)
  }
}

/** Good head, `first`, and then `again` until the client hangs up. */
export function endless(headers: Record<string, string>, first: string, again: string | Uint8Array): Reply {
  return async (response) => {
    response.writeHead(200, headers)
    await pipeline(function* () {
      yield first
      while (true) yield again
    }, response)
  }
}
