/** One request with a small answer: the database, notifiers, and commands that ask the service of this machine. Unlike `fetch` it asks any port
 * (`fetch` refuses 80 of them by a rule for browsers, 6666 and 10080 among them), and uses the proxy of the environment. Redirects are not followed. */
import type { Agent, IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { pipeline, type Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { type AgentConfig, createAgent } from './agent.ts'
import { http, https } from './node-http.ts'
import { boundInterim } from './timeouts.ts'

export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface Ask {
  readonly url: string
  readonly method?: HttpMethod
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as it is; bytes are not copied, and must not change before the answer. */
  readonly body?: string | Uint8Array
}

export interface SmallAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** The first bytes of the body, decompressed, read once. `isCut`: there are more. Rejects as `ask` does. */
  text(bytesMax: number): Promise<{ readonly text: string; readonly isCut: boolean }>
  /** The same in place of `text`, chunk by chunk, without a bound. */
  chunks(): AsyncIterable<Uint8Array>
  /** Closes the connection unless the body was read to its end. Needed when the text is not read. */
  close(): void
}

/** A proxy that has opened no connection by then is given up. */
const PROXY_MS = 10_000

/** Asks over a connection of its own. Resolves when the head of the answer is there, whatever its status. Rejects with the error of the system (it has a
 * `code`), a CollectorError (`config_invalid`, about `caFile` or the proxy), or the signal's reason. The signal counts until the text is read. */
export async function ask(
  { caFile, isThisMachine = false, ...request }: Ask & Pick<AgentConfig, 'caFile' | 'isThisMachine'>,
  signal: AbortSignal,
): Promise<SmallAnswer> {
  signal.throwIfAborted()
  const agent = await createAgent({ url: request.url, caFile, isThisMachine, proxyMs: PROXY_MS })
  try {
    const answer = await askWith(agent, request, signal)
    return {
      ...answer,
      text: (bytesMax) => answer.text(bytesMax).finally(() => agent.destroy()),
      async *chunks() {
        try {
          yield* answer.chunks()
        } finally {
          agent.destroy()
        }
      },
      close() {
        answer.close()
        agent.destroy()
      },
    }
  } catch (error) {
    agent.destroy()
    throw error
  }
}

/** The same over the connections of this agent, which must be for the protocol of the URL. */
export async function askWith(
  agent: Agent,
  { url, method = 'GET', headers = {}, body = '' }: Ask,
  signal: AbortSignal,
): Promise<SmallAnswer> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const onAbort = () => reject(signal.reason)
  const { request } = url.startsWith('https:') ? https : http
  const length = method === 'GET' ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  const sent = boundInterim(request(url, { method, agent, signal, headers: { ...headers, ...length } }))
  // While a proxy opens a connection, the request itself does not say that it was given up.
  signal.addEventListener('abort', onAbort, { once: true })
  // It stays: an error may come twice, or after the head.
  sent.on('error', reject)
  sent.once('response', resolve)
  sent.once('close', () => reject(new Error('the connection was closed without an answer')))
  sent.end(body)

  let response: IncomingMessage
  try {
    response = await promise
  } catch (error) {
    signal.removeEventListener('abort', onAbort)
    sent.destroy()
    throw error
  }
  function close(): void {
    signal.removeEventListener('abort', onAbort)
    // A connection whose answer was read to its end goes back to the agent.
    if (!response.complete || !response.readableEnded) sent.destroy()
  }
  async function* chunks(): AsyncIterable<Uint8Array> {
    try {
      yield* decoded(response) as AsyncIterable<Uint8Array>
    } catch (error) {
      signal.throwIfAborted()
      throw error
    } finally {
      close()
    }
  }
  // Until the text is read nothing listens; an error without a listener would end the process.
  response.on('error', () => undefined)
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    chunks,
    async text(bytesMax) {
      const taken: Uint8Array[] = []
      let size = 0
      for await (const chunk of chunks()) {
        taken.push(chunk)
        size += chunk.length
        if (size > bytesMax) break
      }
      return { text: Buffer.concat(taken).toString('utf8', 0, Math.min(size, bytesMax)), isCut: size > bytesMax }
    },
    close,
  }
}

/** Compression was not requested; a proxy in between may compress all the same. */
function decoded(response: IncomingMessage): Readable {
  const encoding = response.headers['content-encoding']?.trim().toLowerCase()
  if (encoding !== 'gzip' && encoding !== 'x-gzip') return response
  return pipeline(response, createGunzip(), () => undefined)
}
