/** A whole service on which single messages bring bugs to light: what is written, what lies in the dead letters, what `/health` says. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { FlatPoints } from '../../src/flatten/flat-points.ts'
import { jsonLinesOf } from '../helpers/lines.ts'
import { startInfluxd } from '../services/influxd.ts'
import { NOON } from '../simulator/ranges.ts'
import { assertTruth, storedIn } from './truth-in.ts'
import { HOUR_NS, LAG_NS, originOf, startWorld } from './world.ts'

test('a message that makes flatten throw is set aside, everybody else is written once, and health names the fix', async (t) => {
  const database = await startInfluxd(t, { databases: ['flows'] })
  const { tailnet, service, api } = await startWorld(t, { tailnet: { nodes: 10 } })
  const truthOf = () => [...tailnet.truth(originOf(api), NOON + HOUR_NS - LAG_NS, { ports: 'service' })]
  const broken = [...tailnet.messages(NOON, NOON + 60_000_000_000n)].map((text) => JSON.parse(text ?? '').nodeId)[0]
  const { add } = FlatPoints.prototype
  t.mock.method(FlatPoints.prototype, 'add', function of(this: FlatPoints, ...tags: Parameters<typeof add>) {
    if (this.node === broken) throw new TypeError('a bug of ours')
    return add.apply(this, tags)
  })
  const {
    service: running,
    catchUp,
    dataDir,
  } = service({
    'influx.url': database.url,
    'influx.api': 'v1',
    'influx.db': 'flows',
    'poll.lookback': '10m',
  })
  const url = await running.start()
  await catchUp()
  const honest = truthOf().filter(({ tags }) => tags['node'] !== broken)
  const points = await assertTruth(storedIn({ url: database.url, db: 'flows' }), honest)
  const dir = join(dataDir, 'dead-letters')
  const letters = readdirSync(dir).flatMap((name) =>
    jsonLinesOf<{ reason: string; node: string; text?: string }>(readFileSync(join(dir, name))),
  )
  const starts = new Set(truthOf().flatMap((one) => (one.tags['node'] === broken ? [one.timestampNs] : [])))
  const kept = letters.filter(({ text }) => text !== undefined)
  assert.ok(kept.length >= starts.size && starts.size > 50, `${kept.length} letters of ${starts.size} messages`)
  for (const { reason, node, text } of kept) {
    assert.deepEqual([reason, node, JSON.parse(text ?? '').nodeId], ['flatten_failed', broken, broken])
  }
  running.pipeline.watch()
  const health = await fetch(`${url}/health`)
  const { components } = (await health.json()) as {
    components: { component: string; status: string; code: string; text: string }[]
  }
  const line = components.find(({ component }) => component === 'line')
  assert.deepEqual([health.status, line?.status, line?.code], [200, 'warning', 'flatten_failed'])
  assert.match(line?.text ?? '', new RegExp(`failed on \\d+ messages .*${broken}.*report it.*backfill --again$`))
  assert.ok(BigInt(running.pipeline.status().watermarkNs ?? 0) >= NOON + HOUR_NS - LAG_NS)
  t.diagnostic(`${points} points of the others stored, ${kept.length} messages of ${broken} set aside`)
})
