/** The exact parser: any message, read by JSON.parse into the same columns as the compact parser fills. Slower, but it knows every spelling, and it alone
 * decides what is quarantined. Numbers keep the digits of the wire (`context.source` of the reviver), because a counter may be larger than a
 * double can hold exactly. */

import { protoOf } from '../../base/protocol.ts'
import { doubled } from '../../base/typed-array.ts'
import { splitAddress } from './address.ts'
import { type Columns, clear, growEntries } from './columns.ts'
import {
  COUNTERS,
  DST,
  ENTRY_CELLS,
  KIND,
  KINDS,
  type Kind,
  PROTO,
  type Quarantined,
  type QuarantineReason,
  SRC,
} from './message.ts'
import { nodeInfoOf } from './node-info.ts'
import { HEAD_BYTES_MAX, headWithLength, textOf } from './text.ts'
import { parseTime } from './time.ts'

/** A number that a double does not hold exactly, with its digits; JSON.stringify writes it as it was. */
interface RawNumber {
  readonly rawJSON: string
}
declare global {
  interface JSON {
    rawJSON(text: string): RawNumber
    isRawJSON(value: unknown): value is RawNumber
  }
}

type JsonObject = Record<string, unknown>

const COUNTER_MAX = (1n << 63n) - 1n
const SUM_MAX = 2n ** 53n - 1n
const encoder = new TextEncoder()
/** Bytes behind the texts that may be read. */
const SPARE = 16

export interface ExactParser {
  /** Fills the columns from one complete JSON value. */
  read(bytes: Uint8Array, start: number, end: number): void
}

export function createExactParser(columns: Columns): ExactParser {
  let scratch: Uint8Array = new Uint8Array(4096)
  let used = 0
  const protoIndex = new Map<string, number>()

  function read(bytes: Uint8Array, start: number, end: number): void {
    clear(columns)
    used = 0
    protoIndex.clear()
    const parsed = parse(textOf(bytes, start, end))
    if (parsed === undefined) return whole('bad_json', bytes, start, end)
    const value = parsed.value
    if (!isObject(value)) return whole('not_an_object', bytes, start, end)
    const nodeId = member(value, 'nodeId')
    if (typeof nodeId !== 'string' || nodeId === '') return whole('no_node', bytes, start, end)
    const startNs = timeOf(member(value, 'start'))
    if (startNs === undefined) return whole('bad_time', bytes, start, end)

    columns.nodeId = nodeId
    columns.startNs = startNs
    const loggedNs = timeOf(member(value, 'logged'))
    columns.loggedNs = loggedNs ?? startNs
    columns.hasLogged = loggedNs !== undefined
    const counters: bigint[] = []
    // In the order of the wire, as the compact parser meets them.
    for (const key of Object.keys(value)) {
      const kind = KINDS.findIndex((one) => key === `${one}Traffic`)
      if (kind >= 0) list(value[key], kind, counters)
      if (key === 'srcNode' && isObject(value[key])) {
        columns.srcNode = columns.nodeCount
        node(value[key])
      }
      const nodes = key === 'dstNodes' ? value[key] : undefined
      if (Array.isArray(nodes)) for (const one of nodes) if (isObject(one)) node(one)
    }
    fillCounters(columns, counters)
    columns.text = scratch
    columns.view = new DataView(scratch.buffer)
  }

  function whole(reason: QuarantineReason, bytes: Uint8Array, start: number, end: number): void {
    quarantineMessage(columns, { reason, ...headWithLength(bytes, start, end) })
  }

  function list(value: unknown, kind: number, counters: bigint[]): void {
    if (value === null) return
    if (!Array.isArray(value)) return quarantine(columns, 'bad_traffic', value, KINDS[kind])
    for (const one of value) {
      const reason = entry(one, kind, counters)
      if (reason !== undefined) quarantine(columns, reason, one, KINDS[kind])
    }
  }

  /** Appends an entry, or returns why not. */
  function entry(value: unknown, kind: number, counters: bigint[]): QuarantineReason | undefined {
    if (!isObject(value)) return 'bad_entry'
    const src = textMember(value, 'src')
    const dst = textMember(value, 'dst')
    const proto = protoCell(member(value, 'proto'))
    if (src === undefined || dst === undefined || proto === undefined) return 'bad_entry'
    const first = counters.length
    for (const name of COUNTERS) {
      const count = counterOf(member(value, name))
      if (count === undefined) {
        counters.length = first
        return 'bad_counter'
      }
      counters.push(count)
    }
    const index = columns.entryCount
    growEntries(columns, index)
    const cell = index * ENTRY_CELLS
    columns.cells[cell + KIND] = kind
    columns.cells[cell + PROTO] = typeof proto === 'number' ? proto : 256 + protoName(proto)
    address(src, cell + SRC)
    address(dst, cell + DST)
    columns.entryCount = index + 1
    return undefined
  }

  function protoName(name: string): number {
    const known = protoIndex.get(name)
    if (known !== undefined) return known
    protoIndex.set(name, columns.protoNames.length)
    return columns.protoNames.push(name) - 1
  }

  function address(text: string, at: number): void {
    const start = used
    put(text)
    // Offsets of an absent end are 0, as the compact parser leaves them.
    if (used === start) return splitAddress(scratch, 0, 0, 0, columns.cells, at)
    if (used - start > 256) columns.plain = false
    splitAddress(scratch, start, used, 0, columns.cells, at)
  }

  function node(value: JsonObject): void {
    columns.nodes[columns.nodeCount++] = nodeInfoOf(value)
  }

  /** Appends UTF-8; a lone surrogate becomes U+FFFD. */
  function put(text: string): void {
    if (!/^[\x20-\x7e]*$/.test(text) || text.includes('"') || text.includes('\\')) columns.plain = false
    while (scratch.length - used < text.length * 3 + SPARE) scratch = doubled(scratch, Uint8Array)
    used += encoder.encodeInto(text, scratch.subarray(used)).written
  }

  function timeOf(value: unknown): bigint | undefined {
    if (typeof value !== 'string') return undefined
    const bytes = encoder.encode(value)
    return parseTime(bytes, 0, bytes.length)
  }

  return { read }
}

/** The whole message cannot be taken. */
export function quarantineMessage(columns: Columns, part: Quarantined): void {
  clear(columns)
  columns.quarantined.push(part)
}

function quarantine(columns: Columns, reason: QuarantineReason, value: unknown, kind: Kind | undefined): void {
  const text = JSON.stringify(value)
  const cut = text.length > HEAD_BYTES_MAX / 3 ? cutText(text) : { text }
  columns.quarantined.push(kind === undefined ? { reason, ...cut } : { reason, ...cut, kind })
}

function cutText(text: string) {
  const bytes = encoder.encode(text)
  return headWithLength(bytes, 0, bytes.length)
}

function parse(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text, keepDigits) }
  } catch (error) {
    // The closed list of reasons says it all; the text goes to the dead-letter file.
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function keepDigits(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value
  return context?.source === undefined ? value : JSON.rawJSON(context.source)
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !JSON.isRawJSON(value)
}

/** An own member; null counts as absent, as Go reads it. */
function member(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? (object[key] ?? undefined) : undefined
}

/** '' when absent, undefined when it is no text. */
function textMember(object: JsonObject, key: string): string | undefined {
  const value = member(object, key) ?? ''
  return typeof value === 'string' ? value : undefined
}

/** A whole number from 0 to 2^63-1; 0 when absent; undefined for everything else. */
function counterOf(value: unknown): bigint | undefined {
  if (value === undefined) return 0n
  if (typeof value === 'number') return value >= 0 ? BigInt(value) : undefined
  // Up to 19 digits, so that no sender makes us read a number of a million digits.
  if (!JSON.isRawJSON(value) || !/^\d{1,19}$/.test(value.rawJSON)) return undefined
  const count = BigInt(value.rawJSON)
  return count <= COUNTER_MAX ? count : undefined
}

function protoCell(value: unknown): number | string | undefined {
  if (value === undefined) return 0
  if (typeof value === 'number') return protoOf(String(value))
  return typeof value === 'string' ? protoOf(value) : undefined
}

/** Doubles, and int64 beside them where a sum of the message would not stay exact in doubles. */
function fillCounters(columns: Columns, values: readonly bigint[]): void {
  let sum = 0n
  for (let i = 0; i < values.length; i++) {
    sum += values[i]!
    columns.counters[i] = Number(values[i]!)
  }
  if (sum > SUM_MAX) columns.exact = BigInt64Array.from(values)
}
