/** What one window in flight has so far: nothing of it counts until the window is done. */
import { FlowLog } from './flow-tally.ts'
import { IntTable } from './int-table.ts'
import { NodeTally } from './node-tally.ts'
import type { Spill } from './spill.ts'

export class Staged {
  /** Its messages: both halves of the digest, and the chunk of time (identities.ts). */
  readonly messages = new IntTable()
  readonly nodes = new NodeTally()
  readonly flows = new FlowLog()
  spill: Spill | undefined
  /** Messages that do not count: too old, or from a clock far ahead. */
  late = 0
  ahead = 0

  /** Makes it fit for another window. */
  clear(): void {
    this.messages.clear()
    this.nodes.clear()
    this.flows.count = 0
    this.spill = undefined
    this.late = 0
    this.ahead = 0
  }

  get rows(): number {
    return this.nodes.heads.count + this.flows.count
  }

  get bytes(): number {
    return this.messages.bytes + this.nodes.bytes + this.flows.bytes + (this.spill?.bytes ?? 0)
  }
}
