/** One message of the API, as the parsers give it to flatten/. */

/** A message, or part of one, that cannot be taken. It is counted and goes to the dead-letter file; the line continues. */
export interface Quarantined {
  /** A closed list (metric label). */
  readonly reason: QuarantineReason
  /** The JSON text as received, cut to 64 KiB. */
  readonly text: string
  /** Bytes of the whole text, where it was cut. */
  readonly bytes?: number
  /** The error, where our own code failed on it. */
  readonly detail?: string
}
export const QUARANTINE_REASONS = [
  'not_an_object',
  'bad_json', // invalid JSON inside the message
  'no_node', // nodeId missing or empty: the zero message, or one without a verified sender
  'bad_time', // start missing, not RFC 3339, or outside int64 nanoseconds
  'clock_out_of_bounds', // start too far before or after logged
  'bad_counter', // not an integer from 0 to 2^63-1
  'bad_entry', // an entry that is not an object, or an address that is not text
  'bad_traffic', // a traffic list that is neither an array nor null
  'too_large', // over the limit for one message
  'too_deep', // nested deeper than the limit
  'read_failed', // our own code threw while it read this message: a bug
] as const
export type QuarantineReason = (typeof QUARANTINE_REASONS)[number]

/** The four traffic kinds, in the order of their index in `Message.kind`. */
export const KINDS = ['virtual', 'subnet', 'exit', 'physical'] as const
export type Kind = (typeof KINDS)[number]

/** What could not be taken; `kind` when it is an entry or a list of one kind, absent when it is the whole message. */
export interface QuarantinedPart extends Quarantined {
  readonly kind?: Kind
}

/** Cells per entry in `Message.cells`, and their meaning. */
export const ENTRY_CELLS = 14
/** Index into KINDS. */
export const KIND = 0
/** 0: none; 1 to 255: the IANA number; 256 and up: `protoNames[cell - 256]`. */
export const PROTO = 1
/** Six cells each, see END_*: the near and the far endpoint as the reporting node wrote them. */
export const SRC = 2
export const DST = 8
/** Cells of one end: the whole text, and in it the address without brackets and port. Equal start and end: absent. */
export const END_TEXT_START = 0
export const END_TEXT_END = 1
export const END_ADDRESS_START = 2
export const END_ADDRESS_END = 3
/** 0 to 65535, -1 when the text has none. */
export const END_PORT = 4
/** `hashBytes` of the address. */
export const END_HASH = 5

/** Counters per entry in `Message.counters`, in this order (bytes and packets that the reporter sent and received). */
export const COUNTERS = ['txBytes', 'txPkts', 'rxBytes', 'rxPkts'] as const

/** What a message says about a node. Texts are as received; those that are missing are empty. A node that is described by the same bytes again is
 * nearly always the same object, so that whoever learns from it can tell at once. */
export interface NodeInfo {
  readonly id: string
  /** An FQDN. */
  readonly name: string
  readonly user: string
  readonly tags: readonly string[]
  readonly os: string
  readonly addresses: readonly string[]
  /** For the directory: in which of its rounds it last took this as the word of the node itself, and of another one. 0: in none. */
  selfRound: number
  peerRound: number
}

/** One node's record of about five seconds. Valid only until the next one is taken from its reader: the columns are reused, and
 * only their first `entryCount` (`nodeCount`) rows count. Starts and ends are offsets from `textStart` in `text`. */
export interface Message {
  readonly nodeId: string
  /** The node's clock, ns. */
  readonly startNs: bigint
  /** The API's clock, ns; `startNs` when the message has none that can be read. */
  readonly loggedNs: bigint
  /** The message has a `logged` that can be read. */
  readonly hasLogged: boolean
  readonly entryCount: number
  /** What could not be taken: entries of this message, or the whole of it (then `entryCount` is 0). */
  readonly quarantined: readonly QuarantinedPart[]

  /** Memory of all texts, UTF-8. It is that of the reader and holds more than this message; making a part of it an object of its own would
   * cost more than reading a time. */
  readonly text: Uint8Array
  readonly textStart: number
  /** The same memory; 16 bytes behind each text can be read, whatever they hold. */
  readonly view: DataView
  /** True: every text is printable ASCII without `"` and `\`, and no address is longer than 256 bytes. */
  readonly plain: boolean
  /** Entries, ENTRY_CELLS each. */
  readonly cells: Int32Array
  /** Four per entry, see COUNTERS. */
  readonly counters: Float64Array
  /** The same counters as int64, where all of them together exceed 2^53 - 1: then `counters` is rounded. Undefined in nearly every message. */
  readonly exact: BigInt64Array | undefined
  /** Protocols that are not numbers from 0 to 255: lower-case names, decimal numbers. */
  readonly protoNames: readonly string[]

  /** What the message itself says about devices: srcNode and dstNodes in the order of the wire. */
  readonly nodeCount: number
  readonly nodes: readonly NodeInfo[]
  /** Index of srcNode, -1 without. */
  readonly srcNode: number

  /** The message as it was received: `json[jsonStart, jsonEnd)`, for the one that must be quarantined after it was read. */
  readonly json: Uint8Array
  readonly jsonStart: number
  readonly jsonEnd: number
}
