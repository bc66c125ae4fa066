/** Writes lines of derived rows. They are for the rollup alone: a failure never reaches the line, and a row that the database refuses is an error here. */
import { CollectorError } from '../../base/errors.ts'
import type { Sink, Target } from '../../sink/sink.ts'

export interface RowWriter {
  /** Resolves when every line is acknowledged; then the memory may be used again. Rejects with a CollectorError (stage `sink`), or with the signal's reason. */
  write(target: Target, lines: Uint8Array, signal: AbortSignal): Promise<void>
  /** Lines acknowledged so far. */
  readonly written: number
}

/** One request has at most about this much. */
const BATCH_BYTES = 2 << 20
const NEWLINE = 0x0a

export function createRowWriter(sink: Pick<Sink, 'write' | 'label'>): RowWriter {
  let written = 0

  async function send(target: Target, bytes: Uint8Array, lineCount: number, signal: AbortSignal): Promise<void> {
    const receipt = await sink.write({ bytes, lineCount, target, isBestEffort: true }, signal)
    written += receipt.written
    if (receipt.rejected > 0) throw refused(sink.label)
  }

  return {
    get written() {
      return written
    },
    async write(target, lines, signal) {
      let [start, count] = [0, 0]
      for (let end = lines.indexOf(NEWLINE) + 1; end > 0; end = lines.indexOf(NEWLINE, end) + 1) {
        count += 1
        if (end - start < BATCH_BYTES && end < lines.length) continue
        await send(target, lines.subarray(start, end), count, signal)
        start = end
        count = 0
      }
    },
  }
}

function refused(label: string): CollectorError {
  return new CollectorError(
    `${label} refuses rows of tailnet_edge or tailnet_node. The dead letters say why: most often a field of that name has another type, so drop that measurement, and its rows are written again.`,
    { stage: 'sink', code: 'db_rejected', reaction: 'hold' },
  )
}
