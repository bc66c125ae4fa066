/** The dead-letter file: data that cannot be stored anywhere else, one JSON object per line, in `dead-letters-<n>.jsonl` of its folder.
 *
 * `append` resolves only after fsync. An incomplete last line (the process died while it wrote) gets a newline at the next start, so that later
 * lines stay readable. A new file begins at 16 MiB. Files are never removed: a person decides about them.
 *
 * Letters never stop the line. Beyond the quota of a node and hour, and when all files together have reached their limit, letters are
 * counted instead of kept; a line with `more` has their number and their ids. The exact number of quarantined messages, entries and lines
 * is the sum of `more`, `count` or 1 over all lines. Only a disk that cannot be written stops the line: then the state file cannot be
 * written either. */
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { Logger } from 'pino'
import type { Clock } from '../base/clock.ts'
import { CollectorError, systemCode } from '../base/errors.ts'
import { formatBytes } from '../base/units.ts'
import { createLetterQuota } from './dead-letter-quota.ts'
import type { DeadLetter, DeadLetters, LetterProblem } from './sink.ts'

const FILE_BYTES_MAX = 16 << 20
/** How much of the newest files is read at the first letter of a process, to know earlier letters and used quotas. */
const RECALLED_BYTES_MAX = 32 << 20
/** The part of the limit that is reserved for lines that count what is not kept. */
const RESERVE_SHARE = 1 / 8
const RESERVE_BYTES_MAX = 1 << 20
/** How long a message on which tailflux itself failed is reported. */
const FAILED_REPORTED_MS = 3_600_000
const NAME = /^dead-letters-(\d+)\.jsonl$/

export function createDeadLetters(
  options: { dir: string; maxBytes: number },
  deps: { clock: Clock; log: Logger },
): DeadLetters {
  const { dir, maxBytes } = options
  const { clock, log } = deps
  const reserveMax = Math.min(RESERVE_BYTES_MAX, Math.floor(maxBytes * RESERVE_SHARE))
  const quota = createLetterQuota()
  let file: FileHandle | undefined
  let number = 0
  let fileBytes = 0
  let olderBytes = 0
  let isRecalled = false
  let isFull = false
  let failed: { readonly letter: DeadLetter; count: number; readonly atMs: number } | undefined
  let queue: Promise<unknown> = Promise.resolve()

  function pathOf(index: number): string {
    return join(dir, `dead-letters-${String(index).padStart(6, '0')}.jsonl`)
  }

  /** Sizes of the files by their numbers. */
  function fileSizes(): Map<number, number> {
    return new Map(
      readdirSync(dir).flatMap((name) => {
        const index = NAME.exec(name)?.[1]
        return index === undefined ? [] : [[Number(index), statSync(join(dir, name)).size] as const]
      }),
    )
  }

  /** Readable for the owner only: the lines show who talks to whom. */
  async function makeFolder(): Promise<void> {
    const first = mkdirSync(dir, { recursive: true, mode: 0o700 })
    if (first === undefined) return
    // The name of a folder is durable only after an fsync of its parent.
    for (let made = resolve(dir); ; made = dirname(made)) {
      await syncFolder(dirname(made))
      if (made === resolve(first) || made === dirname(made)) return
    }
  }

  /** The open file. Reads the folder again whenever no file is open, because a person may have removed files. */
  async function ready(): Promise<FileHandle> {
    if (file && fileBytes < FILE_BYTES_MAX && existsSync(pathOf(number))) return file
    await file?.close()
    file = undefined
    await makeFolder()
    const sizes = fileSizes()
    if (!isRecalled) await recall(sizes)
    isRecalled = true
    number = Math.max(1, ...sizes.keys())
    if ((sizes.get(number) ?? 0) >= FILE_BYTES_MAX) number += 1
    fileBytes = sizes.get(number) ?? 0
    olderBytes = [...sizes].reduce((sum, [index, size]) => (index === number ? sum : sum + size), 0)
    const made = await open(pathOf(number), 'a+', 0o600)
    file = made
    if (fileBytes > 0) {
      const { buffer } = await made.read(Buffer.alloc(1), 0, 1, fileBytes - 1)
      if (buffer[0] !== 10) {
        await made.appendFile('\n')
        fileBytes += 1
      }
    } else {
      // The name of a file is durable only after an fsync of its folder.
      await syncFolder(dir)
    }
    return made
  }

  /** Reads what earlier processes wrote, oldest first, so that data that is read again after a restart makes no second letter. */
  async function recall(sizes: ReadonlyMap<number, number>): Promise<void> {
    const newest = [...sizes.keys()].toSorted((one, other) => other - one)
    const recalled: number[] = []
    let bytes = 0
    for (const index of newest) {
      bytes += sizes.get(index) ?? 0
      if (bytes > RECALLED_BYTES_MAX && recalled.length > 0) break
      recalled.push(index)
    }
    let invalid = 0
    for (const index of recalled.toReversed()) {
      const whole = await textOf(pathOf(index), Math.min(sizes.get(index) ?? 0, RECALLED_BYTES_MAX))
      for (const line of whole.split('\n')) {
        if (line === '') continue
        try {
          quota.recall(line)
        } catch (error) {
          // Incomplete after a crash, or edited: the letter is unknown.
          if (!(error instanceof SyntaxError)) throw error
          invalid += 1
        }
      }
    }
    if (invalid > 0) log.warn({ lineCount: invalid, dir }, 'skipped lines of the dead letters that are not JSON')
  }

  async function write(letters: readonly DeadLetter[]): Promise<readonly DeadLetter[]> {
    try {
      const handle = await ready()
      const used = olderBytes + fileBytes
      const bytesLeft = Math.max(0, maxBytes - reserveMax - used)
      const reserve = Math.min(reserveMax, Math.max(0, maxBytes - used))
      const sorted = quota.sort(letters, clock.now(), bytesLeft, reserve)
      if (sorted.lines.length > 0) {
        const bytes = Buffer.concat(sorted.lines)
        await handle.appendFile(bytes)
        await handle.datasync()
        fileBytes += bytes.length
      }
      sorted.commit()
      if (sorted.fresh.length > 0) noteFresh(sorted.fresh, sorted.isFull)
      if (isFull) await close()
      return sorted.fresh
    } catch (error) {
      // Removes a half-written line. If this fails too, the line gets its newline when the file is opened again.
      await file?.truncate(fileBytes).catch(() => undefined)
      await close().catch(() => undefined)
      const code = systemCode(error)
      if (code === undefined) throw error
      throw new CollectorError(
        `The dead letters in ${dir} cannot be written (${code}). Free space or correct the permissions; polling then resumes automatically.`,
        {
          stage: 'sink',
          code: 'dead_letters_failed',
          reaction: 'hold',
          cause: error,
        },
      )
    }
  }

  async function close(): Promise<void> {
    const handle = file
    file = undefined
    await handle?.close()
  }

  function noteFresh(fresh: readonly DeadLetter[], isFullNow: boolean): void {
    if (isFullNow && !isFull)
      log.warn({ dir, maxBytes }, 'dead letters are full, further ones are counted but not kept')
    isFull = isFullNow
    const faults = fresh.filter(({ isOurFault }) => isOurFault)
    const [letter] = faults
    if (letter === undefined) return
    const count = faults.reduce((sum, one) => sum + (one.count ?? 1), failed && !isOver(failed.atMs) ? failed.count : 0)
    failed = { letter, count, atMs: clock.monotonicMs() }
    log.error(
      { count, reason: letter.reason, node: letter.node, detail: letter.detail },
      'bug in tailflux, messages quarantined in the dead letters; please report it',
    )
  }

  function isOver(atMs: number): boolean {
    return clock.monotonicMs() - atMs > FAILED_REPORTED_MS
  }

  function isStillFull(): boolean {
    try {
      const used = [...fileSizes().values()].reduce((sum, size) => sum + size, 0)
      return used >= maxBytes - 2 * reserveMax
    } catch {
      // A folder that cannot be read is reported with the next letter.
      return false
    }
  }

  return {
    append(letters) {
      if (letters.length === 0) return Promise.resolve([])
      const written = queue.then(() => write(letters))
      queue = written.catch(() => undefined)
      return written
    },
    problem() {
      if (failed !== undefined && isOver(failed.atMs)) failed = undefined
      if (isFull) isFull = isStillFull()
      return failed ? failedText(dir, failed) : isFull ? fullText(dir, maxBytes) : undefined
    },
    async stop() {
      await queue
      await close()
    },
  }
}

function failedText(dir: string, { letter, count }: { letter: DeadLetter; count: number }): LetterProblem {
  return {
    code: letter.reason,
    text: `tailflux failed on ${count} message${count === 1 ? '' : 's'} (${letter.reason}, the last one of node ${letter.node ?? 'unknown'}), which are kept in ${dir}; all others are written. This is a bug in tailflux: report it with one of these letters, and after an update read that time again with tailflux backfill --again`,
  }
}

function fullText(dir: string, maxBytes: number): LetterProblem {
  return {
    code: 'dead_letters_full',
    text: `the dead letters in ${dir} have used up their ${formatBytes(maxBytes)}: further ones are counted but not kept. Read what they contain, move the files away, or raise deadLetters.maxBytes`,
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path)
  await folder.sync().finally(() => folder.close())
}

/** The first bytes of a file as text. */
async function textOf(path: string, bytes: number): Promise<string> {
  if (bytes === 0) return ''
  const handle = await open(path)
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes), 0, bytes, 0)
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await handle.close()
  }
}
