/** The HTTP server below the routes, with limits that keep one client from blocking others: probes are answered whatever else is connected.
 *
 *   too many connections   the one that has been idle longest is closed, never one of the newest, which may be a probe
 *   TLS                    a connection that has not ended its handshake is closed before any other
 *   pipelining             a connection that sends a request before the answer to the last one is closed: no browser, probe or scraper does so,
 *                          and a thousand requests in one packet would be a thousand answers in memory. The parser gets small chunks, because
 *                          it turns everything it receives into requests, even after the connection was closed */
import type { RequestListener, Server, ServerOptions } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import type { Socket } from 'node:net'
import { http, https } from '../http-client/node-http.ts'

export interface ConnectionLimits extends ServerOptions {
  /** For the whole request, head and body. */
  readonly requestTimeout: number
  /** Without a byte in either direction. */
  readonly connectionTimeout: number
  readonly keepAliveTimeout: number
  readonly requestsPerSocketMax: number
  readonly connectionsMax: number
}

/** Most requests fit into one chunk. */
const CHUNK_BYTES_MAX = 1_024
/** Connections that may be idle in any case, so that one that was just opened, for a probe, is not the only one that can be closed. */
const NEW_MIN = 32

/** With `isTls` an https server, which has no certificate until `setSecureContext`. `endHandshakes`: before it is closed, as `closeAllConnections` does
 * not know connections without a finished handshake. */
export function createBoundedServer(
  onRequest: RequestListener,
  limits: ConnectionLimits,
  isTls: boolean,
): { readonly server: Server | TlsServer; endHandshakes(): void } {
  /** Handshakes in progress by the address of their client, idle connections, and those with a request in progress; the oldest first. */
  const shaking = new Map<string, Socket>()
  const waiting = new Set<Socket>()
  const busy = new Set<Socket>()

  const listener: RequestListener = (request, response) => {
    const { socket } = request
    if (busy.has(socket)) socket.destroy()
    if (socket.destroyed) return
    waiting.delete(socket)
    busy.add(socket)
    response.once('close', () => {
      if (busy.delete(socket) && !socket.destroyed) waiting.add(socket)
    })
    onRequest(request, response)
  }
  const server = isTls
    ? https.createServer({ ...limits, handshakeTimeout: limits.requestTimeout }, listener)
    : http.createServer(limits, listener)
  server.setTimeout(limits.connectionTimeout)
  server.maxRequestsPerSocket = limits.requestsPerSocketMax
  server.on('connection', (socket: Socket) => {
    if (shaking.size + waiting.size + busy.size >= limits.connectionsMax) closeOne()
    if (!isTls) return take(socket)
    const client = clientOf(socket)
    shaking.set(client, socket)
    socket.once('close', () => shaking.delete(client))
  })
  // The socket that requests come from is another one.
  server.on('secureConnection', (socket: Socket) => {
    shaking.delete(clientOf(socket))
    take(socket)
  })
  server.on('tlsClientError', (_error: Error, socket: Socket) => shaking.delete(clientOf(socket)))

  function take(socket: Socket): void {
    waiting.add(socket)
    readInChunks(socket)
    socket.once('close', () => {
      waiting.delete(socket)
      busy.delete(socket)
    })
  }

  function closeOne(): void {
    const [[client, oldestShaking] = []] = shaking
    if (client !== undefined) {
      shaking.delete(client)
      oldestShaking?.destroy()
      return
    }
    const [oldest] = waiting.size > NEW_MIN || busy.size === 0 ? waiting : busy
    if (oldest === undefined) return
    waiting.delete(oldest)
    busy.delete(oldest)
    oldest.destroy()
  }
  function endHandshakes(): void {
    for (const socket of shaking.values()) socket.destroy()
    shaking.clear()
  }
  return { server, endHandshakes }
}

function clientOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}

/** Stands between the socket and the parser, which node:http has attached just before. */
function readInChunks(socket: Socket): void {
  const parse = socket.listeners('data')[0] as ((chunk: Buffer) => void) | undefined
  if (parse === undefined) return
  socket.removeListener('data', parse)
  socket.on('data', (chunk: Buffer) => {
    for (let from = 0; from < chunk.length && !socket.destroyed; from += CHUNK_BYTES_MAX) {
      parse.call(socket, chunk.subarray(from, from + CHUNK_BYTES_MAX))
    }
  })
}
