/** A sink for a server whose version is not set: the server is asked before the first request, and again while it does not answer. */
import { CollectorError } from '../../base/errors.ts'
import type { InfluxConfig, Retention } from '../config.ts'
import type { Sink, Unanswered } from '../sink.ts'
import { createSinkListeners } from '../sink-listeners.ts'
import { createInfluxSink, type InfluxDeps } from './influxdb-sink.ts'
import { withApi } from './server.ts'
import { createInfluxHttp } from './transport.ts'

export function createAskingSink(
  config: InfluxConfig & { readonly url: string; readonly retention: Retention },
  deps: InfluxDeps,
): Sink {
  const label = `InfluxDB (${config.url}, ${config.bucket ?? config.db})`
  const http = deps.http ?? createInfluxHttp(config, label)
  const listeners = createSinkListeners()
  let found: Sink | undefined

  /** Rejects with a CollectorError while the server does not say what it is. */
  async function find(signal: AbortSignal): Promise<Sink> {
    if (found !== undefined) return found
    const known = await withApi(config, { http, label, clock: deps.clock }, signal)
    // Another call may have been faster.
    if (found === undefined) {
      deps.log.info({ api: known.api }, 'version of the database found')
      found = createInfluxSink(known, deps)
      found.listen(listeners)
    }
    return found
  }

  /** For queries, which never reject because of the database. */
  async function findOr(signal: AbortSignal): Promise<Sink | Unanswered> {
    try {
      return await find(signal)
    } catch (error) {
      if (!(error instanceof CollectorError)) throw error
      return { cannotBeQueried: error.message }
    }
  }

  return {
    get label() {
      return found?.label ?? label
    },
    async start(signal) {
      // Without this setting `start` makes no request either, so that the service starts without its database.
      if (config.createDatabase) await (await find(signal)).start(signal)
    },
    async probe(signal, line) {
      await (await find(signal)).probe(signal, line)
    },
    async write(batch, signal) {
      let sink: Sink
      try {
        sink = await find(signal)
      } catch (error) {
        if (error instanceof CollectorError && !batch.isBestEffort) listeners.failed(error)
        throw error
      }
      return await sink.write(batch, signal)
    },
    async checkpoint(tailnet, range, signal) {
      const sink = await findOr(signal)
      return 'cannotBeQueried' in sink ? sink : await sink.checkpoint(tailnet, range, signal)
    },
    async checkpointStates(tailnet, timeNs, signal) {
      const sink = await findOr(signal)
      return 'cannotBeQueried' in sink ? sink : await sink.checkpointStates(tailnet, timeNs, signal)
    },
    listen: listeners.add,
    async stop() {
      http.stop()
      await found?.stop()
    },
  }
}
