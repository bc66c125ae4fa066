/** The last points that were written, as line protocol, byte for byte: made by the writer of the line itself. */
import type { Points } from '../flatten/points.ts'
import { createLineWriter, type LineWriter } from '../sink/line-protocol/line-writer.ts'
import type { Batch } from '../sink/sink.ts'

const LINES_MAX = 20
/** A message with more points is left out: encoding it twice would cost more than the look is worth. */
const POINTS_MAX = 200
const BYTES_MAX = 128 * 1024

/** Lines of line protocol, without line ends. */
export type PeekView = readonly string[]

export interface Peek {
  /** Remembers the points of a message, unless there are enough. */
  take(points: Points): void
  /** Puts what another one remembers in place of what is here, when there is anything. */
  takeOver(other: Peek): void
  view(): PeekView
}

/** For the peeks of one view: they hold nothing of it between calls. */
export function createPeekWriter(): LineWriter {
  return createLineWriter({ batchLinesMax: POINTS_MAX + 8, batchBytesMax: BYTES_MAX, buffers: 1 })
}

export function createPeek(writer: LineWriter): Peek {
  let lines: readonly string[] = []
  return {
    take(points) {
      if (lines.length >= LINES_MAX || points.count > POINTS_MAX) return
      lines = [...lines, ...linesOf(points, writer)].slice(0, LINES_MAX)
    },
    takeOver(other) {
      const theirs = other.view()
      if (theirs.length > 0) lines = theirs
    },
    view: () => lines,
  }
}

function linesOf(points: Points, writer: LineWriter): string[] {
  writer.reset()
  writer.append(points)
  const lines: string[] = []
  const read = (batch: Batch) => {
    lines.push(...Buffer.from(batch.bytes).toString('utf8').trimEnd().split('\n'))
    writer.release(batch)
  }
  for (let batch = writer.full(); batch; batch = writer.full()) read(batch)
  for (const batch of writer.rest()) read(batch)
  return lines
}
