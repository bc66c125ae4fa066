/** A server that takes messages as ntfy does: one JSON object per POST to its root, checked, answered with the message as it is kept, and given back
 * to whoever polls the topic. Documented at https://docs.ntfy.sh/publish/#publish-as-json and https://docs.ntfy.sh/subscribe/api/#poll-for-messages.
 * What it answers can be scripted. */
import type { IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { startHttpServer } from '../helpers/http-server.ts'
import { linesOf } from '../helpers/lines.ts'

export interface NtfyMessage {
  readonly id: string
  readonly event: 'message'
  readonly topic: string
  readonly title?: string
  readonly message: string
  readonly priority?: number
  readonly tags?: readonly string[]
  readonly click?: string
}

/** A POST that was taken. */
export interface Published {
  readonly message: NtfyMessage
  /** As they were sent: names as written, in order. */
  readonly rawHeaders: readonly string[]
  readonly path: string
  /** `performance.now()`, and the clock of the service. */
  readonly atMs: number
  readonly atNs: bigint
}

export interface NtfyServer extends AsyncDisposable {
  readonly url: string
  /** What was taken, in order. */
  readonly published: readonly Published[]
  /** Statuses of what was not. */
  readonly refused: readonly number[]
  /** Answers for the next POSTs, one each, in place of what it would say. */
  script(...statuses: number[]): void
  until(fits: (published: readonly Published[]) => boolean): Promise<void>
  /** As a phone asks: everything that the topic holds. */
  poll(topic: string): Promise<NtfyMessage[]>
  close(): Promise<void>
}

/** `now`: the clock of the service that sends. */
export async function startNtfy(now: () => bigint = () => 0n): Promise<NtfyServer> {
  const published: Published[] = []
  const refused: number[] = []
  let scripted: number[] = []

  function take(request: IncomingMessage, body: string): { status: number; answer: object } {
    const forced = scripted.shift()
    if (forced !== undefined) return { status: forced, answer: { http: forced, error: 'scripted' } }
    const fault = faultOf(body)
    if (fault !== undefined) return { status: 400, answer: { code: 40017, http: 400, error: fault } }
    const message: NtfyMessage = { ...JSON.parse(body), id: `m${published.length + 1}`, event: 'message' }
    const { url = '', rawHeaders } = request
    published.push({ message, rawHeaders, path: url, atMs: performance.now(), atNs: now() })
    return { status: 200, answer: message }
  }

  const server = await startHttpServer(undefined, async (request, response) => {
    const body = await text(request)
    const [, topic] = /^\/([\w-]{1,64})\/json\?poll=1$/.exec(request.url ?? '') ?? []
    if (request.method === 'GET' && topic !== undefined) {
      const held = published.filter(({ message }) => message.topic === topic)
      response.writeHead(200, { 'content-type': 'application/x-ndjson' })
      response.end(held.map(({ message }) => `${JSON.stringify(message)}\n`).join(''))
      return
    }
    const isPublish = request.method === 'POST' && request.url === '/'
    const { status, answer } = isPublish ? take(request, body) : { status: 404, answer: { http: 404 } }
    if (status !== 200) refused.push(status)
    response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(answer)}\n`)
  })
  const { url, close } = server

  return {
    url,
    published,
    refused,
    script(...statuses) {
      scripted = [...scripted, ...statuses]
    },
    until: (fits) => server.until(() => fits(published)),
    async poll(topic) {
      const answer = await (await fetch(`${url}/${topic}/json?poll=1`)).text()
      return linesOf(answer).map((line) => JSON.parse(line))
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** What is wrong with a message, if anything. */
function faultOf(body: string): string | undefined {
  let given: Record<string, unknown>
  try {
    given = JSON.parse(body)
  } catch {
    return 'no JSON'
  }
  const isText = (value: unknown, max: number) => typeof value === 'string' && Buffer.byteLength(value) <= max
  const { topic, title, message, priority, tags, click, ...others } = given
  if (typeof topic !== 'string' || !/^[\w-]{1,64}$/.test(topic)) return 'topic'
  // Beyond that it becomes an attachment.
  if (!isText(message, 4096) || message === '') return 'message'
  if (title !== undefined && !isText(title, 1024)) return 'title'
  if (priority !== undefined && !(Number.isInteger(priority) && Number(priority) >= 1 && Number(priority) <= 5))
    return 'priority'
  if (tags !== undefined && !(Array.isArray(tags) && tags.every((one) => isText(one, 64)))) return 'tags'
  if (click !== undefined && !(typeof click === 'string' && URL.canParse(click))) return 'click'
  const [unknown] = Object.keys(others)
  return unknown
}
