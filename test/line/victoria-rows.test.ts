/** Rows in a real VictoriaMetrics: the real service lives through some minutes of a tailnet, alone, and with processes that end on the way. Minute by
 * minute its rows are those of the same tailnet in the embedded store, which other tests compare with the truth; hours are the sums of their minutes. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { pathsIn } from '../../src/config/data-dir.ts'
import { missing } from '../services/servers.ts'
import { startVictoriaMetrics, type VictoriaMetrics } from '../services/victoria-metrics.ts'
import { MINUTE, NOON } from '../simulator/ranges.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { type Journey, sceneOf, startJourney } from './journey.ts'
import { edgeSums, inStore, type Stored, standingRows } from './standing-rows.ts'
import type { StoredPoint } from './truth-in.ts'

const skip = await missing('victoria-metrics')
const END = NOON + 12n * MINUTE
const scene = sceneOf(createTailnet({ nodes: 20, activity: 0.5 }), END)
/** The hour from noon on is written 16 minutes after its end; one in which reading began waits ten minutes more after its
 * last minute was made, for a backfill. */
const WRITTEN = NOON + 150n * MINUTE

const rowsOf = async (stored: Stored, suffix = '') =>
  standingRows(await stored(`tailnet_edge${suffix}`), await stored(`tailnet_node${suffix}`))

/** Fields of one point are samples of several series there. */
function inVictoria(victoria: VictoriaMetrics): Stored {
  return async (measurement) => {
    const points = new Map<string, StoredPoint & { fields: Record<string, bigint> }>()
    const fields = 'tx_bytes|rx_bytes|tx_pkts|rx_pkts|flows|reporters|peers|derp_tx_bytes|derp_rx_bytes'
    for (const series of await victoria.exportSeries(`{__name__=~"${measurement}_(${fields})"}`)) {
      const { __name__: name = '', ...tags } = series.metric
      for (const [i, ms] of series.timestamps.entries()) {
        const key = `${ms} ${JSON.stringify(Object.entries(tags).sort())}`
        const timestampNs = BigInt(ms) * 1_000_000n
        const point = points.get(key) ?? { measurement, tags, fields: {}, timestampNs }
        points.set(key, point)
        point.fields[name.slice(measurement.length + 1)] = BigInt(series.values[i]!)
      }
    }
    return [...points.values()]
  }
}

async function live(t: TestContext, run: (journey: Journey) => Promise<void>): Promise<Stored> {
  const victoria = await startVictoriaMetrics(t)
  const settings = { 'influx.url': victoria.url, 'influx.bucket': 'flows' }
  await run(await startJourney(t, scene, settings, victoria.flush))
  return inVictoria(victoria)
}

const CASES: Readonly<Record<string, (journey: Journey) => Promise<void>>> = {
  'one process': async (journey) => void (await journey.start()),
  async 'a process ends when no row is written yet, and another one goes on'(journey) {
    const folder = journey.folder()
    const first = await journey.start({}, folder)
    await journey.advanceTo(NOON + 7n * MINUTE)
    await journey.stop(first)
    await journey.start({}, folder)
  },
  async 'a process ends while rows are being written, and another one goes on an hour later'(journey) {
    const folder = journey.folder()
    const first = await journey.start({}, folder)
    await journey.advanceTo(NOON + 20n * MINUTE)
    await journey.stop(first)
    await journey.advanceTo(NOON + 75n * MINUTE)
    await journey.start({}, folder)
  },
}

for (const [name, run] of Object.entries(CASES))
  test(`VictoriaMetrics, ${name}`, { skip }, async (t) => {
    const embedded = await startJourney(t, scene, {})
    const folder = embedded.folder()
    await embedded.start({}, folder)
    await embedded.settle()
    const right = await rowsOf(inStore(pathsIn(folder).store))

    const stored = await live(t, async (journey) => {
      await run(journey)
      await journey.advanceTo(WRITTEN)
      await journey.settle()
    })
    const found = await rowsOf(stored)
    const texts = (rows: typeof right) => [...rows].toSorted(([one], [other]) => (one < other ? -1 : 1))
    assert.ok(right.size > 12)
    assert.deepEqual(
      texts(found).map(([ns]) => ns),
      texts(right).map(([ns]) => ns),
      'minutes with rows',
    )
    for (const [ns, rows] of found)
      assert.deepEqual(rows, right.get(ns), new Date(Number(ns / 1_000_000n)).toISOString())
    const hours = await rowsOf(stored, '_1h')
    const inHours = Map.groupBy([...found], ([ns]) => ns - (ns % (60n * MINUTE)))
    assert.deepEqual([...hours.keys()].toSorted(), [...inHours.keys()].toSorted(), 'hours with rows')
    for (const [ns, ofHour] of inHours)
      assert.deepEqual(edgeSums([hours.get(ns)!]), edgeSums(ofHour.map(([, rows]) => rows)), `hour ${ns}`)
    t.diagnostic(
      `${found.size} minutes, sums ${JSON.stringify(edgeSums(found.values()), (_, one) => (typeof one === 'bigint' ? Number(one) : one))}`,
    )
  })
