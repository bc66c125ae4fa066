/** Chooses the sink: InfluxDB, or the embedded store when there is no URL. */
import type { Logger } from 'pino'
import type { Clock } from '../base/clock.ts'
import { type InfluxConfig, type Retention, storeRetention } from './config.ts'
import { createAskingSink } from './influxdb/asking-sink.ts'
import { createInfluxSink } from './influxdb/influxdb-sink.ts'
import type { DeadLetters, Sink, SinkMetrics } from './sink.ts'
import { createEmbeddedStore } from './sqlite/embedded-store.ts'

export function createSink(
  config: {
    readonly influx: InfluxConfig
    readonly retention: Retention
    /** Of the embedded store: its file. */
    readonly storePath: string
    /** Age of the last late pass. */
    readonly lastPassMs: number
  },
  deps: {
    readonly clock: Clock
    readonly log: Logger
    readonly metrics: SinkMetrics
    readonly deadLetters: Pick<DeadLetters, 'append'>
  },
): Sink {
  const { influx, retention, storePath, lastPassMs } = config
  const { url } = influx
  if (url !== undefined) {
    const { api } = influx
    if (api === undefined) return createAskingSink({ ...influx, url, retention }, deps)
    return createInfluxSink({ ...influx, api, url, retention }, deps)
  }
  return createEmbeddedStore({ path: storePath, retention: storeRetention(retention, lastPassMs) }, deps)
}
