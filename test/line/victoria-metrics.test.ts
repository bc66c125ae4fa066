import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startVictoriaMetrics } from '../services/victoria-metrics.ts'
import { NOON } from '../simulator/ranges.ts'
import { type TruthPoint, truthKey } from '../simulator/truth.ts'
import { HOUR_NS, LAG_NS, startWorld } from './world.ts'

const FROM = NOON
const TO = NOON + HOUR_NS - LAG_NS

/** VictoriaMetrics keeps milliseconds, so two parts of a record that began in the same one are one sample there: either of them. Everything
 * else must be exact. */
test('an hour of fifty nodes in VictoriaMetrics is the truth, sample by sample and in every sum', async (t) => {
  const database = await startVictoriaMetrics(t)
  const { tailnet, service } = await startWorld(t)
  const { catchUp, service: running } = service({
    'influx.url': database.url,
    'influx.api': 'v2',
    'influx.bucket': 'flows',
  })
  await catchUp()
  assert.equal(running.pipeline.status().watermarkNs, String(TO))
  await database.flush()

  /** By series without the field, then by millisecond: the points there. */
  const expected = new Map<string, Map<number, TruthPoint[]>>()
  for (const point of tailnet.truth(FROM, TO)) {
    const key = seriesKey(point.measurement, point.tags)
    const ms = Number(point.timestampNs / 1_000_000n)
    const series = expected.get(key) ?? new Map<number, TruthPoint[]>()
    expected.set(key, series)
    series.set(ms, [...(series.get(ms) ?? []), point])
  }
  /** Of what the samples may be at least and at most. */
  const sums = new Map<string, { least: number; most: number }>()
  let seriesCount = 0
  let oneOfTwo = 0
  /** Clocks of nodes may be ahead. */
  let lastMs = 0
  for (const { metric, values, timestamps } of await database.exportSeries('{__name__=~"tailnet_.+"}')) {
    const { __name__: name = '', ...tags } = metric
    const [measurement = '', field = ''] = name.split(/(?<=tailnet_flow)_/)
    const series = expected.get(seriesKey(measurement, tags))
    assert.ok(series, `not in the truth: ${JSON.stringify(metric)}`)
    assert.deepEqual(timestamps.toSorted(), [...series.keys()].toSorted())
    seriesCount += 1
    lastMs = Math.max(lastMs, ...timestamps)
    for (const [index, value] of values.entries()) {
      const points: readonly TruthPoint[] = series.get(timestamps[index]!) ?? []
      assert.ok(
        points.some(({ fields }) => Number(fields[field]) === value),
        `${value} of ${JSON.stringify(metric)}`,
      )
      if (points.length > 1) oneOfTwo += 1
      const candidates = points.map(({ fields }) => Number(fields[field]))
      const key = `${name} ${tags['kind']}`
      const { least, most } = sums.get(key) ?? { least: 0, most: 0 }
      sums.set(key, { least: least + Math.min(...candidates), most: most + Math.max(...candidates) })
    }
  }
  let expectedCount = 0
  for (const series of expected.values())
    expectedCount += Object.keys(series.values().next().value?.[0]?.fields ?? {}).length
  assert.equal(seriesCount, expectedCount)

  // The database's own arithmetic over the same samples; of two in one millisecond it may take the other one this time.
  for (const name of [
    'tailnet_flow_tx_bytes',
    'tailnet_flow_tx_pkts',
    'tailnet_flow_rx_bytes',
    'tailnet_flow_rx_pkts',
    'tailnet_flow_flows',
  ]) {
    const query = `sum(sum_over_time(${name}[2d])) by (kind)`
    const time = Math.ceil(lastMs / 1000) + 1
    const answer = await fetch(`${database.url}/api/v1/query?time=${time}&nocache=1&query=${encodeURIComponent(query)}`)
    const { data } = (await answer.json()) as {
      data: { result: { metric: { kind: string }; value: [number, string] }[] }
    }
    assert.equal(data.result.length, 4)
    for (const { metric, value } of data.result) {
      const { least, most } = sums.get(`${name} ${metric.kind}`)!
      const sum = Number(value[1])
      assert.ok(sum >= least && sum <= most, `${name} ${metric.kind}: ${sum}, not from ${least} to ${most}`)
      assert.ok(most - least <= most / 100, `${name} ${metric.kind} is known well enough`)
    }
  }
  t.diagnostic(`${seriesCount} series, ${oneOfTwo} samples are one of two in the same millisecond`)
})

function seriesKey(measurement: string, tags: Readonly<Record<string, string>>): string {
  return truthKey({ measurement, tags, timestampNs: 0n })
}
