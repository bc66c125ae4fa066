/** Decides when refused lines mean that the database or our encoder is wrong, and not the lines.
 *
 * A refused line goes to the dead letters and stops nothing, however many lines one node sends. Writing stops and waits for a person
 * (`hold`) in two cases only:
 *
 * 1. a refusal with an unknown text, while nothing of the batch was accepted and a plain line of tailflux itself is refused as well:
 *    something else answers on this URL, or the request is wrong;
 * 2. every line of several nodes was refused since the database last accepted a line of any node, and not for its content (a time out of
 *    range, a length): the database does not understand our lines. One or two nodes alone never cause this. */
import { CollectorError } from '../../base/errors.ts'
import type { Cause } from './error-texts.ts'

const SEVERAL_NODES = 3

export interface Brake {
  /** A line of this node was refused. */
  refused(node: string, cause: Cause): void
  /** A line of any node was accepted. */
  taken(): void
  /** True while `taken` must be called for accepted lines. */
  isWatching(): boolean
  /** True when every line of several nodes was refused since the last accepted line. */
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
        `${label} refuses every line of every node (${detail}). Nothing is lost; polling resumes automatically when lines are accepted again. Check that INFLUX_URL leads to InfluxDB and that INFLUX_API is its version; if both are right, report it.`,
        { stage: 'sink', code: 'db_rejected', reaction: 'hold' },
      ),
  }
}
