/** Writes log lines to a file descriptor that may be full, slow, or without a reader. The service never waits for it: lines wait in a bounded
 * queue, lines that do not fit are lost and counted, and when the queue is written the number of lost lines is reported.
 *
 * A pipe, a socket and a terminal are written to without blocking, because a write that blocks holds a thread of libuv's pool, and Node waits
 * for these threads when the process ends: then not even SIGTERM would end it. */
import { constants, fstatSync, write as fsWrite, openSync, writeSync } from 'node:fs'
import { isatty } from 'node:tty'

/** What is wrong with the output. */
export interface LogProblem {
  /** The system's code: `ENOSPC`, `EPIPE`, `EIO` …; `EAGAIN` while the reader does not read. */
  readonly code: string
  /** Lines lost since this problem began. */
  readonly lostCount: number
}

interface LogOutputListener {
  /** Called with each lost line, and with each new code. */
  failing?(problem: LogProblem): void
  /** Everything that waited is written, after `failing`. */
  recovered?(problem: LogProblem): void
}

export interface LogOutput {
  /** Writes the line now or later, or loses it. Never throws, never waits. */
  write(line: string): void
  /** Resolves when everything is written, at the latest after `boundMs`. */
  flush(boundMs: number): Promise<void>
  /** For the `exit` event: tries once more to write what waits. Never throws. */
  flushAtExit(): void
  /** Undefined while there is no problem. */
  problem(): LogProblem | undefined
  /** Lines lost since the process began. */
  lostTotal(): number
  /** Returns what ends it. */
  listen(listener: LogOutputListener): () => void
}

/** Maximum characters in the queue: a few hundred to a thousand lines. */
const QUEUE_CHARS_MAX = 256 * 1024
/** Until a pipe that was full is tried again. */
const BUSY_RETRY_MS = 50
/** Until a disk that was full, or a pipe whose reader went away, is tried again. */
const ERROR_RETRY_MS = 1_000

/** `fd`: 1 or 2; others are not made non-blocking when they are a pipe. */
export function createLogOutput(options: { readonly fd: number; readonly queueCharsMax?: number }): LogOutput {
  const { fd, queueCharsMax = QUEUE_CHARS_MAX } = options
  let to: number | undefined
  let queue: string[] = []
  let queuedChars = 0
  /** The bytes that are being written, or whose write failed; lines of the queue follow them. */
  let chunk: Buffer | undefined
  let chunkChars = 0
  let isWriting = false
  let retry: NodeJS.Timeout | undefined
  let problem: LogProblem | undefined
  let failure: string | undefined
  let lost = 0
  const listeners = new Set<LogOutputListener>()
  let flushed: (() => void)[] = []

  function next(): void {
    if (isWriting || retry !== undefined) return
    if (chunk === undefined) {
      if (queuedChars === 0) return drained()
      chunk = Buffer.from(queue.join(''))
      chunkChars = queuedChars
      queue = []
    }
    isWriting = true
    to ??= nonBlocking(fd)
    fsWrite(to, chunk, written)
  }

  function written(error: NodeJS.ErrnoException | null, count: number): void {
    isWriting = false
    if (error !== null) return failed(error.code ?? 'unknown')
    failure = undefined
    if (chunk !== undefined && count < chunk.length) chunk = chunk.subarray(count)
    else {
      chunk = undefined
      queuedChars -= chunkChars
    }
    next()
  }

  function failed(code: string): void {
    failure = code
    // A missing reader is no problem until a line is lost.
    if (code !== 'EAGAIN') lose(0)
    const retryMs = code === 'EAGAIN' ? BUSY_RETRY_MS : ERROR_RETRY_MS
    retry = setTimeout(() => {
      retry = undefined
      next()
    }, retryMs).unref()
  }

  function lose(lostCount: number): void {
    lost += lostCount
    const code = failure ?? 'EAGAIN'
    const isNew = lostCount > 0 || problem?.code !== code
    problem = { code, lostCount: (problem?.lostCount ?? 0) + lostCount }
    if (isNew) for (const listener of listeners) listener.failing?.(problem)
  }

  function drained(): void {
    for (const resolve of flushed) resolve()
    flushed = []
    if (problem === undefined) return
    const over = problem
    problem = undefined
    for (const listener of listeners) listener.recovered?.(over)
  }

  return {
    write(line) {
      if (queuedChars + line.length > queueCharsMax) return lose(1)
      queue.push(line)
      queuedChars += line.length
      next()
    },
    async flush(boundMs) {
      if (queuedChars === 0) return
      const { promise, resolve } = Promise.withResolvers<void>()
      flushed.push(resolve)
      const bound = setTimeout(resolve, boundMs)
      await promise
      clearTimeout(bound)
    },
    flushAtExit() {
      // What is being written is finished by its thread, and the order must stay.
      if (isWriting) return
      let rest = Buffer.concat([chunk ?? Buffer.alloc(0), Buffer.from(queue.join(''))])
      try {
        to ??= nonBlocking(fd)
        while (rest.length > 0) rest = rest.subarray(writeSync(to, rest))
      } catch {
        // These lines are lost, and there is no way left to report it.
      }
    },
    problem: () => problem,
    lostTotal: () => lost,
    listen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/** A descriptor of the same file that never makes a writer wait. */
function nonBlocking(fd: number): number {
  try {
    if (isatty(fd)) return openSync(`/dev/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
    const stat = fstatSync(fd)
    // Node makes pipes and sockets non-blocking when it makes a stream of them (libuv: uv_pipe_open, uv_tcp_open).
    if (stat.isFIFO() || stat.isSocket()) void (fd === 1 ? process.stdout : fd === 2 ? process.stderr : undefined)
  } catch {
    // A terminal of another user, or a system without /dev/fd: as it is, then.
  }
  return fd
}
