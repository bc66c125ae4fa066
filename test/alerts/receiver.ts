/** A real HTTP server that takes what notifiers send, and answers what a test scripts. */
import { EventEmitter, once } from 'node:events'
import http, { type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

export interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  // biome-ignore lint/suspicious/noExplicitAny: whatever JSON came
  readonly body: any
  /** What it was answered with; 0 when a function answered. */
  readonly status: number
  /** When it was all there: `performance.now()`, and the clock of the service. */
  readonly atMs: number
  readonly atNs: bigint
}

export type Script = number | ((response: ServerResponse) => void)

export interface Receiver extends AsyncDisposable {
  readonly url: string
  /** Everything that was taken or refused, in order. */
  readonly received: readonly Received[]
  /** Answers for the next requests, one each; then 200 again. A function answers itself, or never. */
  script(...answers: Script[]): void
  /** From now on every request gets this answer, until 200. */
  always(answer: Script): void
  /** From now on every request gets the status that this decides. */
  answer(decide: (request: Pick<Received, 'path' | 'body'>) => number): void
  /** Resolves when so many requests have come in. */
  arrived(count: number): Promise<void>
  /** Resolves when something that fits has come in. */
  until(fits: (received: readonly Received[]) => boolean): Promise<void>
  close(): Promise<void>
}

/** `now`: the clock of the service that sends. */
export async function startReceiver(now: () => bigint = () => 0n): Promise<Receiver> {
  const received: Received[] = []
  const changes = new EventEmitter().setMaxListeners(0)
  let answers: Script[] = []
  let fallback: Script = 200
  let decide: ((request: Pick<Received, 'path' | 'body'>) => number) | undefined
  const server = http.createServer(async (request, response) => {
    const content = await text(request)
    const path = request.url ?? ''
    const body = content === '' ? undefined : JSON.parse(content)
    const answer = answers.shift() ?? decide?.({ path, body }) ?? fallback
    received.push({
      path,
      headers: request.headers,
      body,
      status: typeof answer === 'number' ? answer : 0,
      atMs: performance.now(),
      atNs: now(),
    })
    changes.emit('change')
    if (typeof answer === 'function') return answer(response)
    response.writeHead(answer, { 'content-type': 'text/plain' }).end(answer < 300 ? '' : `answer ${answer}`)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  async function until(fits: (received: readonly Received[]) => boolean): Promise<void> {
    while (!fits(received)) await once(changes, 'change')
  }
  async function close(): Promise<void> {
    if (!server.listening) return
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  }
  return {
    url: `http://127.0.0.1:${port}`,
    received,
    script(...more) {
      answers = [...answers, ...more]
    },
    always(answer) {
      fallback = answer
    },
    answer(other) {
      decide = other
    },
    arrived: (count) => until((all) => all.length >= count),
    until,
    close,
    [Symbol.asyncDispose]: close,
  }
}
