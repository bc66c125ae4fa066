/** Points become lines of line protocol, written as bytes into batches. */
import type { Points } from '../../flatten/points.ts'
import type { Batch } from '../sink.ts'
import { createBatches, type LineLimits } from './batches.ts'
import { writeLines } from './encode.ts'
import { PrefixCache } from './prefix-cache.ts'

export interface LineWriter {
  /** Encodes all points of one message. When it throws, none of them is kept. */
  append(points: Points): void
  /** True when there is a full batch. */
  hasFull(): boolean
  /** A full batch, if there is one; call until undefined after each append. */
  full(): Batch | undefined
  /** Batches that are not full, at the end of a window. */
  rest(): readonly Batch[]
  /** Takes back the memory of a batch, after its receipt or after a failure. */
  release(batch: Batch): void
  /** Drops everything that was appended and not returned yet. */
  reset(): void
}

export function createLineWriter(limits: LineLimits): LineWriter {
  const { open, mark, rollback, ...batches } = createBatches(limits)
  const prefixes = new PrefixCache()
  const end = new Int32Array(1)

  function append(points: Points): void {
    mark()
    try {
      write(points)
    } catch (error) {
      rollback()
      throw error
    }
  }

  function write(points: Points): void {
    prefixes.begin(points)
    for (let i = 0; i < points.count; ) {
      open.begin()
      const next = writeLines(points, prefixes, i, open.view, open.used, limits.batchBytesMax, open.linesLeft, end)
      // No further line fits: the rest belongs in the next batch.
      if (next === i) open.close()
      else open.took(next - i, end[0]!)
      i = next
    }
  }

  return { append, ...batches }
}
