/** `tailflux flows` as a process: the same from the embedded store and from a real InfluxDB. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { pathsIn } from '../../src/config/data-dir.ts'
import { EDGE, linesOf, type RowTable, seriesKey } from '../../src/rollup/rows/row-table.ts'
import type { SinkMetrics } from '../../src/sink/sink.ts'
import { createEmbeddedStore } from '../../src/sink/sqlite/embedded-store.ts'
import { runCli } from '../helpers/cli.ts'
import { countingMetrics, silentLog } from '../helpers/silent.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { startInfluxd } from '../services/influxd.ts'
import { missing } from '../services/servers.ts'

const MINUTE = 60_000_000_000n
const HOUR = 60n * MINUTE
const DAY = 24n * HOUR
const YEAR_MS = 365 * 86_400_000

/** A row between two devices. */
function edge(more: { kind?: string; port?: string; path?: string; dst?: string } = {}, bytes = 1_000n): RowTable {
  const { kind = 'virtual', port = '443', path = 'none', dst = 'web' } = more
  const key = seriesKey(EDGE, [dst, dst, 'tag:web', kind, path, port, 'tcp', 'n1', "ann's, laptop", 'ann', 'default'])
  return new Map([[key, [bytes, 2n * bytes, 1n, 2n, 3n, 2n]]])
}

const raw = (node: string, src: string, dst: string, ns: bigint) =>
  `tailnet_flow,dst=${dst},dst_port=443,kind=virtual,node=${node},path=none,proto=tcp,src=${src},src_port=none,tailnet=default tx_bytes=1i,tx_pkts=1i,rx_bytes=2i,rx_pkts=1i,flows=1i ${ns}\n`

test('minutes, hours, days and raw points, from either database', { skip: await missing('influxd') }, async (t) => {
  const [dir, influxd] = await Promise.all([temporaryFolder(t), startInfluxd(t, { databases: ['flows'] })])
  const store = { TAILFLUX_DATA_DIR: dir }
  const influx = { ...store, INFLUX_URL: influxd.url, INFLUX_API: 'v1', INFLUX_DB: 'flows' }
  const now = systemClock.now()
  const minute = now - (now % MINUTE)
  const day = now - (now % DAY)
  const lines = [
    linesOf('tailnet_edge', edge(), EDGE, minute - 3n * MINUTE),
    linesOf('tailnet_edge', edge(), EDGE, minute - 2n * MINUTE),
    linesOf('tailnet_edge', edge({ dst: 'db', port: '5432' }, 100n), EDGE, minute - 2n * MINUTE),
    linesOf('tailnet_edge', edge({ kind: 'physical', port: 'none', path: 'derp-4' }), EDGE, minute - 2n * MINUTE),
    linesOf('tailnet_edge_1h', edge({}, 50_000n), EDGE, day - 3n * DAY),
    linesOf('tailnet_edge_1d', edge({}, 700_000n), EDGE, day - 89n * DAY),
    linesOf('tailnet_edge_1d', edge({}, 300_000n), EDGE, day - 40n * DAY),
    raw('n1', '100.64.0.1', '100.64.0.2', minute - 2n * MINUTE),
    raw('n2', '100.64.0.2', '100.64.0.1', minute - 2n * MINUTE),
  ].join('')
  const written = await fetch(`${influxd.url}/write?db=flows`, { method: 'POST', body: lines })
  assert.equal(written.status, 204)
  const embedded = createEmbeddedStore(
    { path: pathsIn(dir).store, retention: { raw: YEAR_MS, minutes: YEAR_MS, main: YEAR_MS } },
    { clock: systemClock, log: silentLog, metrics: countingMetrics<SinkMetrics>() },
  )
  const signal = new AbortController().signal
  const lineCount = lines.split('\n').length - 1
  await embedded.write({ bytes: Buffer.from(lines), lineCount, target: 'main' }, signal)
  await embedded.stop()

  for (const env of [store, influx]) {
    const ask = async (...more: string[]) => {
      const { code, stdout, stderr } = await runCli(t, ['flows', '--json', ...more], env)
      assert.equal(code, 0, stderr)
      return JSON.parse(stdout) as { tier: string; from: string; to: string; flows: Record<string, string>[] }
    }
    const newest = await ask()
    assert.equal(newest.tier, 'minutes')
    assert.deepEqual(
      newest.flows.map(({ dst, port, txBytes, rxBytes }) => [dst, port, txBytes, rxBytes]),
      [
        ['web', '443', '2000', '4000'],
        ['db', '5432', '100', '200'],
      ],
    )
    assert.deepEqual(newest.flows[0], {
      kind: 'virtual',
      proto: 'tcp',
      port: '443',
      path: 'none',
      src: 'n1',
      dst: 'web',
      srcName: "ann's, laptop",
      dstName: 'web',
      srcOwner: 'ann',
      dstOwner: 'tag:web',
      txBytes: '2000',
      rxBytes: '4000',
      txPkts: '2',
      rxPkts: '4',
    })
    assert.equal((await ask('--kind', 'physical')).flows.length, 1)
    assert.equal((await ask('--node', "ann's, laptop", '--port', '5432')).flows.length, 1)
    assert.equal((await ask('--owner', 'nobody')).flows.length, 0)

    const hours = await ask('--from', '5d')
    assert.deepEqual([hours.tier, hours.flows[0]?.['txBytes']], ['hours', '50000'])
    const days = await ask('--from', '90d', '--node', 'web', '--proto', '6')
    assert.deepEqual([days.tier, days.flows.length, days.flows[0]?.['txBytes']], ['days', 1, '1000000'])
    assert.match(days.from, /T00:00:00\.000Z$/)

    const points = await ask('--raw')
    assert.deepEqual([points.tier, points.flows.map(({ node }) => node)], ['raw', ['n1', 'n2']])

    const table = await runCli(t, ['flows', '--kind', 'physical'], env)
    assert.match(
      table.stdout,
      /^ *BYTES +SENT +RECEIVED {2}KIND +PROTO +FROM +TO +OWNERS\n.*physical +tcp +ann's, laptop +web \(relayed\) +ann → tag:web\n\n.* UTC to .* UTC, by minutes\n$/,
    )
    const rawTable = await runCli(t, ['flows', '--raw', '-n', '1'], env)
    assert.match(
      rawTable.stdout,
      /^ *BYTES .*TO +REPORTED BY +TIME\n.*tcp +100\.64\.0\.1 +100\.64\.0\.2 port 443 +n1 +20\S+Z\n\n.*, raw points\n$/,
    )
    const none = await runCli(t, ['flows', '--from', '300d', '--to', '299d'], env)
    assert.match(none.stdout, /^No flows from/)
  }
})

test('what cannot be queried is reported with the fix', async (t) => {
  const dir = temporaryFolder(t)
  const empty = await runCli(t, ['flows'], { TAILFLUX_DATA_DIR: dir })
  assert.equal(empty.code, 2)
  assert.match(empty.stderr, /There is no embedded store at .*check TAILFLUX_DATA_DIR/)
  const down = await runCli(t, ['flows'], { INFLUX_URL: 'http://127.0.0.1:1', INFLUX_BUCKET: 'x' })
  assert.equal(down.code, 1)
  assert.match(down.stderr, /cannot be reached \(ECONNREFUSED\)/)
})

test('wrong usage is exit code 2 with a sentence', async (t) => {
  const dir = join(temporaryFolder(t), 'data')
  for (const [args, text] of [
    [['--kind', 'all'], /Allowed choices are virtual, subnet, exit, physical/],
    [['--port', '65536'], /'--port <number>'.*must be a number from 0 to 65535, or none\./],
    [['--port', 'https'], /must be a number from 0 to 65535, or none\./],
    [['--proto', 'tpc'], /must be a name such as tcp/],
    [['--from', '1h', '--to', '2h'], /'--from <time>' must be earlier than '--to <time>'/],
    [['--from', 'now', '--to', '2026-01-01'], /must be earlier/],
    [['--from', 'yesterday'], /It must be a time such as/],
    [['-n', '0'], /whole number of at least 1/],
  ] as const) {
    const { code, stderr } = await runCli(t, ['flows', ...args], { TAILFLUX_DATA_DIR: dir })
    assert.equal(code, 2, args.join(' '))
    assert.match(stderr, text)
  }
})
