import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PORTS } from '../../src/flatten/ports.ts'
import { NOON } from '../demo/ranges.ts'
import { startInfluxd } from '../services/influxd.ts'
import { assertTruth, storedIn, sumsOf } from './truth-in.ts'
import { HOUR_NS, LAG_NS, startWorld } from './world.ts'

const FROM = NOON
const TO = NOON + HOUR_NS - LAG_NS

for (const ports of PORTS) {
  test(`an hour of fifty nodes in InfluxDB 1.6.7 is the truth, point by point and in every sum: ports ${ports}`, async (t) => {
    const database = await startInfluxd(t)
    const { tailnet, service } = await startWorld(t)
    const { service: running, catchUp } = service({
      'influx.url': database.url,
      'influx.api': 'v1',
      'influx.db': 'flows',
      'influx.createDatabase': true,
      ports,
    })
    await catchUp()
    const status = running.pipeline.status()
    assert.equal(status.watermarkNs, String(TO))
    assert.deepEqual(status.gaps, [])
    const place = { url: database.url, db: 'flows' }
    const count = await assertTruth(storedIn(place), tailnet.truth(FROM, TO, { ports }))

    // The sums as the database itself computes them.
    const truth = sumsOf(tailnet.truth(FROM, TO, { ports }))
    const sums: Record<string, bigint> = {}
    for (const measurement of ['tailnet_flow', 'tailnet_node']) {
      const [result] = await database.query(`SELECT sum(*) FROM ${measurement} GROUP BY kind`, 'flows')
      for (const { tags, columns, values } of result?.series ?? []) {
        columns.forEach((column, index) => {
          const value = values[0]?.[index]
          if (column !== 'time' && value !== null)
            sums[`${measurement} ${tags?.['kind']} ${column.replace(/^sum_/, '')}`] = BigInt(value as number)
        })
      }
    }
    assert.deepEqual(Object.fromEntries(Object.entries(sums).toSorted(([a], [b]) => (a < b ? -1 : 1))), truth)
    const entries = Object.entries(truth).filter(([key]) => key.startsWith('tailnet_flow') && key.endsWith('flows'))
    assert.equal(BigInt(status.totals.entries) >= entries.reduce((sum, [, value]) => sum + value, 0n), true)
    t.diagnostic(`${count} points of ${status.totals.entries} entries in ${status.totals.windows} windows`)
  })
}
