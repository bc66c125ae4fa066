/** `tailflux flows` as a process: the same table from the embedded store and from a real InfluxDB, with the numbers of the truth. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { runCli } from '../helpers/cli.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { startInfluxd } from '../services/influxd.ts'
import { missing } from '../services/servers.ts'
import { createTailnet } from '../simulator/tailnet.ts'

const MINUTE_NS = 60_000_000_000n
const RANGE_NS = 6n * MINUTE_NS

interface WireFlow {
  kind: string
  proto: string
  port: string
  srcName: string
  dstName: string
  src: string
  dst: string
  node: string
  txBytes: string
  rxBytes: string
}

test('the store and InfluxDB tell the same, and it is the truth', { skip: await missing('influxd') }, async (t) => {
  const tailnet = createTailnet({ nodes: 10, seed: 31, oldClients: 0, hostile: true })
  const newestNs = BigInt(Math.floor(Date.now() / 1000)) * 1_000_000_000n - 10n * MINUTE_NS
  // At some hours there is no traffic of one kind or the other: the newest range that has all that is asked for below.
  const toNs = Array.from({ length: 240 }, (_, index) => newestNs - BigInt(index) * RANGE_NS).find((endNs) => {
    const points = [...tailnet.truth(endNs - RANGE_NS, endNs)].map(({ tags }) => tags)
    const isThere = (wanted: Record<string, string>) =>
      points.some((tags) => Object.entries(wanted).every(([name, value]) => tags[name] === value))
    return isThere({ kind: 'subnet' }) && isThere({ kind: 'physical' }) && isThere({ proto: 'udp', port: '53' })
  })
  assert.ok(toNs !== undefined)
  const fromNs = toNs - RANGE_NS
  const [dir, influxd] = await Promise.all([temporaryFolder(t), startInfluxd(t, { databases: ['flows'] })])
  const file = join(dir, 'saved.ndjson')
  await writeFile(file, [...tailnet.messages(fromNs, toNs)].join('\n'))
  const store = { TAILFLUX_DATA_DIR: dir }
  const influx = { ...store, INFLUX_URL: influxd.url, INFLUX_API: 'v1', INFLUX_DB: 'flows' }
  for (const env of [store, influx]) {
    const { code, stderr } = await runCli(t, ['replay', file], env)
    assert.equal(code, 0, stderr)
  }
  const iso = (ns: bigint) => new Date(Number(ns / 1_000_000n)).toISOString()
  // Some records were uploaded hours after they were made.
  const range = ['--from', iso(fromNs - 360n * MINUTE_NS), '--to', iso(toNs)]
  const ask = async (env: Record<string, string>, ...more: string[]) => {
    const { code, stdout, stderr } = await runCli(t, ['flows', ...range, '--json', '-n', '100000', ...more], env)
    assert.equal(code, 0, stderr)
    return (JSON.parse(stdout) as { flows: WireFlow[] }).flows
  }
  const sorted = (flows: WireFlow[]) => flows.map((flow) => JSON.stringify(flow)).toSorted()
  const all = await ask(store)
  assert.deepEqual(sorted(await ask(influx)), sorted(all))
  for (const more of [
    ['--kind', 'physical'],
    ['--kind', 'subnet'],
    ['--proto', 'udp', '--port', '53'],
  ]) {
    const flows = await ask(store, ...more)
    assert.ok(flows.length > 0, more.join(' '))
    assert.deepEqual(sorted(await ask(influx, ...more)), sorted(flows), more.join(' '))
  }

  const reports = new Map<string, Map<string, bigint>>()
  for (const { measurement, tags, fields } of tailnet.truth(fromNs, toNs)) {
    if (measurement !== 'tailnet_flow' || tags['kind'] !== 'virtual') continue
    // Without an end nothing shows which two reports belong together.
    if (tags['src'] === 'none' || tags['dst'] === 'none') continue
    const key = [tags['proto'], tags['port'], ...[tags['src'], tags['dst']].toSorted()].join('\n')
    const sums = reports.get(key) ?? new Map<string, bigint>()
    const node = tags['node'] ?? ''
    sums.set(node, (sums.get(node) ?? 0n) + (fields['tx_bytes'] ?? 0n) + (fields['rx_bytes'] ?? 0n))
    reports.set(key, sums)
  }
  const expected = new Map(
    [...reports].map(([key, sums]) => [key, [...sums.values()].reduce((most, sum) => (sum > most ? sum : most))]),
  )
  const virtual = all.filter(({ kind, src, dst }) => kind === 'virtual' && src !== 'none' && dst !== 'none')
  const got = new Map(
    virtual.map((flow) => [
      [flow.proto, flow.port, ...[flow.src, flow.dst].toSorted()].join('\n'),
      BigInt(flow.txBytes) + BigInt(flow.rxBytes),
    ]),
  )
  assert.equal(got.size, virtual.length)
  assert.deepEqual(got, expected)

  const one = virtual.find(({ srcName }) => /[ ,=]/.test(srcName))
  assert.ok(one, 'no hostile name')
  for (const env of [store, influx]) {
    const own = await ask(env, '--node', one.srcName)
    assert.ok(own.length > 0)
    assert.ok(
      own.every(
        ({ srcName, dstName, node }) => srcName === one.srcName || dstName === one.srcName || node === one.node,
      ),
    )
  }

  const table = await runCli(t, ['flows', ...range, '-n', '3'], store)
  assert.match(
    table.stdout,
    /^ *BYTES +SENT +RECEIVED {2}KIND +PROTO +FROM +TO +REPORTED BY\n(.+\n){3}\n.* UTC to .* UTC\n$/,
  )
  const none = await runCli(t, ['flows', '--from', '300d', '--to', '299d'], store)
  assert.match(none.stdout, /^No flows from/)
})

test('what cannot be queried is reported with the fix', async (t) => {
  const dir = temporaryFolder(t)
  const empty = await runCli(t, ['flows'], { TAILFLUX_DATA_DIR: dir })
  assert.equal(empty.code, 1)
  assert.match(empty.stderr, /There is no embedded store at .*check TAILFLUX_DATA_DIR/)
  const down = await runCli(t, ['flows'], { INFLUX_URL: 'http://127.0.0.1:1', INFLUX_BUCKET: 'x' })
  assert.equal(down.code, 1)
  assert.match(down.stderr, /cannot be reached \(ECONNREFUSED\)/)
  assert.equal((await runCli(t, ['flows', '--kind', 'all'])).code, 2)
})
