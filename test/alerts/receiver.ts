/** A real HTTP server that takes what notifiers send, and answers what a test scripts. */
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { startHttpServer } from '../helpers/http-server.ts'

export interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  // biome-ignore lint/suspicious/noExplicitAny: whatever JSON came, or the text
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
  let answers: Script[] = []
  let fallback: Script = 200
  let decide: ((request: Pick<Received, 'path' | 'body'>) => number) | undefined
  const server = await startHttpServer(undefined, async (request, response) => {
    const content = await text(request)
    const path = request.url ?? ''
    const body = content === '' || request.headers['content-type']?.startsWith('text/') ? content : JSON.parse(content)
    const answer = answers.shift() ?? decide?.({ path, body }) ?? fallback
    received.push({
      path,
      headers: request.headers,
      body,
      status: typeof answer === 'number' ? answer : 0,
      atMs: performance.now(),
      atNs: now(),
    })
    server.changed()
    if (typeof answer === 'function') return answer(response)
    response.writeHead(answer, { 'content-type': 'text/plain' }).end(answer < 300 ? '' : `answer ${answer}`)
  })
  const until = (fits: (received: readonly Received[]) => boolean) => server.until(() => fits(received))
  return {
    url: server.url,
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
    close: server.close,
    [Symbol.asyncDispose]: server.close,
  }
}
