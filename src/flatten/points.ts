/** flatten/: a message becomes points. Pure, no I/O. */

/** All points of one message. Valid only until the next message is flattened: the columns are reused. */
export interface Points {
  /** Number of points: `tailnet_flow` and `tailnet_node` together. */
  readonly count: number
  /** A 64-bit hash of the message's identity (node, start) and of all its entries with their counters, without `logged`:
   * equal for a re-delivered copy, different as soon as any counter is. */
  readonly digest: bigint
}
