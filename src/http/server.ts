/** http/: probes, metrics, status, commands and the status page on one port. */
import type { Server as TlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { CollectorError } from '../base/errors.ts'
import { createApp, type HttpDeps, LIMITS } from './app.ts'
import { startCertificate } from './certificate.ts'
import type { HttpConfig } from './config.ts'

export interface HttpServer {
  /** Listens; resolves with the address, such as `http://127.0.0.1:9464`. Rejects with a CollectorError (stage `config`) when it cannot. */
  start(): Promise<string>
  /** Ends streams and connections at once. Idempotent. */
  stop(): Promise<void>
}

export function createHttpServer(config: HttpConfig, deps: HttpDeps): HttpServer {
  const { app, events } = createApp(config, deps)
  let unsubscribe: (() => void) | undefined
  let starting: Promise<string> | undefined
  let stopping: Promise<void> | undefined
  const closing = new AbortController()

  async function listen(): Promise<string> {
    const { tls } = config
    if (tls) {
      const server = app.server as unknown as TlsServer
      const { log, clock, health } = deps
      const lookMs = deps.limits?.certificateLookMs ?? LIMITS.certificateLookMs
      const use = (pair: { cert: string; key: string }) => server.setSecureContext(pair)
      await startCertificate(tls, { use, log, clock, health, lookMs }, closing.signal)
    }
    try {
      await app.listen({ host: config.host, port: config.port })
    } catch (cause) {
      throw cannotListen(config, cause)
    }
    unsubscribe = deps.health.onChange(events.changed)
    const { port } = app.server.address() as AddressInfo
    const url = `${tls ? 'https' : 'http'}://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`
    deps.log.info({ url }, 'HTTP server listening')
    return url
  }

  async function close(): Promise<void> {
    closing.abort(new Error('stopping'))
    unsubscribe?.()
    events.close()
    await app.close()
  }

  return {
    start() {
      starting ??= listen()
      return starting
    },
    stop() {
      stopping ??= close()
      return stopping
    },
  }
}

const LISTEN_FAULTS: Record<string, string> = {
  EADDRINUSE: 'is in use by another program; stop that program, or set TAILFLUX_HTTP_PORT to a free port.',
  EACCES: 'may not be used by this user; set TAILFLUX_HTTP_PORT to a port above 1023.',
  EADDRNOTAVAIL:
    'is not an address of this machine; set TAILFLUX_HTTP_HOST to 127.0.0.1, or to 0.0.0.0 for all addresses.',
  ENOTFOUND: 'cannot be resolved; set TAILFLUX_HTTP_HOST to an address such as 127.0.0.1.',
}

function cannotListen(config: HttpConfig, cause: unknown): CollectorError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const fault = LISTEN_FAULTS[code] ?? `cannot be used (${code}); check TAILFLUX_HTTP_HOST and TAILFLUX_HTTP_PORT.`
  return new CollectorError(`${config.host} port ${config.port} ${fault}`, {
    stage: 'config',
    code: 'config_invalid',
    reaction: 'hold',
    cause,
  })
}
