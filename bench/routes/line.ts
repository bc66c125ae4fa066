/** The line of the service from the bytes of an answer to the bytes of batches: the real components, put together as `createService` does, without
 * the network on either side. */

import { createFlattener } from '../../src/flatten/flatten.ts'
import { influxSchema } from '../../src/sink/config.ts'
import { createLineWriter } from '../../src/sink/line-protocol/line-writer.ts'
import type { Batch } from '../../src/sink/sink.ts'
import { tailscaleSchema } from '../../src/source/config.ts'
import { createMessageReader } from '../../src/source/parse/message-reader.ts'

export interface LineResult {
  entries: number
  points: number
  bytes: number
  quarantined: number
}

/** What a socket gives at once. */
const CHUNK_BYTES = 64 * 1024

/** `onBatch` sees the finished bytes, which are used again afterwards. */
export function createLine(onBatch?: (bytes: Uint8Array, lineCount: number) => void) {
  const limits = influxSchema.parse({})
  const source = { ...tailscaleSchema.parse({}), answerBytesMax: 16 * 2 ** 30 }
  const flattener = createFlattener({ tailnetAt: () => '-', portsAt: () => 'service' })
  const lines = createLineWriter({
    batchLinesMax: limits.batchLinesMax,
    batchBytesMax: limits.batchBytesMax,
  })

  /** One answer, given in pieces. */
  function begin() {
    const reader = createMessageReader(source)
    const result: LineResult = { entries: 0, points: 0, bytes: 0, quarantined: 0 }
    const take = (batch: Batch) => {
      result.bytes += batch.bytes.length
      onBatch?.(batch.bytes, batch.lineCount)
      lines.release(batch)
    }
    return {
      result,
      push(bytes: Uint8Array): void {
        for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
          for (const message of reader.push(bytes.subarray(at, at + CHUNK_BYTES))) {
            result.quarantined += message.quarantined.length
            if (message.entryCount === 0) continue
            const points = flattener.flatten(message)
            result.entries += message.entryCount
            result.points += points.count
            lines.append(points)
            for (let batch = lines.full(); batch; batch = lines.full()) take(batch)
          }
        }
      },
      end(): LineResult {
        reader.end()
        for (const batch of lines.rest()) take(batch)
        return result
      },
    }
  }

  return {
    begin,
    /** Forgets what was written of an answer that will not be ended. */
    abandon: () => lines.reset(),
    run(body: Uint8Array): LineResult {
      const answer = begin()
      answer.push(body)
      return answer.end()
    },
  }
}
