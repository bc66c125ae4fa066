/** Reads saved flow logs as messages, in any form: answers of the API, lists of messages, NDJSON, bodies of log streaming (HEC), one
 * after the other in one file, also inside the lines of other logs, compressed or not. They are cut and parsed by the reader of the API's answers,
 * so that their points have the same identity. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { CollectorError, systemCode } from '../base/errors.ts'
import type { Message } from './parse/message.ts'
import type { ReaderLimits } from './parse/message-reader.ts'
import { damageText } from './saved-damage.ts'
import { foreignFile, kindWithoutFlows } from './saved-kind.ts'
import { createSavedLines, type SavedLines } from './saved-lines.ts'
import type { Answer } from './source.ts'
import { UnpackError, unpacked } from './unpack.ts'

export interface Archive {
  /** Its messages. What the file lacks or has too much never throws here: the messages before it count, and `findings` tells it. */
  readonly answer: Answer
  /** From 0 to 1; 0 for standard input. */
  share(): number
  /** Once all messages are taken. */
  findings(): Findings
}

/** What a file has besides messages. */
export interface Findings {
  /** Why the file is not read, or not to its end, and what to do. */
  readonly fault: CollectorError | undefined
  /** What is damaged and was left out, a sentence for each of the first lines. */
  readonly damage: readonly string[]
  readonly damageCount: number
  /** Lines and JSON that are no flow log (events of the audit log, devices), or longer than any message may be. */
  readonly others: number
}

class ForeignFile extends Error {}

/** For what the file is, if it has no flow logs. */
const HEAD_BYTES = 4_096

/** Opens a file (`-` is standard input) as an answer of the API. Rejects with a CollectorError when it cannot be opened. */
export async function openArchive(path: string, limits: ReaderLimits): Promise<Archive> {
  const fileBytes = path === '-' ? 0 : await sizeOf(path)
  const file: Readable = path === '-' ? process.stdin : createReadStream(path, { highWaterMark: 256 * 1024 })
  const lines = createSavedLines(path, limits)
  let readBytes = 0
  let head = Buffer.alloc(0)
  let fault: CollectorError | undefined

  async function* counted(): AsyncGenerator<Buffer> {
    for await (const chunk of file as AsyncIterable<Buffer>) {
      readBytes += chunk.length
      yield chunk
    }
  }

  async function* groups(): AsyncGenerator<Iterable<Message>> {
    try {
      for await (const chunk of unpacked(counted())) {
        if (head.length < HEAD_BYTES) {
          head = Buffer.concat([head, chunk.subarray(0, HEAD_BYTES - head.length)])
          const foreign = foreignFile(head)
          if (foreign !== undefined) throw new ForeignFile(foreign)
        }
        yield lines.take(chunk)
      }
    } catch (error) {
      fault = unreadable(path, error)
    }
    yield lines.end()
    fault ??= lackOf(path, lines, head)
  }

  return {
    answer: { serverNs: undefined, bytesRead: lines.bytesRead, groups: groups() },
    share: () => (fileBytes === 0 ? 0 : readBytes / fileBytes),
    findings: () => ({
      fault,
      damage: lines.damage.first.map(damageText),
      damageCount: lines.damage.count(),
      others: lines.others(),
    }),
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    const found = await stat(path)
    if (found.isFile()) return found.size
    // A pipe of the shell, as in `replay <(zcat …)`.
    if (found.isFIFO()) return 0
  } catch (error) {
    throw unreadable(path, error)
  }
  throw unreadable(path, undefined)
}

/** What the whole text lacks. */
function lackOf(path: string, lines: SavedLines, head: Buffer): CollectorError | undefined {
  const taken = lines.messages()
  if (lines.isCutOff() && taken > 0) {
    return faultOf(
      `${path} ends inside its list of messages: the ${taken} messages before that are taken. Get the whole file and replay it again; nothing is counted twice.`,
    )
  }
  if (taken > 0) return undefined
  const kind = kindWithoutFlows(head, lines.damage.count() > 0 || lines.isCutOff())
  return kind === undefined ? undefined : faultOf(`${path} has no flow logs: ${kind}.`)
}

/** The file cannot be read, or not to its end. Throws what is no error of a file. */
function unreadable(path: string, error: unknown): CollectorError {
  if (error instanceof ForeignFile) return faultOf(`${path} has no flow logs: ${error.message}.`)
  if (error instanceof UnpackError)
    return faultOf(
      `${path} cannot be read to its end: ${error.message}. Get the whole file and replay it again; nothing is counted twice.`,
      error,
    )
  const code = systemCode(error)
  if (error !== undefined && code === undefined) throw error
  const why = code === undefined ? 'it is not a file' : code
  return faultOf(`${path} cannot be read (${why}). Check its name and its permissions.`, error)
}

function faultOf(text: string, cause?: unknown): CollectorError {
  return new CollectorError(text, { stage: 'source', code: 'api_truncated', reaction: 'reject', cause })
}
