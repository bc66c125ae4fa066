/** The dead-letter file: what can be delivered nowhere else, one JSON object per line, in `dead-letters-<n>.jsonl` of its folder.
 *
 * `append` resolves only after fsync. A torn last line (the process died in mid-write) is ended with a newline at the next start, so that
 * later lines stay readable. Files are rotated at 16 MiB; when all of them together reach the limit, `append` rejects with `hold`: nothing
 * is thrown away to make room, a person decides. */
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import { CollectorError, excerpt } from '../errors.ts'
import { isoOf } from '../format.ts'
import type { DeadLetter, DeadLetters } from './sink.ts'

const FILE_BYTES_MAX = 16 << 20
const NAME = /^dead-letters-(\d+)\.jsonl$/

export function createDeadLetters(
  options: { dir: string; maxBytes: number },
  deps: { clock: Clock; log: Logger },
): DeadLetters {
  const { dir } = options
  let file: FileHandle | undefined
  let number = 0
  let fileBytes = 0
  let olderBytes = 0
  let queue: Promise<unknown> = Promise.resolve()

  function pathOf(index: number): string {
    return join(dir, `dead-letters-${String(index).padStart(6, '0')}.jsonl`)
  }

  /** Looks at the folder again each time nothing is open: files that a person removed make room. */
  async function ready(): Promise<FileHandle> {
    if (file && fileBytes < FILE_BYTES_MAX && existsSync(pathOf(number))) return file
    await file?.close()
    file = undefined
    mkdirSync(dir, { recursive: true })
    const sizes = new Map(
      readdirSync(dir).flatMap((name) => {
        const index = NAME.exec(name)?.[1]
        return index === undefined ? [] : [[Number(index), statSync(join(dir, name)).size] as const]
      }),
    )
    number = Math.max(1, ...sizes.keys())
    if ((sizes.get(number) ?? 0) >= FILE_BYTES_MAX) number += 1
    fileBytes = sizes.get(number) ?? 0
    olderBytes = [...sizes].reduce((sum, [index, size]) => (index === number ? sum : sum + size), 0)
    // Lines tell who talks to whom: for the owner only.
    const made = await open(pathOf(number), 'a+', 0o600)
    file = made
    if (fileBytes > 0) {
      const { buffer } = await made.read(Buffer.alloc(1), 0, 1, fileBytes - 1)
      if (buffer[0] !== 10) {
        await made.appendFile('\n')
        fileBytes += 1
      }
    } else {
      // A file's name is durable only when its folder is.
      const folder = await open(dir)
      await folder.sync().finally(() => folder.close())
    }
    return made
  }

  async function write(letters: readonly DeadLetter[]): Promise<void> {
    const at = isoOf(deps.clock.now())
    const text = letters
      .map(({ stage, reason, detail, text: content }) =>
        JSON.stringify({
          at,
          stage,
          reason,
          ...(detail === undefined ? {} : { detail: excerpt(detail) }),
          text: content,
        }),
      )
      .join('\n')
    const bytes = Buffer.from(`${text}\n`)
    try {
      const handle = await ready()
      if (olderBytes + fileBytes + bytes.length > options.maxBytes) {
        await handle.close()
        file = undefined
        throw new CollectorError(
          `The dead letters in ${dir} have used up their ${options.maxBytes} bytes. Look at what they hold, move the files away, or raise deadLetters.maxBytes; reading goes on by itself then.`,
          { stage: 'sink', code: 'dead_letters_full', reaction: 'hold' },
        )
      }
      await handle.appendFile(bytes)
      await handle.datasync()
      fileBytes += bytes.length
    } catch (error) {
      if (error instanceof CollectorError) throw error
      // What was half written is ended by the newline check when the file is opened again.
      await file?.close().catch(() => undefined)
      file = undefined
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
      throw new CollectorError(
        `The dead letters in ${dir} cannot be written (${code}). Free space or mend the permissions; reading goes on by itself then.`,
        {
          stage: 'sink',
          code: 'dead_letters_failed',
          reaction: 'hold',
          cause: error,
        },
      )
    }
  }

  return {
    append(letters) {
      if (letters.length === 0) return Promise.resolve()
      const mine = queue.then(() => write(letters))
      queue = mine.catch(() => undefined)
      return mine
    },
    async stop() {
      await queue
      await file?.close()
      file = undefined
    },
  }
}
