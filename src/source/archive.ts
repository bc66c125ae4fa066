/** Reads saved flow logs as messages, in any form: answers of the API, lists of messages, NDJSON, bodies of log streaming (HEC), one
 * after the other in one file, compressed or not. They are cut and parsed by the reader of the API's answers, so that their points have the
 * same identity. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { PassThrough, Readable, type Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { CollectorError } from '../base/errors.ts'
import type { Message } from './parse/message.ts'
import { createMessageReader, type ReaderLimits } from './parse/message-reader.ts'
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

/** Opens a file (`-` is standard input) as an answer of the API. Rejects with a CollectorError when it cannot be opened. */
export async function openArchive(
  path: string,
  limits: ReaderLimits,
): Promise<{ readonly answer: Answer; readonly counts: ArchiveCounts }> {
  const counts: ArchiveCounts = { fileBytes: path === '-' ? 0 : await sizeOf(path), readBytes: 0, others: 0 }
  const file: Readable = path === '-' ? process.stdin : createReadStream(path, { highWaterMark: 256 * 1024 })
  const reader = createMessageReader(limits, {
    onOther() {
      counts.others += 1
    },
    fault: ({ seen }) => unreadable(path, undefined, seen),
  })
  async function* groups(): AsyncGenerator<Iterable<Message>> {
    try {
      for await (const chunk of decoded(counted(file, counts))) yield reader.push(chunk)
      reader.end()
    } catch (error) {
      throw error instanceof CollectorError ? error : unreadable(path, error)
    }
  }
  return { answer: { serverNs: undefined, bytesRead: () => reader.bytesRead(), groups: groups() }, counts }
}

async function sizeOf(path: string): Promise<number> {
  try {
    const found = await stat(path)
    if (found.isFile()) return found.size
  } catch (error) {
    throw unreadable(path, error)
  }
  throw unreadable(path, undefined)
}

/** `seen`: the text where it stops being JSON. */
function unreadable(path: string, cause: unknown, seen = ''): CollectorError {
  const code = cause instanceof Error && 'code' in cause ? ` (${cause.code})` : ''
  const where = seen === '' ? '' : ` at "${seen}"`
  return new CollectorError(
    `${path} cannot be read${code}${where}. Check that it is a complete, readable file of flow logs.`,
    {
      stage: 'source',
      code: 'api_truncated',
      reaction: 'reject',
      cause,
    },
  )
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
