/** When refused lines are not to blame.
 *
 * A line that is refused lies in the dead letters and stops nothing, however many one node sends: a share of refused lines proves nothing.
 * The database or our own encoder is to blame, and everything waits for a person (`hold`), in two cases only:
 *
 * 1. a refusal in words that nobody knows, while nothing of the batch was taken and a plain line of tailflux itself is refused as well:
 *    something else answers on this URL, or the request does not suit;
 * 2. every line of several nodes was refused since the database last took a line of any node, and not for what stands in them (a time out
 *    of range, a length): a database that does not understand our lines. One node, or two, never get so far. */
import { CollectorError } from '../../base/errors.ts'
import type { Cause } from './error-texts.ts'

const SEVERAL_NODES = 3

export interface Brake {
  /** A line of this node was refused. */
  refused(node: string, cause: Cause): void
  /** A line of some node was taken. */
  taken(): void
  /** True while taken lines are worth telling. */
  isWatching(): boolean
  /** Nodes of which every line was refused since any line was taken. */
  isOn(): boolean
  error(detail: string): CollectorError
}

export function createBrake(label: string): Brake {
  const nodes = new Set<string>()
  return {
    refused(node, cause) {
      if (cause !== 'content' && nodes.size < SEVERAL_NODES) nodes.add(node)
    },
    taken: () => nodes.clear(),
    isWatching: () => nodes.size > 0,
    isOn: () => nodes.size >= SEVERAL_NODES,
    error: (detail) =>
      new CollectorError(
        `${label} refuses every line of every node (${detail}). Check that INFLUX_URL leads to InfluxDB and INFLUX_API is its version, and report it if both are right; nothing is lost, reading goes on by itself when lines are taken again.`,
        { stage: 'sink', code: 'db_rejected', reaction: 'hold' },
      ),
  }
}
