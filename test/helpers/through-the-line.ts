/** The pure part of the line: bytes of an answer through the real reader, flattener and line writer, and the lines read back. */

import type { Flattener } from '../../src/flatten/flatten.ts'
import type { Ports } from '../../src/flatten/ports.ts'
import { createLineWriter } from '../../src/sink/line-protocol/line-writer.ts'
import type { Batch } from '../../src/sink/sink.ts'
import type { QuarantinedPart } from '../../src/source/parse/message.ts'
import { createMessageReader } from '../../src/source/parse/message-reader.ts'
import { type ParsedLine, parseLines } from '../sink/line-protocol/parse-lines.ts'
import { flattenerOf } from './flattener.ts'

export interface Through {
  readonly lines: readonly ParsedLine[]
  /** Quarantined by the reader and by the flattener. */
  readonly quarantined: readonly QuarantinedPart[]
  readonly messageCount: number
  readonly entryCount: number
}

export interface ThroughOptions {
  readonly ports?: Ports
  readonly tailnet?: string
  /** In place of one made from the other options. */
  readonly flattener?: Flattener
}

export function throughTheLine(chunks: Iterable<Uint8Array>, options: ThroughOptions = {}): Through {
  const { ports = 'service', tailnet = '-' } = options
  const reader = createMessageReader({ answerBytesMax: 2 ** 40, messageBytesMax: 4 * 1024 * 1024, depthMax: 64 })
  const flattener = options.flattener ?? flattenerOf(ports, tailnet)
  const writer = createLineWriter({ batchLinesMax: 500, batchBytesMax: 64 * 1024 })
  const lines: ParsedLine[] = []
  const quarantined: QuarantinedPart[] = []
  let messageCount = 0
  let entryCount = 0
  const take = (batch: Batch) => {
    const parsed = parseLines(Buffer.from(batch.bytes).toString())
    if (parsed.length !== batch.lineCount) throw new Error(`${parsed.length} lines, told as ${batch.lineCount}`)
    for (const line of parsed) lines.push(line)
    writer.release(batch)
  }
  for (const chunk of chunks) {
    for (const message of reader.push(chunk)) {
      messageCount += 1
      quarantined.push(...message.quarantined)
      if (message.entryCount === 0) continue
      entryCount += message.entryCount
      const points = flattener.flatten(message)
      quarantined.push(...points.quarantined)
      writer.append(points)
      for (let batch = writer.full(); batch; batch = writer.full()) take(batch)
    }
  }
  reader.end()
  for (const batch of writer.rest()) take(batch)
  return { lines, quarantined, messageCount, entryCount }
}

/** The list of an answer in pieces of this many bytes, as a network may cut it. */
export function* answerOf(messages: Iterable<string>, chunkBytes = 10_007): Generator<Uint8Array> {
  let text = '{"logs":['
  let isFirst = true
  for (const message of messages) {
    text += isFirst ? message : `,${message}`
    isFirst = false
    if (text.length < chunkBytes) continue
    yield Buffer.from(text)
    text = ''
  }
  yield Buffer.from(`${text}]}\n`)
}
