/** A forward proxy as in a network that lets nothing else out: CONNECT, and whole URLs in plain requests. Only it knows the hosts. */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import { type AddressInfo, connect, type Server, type Socket } from 'node:net'
import tls from 'node:tls'
import { fileURLToPath } from 'node:url'
import type { Scope } from '../services/server-process.ts'

export interface ForwardProxy {
  readonly host: string
  /** `CONNECT host:port` and `POST http://host/path`, in order, those that were refused included. */
  readonly asked: readonly string[]
}

/** `targets`: `host:port` to the URL of a server on this machine. `user`: `name:password` that it asks for. */
export async function startForwardProxy(
  t: Scope,
  targets: ReadonlyMap<string, string>,
  user?: string,
): Promise<ForwardProxy> {
  const asked: string[] = []
  const expected = user === undefined ? undefined : `Basic ${Buffer.from(user).toString('base64')}`
  const server = http.createServer((request, response) => {
    const url = new URL(request.url ?? '')
    asked.push(`${request.method} ${url.href}`)
    if (request.headers['proxy-authorization'] !== expected) return void response.writeHead(407).end()
    const target = targets.get(`${url.hostname}:${url.port || 80}`)
    if (target === undefined) return void response.writeHead(502).end()
    const { method, headers } = request
    const on = http.request(target + url.pathname + url.search, { method: method ?? 'GET', headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    on.on('error', () => response.destroy())
    request.pipe(on)
  })
  server.on('connect', (request, client: Socket) => {
    asked.push(`CONNECT ${request.url}`)
    if (request.headers['proxy-authorization'] !== expected) return void client.end('HTTP/1.1 407 Who\r\n\r\n')
    const target = targets.get(request.url ?? '')
    if (target === undefined) return void client.end('HTTP/1.1 403 No\r\n\r\n')
    client.write('HTTP/1.1 200 Connected\r\n\r\n')
    join(client, connect(Number(new URL(target).port), '127.0.0.1'))
  })
  return { host: `127.0.0.1:${await listen(t, server)}`, asked }
}

/** TLS with a certificate of test/http-client/fixtures/tls in front of a plain server; its URL. */
export async function startTlsFront(t: Scope, target: string, certificate: string): Promise<string> {
  const [key, cert] = await Promise.all(['key', certificate].map((name) => readFile(certificateFile(name))))
  const server = tls.createServer({ key: key!, cert: cert! }, (client) => {
    join(client, connect(Number(new URL(target).port), '127.0.0.1'))
  })
  server.on('tlsClientError', () => undefined)
  return `https://127.0.0.1:${await listen(t, server)}`
}

export function certificateFile(name: string): string {
  return fileURLToPath(new URL(`../http-client/fixtures/tls/${name}.pem`, import.meta.url))
}

function join(one: Socket, other: Socket): void {
  one.pipe(other).pipe(one)
  for (const [here, there] of [
    [one, other],
    [other, one],
  ] as const) {
    here.on('error', () => there.destroy())
    here.on('close', () => there.destroy())
  }
}

async function listen(t: Scope, server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(async () => {
    const closed = once(server, 'close')
    server.close()
    for (const socket of sockets) socket.destroy()
    await closed
  })
  return (server.address() as AddressInfo).port
}
