import type { Receipt } from '../../src/sink/sink.ts'

/** What became of the lines; when they were sent has tests of its own. */
export function countsOf({ sentMs: _, ...counts }: Receipt): Omit<Receipt, 'sentMs'> {
  return counts
}
