/** Error answers: JSON with the status code and a sentence, never a stack. */
import type { Socket } from 'node:net'
import type { FastifyReply } from 'fastify'
import type { ErrorAnswer } from './answers.ts'

export function refuse(reply: FastifyReply, status: number, error: string): FastifyReply {
  return reply.code(status).send({ status, error } satisfies ErrorAnswer)
}

/** Input that is not HTTP, too large or too slow never becomes a request. It is answered once, however many errors the parser finds in it. */
export function refuseBadRequest(error: Error & { code?: string }, socket: Socket): void {
  if (socket.writableEnded) return
  // A handshake that failed: what is written now would never be sent.
  if (!/^(?:HPE|ERR_HTTP)_/.test(error.code ?? '')) {
    socket.destroy()
    return
  }
  const [status, reason] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? [431, 'Request Header Fields Too Large']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'Request Timeout']
        : [400, 'Bad Request']
  const body = JSON.stringify({ status, error: reason })
  if (socket.writable) {
    socket.write(
      `HTTP/1.1 ${status} ${reason}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
    )
  }
  socket.destroySoon()
}
