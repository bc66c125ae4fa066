/** The contract against real InfluxDB 2.x and 3 Core, where TEST_INFLUXD2 and TEST_INFLUXD3 name them; places made by `tailflux init`. */
import { after, before } from 'node:test'
import { systemClock } from '../../../src/base/clock.ts'
import { init } from '../../../src/commands/init.ts'
import { loadSettings } from '../../../src/config/load.ts'
import { createInfluxSink } from '../../../src/sink/influxdb/influxdb-sink.ts'
import type { DeadLetter, SinkMetrics } from '../../../src/sink/sink.ts'
import { countingMetrics, keepIn, silentLog } from '../../helpers/silent.ts'
import { type InfluxPlace, readPoints } from '../../services/influx-read.ts'
import { noInfluxd2, ORG, startInfluxd2 } from '../../services/influxd2.ts'
import { noInfluxd3, startInfluxd3 } from '../../services/influxd3.ts'
import { type ReadBack, testSinkContract } from '../sink-contract.ts'
import { configOf } from './influx-world.ts'

interface Server {
  readonly url: string
  readonly token: string
  request(method: string, path: string): Promise<unknown>
}

let influx2: Server & AsyncDisposable
let influx3: Server & AsyncDisposable
let count = 0

before(async () => {
  if (noInfluxd2 === false) influx2 = await startInfluxd2()
  if (noInfluxd3 === false) influx3 = await startInfluxd3()
})
after(async () => {
  if (noInfluxd2 === false) await influx2[Symbol.asyncDispose]()
  if (noInfluxd3 === false) await influx3[Symbol.asyncDispose]()
})

for (const api of ['v2', 'v3'] as const) {
  for (const isApart of [false, true]) {
    testSinkContract({
      name: `InfluxDB ${api.slice(1)}.x${isApart ? ', places for raw points and minutes' : ''}`,
      skip: api === 'v2' ? noInfluxd2 : noInfluxd3,
      isExact: true,
      resolutionNs: 1n,
      // 3.x takes points of any age.
      expiredAgeNs: undefined,
      checkpoint: 'answers',
      async stage(t) {
        count += 1
        const server = api === 'v2' ? influx2 : influx3
        const bucket = `flows-${count}`
        const settings = { INFLUX_URL: server.url, INFLUX_TOKEN: server.token, INFLUX_BUCKET: bucket }
        const places = isApart ? { TAILFLUX_RETENTION_RAW: '7d', TAILFLUX_RETENTION_MINUTES: '30d' } : {}
        const env = { ...settings, ...(api === 'v2' ? { INFLUX_ORG: ORG } : {}), ...places }
        await init(loadSettings({ env }), { isDry: false, mayShorten: false, tokenFile: undefined })
        // Core has room for five.
        const names = [bucket, ...(isApart ? [`${bucket}/raw`, `${bucket}/minutes`] : [])]
        t.after(async () => {
          for (const name of api === 'v3' ? names : [])
            await server.request(
              'DELETE',
              `/api/v3/configure/database?db=${encodeURIComponent(name)}&hard_delete_at=now`,
            )
        })
        const letters: DeadLetter[] = []
        const metrics = countingMetrics<SinkMetrics>()
        const retention = isApart ? { raw: 7, minutes: 30 } : {}
        const config = configOf({ url: server.url, api, bucket, org: ORG, token: server.token, retention })
        return {
          sink: createInfluxSink(
            { ...config, url: server.url },
            { clock: systemClock, log: silentLog, metrics, deadLetters: { append: keepIn(letters) } },
          ),
          letters,
          metrics,
          nowNs: () => systemClock.now(),
          read: async (measurement) => {
            const headers = { authorization: `Token ${server.token}` }
            const all = names.map((db): InfluxPlace => {
              const [main = '', rp] = db.split('/')
              return api === 'v3' || rp === undefined
                ? { url: server.url, db, headers }
                : { url: server.url, db: main, rp, headers }
            })
            const points = await Promise.all(all.map((place) => readPoints(place, measurement)))
            return points.flat() as ReadBack[]
          },
        }
      },
    })
  }
}
