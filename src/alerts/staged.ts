/** What one window in flight has so far: nothing of it counts until the window is done. */
import { IntTable } from './int-table.ts'
import type { Spill } from './spill.ts'
import { Tally } from './tally.ts'

export class Staged {
  /** Its messages: both halves of the digest, and the chunk of time (identities.ts). */
  readonly messages = new IntTable()
  readonly tally = new Tally()
  spill: Spill | undefined
  /** Messages that do not count: too old, or from a clock far ahead. */
  late = 0
  ahead = 0

  /** Makes it fit for another window. */
  clear(): void {
    this.messages.clear()
    this.tally.clear()
    this.spill = undefined
    this.late = 0
    this.ahead = 0
  }

  get bytes(): number {
    return this.messages.bytes + this.tally.bytes + (this.spill?.bytes ?? 0)
  }
}
