/** The client library of InfluxDB, by its documented interface: its option `transport` (`ClientOptions`) takes a transport of ours, so its requests
 * go the same way out as all others.
 *
 * With its own transport four promises could not be kept, because nothing in its interface reaches them: interim answers without an end are
 * bounded, the text of a refusal is bounded (it grows in one string until that throws where it cannot be caught), a compressed body has a
 * length (some proxies refuse one without: 411), and bodies are sent as bytes. Its `WriteApi` takes text only: 4 MB as bytes, as one text
 * and as bytes again cost more than all the steps before (docs/internals.md has the figures). */
import { createRequire } from 'node:module'
import type {
  InfluxDB as Client,
  HttpError as HttpErrorType,
  SendOptions,
  Transport,
} from '@influxdata/influxdb-client'
import type { RawAnswer } from './response-policy.ts'

/** The package's CommonJS entry: its other one imports node:http, which costs 6 MB (see http-client/node-http.ts). */
const { HttpError, InfluxDB, createTextDecoderCombiner } = createRequire(import.meta.url)(
  '@influxdata/influxdb-client',
) as typeof import('@influxdata/influxdb-client')

/** One request; resolves with whatever the server answered. */
export type Exchange = (path: string, body: string | Uint8Array, options: SendOptions) => Promise<RawAnswer>

export function createClient(url: string, exchange: Exchange): Client {
  return new InfluxDB({ url, transport: createTransport(exchange) })
}

/** The answer that the client reports as an error: any status from 300 on. Undefined for other errors. */
export function refusedAnswer(error: unknown): RawAnswer | undefined {
  if (!(error instanceof HttpError)) return undefined
  const { statusCode, headers = {}, body = '' }: HttpErrorType = error
  return { status: statusCode, headers, body }
}

function createTransport(exchange: Exchange): Transport {
  const request: Transport['request'] = async (path, body, options, responseStarted) => {
    const answer = await exchange(path, body, options)
    responseStarted?.(answer.headers, answer.status)
    if (answer.status < 300) return answer.body
    throw new HttpError(answer.status, undefined, answer.body, undefined, undefined, undefined, answer.headers)
  }
  return {
    chunkCombiner: createTextDecoderCombiner(),
    request,
    send(path, body, options, callbacks = {}) {
      request(path, body, options, callbacks.responseStarted).then(
        (text: string) => {
          if (text !== '') callbacks.next?.(Buffer.from(text))
          callbacks.complete?.()
        },
        (error) => callbacks.error?.(error),
      )
    },
    async *iterate(path, body, options) {
      const text: string = await request(path, body, options)
      if (text !== '') yield Buffer.from(text)
    },
  }
}
