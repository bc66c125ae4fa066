import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startInfluxd } from '../services/influxd.ts'
import { NOON } from '../simulator/ranges.ts'
import { assertTruth, storedIn } from './truth-in.ts'
import { HOUR_NS, LAG_NS, startWorld } from './world.ts'

const READINGS = [
  { 'poll.windowMax': '1h', 'poll.windowBytesTarget': '64MiB' },
  { 'poll.windowMax': '10s', 'poll.interval': '5s', 'poll.parallel': 4, 'influx.batchLinesMax': 150 },
  { 'poll.windowMax': '7m', 'poll.windowBytesTarget': '64KiB', 'poll.parallel': 1, 'influx.gzip': 'on' },
]

test('the same hour read three times, in other windows and batches: nothing changes in the database', async (t) => {
  const database = await startInfluxd(t, { databases: ['flows'] })
  const { tailnet, service, api } = await startWorld(t, { tailnet: { nodes: 8, hostile: true, oldClients: 0.3 } })
  const place = { url: database.url, db: 'flows' }
  const truth = [...tailnet.truth(NOON, NOON + HOUR_NS - LAG_NS)]
  const requests: number[] = []
  for (const settings of READINGS) {
    const before = api.count('logs')
    const { service: running, catchUp } = service({
      'influx.url': database.url,
      'influx.api': 'v1',
      'influx.db': 'flows',
      ...settings,
    })
    await catchUp()
    assert.equal(running.pipeline.status().totals.rejected, 0)
    await running.stop()
    requests.push(api.count('logs') - before)
    // Every point is there once and as it was the first time: as the truth has it.
    await assertTruth(storedIn(place), truth)
    // Otherwise the next one, with a state file of its own, would know from here that everything is done.
    await database.query('DROP MEASUREMENT tailflux_window', 'flows')
  }
  assert.ok(requests[1]! > 300 && requests[2]! > requests[0]! && requests[0]! < 20, `requests: ${requests}`)
  t.diagnostic(`${truth.length} points, read with ${requests.join(', ')} requests`)
})
