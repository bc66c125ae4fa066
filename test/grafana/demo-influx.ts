/** A real InfluxDB 1.x that holds a stretch of the demo tailnet's life: the simulation's messages, through the real reader, flattener
 * and line writer. Only the polling is left out, so that a day is filled in within a minute. */

import type { Ports } from '../../src/flatten/ports.ts'
import { encodeLine } from '../../src/sink/line-protocol/encode-line.ts'
import { createLineWriter } from '../../src/sink/line-protocol/line-writer.ts'
import type { Batch } from '../../src/sink/sink.ts'
import { createMessageReader } from '../../src/source/parse/message-reader.ts'
import { flattenerOf } from '../helpers/flattener.ts'
import { type Influxd, startInfluxd } from '../services/influxd.ts'
import type { Scope } from '../services/server-process.ts'
import { createTailnet, type Tailnet } from '../simulator/tailnet.ts'

export const DB = 'tailflux'
export const TAILNET = 'demo'

export interface DemoOptions {
  readonly nodes: number
  readonly seed?: number
  /** The range of `logged`, ns; both ends inclusive. */
  readonly fromNs: bigint
  readonly toNs: bigint
  readonly ports?: Ports
  readonly scope?: Scope | undefined
  /** In-memory index unless given. */
  readonly index?: 'inmem' | 'tsi1'
}

export interface DemoInflux {
  readonly influx: Influxd
  readonly tailnet: Tailnet
  readonly options: DemoOptions
  readonly messages: number
  readonly lines: number
  readonly windows: readonly DemoWindow[]
  readonly fillMs: number
}

/** What `tailflux_window` holds of one window. */
export interface DemoWindow {
  readonly pass: string
  readonly toNs: bigint
  readonly messages: number
  readonly entries: number
  readonly points: number
  readonly lagMs: number
  readonly durationMs: number
}

/** A service that polls every 30 s makes windows of this length. */
const WINDOW_NS = 30_000_000_000n
const LAG_NS = 60_000_000_000n

export async function startDemoInflux(options: DemoOptions): Promise<DemoInflux> {
  const { nodes, seed = 1, fromNs, toNs, ports = 'service', scope, index = 'inmem' } = options
  const influx = await startInfluxd(scope, {
    index,
    databases: [DB],
    settings: {
      data: { 'max-series-per-database': 0, 'max-values-per-tag': 0, 'cache-max-memory-size': 3_000_000_000 },
    },
  })
  const tailnet = createTailnet({ nodes, seed })
  const reader = createMessageReader({ answerBytesMax: 2 ** 40, messageBytesMax: 1 << 24, depthMax: 8 })
  const flattener = flattenerOf(ports, TAILNET)
  const writer = createLineWriter({ batchLinesMax: 20_000, batchBytesMax: 4_000_000 })
  const begun = performance.now()
  const windows: DemoWindow[] = []
  let messages = 0
  let lines = 0

  async function send(batch: Pick<Batch, 'bytes' | 'lineCount'>): Promise<void> {
    const answer = await fetch(`${influx.url}/write?db=${DB}&precision=ns`, {
      method: 'POST',
      body: batch.bytes.slice(),
    })
    if (answer.status !== 204) throw new Error(`${answer.status} ${await answer.text()}`)
    lines += batch.lineCount
  }

  let open = { messages: 0, entries: 0, points: 0, toNs: fromNs + WINDOW_NS }
  async function closeWindow(): Promise<void> {
    const lagMs = Number(LAG_NS / 1_000_000n) + (windows.length % 7) * 1000
    const done = { ...open, pass: '1', lagMs, durationMs: 40 + (windows.length % 11) * 5 }
    windows.push(done)
    const fields = {
      watermark: done.toNs,
      acked: done.toNs + LAG_NS,
      lag_ms: BigInt(done.lagMs),
      messages: BigInt(done.messages),
      entries: BigInt(done.entries),
      points: BigInt(done.points),
      duration_ms: BigInt(done.durationMs),
    }
    await send({
      bytes: encodeLine('tailflux_window', { pass: '1', tailnet: TAILNET }, fields, done.toNs),
      lineCount: 1,
    })
    open = { messages: 0, entries: 0, points: 0, toNs: done.toNs + WINDOW_NS }
  }

  const encoder = new TextEncoder()
  async function take(text: string): Promise<void> {
    for (const message of reader.push(encoder.encode(text))) {
      if (message.entryCount === 0) continue
      while (message.loggedNs > open.toNs) await closeWindow()
      const points = flattener.flatten(message)
      writer.append(points)
      messages += 1
      open.messages += 1
      open.entries += message.entryCount
      open.points += points.count
    }
    for (let batch = writer.full(); batch !== undefined; batch = writer.full()) {
      await send(batch)
      writer.release(batch)
    }
  }

  await take('{"logs":[')
  let text = ''
  let first = true
  for (const message of tailnet.messages(fromNs, toNs)) {
    text += first ? message : `,${message}`
    first = false
    if (text.length < 1 << 20) continue
    await take(text)
    text = ''
  }
  await take(`${text}]}`)
  for (const batch of writer.rest()) await send(batch)
  await closeWindow()
  return { influx, tailnet, options, messages, lines, windows, fillMs: performance.now() - begun }
}
