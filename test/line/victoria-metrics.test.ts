import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startVictoriaMetrics } from '../services/victoria-metrics.ts'
import { NOON } from '../simulator/ranges.ts'
import { type TruthPoint, truthKey } from '../simulator/truth.ts'
import { HOUR_NS, LAG_NS, startWorld } from './world.ts'

const FROM = NOON
const TO = NOON + HOUR_NS - LAG_NS

/** VictoriaMetrics keeps milliseconds, and the parts of a split record begin in the same one: they must stay apart. */
test('an hour of fifty nodes in VictoriaMetrics is the truth, sample by sample and in every sum', async (t) => {
  const database = await startVictoriaMetrics(t)
  const { tailnet, service } = await startWorld(t)
  const { catchUp, service: running } = service({
    'influx.url': database.url,
    'influx.bucket': 'flows',
  })
  await catchUp()
  assert.equal(running.pipeline.status().watermarkNs, String(TO))
  await database.flush()

  /** By series without the field, then by millisecond: the points there. */
  const expected = new Map<string, Map<number, TruthPoint[]>>()
  for (const point of tailnet.truth(FROM, TO)) {
    const key = seriesKey(point.measurement, point.tags)
    const ms = millisecondOf(point.timestampNs)
    const series = expected.get(key) ?? new Map<number, TruthPoint[]>()
    expected.set(key, series)
    series.set(ms, [...(series.get(ms) ?? []), point])
  }
  const sums = new Map<string, number>()
  let seriesCount = 0
  let inOneMillisecond = 0
  /** Clocks of nodes may be ahead. */
  let lastMs = 0
  for (const { metric, values, timestamps } of await database.exportSeries('{__name__=~"tailnet_flow_.+"}')) {
    const { __name__: name = '', ...tags } = metric
    const [measurement = '', field = ''] = name.split(/(?<=tailnet_flow)_/)
    const series = expected.get(seriesKey(measurement, tags))
    assert.ok(series, `not in the truth: ${JSON.stringify(metric)}`)
    assert.deepEqual(timestamps.toSorted(), [...series.keys()].toSorted())
    seriesCount += 1
    lastMs = Math.max(lastMs, ...timestamps)
    const byMillisecond = Map.groupBy([...series.values()].flat(), ({ timestampNs }) => timestampNs / 1_000_000n)
    for (const one of byMillisecond.values()) if (one.length > 1) inOneMillisecond += 1
    for (const [index, value] of values.entries()) {
      const points: readonly TruthPoint[] = series.get(timestamps[index]!) ?? []
      assert.deepEqual(
        points.map(({ fields }) => Number(fields[field])),
        [value],
        `${value} of ${JSON.stringify(metric)}`,
      )
      const key = `${name} ${tags['kind']}`
      sums.set(key, (sums.get(key) ?? 0) + value)
    }
  }
  let expectedCount = 0
  for (const series of expected.values())
    expectedCount += Object.keys(series.values().next().value?.[0]?.fields ?? {}).length
  assert.equal(seriesCount, expectedCount)
  assert.ok(inOneMillisecond > 0, 'something began in the same millisecond')

  // The database's own arithmetic over the same samples.
  for (const field of ['tx_bytes', 'tx_pkts', 'rx_bytes', 'rx_pkts', 'flows']) {
    const name = `tailnet_flow_${field}`
    const query = `sum(sum_over_time(${name}[2d])) by (kind)`
    const time = Math.ceil(lastMs / 1000) + 1
    const answer = await fetch(`${database.url}/api/v1/query?time=${time}&nocache=1&query=${encodeURIComponent(query)}`)
    const { data } = (await answer.json()) as {
      data: { result: { metric: { kind: string }; value: [number, string] }[] }
    }
    assert.equal(data.result.length, 4)
    for (const { metric, value } of data.result)
      assert.equal(Number(value[1]), sums.get(`${name} ${metric.kind}`), `${name} ${metric.kind}`)
  }
  t.diagnostic(`${seriesCount} series; ${inOneMillisecond} times two samples of one began in one millisecond`)
})

/** The millisecond is the sum of milli-, micro- and nanoseconds. */
function millisecondOf(ns: bigint): number {
  const fraction = ns % 1_000_000_000n
  const sum = fraction / 1_000_000n + ((fraction / 1000n) % 1000n) + (fraction % 1000n)
  return Number((ns - fraction) / 1_000_000n + (sum % 1000n))
}

function seriesKey(measurement: string, tags: Readonly<Record<string, string>>): string {
  return truthKey({ measurement, tags, timestampNs: 0n })
}
