/** A document of a saved file, held until its end is known: it may be a message, or what log streaming wraps one into (HEC), or an answer, whose
 * messages are taken one by one and which need not be held. */
export class HeldDocument {
  /** Where it begins in the buffer; -1 when it is not held. */
  start = -1
  isTooLong = false
  /** Of its member `event`, from `start` on: -1 without, and `eventStop` is 0 until it is over. */
  private eventStart = -1
  private eventStop = 0
  private hasNodeId = false

  begin(start: number): void {
    this.start = start
    this.isTooLong = this.hasNodeId = false
    this.eventStart = -1
    this.eventStop = 0
  }

  drop(): void {
    this.start = -1
  }

  /** The buffer ends at `end`, before the document does. Returns what must be kept of it, from where on. */
  keepFrom(pos: number, end: number, bytesMax: number): number {
    if (this.start >= 0 && end - this.start > bytesMax) {
      this.drop()
      this.isTooLong = true
    }
    const from = this.start < 0 ? pos : this.start
    if (this.start > 0) this.start = 0
    return from
  }

  memberBegins(key: string, isObject: boolean, pos: number): void {
    if (key === 'nodeId') this.hasNodeId = true
    if (key === 'event' && isObject && this.eventStart < 0) this.eventStart = pos - this.start
  }

  memberEnds(pos: number): void {
    if (this.eventStart >= 0 && this.eventStop === 0) this.eventStop = pos - this.start
  }

  /** Start and stop of the message in it, as far as is known: of its event, if it is no message itself. */
  messageSpan(stop: number): readonly [start: number, stop: number] {
    if (this.hasNodeId || this.eventStart < 0) return [this.start, stop]
    return [this.start + this.eventStart, this.start + this.eventStop]
  }
}
