/** One request to InfluxDB through its client's transport: no batching, no retries, the status visible. The client would treat every 2xx
 * as success and retries by rules of its own, so we use the layer below its WriteApi. */
import { readFileSync } from 'node:fs'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { rootCertificates } from 'node:tls'
import { HttpError, InfluxDB, setLogger } from '@influxdata/influxdb-client'
import { CollectorError } from '../errors.ts'
import type { InfluxConfig } from './config.ts'
import type { RawAnswer } from './influx-answer.ts'

export interface InfluxHttp {
  /** Resolves with whatever the server answered; rejects with a CollectorError (`db_unreachable`, `db_timeout`: the outcome is unknown) or
   * with the reason of the signal. */
  send(
    request: {
      method: 'GET' | 'POST'
      path: string
      body?: Uint8Array | string
      headers?: Record<string, string>
      gzip?: boolean
    },
    signal: AbortSignal,
  ): Promise<RawAnswer>
  stop(): void
}

/** Of an answer; writes have none, queries of ours small ones. */
const BODY_BYTES_MAX = 1 << 20

export function createInfluxHttp(config: InfluxConfig & { url: string }, label: string): InfluxHttp {
  // The client writes every failure to the console otherwise; we tell them ourselves.
  setLogger({ error: () => undefined, warn: () => undefined })
  const isTls = new URL(config.url).protocol === 'https:'
  const agentOptions = { keepAlive: true, maxSockets: config.inFlight + 2 }
  let client: InfluxDB | undefined
  let agent: HttpAgent | HttpsAgent | undefined

  function transport(): InfluxDB['transport'] {
    if (client === undefined) {
      const ca = config.caFile === undefined ? undefined : [...rootCertificates, readCa(config.caFile)]
      agent = isTls ? new HttpsAgent({ ...agentOptions, ...(ca ? { ca } : {}) }) : new HttpAgent(agentOptions)
      client = new InfluxDB({ url: config.url, timeout: 0, transportOptions: { agent } })
    }
    return client.transport
  }

  async function authorization(): Promise<Record<string, string>> {
    if (config.token)
      return { authorization: `${config.api === 'v3' ? 'Bearer' : 'Token'} ${await config.token.read()}` }
    if (config.user !== undefined && config.password) {
      return {
        authorization: `Basic ${Buffer.from(`${config.user}:${await config.password.read()}`).toString('base64')}`,
      }
    }
    return {}
  }

  return {
    async send(request, signal) {
      signal.throwIfAborted()
      const headers = { 'content-type': 'text/plain; charset=utf-8', ...(await authorization()), ...request.headers }
      const over = AbortSignal.timeout(config.timeout)
      const both = AbortSignal.any([signal, over])
      try {
        return await once(transport(), request, headers, both)
      } catch (error) {
        signal.throwIfAborted()
        if (error instanceof CollectorError) throw error
        if (error instanceof HttpError)
          return {
            status: error.statusCode,
            headers: (error.headers ?? {}) as RawAnswer['headers'],
            body: error.body ?? '',
          }
        if (over.aborted) {
          throw new CollectorError(
            `${label} did not answer within ${config.timeout / 1000} s; it is tried again by itself. Check its load, or raise influx.timeout.`,
            {
              stage: 'sink',
              code: 'db_timeout',
              reaction: 'retry',
              cause: error,
            },
          )
        }
        throw unreachable(error, label)
      }
    },
    stop() {
      agent?.destroy()
      agent = undefined
      client = undefined
    },
  }
}

function once(
  transport: InfluxDB['transport'],
  request: { method: 'GET' | 'POST'; path: string; body?: Uint8Array | string; gzip?: boolean },
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = []
    let size = 0
    let status = 0
    let answered: RawAnswer['headers'] = {}
    // Declared as text, but handed to Buffer.from, which takes bytes as they are: lines need no detour over a string.
    const body = (request.body ?? '') as string
    transport.send(
      request.path,
      body,
      { method: request.method, headers, signal, ...(request.gzip ? { gzipThreshold: 1_000 } : {}) },
      {
        responseStarted(given, code) {
          answered = given
          status = code ?? 0
        },
        next(chunk) {
          size += chunk.length
          if (size <= BODY_BYTES_MAX) chunks.push(chunk)
        },
        error: reject,
        complete: () => resolve({ status, headers: answered, body: Buffer.concat(chunks).toString() }),
      },
    )
  })
}

function readCa(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new CollectorError(`influx.caFile ${path} cannot be read; check the path and its permissions.`, {
      stage: 'sink',
      code: 'db_misconfigured',
      reaction: 'hold',
      cause: error,
    })
  }
}

const TLS_CODES = /^(ERR_TLS|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|ERR_SSL)/

function unreachable(error: unknown, label: string): CollectorError {
  const code =
    typeof error === 'object' && error !== null && 'code' in error
      ? String(error.code)
      : error instanceof Error
        ? error.name
        : 'unknown'
  if (TLS_CODES.test(code)) {
    return new CollectorError(
      `${label} shows a certificate that is not trusted (${code}). Set influx.caFile to its authority, or check the clock and the host name.`,
      {
        stage: 'sink',
        code: 'db_misconfigured',
        reaction: 'hold',
        cause: error,
      },
    )
  }
  return new CollectorError(
    `${label} cannot be reached (${code}). Check that it runs and that INFLUX_URL is right; it is tried again by itself.`,
    {
      stage: 'sink',
      code: 'db_unreachable',
      reaction: 'retry',
      cause: error,
    },
  )
}
