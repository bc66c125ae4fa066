/** Rules over the stored past: on InfluxDB, VictoriaMetrics and the embedded store the same, and what the rows say when they are added up in the plainest way. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alertsSchema } from '../../src/alerts/config.ts'
import { type ReplayResult, replay } from '../../src/alerts/replay.ts'
import type { Rule } from '../../src/alerts/rules/rule.ts'
import type { RowStore } from '../../src/rollup/rows/row-store.ts'
import { addTo, EDGE, NODE, type RowTable } from '../../src/rollup/rows/row-table.ts'
import { partsOfLine } from '../../src/sink/line-protocol/line-parts.ts'
import { missing } from '../services/servers.ts'
import { createTailnet } from './demo-truth.ts'
import { type Row, rowsOf, rowValues } from './row-values.ts'
import { rowLines } from './rows.ts'
import { createStored } from './stored.ts'
import { MIN, T0 } from './world.ts'

const HOUR = 60n * MIN
const skip = await missing('influxd', 'victoria-metrics')
const NETWORKS = [{ cidr: '10.0.0.0/8', name: 'lan', fold: false }]
const RULES = [
  { name: 'node', above: '2MB', recoverBelow: '1MB', window: '5m' },
  { name: 'pair', by: 'pair', above: '1MB', window: '5m' },
  { name: 'port', by: ['node', 'port'], above: '500kB', window: '5m' },
  { name: 'network', by: 'network', kind: 'subnet', above: '50kB', window: '5m' },
  { name: 'exit', by: 'exitNode', above: '100kbps', window: '5m' },
  { name: 'silent', silentFor: '5m', within: '60m' },
  { name: 'below', below: '10kB', window: '10m', within: '60m' },
  { name: 'relayed', relayShareAbove: 50, window: '10m', atLeast: '1kB' },
  { name: 'ratio', ratioToPreviousAbove: 2, previous: 'hour', window: '20m', atLeast: '100kB' },
  { name: 'ports', distinctPortsAbove: 1, window: '5m' },
  { name: 'quota', quotaAbove: '100MB', per: 'day' },
  { name: 'total', by: 'total', above: '30MB', window: '5m' },
]

/** When each group began to fire and ended, as lines; and what the replay says of the range. */
async function replayed(
  rows: Pick<RowStore, 'rows' | 'summed' | 'minutes'>,
  rules: readonly Rule[],
  fromNs: bigint,
  toNs: bigint,
): Promise<{ lines: string[]; result: ReplayResult; shares: number[] }> {
  const lines: string[] = []
  const shares: number[] = []
  const result = await replay(
    rules,
    { fromNs, toNs, seriesMax: 10_000, networks: ['lan'] },
    {
      rows,
      monotonicMs: () => performance.now(),
      signal: AbortSignal.timeout(600_000),
      onProgress: (share) => shares.push(share),
      onTransition: ({ alert: { rule }, is, mark, group: { node_name: _, ...group } }) =>
        lines.push(`${rule.name} ${is} ${JSON.stringify(Object.entries(group).toSorted())} ${(mark.atNs - T0) / MIN}`),
    },
  )
  return { lines: lines.toSorted(), result, shares }
}

function recordLine(atNs: bigint, gap = false): string {
  return `tailflux_minute,tailnet=default digest="1",points=1i,rows=1i,writer="w",gap=${gap} ${atNs}`
}

function recordLines(fromNs: bigint, toNs: bigint): string[] {
  return Array.from({ length: Number((toNs - fromNs) / MIN) }, (_, i) => recordLine(fromNs + BigInt(i) * MIN))
}

/** The same by hand, for rules without `for`: minute by minute, from the rows. */
function expected(rows: readonly Row[], rules: readonly Rule[], fromNs: bigint, toNs: bigint): string[] {
  const lines: string[] = []
  for (const rule of rules) {
    const firing = new Set<string>()
    for (let atNs = fromNs + rule.stepNs; atNs <= toNs; atNs += rule.stepNs) {
      const values = new Map(
        rowValues(rows, rule, atNs, { networks: ['lan'] }).map(({ group, value }) => [
          JSON.stringify(Object.entries(group).toSorted()),
          value,
        ]),
      )
      for (const key of new Set([...values.keys(), ...firing])) {
        const value = values.get(key)
        const isBreach = value !== undefined && rule.form.verdict(value, true, firing.has(key)) === 'breach'
        if (isBreach === firing.has(key)) continue
        lines.push(`${rule.name} ${isBreach ? 'firing' : 'resolved'} ${key} ${(atNs - T0) / MIN}`)
        if (isBreach) firing.add(key)
        else firing.delete(key)
      }
    }
  }
  return lines.toSorted()
}

test('when each form would have fired, from each kind of store', { skip }, async (t) => {
  const tailnet = createTailnet({ seed: 7, nodes: 14, oldClients: 0 })
  const [fromNs, toNs] = [T0 + 2n * HOUR, T0 + 3n * HOUR]
  const lines = rowLines(tailnet, tailnet.truth(T0, toNs), NETWORKS)
  const stores = await createStored(t, [...lines, ...recordLines(T0, toNs)])
  const rules = alertsSchema.parse({ rules: RULES }).rules.map(({ rule }) => rule)
  const [influx, ...others] = await Promise.all(
    [stores.influx, stores.victoria, stores.embedded].map((store) => replayed(store, rules, fromNs, toNs)),
  )
  for (const other of others) assert.deepEqual(influx, other)
  assert.deepEqual(influx?.result, { oldestNs: fromNs, toNs, missingMinutes: 0 })
  assert.equal(influx?.shares.at(-1), 1)
  const wanted = expected(rowsOf(lines), rules, fromNs, toNs)
  for (const { name } of rules) {
    const of = (all: readonly string[] = []) => all.filter((line) => line.startsWith(`${name} `))
    assert.deepEqual(of(influx?.lines), of(wanted), name)
    assert.ok(of(wanted).length > 0, `${name} begins or ends`)
    t.diagnostic(`${name}: ${of(wanted).length} changes`)
  }
})

test('what was not read changes nothing: a gap, a time without rows, and the time before the first row', async () => {
  const node = (name: string, atNs: bigint, tx: bigint) =>
    `tailnet_node,kind=physical,node=n${name}CNTRL,node_name=${name},os=linux,owner=none,role=peer,tailnet=default tx_bytes=${tx}i,rx_bytes=0i,tx_pkts=1i,rx_pkts=0i,flows=1i,peers=1i,derp_tx_bytes=0i,derp_rx_bytes=0i ${atNs}`
  const rules = alertsSchema
    .parse({
      rules: [
        { name: 'silent', silentFor: '10m', within: '6h' },
        { name: 'loud', kind: 'physical', above: '1kB', window: '10m' },
      ],
    })
    .rules.map(({ rule }) => rule)
  const minutesFrom = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => T0 + BigInt(from + i) * MIN)
  const run = (lines: readonly string[], from: bigint, to: bigint) => replayed(memoryRows(lines), rules, from, to)

  // `b` is silent from minute 30 on, for good; `a` always sends.
  const steady = (from: number, to: number) =>
    minutesFrom(from, to).flatMap((atNs) => [node('a', atNs, 10n), recordLine(atNs)])
  const both = [...steady(0, 240), ...minutesFrom(0, 30).map((atNs) => node('b', atNs, 10n))]
  assert.deepEqual((await run(both, T0, T0 + 4n * HOUR)).lines, ['silent firing [["node","nbCNTRL"]] 40'])

  // Minutes 35 to 37 are in a gap: nobody knows about `b` until ten minutes without it.
  const gap = [
    ...both.filter((line) => !/^tailflux_minute/.test(line)),
    ...minutesFrom(0, 240).map((atNs, i) => recordLine(atNs, i >= 35 && i < 38)),
  ]
  const inGap = await run(gap, T0, T0 + 4n * HOUR)
  assert.deepEqual([inGap.lines, inGap.result.missingMinutes], [['silent firing [["node","nbCNTRL"]] 48'], 3])

  // Two hours in which nobody read anything: neither `a` nor `b` is silent because of it.
  const off = [...steady(0, 60), ...minutesFrom(0, 60).map((atNs) => node('b', atNs, 10n)), ...steady(180, 240)]
  const wasOff = await run(off, T0, T0 + 4n * HOUR)
  assert.deepEqual([wasOff.lines, wasOff.result.missingMinutes], [['silent firing [["node","nbCNTRL"]] 190'], 120])

  // The first rows are an hour after the begin.
  const late = await run([...steady(60, 240), node('b', T0 + 65n * MIN, 5_000n)], T0, T0 + 4n * HOUR)
  assert.deepEqual(late.lines, [
    'loud firing [["node","nbCNTRL"]] 66',
    'loud resolved [["node","nbCNTRL"]] 76',
    'silent firing [["node","nbCNTRL"]] 76',
  ])
  assert.deepEqual(late.result, { oldestNs: T0 + HOUR, toNs: T0 + 4n * HOUR, missingMinutes: 0 })

  assert.deepEqual((await run([], T0, T0 + HOUR)).result, {
    ...{ oldestNs: undefined, toNs: T0 + HOUR, missingMinutes: 60 },
  })

  // Rows of the newest minutes are not there yet, for 16 minutes in VictoriaMetrics: nobody is silent because of it.
  const newest = await run(both, T0, T0 + 4n * HOUR + 17n * MIN)
  assert.deepEqual([newest.lines, newest.result.toNs], [['silent firing [["node","nbCNTRL"]] 40'], T0 + 4n * HOUR])
  // Nothing was made in the range.
  assert.deepEqual((await run(both, T0 + 5n * HOUR, T0 + 6n * HOUR)).result.oldestNs, undefined)
})

test('a rule about what is new remembers the rows of hours before the range', async () => {
  const edge = (measurement: string, dst: string, atNs: bigint) =>
    `${measurement},dst=n${dst}CNTRL,dst_name=${dst},dst_owner=none,kind=virtual,path=none,port=443,proto=tcp,src=naCNTRL,src_name=a,src_owner=none,tailnet=default tx_bytes=10i,rx_bytes=0i,tx_pkts=1i,rx_pkts=0i,flows=1i,reporters=2i ${atNs}`
  const rules = alertsSchema.parse({ rules: [{ name: 'new', newFor: '6h' }] }).rules.map(({ rule }) => rule)
  const [fromNs, toNs] = [T0 + 10n * HOUR, T0 + 12n * HOUR]
  const lines = [
    ...recordLines(T0, toNs),
    // `b` was there five hours before, `c` eight.
    edge('tailnet_edge_1h', 'b', T0 + 5n * HOUR),
    edge('tailnet_edge_1h', 'c', T0 + 2n * HOUR),
    ...['b', 'c', 'd'].map((dst) => edge('tailnet_edge', dst, T0 + 10n * HOUR + 30n * MIN)),
  ]
  const { lines: told } = await replayed(memoryRows(lines), rules, fromNs, toNs)
  assert.deepEqual(
    told.filter((line) => line.includes(' firing ')).map((line) => /"dst","(\w+)"/.exec(line)?.[1]),
    ['c', 'd'],
  )
  // Who remembers for less than the rule wants cannot say that something is new.
  const short = [...recordLines(T0 + 5n * HOUR, toNs), ...lines.slice(-3)]
  assert.deepEqual((await replayed(memoryRows(short), rules, fromNs, toNs)).lines, [])
})

/** Lines as a store, by the interface alone. */
function memoryRows(lines: readonly string[]): Pick<RowStore, 'rows' | 'summed' | 'minutes'> {
  const parsed = lines.map((line) => ({ ...partsOfLine(line), isGap: line.includes('gap=true') }))
  const of = (measurement: string, fromNs: bigint, toNs: bigint) =>
    parsed.filter(
      ({ key, timestampNs }) => key.startsWith(`${measurement},`) && timestampNs >= fromNs && timestampNs < toNs,
    )
  const valuesOf = (measurement: string, fields: Readonly<Record<string, unknown>>) =>
    (measurement.startsWith('tailnet_edge') ? EDGE : NODE).fields.map((name) => BigInt(String(fields[name] ?? 0)))
  const keyOf = (measurement: string, key: string) => key.slice(measurement.length + 1)
  return {
    async rows(measurement, fromNs, toNs, each) {
      for (const { key, fields, timestampNs } of of(measurement, fromNs, toNs))
        each(timestampNs, keyOf(measurement, key), valuesOf(measurement, fields))
    },
    async summed(measurement, fromNs, toNs) {
      const table: RowTable = new Map()
      for (const { key, fields } of of(measurement, fromNs, toNs))
        addTo(table, new Map([[keyOf(measurement, key), valuesOf(measurement, fields)]]), EDGE)
      return table
    },
    minutes: async (fromNs, toNs) =>
      of('tailflux_minute', fromNs, toNs).map(({ isGap, timestampNs }) => ({
        ...{ startNs: timestampNs, digest: '1', points: 1, rows: 1, writer: 'w', isGap },
      })),
  }
}
