/** Thresholds from what was seen: by InfluxQL and from lines of the embedded store they are the same, and they would not have fired. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alertsSchema } from '../../src/alerts/config.ts'
import { influxSource, linesSource, suggest } from '../../src/alerts/rules/suggest.ts'
import { createLineWriter } from '../../src/sink/line-protocol/line-writer.ts'
import { createMessageReader } from '../../src/source/parse/message-reader.ts'
import { flattenerOf } from '../helpers/flattener.ts'
import { linesOf } from '../helpers/lines.ts'
import { startInfluxd } from '../services/influxd.ts'
import { missing } from '../services/servers.ts'
import { createTailnet } from './demo-truth.ts'
import { rowLines } from './rows.ts'
import { MIN } from './world.ts'

test('the database and the embedded store suggest the same', { skip: await missing('influxd') }, async (t) => {
  const server = await startInfluxd(t, { databases: ['flows'] })
  const tailnet = createTailnet({ seed: 5, nodes: 30, oldClients: 0 })
  const endNs = recentWorkday()
  // A record that was uploaded twice is stored once.
  const beginNs = endNs - 150n * MIN
  const raw = new Set(writtenOf([...tailnet.messages(beginNs, endNs)]))
  const lines = [...raw, ...rowLines(tailnet, tailnet.truth(beginNs, endNs))]
  for (let i = 0; i < lines.length; i += 20_000) {
    const body = lines.slice(i, i + 20_000).join('\n')
    assert.equal((await fetch(`${server.url}/write?db=flows`, { method: 'POST', body })).status, 204)
  }

  const ask = async (query: string) =>
    ((await server.query(query, 'flows'))[0]?.series ?? []).map(({ tags = {}, columns, values }) => ({
      tags,
      row: Object.fromEntries(columns.map((column, index) => [column, Number(values[0]?.[index])])),
    }))
  const fromDatabase = await suggest(
    influxSource(ask, { tailnet: 'default', delaySeconds: 0, from: (name) => `"${name}"` }),
    7,
  )
  const fromLines = await suggest(
    linesSource((measurement) => lines.filter((line) => line.startsWith(`${measurement},`)), 'default'),
    7,
  )
  assert.deepEqual(fromDatabase, fromLines)
  const names = fromLines.map(({ rule }) => rule['name'])
  for (const name of ['node-egress', 'exit-node-busy', 'pair-volume', 'tailnet-volume'])
    assert.ok(names.includes(name), name)
  const config = alertsSchema.parse({ rules: fromLines.map(({ rule }) => rule) })
  assert.equal(config.rules.length, fromLines.length)
  for (const { text, rule } of fromLines) t.diagnostic(`${JSON.stringify(rule)}: ${text}`)
})

test('nothing seen, nothing suggested', async () => {
  assert.deepEqual(
    await suggest(
      linesSource(() => [], 'default'),
      7,
    ),
    [],
  )
})

/** Half past two in the afternoon of a workday of the last week: people are at work in the simulation. */
function recentWorkday(): bigint {
  const day = new Date()
  day.setUTCHours(14, 30, 0, 0)
  do day.setUTCDate(day.getUTCDate() - 1)
  while (day.getUTCDay() === 0 || day.getUTCDay() === 6)
  return BigInt(day.getTime()) * 1_000_000n
}

function writtenOf(messages: readonly string[]): string[] {
  const reader = createMessageReader({ answerBytesMax: 2 ** 40, messageBytesMax: 1 << 24, depthMax: 16 })
  const flattener = flattenerOf()
  const writer = createLineWriter({ batchLinesMax: 20_000, batchBytesMax: 4_000_000 })
  const lines: string[] = []
  const take = (bytes: Uint8Array) => lines.push(...linesOf(bytes))
  for (const message of reader.push(Buffer.from(`{"logs":[${messages.join()}]}`))) {
    if (message.entryCount === 0) continue
    writer.append(flattener.flatten(message))
    for (let batch = writer.full(); batch; batch = writer.full()) {
      take(batch.bytes)
      writer.release(batch)
    }
  }
  for (const batch of writer.rest()) take(batch.bytes)
  return lines
}
