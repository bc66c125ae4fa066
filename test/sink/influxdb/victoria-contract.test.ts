/** The contract against a real VictoriaMetrics, as far as a store of floats by milliseconds can keep it. */
import { systemClock } from '../../../src/base/clock.ts'
import { createInfluxSink } from '../../../src/sink/influxdb/influxdb-sink.ts'
import type { DeadLetter, SinkMetrics } from '../../../src/sink/sink.ts'
import { countingMetrics, keepIn, silentLog } from '../../helpers/silent.ts'
import { missing } from '../../services/servers.ts'
import { startVictoriaMetrics, type VictoriaMetrics } from '../../services/victoria-metrics.ts'
import { type ReadBack, testSinkContract } from '../sink-contract.ts'
import { configOf } from './influx-world.ts'

for (const api of ['v1', 'v2']) {
  testSinkContract({
    name: `VictoriaMetrics, api ${api}`,
    skip: await missing('victoria-metrics'),
    isExact: false,
    resolutionNs: 1_000_000n,
    expiredAgeNs: undefined,
    checkpoint: 'has no questions',
    async stage(t) {
      const victoria = await startVictoriaMetrics(t)
      const letters: DeadLetter[] = []
      const metrics = countingMetrics<SinkMetrics>()
      return {
        sink: createInfluxSink(
          { ...configOf({ url: victoria.url, api }), url: victoria.url },
          {
            clock: systemClock,
            log: silentLog,
            metrics,
            deadLetters: { append: keepIn(letters) },
          },
        ),
        letters,
        metrics,
        // Whole milliseconds are what it keeps.
        nowNs: () => (systemClock.now() / 1_000_000n) * 1_000_000n,
        read: (measurement) => pointsIn(victoria, measurement),
      }
    },
  })
}

/** Puts `measurement_field{tags}` series together to points again. */
async function pointsIn(victoria: VictoriaMetrics, measurement: string): Promise<ReadBack[]> {
  await victoria.flush()
  const points = new Map<
    string,
    { tags: Record<string, string>; fields: Record<string, bigint>; timestampNs: bigint }
  >()
  for (const { metric, values, timestamps } of await victoria.exportSeries(`{__name__=~"${measurement}_.+"}`)) {
    const { __name__: name = '', db: _db, ...tags } = metric
    values.forEach((value, index) => {
      const timestampNs = BigInt(timestamps[index] ?? 0) * 1_000_000n
      const key = `${JSON.stringify(Object.entries(tags).toSorted())} ${timestampNs}`
      const point = points.get(key) ?? { tags, fields: {}, timestampNs }
      point.fields[name.slice(measurement.length + 1)] = BigInt(value)
      points.set(key, point)
    })
  }
  return [...points.values()].map((point) => ({ measurement, ...point }))
}
