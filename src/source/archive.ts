/** Reads saved flow logs as messages, in any form: answers of the API, lists of messages, NDJSON, bodies of log streaming (HEC), one
 * after the other in one file, compressed or not. This file cuts them into whole messages; the parser that reads the
 * API parses them, so that their points have the same identity. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { PassThrough, Readable, type Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { CollectorError } from '../base/errors.ts'
import { createMessageReader, type ReaderLimits } from './parse/array-cutter.ts'
import type { Message } from './parse/message.ts'
import type { Answer } from './source.ts'

/** What a file contained besides messages. */
export interface ArchiveCounts {
  /** Of the file as it lies there. */
  fileBytes: number
  readBytes: number
  /** JSON that is no flow log (events of the audit log, devices), or longer than any message may be. */
  others: number
}

const GZIP = [0x1f, 0x8b]
const ZSTD = [0x28, 0xb5, 0x2f, 0xfd]
const [QUOTE, BACKSLASH, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST] = [0x22, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d]
const LIST_OF_MESSAGES = /^\{\s*"logs"\s*:\s*\[$/
/** Of a document, until it is known whether its messages can be taken one by one. */
const HEAD_BYTES = 64
const TRAFFIC = /^(virtual|subnet|exit|physical)Traffic$/

/** Opens a file (`-` is standard input) as an answer of the API. Rejects with a CollectorError when it cannot be opened. */
export async function openArchive(
  path: string,
  limits: ReaderLimits,
): Promise<{ readonly answer: Answer; readonly counts: ArchiveCounts }> {
  const counts: ArchiveCounts = { fileBytes: path === '-' ? 0 : await sizeOf(path), readBytes: 0, others: 0 }
  const file: Readable = path === '-' ? process.stdin : createReadStream(path, { highWaterMark: 256 * 1024 })
  const reader = createMessageReader(limits)
  async function* groups(): AsyncGenerator<Iterable<Message>> {
    yield reader.push(Buffer.from('{"logs":['))
    let isFirst = true
    try {
      for await (const message of messagesIn(decoded(counted(file, counts)), limits.messageBytesMax, counts)) {
        yield reader.push(isFirst ? message : Buffer.concat([COMMA, message]))
        isFirst = false
      }
    } catch (error) {
      throw error instanceof CollectorError ? error : unreadable(path, error)
    }
    yield reader.push(Buffer.from(']}'))
    reader.end()
  }
  return { answer: { serverNs: undefined, bytesRead: () => reader.bytesRead(), groups: groups() }, counts }
}

const COMMA = Buffer.from(',')

async function sizeOf(path: string): Promise<number> {
  try {
    const found = await stat(path)
    if (found.isFile()) return found.size
  } catch (error) {
    throw unreadable(path, error)
  }
  throw unreadable(path, undefined)
}

function unreadable(path: string, cause: unknown): CollectorError {
  const code = cause instanceof Error && 'code' in cause ? ` (${cause.code})` : ''
  return new CollectorError(`${path} cannot be read${code}. Check that it is a complete, readable file of flow logs.`, {
    stage: 'source',
    code: 'api_truncated',
    reaction: 'reject',
    cause,
  })
}

async function* counted(file: AsyncIterable<Buffer>, counts: ArchiveCounts): AsyncGenerator<Buffer> {
  for await (const chunk of file) {
    counts.readBytes += chunk.length
    yield chunk
  }
}

/** By its first bytes, not by its name. */
async function* decoded(chunks: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  const { value, done } = await chunks.next()
  if (done) return
  const starts = (magic: readonly number[]) => magic.every((byte, index) => value[index] === byte)
  const unpack: Transform = starts(GZIP) ? createGunzip() : starts(ZSTD) ? createZstdDecompress() : new PassThrough()
  async function* again() {
    yield value
    yield* chunks
  }
  const flowing = pipeline(Readable.from(again()), unpack)
  // The read itself reports the error; without a listener it would end the process.
  flowing.catch(() => undefined)
  yield* unpack as AsyncIterable<Buffer>
  await flowing
}

/** Whole messages, each as its own bytes. What is no flow log is left out and counted. */
export async function* messagesIn(
  chunks: AsyncIterable<Uint8Array>,
  messageBytesMax: number,
  counts: Pick<ArchiveCounts, 'others'>,
): AsyncGenerator<Uint8Array> {
  /** Chunks of the value that is being collected. */
  let held: Buffer[] = []
  let heldBytes = 0
  let depth = 0
  let isText = false
  let isEscaped = false
  /** Depth at which messages of the present document begin; 0 while the document itself is collected. */
  let listDepth = 0
  /** Only the end of the value is looked for: it is too long, or the rest of a document behind its list. */
  let skipping: 'no' | 'long' | 'tail' = 'no'

  function* take(piece: Buffer, isWhole: boolean): Generator<Uint8Array> {
    held.push(piece)
    heldBytes += piece.length
    if (heldBytes > Math.max(messageBytesMax, HEAD_BYTES) && !isWhole) {
      // Longer than any message: it is skipped.
      held = [Buffer.concat(held).subarray(0, HEAD_BYTES)]
      if (skipping === 'no') skipping = 'long'
      return
    }
    if (!isWhole) return
    const whole = Buffer.concat(held)
    held = []
    heldBytes = 0
    if (skipping === 'long') counts.others += 1
    else if (skipping === 'no') yield* flowLogsOf(whole, counts, listDepth === 2)
    skipping = 'no'
  }

  for await (const chunk of chunks) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
    let start = depth > listDepth ? 0 : -1
    for (let at = 0; at < bytes.length; at += 1) {
      const c = bytes[at]
      if (isText) {
        if (isEscaped) isEscaped = false
        else if (c === BACKSLASH) isEscaped = true
        else if (c === QUOTE) isText = false
        continue
      }
      if (c === QUOTE) isText = true
      else if (c === OPEN || c === OPEN_LIST) {
        if (depth === listDepth && (c === OPEN || depth > 0)) start = at
        if (depth === 0 && c === OPEN_LIST) listDepth = 1
        depth += 1
        if (c === OPEN_LIST && depth === 2 && listDepth === 0 && start >= 0) {
          // A message has many lists, and what is held of it may be long.
          const isHead = heldBytes + at + 1 - start <= HEAD_BYTES
          const head = isHead ? Buffer.concat([...held, bytes.subarray(start, at + 1)]).toString('latin1') : ''
          if (LIST_OF_MESSAGES.test(head)) {
            held = []
            heldBytes = 0
            listDepth = 2
            start = -1
          }
        }
      } else if (c === CLOSE || c === CLOSE_LIST) {
        depth -= 1
        if (depth === listDepth && start >= 0) {
          yield* take(bytes.subarray(start, at + 1), true)
          start = -1
        } else if (depth < listDepth) {
          // Behind a list of messages the rest of its document is skipped; a list at the top ends with itself.
          listDepth = 0
          if (depth === 1) {
            skipping = 'tail'
            start = at
          }
        }
        if (depth < 0) throw new SyntaxError('a bracket closes nothing')
      }
    }
    if (start >= 0) yield* take(bytes.subarray(start), false)
  }
  if (depth > 0 || isText) throw new SyntaxError('the last value has no end')
}

/** A document by itself: a message, an event of log streaming, or an answer whose list is not its first member. */
function* flowLogsOf(bytes: Buffer, counts: Pick<ArchiveCounts, 'others'>, isInList: boolean): Generator<Uint8Array> {
  if (isInList) return yield bytes
  let value: Record<string, unknown>
  try {
    const text = bytes.toString()
    // As it lies there, unless it is wrapped into something.
    if (isFlowLog(JSON.parse(text))) return yield bytes
    // Numbers keep their text: counters go beyond what a number holds exactly.
    value = JSON.parse(text, (_key, member: unknown, context?: { source?: string }) =>
      typeof member === 'number' && context?.source !== undefined ? rawJson(context.source) : member,
    )
  } catch {
    // The reader says what is wrong with it.
    return yield bytes
  }
  const { logs, event } = value
  const found = Array.isArray(logs) ? logs : [typeof event === 'object' && event !== null ? event : value]
  for (const one of found) {
    if (isFlowLog(one)) yield Buffer.from(JSON.stringify(one))
    else counts.others += 1
  }
}

function isFlowLog(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return 'nodeId' in value || Object.keys(value).some((key) => TRAFFIC.test(key))
}

function rawJson(source: string): unknown {
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(source)
}
