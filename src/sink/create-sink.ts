/** Chooses the sink: InfluxDB, or the embedded store when there is no URL. */
import type { Logger } from 'pino'
import type { Clock } from '../base/clock.ts'
import type { InfluxConfig } from './config.ts'
import { createInfluxSink } from './influxdb/influxdb-sink.ts'
import type { DeadLetters, Sink, SinkMetrics } from './sink.ts'
import { createEmbeddedStore } from './sqlite/embedded-store.ts'

export function createSink(
  config: {
    readonly influx: InfluxConfig
    /** Of the embedded store: its file, and how long it keeps points. */
    readonly storePath: string
    readonly storeRetentionMs: number
  },
  deps: {
    readonly clock: Clock
    readonly log: Logger
    readonly metrics: SinkMetrics
    readonly deadLetters: Pick<DeadLetters, 'append'>
  },
): Sink {
  const { url } = config.influx
  if (url !== undefined) return createInfluxSink({ ...config.influx, url }, deps)
  return createEmbeddedStore({ path: config.storePath, retentionMs: config.storeRetentionMs }, deps)
}
