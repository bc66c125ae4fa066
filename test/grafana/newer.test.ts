/** The numbers of every panel on real InfluxDB 2.x and 3 Core, where TEST_INFLUXD2 and TEST_INFLUXD3 name them: numbers.test.ts with its rows there. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { noInfluxd2 } from '../services/influxd2.ts'
import { noInfluxd3 } from '../services/influxd3.ts'

const run = promisify(execFile)

for (const [kind, skip] of [
  ['v2', noInfluxd2],
  ['v3', noInfluxd3],
] as const) {
  test(`every query of the dashboards gives the numbers of the rows: InfluxDB ${kind.slice(1)}.x`, {
    skip,
  }, async () => {
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const file = join(import.meta.dirname, 'numbers.test.ts')
    const options = { env: { ...env, TAILFLUX_TEST_ROWS_ON: kind }, maxBuffer: 64 << 20 }
    const { stdout } = await run(process.execPath, ['--test', file], options).catch((error: { stdout?: string }) =>
      assert.fail(error.stdout ?? String(error)),
    )
    assert.match(stdout, /^ℹ fail 0$/m)
  })
}
