/** What one window in flight has so far: nothing of it counts until the window is done. */
import { IntTable } from './int-table.ts'
import { FLOW_CELLS, FLOW_VALUES, Log, TOTAL_CELLS, TOTAL_VALUES } from './log.ts'
import type { Spill } from './spill.ts'

export class Staged {
  /** Its messages: both halves of the digest, and the chunk of time (identities.ts). */
  readonly messages = new IntTable()
  readonly totals: Log
  readonly flows: Log
  spill: Spill | undefined
  /** Messages that do not count: too old, or from a clock far ahead. */
  late = 0
  ahead = 0

  constructor(rowsMax?: number) {
    this.totals = new Log(TOTAL_CELLS, TOTAL_VALUES, rowsMax)
    this.flows = new Log(FLOW_CELLS, FLOW_VALUES, rowsMax)
  }

  /** Makes it fit for another window. */
  clear(): void {
    this.messages.clear()
    this.totals.count = 0
    this.flows.count = 0
    this.spill = undefined
    this.late = 0
    this.ahead = 0
  }

  get bytes(): number {
    return this.messages.bytes + this.totals.bytes + this.flows.bytes + (this.spill?.bytes ?? 0)
  }
}
