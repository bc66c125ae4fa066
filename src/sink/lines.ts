/** Points become lines of line protocol, written as bytes into batches. */
import type { Points } from '../flatten/points.ts'
import type { Batch } from './sink.ts'

export interface LineWriter {
  /** Encodes all points of one message. */
  append(points: Points): void
  /** A full batch, if there is one; call until undefined after each append. */
  full(): Batch | undefined
  /** What is left, at the end of a window. */
  rest(): readonly Batch[]
  /** Gives a batch's memory back after its receipt (or when it is given up). */
  release(batch: Batch): void
  /** Forgets everything that was appended and not taken. */
  reset(): void
}
