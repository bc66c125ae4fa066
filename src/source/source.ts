/** The source: the Tailscale API becomes messages. This file is the interface of the module. */
import type { HttpMetrics } from '../http-client/http-client.ts'
import type { Message } from './parse/message.ts'

/** A range of `logged` time: the API's clock, not a node's. ns since the epoch, both ends inclusive
 * (Tailscale docs, "Network flow logs": inclusive within nanosecond resolution). */
export interface Window {
  readonly fromNs: bigint
  readonly toNs: bigint
}

/** One answer of `GET /logging/network`, read as a stream. */
export interface Answer {
  /** The API's clock from the Date header of this very answer, ns, whole seconds; undefined when absent or unreadable. */
  readonly serverNs: bigint | undefined
  /** Decoded bytes read so far. */
  bytesRead(): number
  /** Messages in the order of the wire, grouped by network chunk. A Message object is valid only until the next one is taken.
   * Ends only after the closing bracket of the answer; everything else throws a CollectorError. Leaving early closes the socket. */
  readonly groups: AsyncIterable<Iterable<Message>>
}

/** What the devices API knows that matters here. */
export interface Device {
  readonly nodeId: string
  /** The short device name: the part of the FQDN before the first dot. */
  readonly name: string
  /** Bare addresses, as text. */
  readonly addresses: readonly string[]
  /** Whose it is: its tags in order, joined by commas, or else its user's login name. Absent when the API has neither. */
  readonly owner?: string
  /** As the API writes it, such as `linux` or `macOS`. Absent when it does not say. */
  readonly os?: string
  /** It is connected to the control server; absent otherwise. */
  readonly isConnected?: true
  /** It belongs to another tailnet and is shared into this one; absent otherwise. */
  readonly isExternal?: true
}

export interface Source {
  /** Resolves when the head of a good answer is there; rejects with a CollectorError (stage `source`). Does not retry, apart
   * from one refresh of the token on a 401. */
  open(window: Window, signal: AbortSignal): Promise<Answer>
  devices(signal: AbortSignal): Promise<readonly Device[]>
  stop(): Promise<void>
}

/** What the source reports about itself; observe/ turns it into metrics. */
export interface SourceMetrics extends HttpMetrics {
  /** Local clock minus the API's Date header, seconds. */
  clockSkew(seconds: number): void
}
