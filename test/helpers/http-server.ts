/** A real HTTP server on a free port that answers what a test scripts. */
import { EventEmitter, once } from 'node:events'
import http, { type RequestListener } from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Scope } from '../services/server-process.ts'

export interface HttpServer extends AsyncDisposable {
  readonly url: string
  /** Connections that are open now, and all that there ever were. */
  openSockets(): number
  socketsSeen(): number
  /** Resolves when it holds; looked at after each connection that ends, each answer, and each call of `changed`. */
  until(condition: () => boolean): Promise<void>
  changed(): void
  /** Ends it and every connection. */
  close(): Promise<void>
  /** Listens again, on the same port. */
  open(): Promise<void>
}

export interface HttpServerOptions {
  readonly tls?: { readonly key: string; readonly cert: string } | undefined
  /** Without it any free one. */
  readonly port?: number
}

/** Listens when this resolves. With a scope it ends with the test. A listener that rejects breaks the connection off: a client that hangs up
 * while it is answered is what many tests are about. */
export async function startHttpServer(
  scope: Scope | undefined,
  listener: (...args: Parameters<RequestListener>) => unknown,
  { tls, port = 0 }: HttpServerOptions = {},
): Promise<HttpServer> {
  const sockets = new Set<Socket>()
  const changes = new EventEmitter().setMaxListeners(0)
  const changed = () => void changes.emit('change')
  let seen = 0
  const handle: RequestListener = (request, response) => {
    Promise.try(listener, request, response)
      .catch(() => response.destroy())
      .finally(changed)
  }
  const server = tls ? https.createServer(tls, handle) : http.createServer(handle)
  server.keepAliveTimeout = 60_000
  server.on('connection', (socket: Socket) => {
    seen += 1
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => {
      sockets.delete(socket)
      changed()
    })
  })
  let listensOn = port

  async function open(): Promise<void> {
    server.listen(listensOn, '127.0.0.1')
    await once(server, 'listening')
    listensOn = (server.address() as AddressInfo).port
  }

  async function close(): Promise<void> {
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    for (const socket of sockets) socket.destroy()
    await closed
  }

  await open()
  scope?.after(close)
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${listensOn}`,
    openSockets: () => sockets.size,
    socketsSeen: () => seen,
    async until(condition) {
      while (!condition()) await once(changes, 'change')
    },
    changed,
    close,
    open,
    [Symbol.asyncDispose]: close,
  }
}
