/** Thresholds from what was seen: from InfluxDB, VictoriaMetrics and the embedded store they are the same, they are those of the rows, and they would not have fired. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alertsSchema } from '../../src/alerts/config.ts'
import { suggest } from '../../src/alerts/rules/suggest.ts'
import { getOrInsert } from '../../src/base/maps.ts'
import { addTo, EDGE, linesOf, NODE, type RowTable } from '../../src/rollup/rows/row-table.ts'
import { partsOfLine } from '../../src/sink/line-protocol/line-parts.ts'
import { missing } from '../services/servers.ts'
import { createTailnet } from './demo-truth.ts'
import { rowLines } from './rows.ts'
import { createStored } from './stored.ts'
import { MIN } from './world.ts'

const HOUR = 60n * MIN
const signal = AbortSignal.timeout(600_000)

test('databases and the embedded store suggest the same, well above what the rows have', {
  skip: await missing('influxd', 'victoria-metrics'),
}, async (t) => {
  const tailnet = createTailnet({ seed: 5, nodes: 30, oldClients: 0 })
  const nowNs = recentWorkday()
  const beginNs = nowNs - 150n * MIN
  const minutes = rowLines(tailnet, tailnet.truth(beginNs, nowNs))
  const lines = [...minutes, ...hoursOf(minutes)]
  const stores = await createStored(t, lines)
  const [fromInflux, fromVictoria, fromStore] = await Promise.all(
    [stores.influx, stores.victoria, stores.embedded].map((store) => suggest(store, { nowNs, days: 7 }, signal)),
  )
  assert.deepEqual(fromInflux, fromStore)
  assert.deepEqual(fromVictoria, fromStore)
  const byName = new Map(fromStore?.map((one) => [one.rule['name'], one]))
  for (const name of ['node-egress', 'exit-node-busy', 'pair-volume', 'tailnet-volume'])
    assert.ok(byName.has(name), name)
  const config = alertsSchema.parse({ rules: fromStore?.map(({ rule }) => rule) })
  assert.equal(config.rules.length, fromStore?.length)
  for (const { text, rule } of fromStore ?? []) t.diagnostic(`${JSON.stringify(rule)}: ${text}`)

  // By hand: what each node sent in whole hours.
  const sent = new Map<string, number>()
  for (const line of minutes) {
    const { key, tags, fields, timestampNs } = partsOfLine(line)
    if (!key.startsWith('tailnet_node,') || tags['kind'] !== 'virtual') continue
    const hour = `${tags['node_name']} ${timestampNs / HOUR}`
    sent.set(hour, (sent.get(hour) ?? 0) + Number(fields['tx_bytes']))
  }
  const [[busiest = '', most = 0] = []] = [...sent].toSorted(([, one], [, other]) => other - one)
  const text = byName.get('node-egress')?.text ?? ''
  const [, name, amount] = /^the most in 1h: (\S+) ([\d.]+)MB, .* \(of \d+\)$/.exec(text) ?? []
  assert.equal(name, busiest.split(' ')[0], text)
  assert.ok(Number(amount) >= most / 1e6 && Number(amount) < (most / 1e6) * 1.1, `${text}: ${most}`)
  const above = config.rules.find(({ rule }) => rule.name === 'node-egress')?.rule.form.thresholdText ?? ''
  assert.ok(Number.parseFloat(above) * 1e6 >= 1.2 * most, `${above}: ${most}`)
})

test('the usual is the 99th percentile of windows with traffic, also over many days', async () => {
  const lines: string[] = []
  const nowNs = 20_000n * 24n * HOUR
  // 500 hours: 10 of them carry more than all others.
  for (let i = 0n; i < 500n; i++) {
    const tx = i % 50n === 0n ? 50_000_000n : 1_000_000n
    lines.push(nodeLine('n1CNTRL', tx, nowNs - (500n - i) * HOUR))
  }
  const suggestions = await suggest(storeOf(lines), { nowNs, days: 30 }, signal)
  // Of 500 windows the 495th: among the ten.
  assert.deepEqual(suggestions.find(({ rule }) => rule['name'] === 'node-egress')?.rule['above'], '100MB')
  const fewer = lines.map((line) => line.replace('50000000i', '5000000i'))
  fewer[0] = nodeLine('n1CNTRL', 3_000_000n, nowNs - 500n * HOUR)
  const usual = await suggest(storeOf(fewer), { nowNs, days: 30 }, signal)
  assert.equal(usual.find(({ rule }) => rule['name'] === 'node-egress')?.rule['above'], '10MB')
  // What lies before is not asked for.
  const recent = await suggest(storeOf(lines), { nowNs, days: 1 }, signal)
  assert.match(recent.find(({ rule }) => rule['name'] === 'node-egress')?.text ?? '', /^the most in 1h: n1CNTRL 1MB$/)
})

test('nothing seen, nothing suggested', async () => {
  assert.deepEqual(await suggest(storeOf([]), { nowNs: 20_000n * 24n * HOUR, days: 7 }, signal), [])
})

function nodeLine(node: string, tx: bigint, atNs: bigint): string {
  const fields = `tx_bytes=${tx}i,rx_bytes=0i,tx_pkts=1i,rx_pkts=0i,flows=1i,peers=1i,derp_tx_bytes=0i,derp_rx_bytes=0i`
  return `tailnet_node_1h,kind=virtual,node=${node},node_name=${node},os=linux,owner=none,role=peer,tailnet=default ${fields} ${atNs}`
}

/** Lines as a store, by the interface alone. */
function storeOf(lines: readonly string[]): Parameters<typeof suggest>[0] {
  const parsed = lines.map((line) => partsOfLine(line))
  return {
    async rows(measurement, fromNs, toNs, each) {
      for (const { key, fields, timestampNs } of parsed) {
        if (!key.startsWith(`${measurement},`) || timestampNs < fromNs || timestampNs >= toNs) continue
        const names = measurement.startsWith('tailnet_edge') ? EDGE.fields : NODE.fields
        const values = names.map((name) => BigInt(fields[name] ?? 0))
        each(timestampNs, key.slice(measurement.length + 1), values)
      }
    },
  }
}

/** Rows of minutes as rows of hours. */
function hoursOf(minutes: readonly string[]): string[] {
  return (['tailnet_edge', 'tailnet_node'] as const).flatMap((measurement) => {
    const shape = measurement === 'tailnet_edge' ? EDGE : NODE
    const hours = new Map<bigint, RowTable>()
    for (const line of minutes) {
      if (!line.startsWith(`${measurement},`)) continue
      const { key, fields, timestampNs } = partsOfLine(line)
      const table = getOrInsert(hours, timestampNs - (timestampNs % HOUR), () => new Map())
      const values = shape.fields.map((name) => BigInt(fields[name] ?? 0))
      addTo(table, new Map([[key.slice(measurement.length + 1), values]]), shape)
    }
    return [...hours].flatMap(([hourNs, table]) =>
      linesOf(`${measurement}_1h`, table, shape, hourNs).split('\n').filter(Boolean),
    )
  })
}

/** Half past two in the afternoon of a workday of the last week: people are at work in the simulation. */
function recentWorkday(): bigint {
  const day = new Date()
  day.setUTCHours(14, 30, 0, 0)
  do day.setUTCDate(day.getUTCDate() - 1)
  while (day.getUTCDay() === 0 || day.getUTCDay() === 6)
  return BigInt(day.getTime()) * 1_000_000n
}
