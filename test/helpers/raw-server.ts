/** A TCP server that reads HTTP requests and answers with whatever bytes a test likes, however wrong they are. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

export interface RawRequest {
  /** `/api/v2/write?org=…` */
  readonly path: string
  /** The request line and all headers. */
  readonly head: string
  readonly body: Buffer
}

/** Called for each request. What it starts must end when the socket closes. */
export type RawAnswer = (socket: Socket, request: RawRequest) => void

export interface RawServer {
  readonly port: number
  readonly url: string
  /** Every request so far. */
  readonly asked: readonly RawRequest[]
  /** For every request from now on that no other answer takes. */
  answer: RawAnswer
  openSockets(): number
}

export async function startRawServer(t: Pick<TestContext, 'after'>, answer: RawAnswer): Promise<RawServer> {
  const asked: RawRequest[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    // Clients that hang up are what the tests are about.
    socket.on('error', () => undefined)
    let got: Buffer = Buffer.alloc(0)
    socket.on('data', (piece: Buffer) => {
      got = got.length === 0 ? piece : Buffer.concat([got, piece])
      for (;;) {
        const headEnd = got.indexOf('\r\n\r\n')
        if (headEnd < 0) return
        const head = got.subarray(0, headEnd).toString('latin1')
        const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0)
        if (got.length < headEnd + 4 + length) return
        const request = { path: head.split(' ')[1] ?? '', head, body: got.subarray(headEnd + 4, headEnd + 4 + length) }
        got = got.subarray(headEnd + 4 + length)
        asked.push(request)
        raw.answer(socket, request)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const raw: RawServer = { port, url: `http://127.0.0.1:${port}`, asked, answer, openSockets: () => sockets.size }
  return raw
}

/** A good answer, complete with its length. */
export function whole(
  status: string,
  body: string | Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): Buffer {
  const all = { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)), ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status}\r\n${lines.join('')}\r\n`), Buffer.from(body)])
}
