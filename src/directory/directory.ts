/** Who a node is: name, owner, OS and addresses, from the device list of the API and from what messages say, each with the minute from which it is
 * valid. Labels of derived rows come from here, as of their minute; alerts and the live view ask for the names of now. */
import type { Message } from '../source/parse/message.ts'
import type { NodeNames } from './node-names.ts'
import type { DirectoryView } from './view.ts'

/** Learns what messages say about nodes. It fits an Observer; a window that fails leaves what was learnt, because it stays true. */
export interface MessageObserver {
  points(window: unknown, points: unknown, message: Message): void
  done(): void
  failed(): void
}

export interface Directory extends NodeNames {
  readonly observer: MessageObserver
  /** Begins to read the device list, and to write changes to `tailnet_device`. Neither is waited for. */
  start(): void
  /** Resolves when derived rows may be made: what the state file and the database hold was read back; with nothing anywhere, after the first device
   * list, or after five minutes. Rejects with the signal's reason only. */
  ready(signal: AbortSignal): Promise<void>
  /** Memory holds what was valid in this minute. */
  knowsMinute(minuteNs: bigint): boolean
  /** The labels of a minute (its begin, ns) that memory knows. `countsBackwards`: the first entry of a device counts before its time too. Ask the
   * same way each time, or the same minute gets other labels. */
  at(minuteNs: bigint, countsBackwards: boolean): DirectoryView
  /** The same for any minute: from memory, or else from the database. Rejects with a CollectorError (stage `sink`), or with the signal's reason. */
  load(minuteNs: bigint, countsBackwards: boolean, signal: AbortSignal): Promise<DirectoryView>
  /** Ids of the tailnet's own nodes that the newest device list shows as connected to the control server. Undefined without a list. */
  connected(): ReadonlySet<string> | undefined
  /** Ends what start() began; what was not written yet is written after the next start. Idempotent. */
  stop(): Promise<void>
}
