/** The HTTP server below the routes, with limits that keep one client from blocking others: probes are answered whatever else is connected.
 *
 *   too many connections   the one that has been idle longest is closed, never the new one, which may be a probe
 *   pipelining             a connection that sends a request before the answer to the last one is closed: no browser, probe or scraper does so,
 *                          and a thousand requests in one packet would be a thousand answers in memory. The parser gets small chunks, because
 *                          it turns everything it receives into requests, even after the connection was closed */
import type { RequestListener, Server, ServerOptions } from 'node:http'
import type { Socket } from 'node:net'
import { http } from '../http-client/node-http.ts'

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

export function createBoundedServer(onRequest: RequestListener, limits: ConnectionLimits): Server {
  /** Idle connections, the longest idle first; and those with a request in progress. */
  const waiting = new Set<Socket>()
  const busy = new Set<Socket>()

  const server = http.createServer(limits, (request, response) => {
    const { socket } = request
    if (busy.has(socket)) socket.destroy()
    if (socket.destroyed) return
    waiting.delete(socket)
    busy.add(socket)
    response.once('close', () => {
      if (busy.delete(socket) && !socket.destroyed) waiting.add(socket)
    })
    onRequest(request, response)
  })
  server.setTimeout(limits.connectionTimeout)
  server.maxRequestsPerSocket = limits.requestsPerSocketMax
  server.on('connection', (socket) => {
    if (waiting.size + busy.size >= limits.connectionsMax) closeOne()
    waiting.add(socket)
    readInChunks(socket)
    socket.once('close', () => {
      waiting.delete(socket)
      busy.delete(socket)
    })
  })

  function closeOne(): void {
    const [oldest] = waiting.size > 0 ? waiting : busy
    if (oldest === undefined) return
    waiting.delete(oldest)
    busy.delete(oldest)
    oldest.destroy()
  }
  return server
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
