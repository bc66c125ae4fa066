import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PORTS } from '../../src/flatten/ports.ts'
import { startInfluxd } from '../services/influxd.ts'
import { NOON } from '../simulator/ranges.ts'
import { assertTruth, MEASUREMENTS, storedIn, sumsOf } from './truth-in.ts'
import { HOUR_NS, LAG_NS, startWorld } from './world.ts'

const TO = NOON + HOUR_NS - LAG_NS
const MINUTE_NS = HOUR_NS / 60n

/** Both kinds of index; the one on disk for the most series. The other forms of ports than the usual one for some minutes: `full` alone would make a
 * hundred thousand series in an hour. `heavy.ts` is the long form of each. */
const FORMS = {
  service: { index: 'inmem', minutes: 60 },
  none: { index: 'inmem', minutes: 20 },
  full: { index: 'tsi1', minutes: 20 },
} as const

for (const ports of PORTS) {
  const { index, minutes } = FORMS[ports]
  test(`${minutes} minutes of fifty nodes in InfluxDB 1.6.7 are the truth, point by point and in every sum: ports ${ports}`, async (t) => {
    const fromNs = NOON + HOUR_NS - BigInt(minutes) * MINUTE_NS
    const database = await startInfluxd(t, { index })
    const { tailnet, service } = await startWorld(t)
    const { service: running, catchUp } = service({
      'influx.url': database.url,
      'influx.api': 'v1',
      'influx.db': 'flows',
      'influx.createDatabase': true,
      ports,
      'poll.lookback': `${minutes}m`,
    })
    await catchUp()
    const status = running.pipeline.status()
    assert.equal(status.watermarkNs, String(TO))
    assert.deepEqual(status.gaps, [])
    const truth = [...tailnet.truth(fromNs, TO, { ports })]
    await assertTruth(storedIn({ url: database.url, db: 'flows' }), truth)

    // The sums as the database itself computes them. Over the series of every single connection that takes long for all fields.
    const sums: Record<string, bigint> = {}
    for (const measurement of MEASUREMENTS) {
      const what = ports === 'full' && measurement === 'tailnet_flow' ? 'sum(tx_bytes) AS sum_tx_bytes' : 'sum(*)'
      const [result] = await database.query(`SELECT ${what} FROM ${measurement} GROUP BY kind`, 'flows')
      for (const { tags, columns, values } of result?.series ?? []) {
        for (const [index, value] of values[0]!.entries()) {
          const field = columns[index]!.replace(/^sum_/, '')
          if (field !== 'time' && value !== null) sums[`${measurement} ${tags?.['kind']} ${field}`] = BigInt(value)
        }
      }
    }
    const expected = sumsOf(truth)
    for (const [key, sum] of Object.entries(sums)) assert.equal(sum, expected[key], key)
    assert.equal(Object.keys(sums).length, Object.keys(expected).length - (ports === 'full' ? 4 * 4 : 0))
    t.diagnostic(`${truth.length} points of ${status.totals.entries} entries in ${status.totals.windows} windows`)
  })
}
