/** What a hostile or broken network answers to a request, byte by byte. Everything that continues ends with its socket. */
import type { Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import type { RawAnswer } from './raw-server.ts'

const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n'
/** 64 MiB of blanks, which JSON allows before its first token. */
const BOMB = gzipSync(Buffer.alloc(64 << 20, ' '))

function every(ms: number, socket: Socket, act: () => void): void {
  const timer = setInterval(act, ms)
  socket.once('close', () => clearInterval(timer))
}
/** As fast as the other side reads. */
function flood(socket: Socket, piece: string | Buffer): void {
  const more = () => {
    while (!socket.destroyed && socket.write(piece));
  }
  socket.on('drain', more)
  more()
}

/** `elsewhere` must never be asked anything. */
export function hostileAnswers(elsewhere: string): Readonly<Record<string, RawAnswer>> {
  return {
    'never answers': () => undefined,
    'a head that drips': (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nx-slow: ')
      every(50, socket, () => socket.write('a'))
    },
    'a head without an end': (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n')
      flood(socket, `x-more: ${'a'.repeat(1000)}\r\n`.repeat(60))
    },
    'one header of a megabyte': (socket) => socket.write(`${HEAD}x-large: ${'a'.repeat(1 << 20)}\r\n\r\n`),
    'a body that drips': (socket) => {
      socket.write(`${HEAD}content-length: 1000000\r\n\r\n`)
      every(50, socket, () => socket.write(' '))
    },
    'a body without an end': (socket) => {
      socket.write(`${HEAD}transfer-encoding: chunked\r\n\r\n`)
      flood(socket, `10000\r\n${' '.repeat(65536)}\r\n`)
    },
    'a reset in the middle of a body': (socket) => {
      socket.write(`${HEAD}content-length: 1000\r\n\r\n{"logs":[`, () => setTimeout(() => socket.resetAndDestroy(), 20))
    },
    'an end right after the head': (socket) => socket.end(`${HEAD}content-length: 1000\r\n\r\n`),
    'an end without a byte': (socket) => socket.end(),
    'a status line that is none': (socket) => socket.end('SSH-2.0-OpenSSH_9.2p1\r\n\r\n'),
    'a status without a meaning': (socket) => socket.write('HTTP/1.1 999 \r\ncontent-length: 0\r\n\r\n'),
    'JSON without a head': (socket) => socket.end('{"logs":[]}'),
    '100 Continue without an end': (socket) => flood(socket, 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(2000)),
    '101 that nobody asked for': (socket) =>
      socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nxxxx'),
    'a redirect in a circle': (socket, { path }) =>
      socket.write(`HTTP/1.1 307 Temporary Redirect\r\nlocation: ${path}\r\ncontent-length: 0\r\n\r\n`),
    'a redirect to another host': (socket, { path }) =>
      socket.write(`HTTP/1.1 308 Permanent Redirect\r\nlocation: ${elsewhere}${path}\r\ncontent-length: 0\r\n\r\n`),
    'chunks that are none': (socket) =>
      socket.write(`${HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n{"logs":[]}\r\n0\r\n\r\n`),
    'a chunk of exabytes': (socket) => socket.write(`${HEAD}transfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n{}`),
    'a gzip bomb': (socket) => {
      socket.write(`${HEAD}content-encoding: gzip\r\ncontent-length: ${BOMB.length}\r\n\r\n`)
      socket.write(BOMB)
    },
    'gzip that is none': (socket) =>
      socket.write(`${HEAD}content-encoding: gzip\r\ncontent-length: 11\r\n\r\n{"logs":[]}`),
    'more than Content-Length': (socket) =>
      socket.write(`${HEAD}content-length: 5\r\n\r\n{"logs":[]}HTTP/1.1 204 No Content\r\n\r\n`),
    'two lengths': (socket) => socket.write(`${HEAD}content-length: 11\r\ncontent-length: 4\r\n\r\n{"logs":[]}`),
    'a length and chunks': (socket) =>
      socket.write(`${HEAD}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\nb\r\n{"logs":[]}\r\n0\r\n\r\n`),
    'a wait of three years': (socket) =>
      socket.write('HTTP/1.1 503 Service Unavailable\r\nretry-after: 99999999\r\ncontent-length: 0\r\n\r\n'),
    'a refusal without an end': (socket) => {
      socket.write('HTTP/1.1 500 Internal Server Error\r\ntransfer-encoding: chunked\r\n\r\n')
      flood(socket, `10000\r\n${'x'.repeat(65536)}\r\n`)
    },
  }
}
