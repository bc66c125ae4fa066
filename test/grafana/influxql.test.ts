// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Grafana's own placeholders.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { askingPanels, readDashboards } from './dashboards.ts'
import { portabilityFaults } from './influxql.ts'

for (const dashboard of readDashboards()) {
  test(`${dashboard.uid}: every query runs on InfluxDB 1.x, 2.x and 3.x`, () => {
    for (const panel of askingPanels(dashboard))
      for (const { query } of panel.targets!) assert.deepEqual(portabilityFaults(query), [], query)
    for (const variable of dashboard.templating.list.filter(({ type }) => type === 'query'))
      assert.deepEqual(portabilityFaults(variable.query), [], variable.query)
    assert.ok(dashboard.annotations.list.length > 0)
    for (const { target } of dashboard.annotations.list)
      assert.deepEqual(portabilityFaults(target.query), [], target.query)
  })
}

const UNPORTABLE = [
  'SELECT sum("tx_bytes") * 8.0 FROM "m" WHERE $timeFilter GROUP BY "node" SLIMIT 10',
  'SELECT sum("tx_bytes") AS "b" INTO "x" FROM "m" WHERE $timeFilter',
  'SHOW SERIES CARDINALITY',
  'SHOW TAG VALUES ON "db" FROM "m" WITH KEY = "node"',
  'SHOW TAG VALUES FROM "m" WITH KEY CARDINALITY',
  'DROP MEASUREMENT "m"',
  'SELECT holt_winters(sum("x"), 10, 4) FROM "m" WHERE $timeFilter',
  'SELECT sample("x", 3) FROM "m" WHERE $timeFilter',
  'SELECT exponential_moving_average("x", 3) FROM "m" WHERE $timeFilter',
  'SELECT sum("x") FROM "rp"."m" WHERE $timeFilter',
  'SELECT sum("x") FROM "m" WHERE time >= ${__from}ms - ${__range_ms}ms',
  'SELECT sum("x") FROM "m" WHERE $timeFilter ORDER BY "x"',
  'SELECT count(distinct("src")) FROM "m" WHERE $timeFilter',
  'SELECT sum("x") / 5m FROM "m" WHERE $timeFilter',
  'SELECT sum("tx_bytes") * 8000 / $__interval_ms FROM "m" WHERE $timeFilter',
  'SELECT sum("x") FROM m WHERE $timeFilter',
  'SELECT sum("x") FROM "m" WHERE "kind" = "virtual" AND $timeFilter',
  'SELECT stddev("x") FROM "m" WHERE $timeFilter',
]
for (const query of UNPORTABLE) {
  test(`refused: ${query}`, () => assert.notDeepEqual(portabilityFaults(query), []))
}
