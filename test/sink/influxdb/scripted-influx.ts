/** A small real HTTP server that answers as a test scripts, and three imitations of how InfluxDB 1.x, 2.x and 3.x refuse lines, as 1.6.7, 2.9.1 and 3.10.1 answered. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import { startHttpServer } from '../../helpers/http-server.ts'
import { linesOf } from '../../helpers/lines.ts'
import type { Scope } from '../../services/server-process.ts'

export interface Asked {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: IncomingHttpHeaders
  /** Decompressed. */
  readonly body: string
  /** Lines of the body, without comments. */
  readonly lines: readonly string[]
}
export interface Answer {
  readonly status: number
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
}
/** An answer, or what the server does instead. */
export type Reply = Answer | ((asked: Asked, response: ServerResponse) => Answer | undefined)

export interface ScriptedInflux {
  readonly url: string
  readonly asked: Asked[]
  /** These, one per request, and then the last one again and again. */
  script(...replies: [Reply, ...Reply[]]): void
  openSockets(): number
  socketsSeen(): number
  /** Resolves when it holds; looked at after each request and each connection that ends. */
  until(condition: () => boolean): Promise<void>
  close(): Promise<void>
  /** Again on the same port. */
  open(): Promise<void>
}

export const OK: Answer = { status: 204 }
export const hang: Reply = () => undefined
export const reset: Reply = (_asked, response) => {
  ;(response.socket as Socket).resetAndDestroy()
  return undefined
}

export function fault(status: number, error: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return {
    status,
    body: JSON.stringify({ error }),
    headers: { 'content-type': 'application/json', ...headers },
  }
}

export async function startScriptedInflux(t: Scope, tls?: { key: string; cert: string }): Promise<ScriptedInflux> {
  let replies: Reply[] = [OK]
  const asked: Asked[] = []

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const raw = await buffer(request)
    const url = new URL(request.url ?? '/', 'http://scripted')
    const body = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw).toString()
    const one: Asked = {
      method: request.method ?? '',
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      headers: request.headers,
      body,
      lines: linesOf(body).filter((line) => !line.startsWith('#')),
    }
    asked.push(one)
    const reply = (replies.length > 1 ? replies.shift() : replies[0]) as Reply
    const answer = typeof reply === 'function' ? reply(one, response) : reply
    if (answer) response.writeHead(answer.status, answer.headers).end(answer.body)
  }

  const { url, openSockets, socketsSeen, until, close, open } = await startHttpServer(t, handle, { tls })
  return {
    url,
    asked,
    script: (...given) => void (replies = [...given]),
    openSockets,
    socketsSeen,
    until,
    close,
    open,
  }
}

/** Always answers. */
export type Imitation = (asked: Asked) => Answer

/** What an imitated database holds: line by line as it was sent, the last one per identity. */
export type Stored = Map<string, string>

function keep(stored: Stored, lines: readonly string[]): void {
  for (const line of lines) {
    const parts = line.split(/(?<!\\) /)
    stored.set(`${parts[0]} ${parts.at(-1)}`, line)
  }
}

const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8' }
const quote = (bad: readonly string[], why: string) => bad.map((line) => `unable to parse '${line}': ${why}`).join('\n')

/** 1.x: good lines are written, the answer quotes every line that cannot be parsed and says `dropped=0` nevertheless. */
export function imitateV1(stored: Stored, isBad: (line: string) => boolean): Imitation {
  return ({ lines }) => {
    const bad = lines.filter(isBad)
    keep(
      stored,
      lines.filter((line) => !isBad(line)),
    )
    if (bad.length === 0) return OK
    if (bad.length === lines.length) return fault(400, quote(bad, 'missing fields'))
    return fault(400, `partial write: ${quote(bad, 'missing fields')} dropped=0`)
  }
}

/** 2.x: one line that cannot be parsed, and nothing is written (`parse`); a line that the storage does not take is 422, none is named, and the
 * others are written (`storage`). */
export function imitateV2(stored: Stored, isBad: (line: string) => boolean, why: 'parse' | 'storage'): Imitation {
  return ({ lines }) => {
    const bad = lines.filter(isBad)
    if (why === 'parse' && bad.length > 0) {
      const message = quote(bad, 'invalid number')
      return { status: 400, headers: JSON_TYPE, body: JSON.stringify({ code: 'invalid', message }) }
    }
    keep(
      stored,
      lines.filter((line) => !isBad(line)),
    )
    if (bad.length === 0) return OK
    const message = `failure writing points to database: partial write: invalid field name: input field "time" on measurement "m" is invalid dropped=${bad.length}`
    return { status: 422, headers: JSON_TYPE, body: JSON.stringify({ code: 'unprocessable entity', message }) }
  }
}

/** 3.x: with `accept_partial=false` nothing is written and the first bad line is named; else the good ones are written, and all bad ones named.
 * On the path of 2.x nothing is written and no line is named. Errors come without a content type. */
export function imitateV3(stored: Stored, isBad: (line: string) => boolean): Imitation {
  return ({ lines, path, query }) => {
    const said = 'No fields were provided'
    const data = lines.flatMap((line, index) =>
      isBad(line) ? [{ error_message: said, line_number: index + 1, original_line: line.slice(0, 20) }] : [],
    )
    const isPartial = path === '/api/v3/write_lp' && query['accept_partial'] !== 'false'
    if (data.length === 0 || isPartial) {
      keep(
        stored,
        lines.filter((line) => !isBad(line)),
      )
    }
    if (data.length === 0) return OK
    if (path === '/api/v2/write') {
      const message = `write buffer error: line protocol parse failed: ${said}`
      return { status: 400, body: JSON.stringify({ code: 'invalid', message }) }
    }
    if (isPartial)
      return { status: 400, body: JSON.stringify({ error: 'partial write of line protocol occurred', data }) }
    return { status: 400, body: JSON.stringify({ error: 'line protocol parsing error', data: data[0] }) }
  }
}
