/** The contract against a real InfluxDB 1.x, once by its default retention policy and once with users and a policy of its own. */
import { after, before } from 'node:test'
import { systemClock } from '../../../src/base/clock.ts'
import { createInfluxSink } from '../../../src/sink/influxdb/influxdb-sink.ts'
import type { DeadLetter, SinkMetrics } from '../../../src/sink/sink.ts'
import { countingMetrics, keepIn, silentLog } from '../../helpers/silent.ts'
import { readPoints } from '../../services/influx-read.ts'
import { type Influxd, startInfluxd } from '../../services/influxd.ts'
import { missing } from '../../services/servers.ts'
import { type ReadBack, testSinkContract } from '../sink-contract.ts'
import { configOf } from './influx-world.ts'

const skip = await missing('influxd')
let influxd: Influxd
let count = 0

before(async () => {
  if (skip === false) influxd = await startInfluxd({ after }, { auth: true, index: 'tsi1' })
})

for (const { name, rp, settings } of [
  { name: 'InfluxDB 1.x', rp: undefined, settings: {} },
  { name: 'InfluxDB 1.x, retention policy, gzip', rp: 'week', settings: { rp: 'week', gzip: 'on' } },
  {
    name: 'InfluxDB 1.x, places for raw points and minutes',
    rp: undefined,
    settings: { retention: { raw: 7, minutes: 30 } },
  },
]) {
  testSinkContract({
    name,
    skip,
    isExact: true,
    resolutionNs: 1n,
    // Whole shard groups expire, of a day each in a policy of a week.
    expiredAgeNs: rp === undefined ? undefined : 9n * 86_400_000_000_000n,
    checkpoint: 'answers',
    async stage() {
      count += 1
      const db = `db ${count}`
      await influxd.query(`CREATE DATABASE "${db}"`)
      if (rp !== undefined) await influxd.query(`CREATE RETENTION POLICY "${rp}" ON "${db}" DURATION 7d REPLICATION 1`)
      const others = 'retention' in settings ? ['raw', 'minutes'] : []
      for (const one of others)
        await influxd.query(`CREATE RETENTION POLICY "${one}" ON "${db}" DURATION 30d REPLICATION 1`)
      const letters: DeadLetter[] = []
      const metrics = countingMetrics<SinkMetrics>()
      const config = configOf({ url: influxd.url, db, user: 'admin', password: 'admin', ...settings })
      return {
        sink: createInfluxSink(
          { ...config, url: influxd.url },
          {
            clock: systemClock,
            log: silentLog,
            metrics,
            deadLetters: { append: keepIn(letters) },
          },
        ),
        letters,
        metrics,
        nowNs: () => systemClock.now(),
        read: async (measurement) => {
          const main = { url: influxd.url, db, headers: influxd.adminHeaders, ...(rp === undefined ? {} : { rp }) }
          const places = [main, ...others.map((one) => ({ ...main, rp: one }))]
          const points = await Promise.all(places.map((place) => readPoints(place, measurement)))
          return points.flat() as ReadBack[]
        },
      }
    },
  })
}
