/** After a restart of the real service the status page has its hour again, from either database. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { TalkersView } from '../../../src/observe/traffic/talkers.ts'
import { eventually } from '../../helpers/eventually.ts'
import { temporaryFolder } from '../../helpers/temporary-folder.ts'
import { startWholeService } from '../../http/whole-service.ts'
import { startInfluxd } from '../../services/influxd.ts'
import { missing } from '../../services/servers.ts'

const keysOf = ({ top }: TalkersView) => top.map(({ kind, one, other }) => [kind, ...[one, other].toSorted()].join(' '))

async function restarted(t: TestContext, database: Record<string, string>): Promise<void> {
  const env = { ...database, TAILFLUX_DATA_DIR: temporaryFolder(t) }
  const first = await startWholeService(t, { env })
  const talkersNow = () => first.service.status().live.talkers
  // Some of the newest, too: oldest and newest minutes take turns.
  await eventually('some minutes are final', () => {
    const { nodesReporting } = first.service.status().live
    return (talkersNow()?.top.length ?? 0) > 5 && (nodesReporting ?? 0) > 3
  })
  const last = talkersNow()!
  await first.service.stop()
  const second = await startWholeService(t, { env })
  // Nothing of it can come from the API.
  second.api.setFault({ kind: 'status', status: 503 })
  await eventually('the hour was read from the database', () => {
    const { loading, talkers } = second.service.status().live
    return loading === null && (talkers?.top.length ?? 0) > 5
  })
  const { talkers, throughput, nodesReporting } = second.service.status().live
  assert.ok(nodesReporting! > 3, `${nodesReporting}`)
  assert.ok(throughput!.kinds.virtual.total > 0)
  assert.ok(throughput!.kinds.physical.total > throughput!.kinds.virtual.total)
  assert.deepEqual(
    keysOf(last)
      .slice(0, 3)
      .filter((key) => !keysOf(talkers!).includes(key)),
    [],
  )
  assert.ok(talkers!.totalBytes >= last.totalBytes)
}

test('the embedded store fills the page after a restart', (t) => restarted(t, {}))

test('InfluxDB fills the page after a restart', { skip: await missing('influxd') }, async (t) => {
  const influxd = await startInfluxd(t, { databases: ['telemetry'] })
  await restarted(t, { INFLUX_URL: influxd.url, INFLUX_API: 'v1', INFLUX_DB: 'telemetry' })
})
