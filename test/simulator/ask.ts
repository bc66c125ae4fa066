/** The simulated API, and a plain HTTP client for it: no redirects, no decompression. */
import http, { type IncomingHttpHeaders } from 'node:http'
import type { TestContext } from 'node:test'
import { createSimulatedApi, type SimulatedApi, type SimulatedApiOptions } from './api.ts'
import type { TailnetOptions } from './options.ts'
import { HOUR, NOON } from './ranges.ts'
import { createTailnet, type Tailnet } from './tailnet.ts'

export const KEY = 'Bearer tskey-api-demo'
export const LOGS = '/api/v2/tailnet/-/logging/network'

export interface Served {
  readonly tailnet: Tailnet
  readonly server: SimulatedApi
  ask(path: string, options?: Asking): Promise<Answered>
  /** GET `logging/network`, with the API key. */
  logs(fromNs: bigint, toNs: bigint, options?: Asking): Promise<Answered>
}
export interface Asking {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly form?: Record<string, string>
  /** Closes the connection after this many bytes of the body. */
  readonly leaveAfterBytes?: number
  readonly signal?: AbortSignal
}
export interface Answered {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** False: the connection broke before the end. */
  readonly complete: boolean
}

/** Stopped with the test. The API's clock stands still, by default at NOON + 1 h. */
export async function serve(
  t: TestContext,
  tailnetOptions: TailnetOptions = {},
  options: SimulatedApiOptions = {},
): Promise<Served> {
  const tailnet = createTailnet({ nodes: 20, ...tailnetOptions })
  const server = createSimulatedApi(tailnet, { nowNs: () => NOON + HOUR, ...options })
  await server.start()
  t.after(() => server.stop())
  const ask = (path: string, asking: Asking = {}) => request(server.url + path, asking)
  return {
    tailnet,
    server,
    ask,
    logs: (fromNs, toNs, asking = {}) =>
      ask(`${LOGS}?start=${encodeURIComponent(timeText(fromNs))}&end=${encodeURIComponent(timeText(toNs))}`, {
        ...asking,
        headers: { authorization: KEY, ...asking.headers },
      }),
  }
}

export function timeText(ns: bigint): string {
  const fraction = String(ns % 1_000_000_000n).padStart(9, '0')
  return new Date(Number(ns / 1_000_000n)).toISOString().replace(/\.\d+Z$/, `.${fraction}Z`)
}

export function jsonOf<T>(answer: Answered): T {
  return JSON.parse(answer.body.toString()) as T
}

/** The JSON texts of the messages of a response. */
export function messagesOf(body: Buffer): string[] {
  const list = /^\{"logs":\[(.*)\]\}\n$/s.exec(body.toString())?.[1]
  if (list === undefined) throw new Error(`no list in ${body.toString().slice(0, 100)}`)
  return list === '' ? [] : list.split(/,(?=\{"logged":)/)
}

function request(
  url: string,
  { method = 'GET', headers = {}, form, leaveAfterBytes, signal }: Asking,
): Promise<Answered> {
  const { promise, resolve, reject } = Promise.withResolvers<Answered>()
  const body = form && new URLSearchParams(form).toString()
  const sent = http.request(url, {
    method: form ? 'POST' : method,
    agent: false,
    headers: { ...(body ? { 'content-type': 'application/x-www-form-urlencoded' } : {}), ...headers },
    ...(signal ? { signal } : {}),
  })
  sent.on('error', reject)
  sent.on('response', (response) => {
    const pieces: Buffer[] = []
    let size = 0
    response.on('data', (piece: Buffer) => {
      pieces.push(piece)
      size += piece.length
      if (leaveAfterBytes !== undefined && size >= leaveAfterBytes) sent.destroy()
    })
    // `complete` says whether the response broke off.
    response.on('error', () => undefined)
    response.on('close', () =>
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: Buffer.concat(pieces),
        complete: response.complete,
      }),
    )
  })
  sent.end(body)
  return promise
}
