/** Batches in the making, in memory that is used again and again. */
import type { LineLimits } from './lines.ts'
import type { Batch, Target } from './sink.ts'

const BUFFERS = 8
/** No line is longer: twelve tags of at most 256 bytes, every byte of them escaped, and what lies between. */
const LINE_BYTES_MAX = 8192

/** A batch that is being filled. Write a line from `used` on into `room()`, then say where it ends. */
export interface OpenBatch {
  readonly used: number
  /** Memory with room for one more line, even of the longest kind. */
  room(): Uint8Array
  /** The line is complete; closes the batch first when it would grow too large by it. */
  lineEndsAt(end: number): void
}

export function createBatches(limits: LineLimits) {
  const free: Uint8Array<ArrayBuffer>[] = []
  const closed: Batch[] = []
  /** Buffers that somebody else works with. */
  const lent = new Set<ArrayBufferLike>()

  function buffer(): Uint8Array<ArrayBuffer> {
    return free.pop() ?? new Uint8Array(limits.batchBytesMax + LINE_BYTES_MAX)
  }

  function keep(bytes: Uint8Array<ArrayBuffer>): void {
    if (free.length < (limits.buffers ?? BUFFERS)) free.push(bytes)
  }

  function createOpenBatch(target: Target) {
    let bytes: Uint8Array<ArrayBuffer> | undefined
    let used = 0
    let lineCount = 0

    function close(): void {
      if (bytes === undefined || lineCount === 0) return
      closed.push({ bytes: bytes.subarray(0, used), lineCount, target })
      bytes = undefined
      used = 0
      lineCount = 0
    }

    return {
      get used() {
        return used
      },
      room(): Uint8Array {
        bytes ??= buffer()
        return bytes
      },
      lineEndsAt(end: number): void {
        if (bytes === undefined) throw new Error('a line without memory')
        if (end > limits.batchBytesMax && lineCount > 0) {
          // It was written behind the last line that fits: move it to the next batch.
          const line = bytes.subarray(used, end)
          close()
          bytes = buffer()
          bytes.set(line)
          used = line.length
        } else used = end
        lineCount += 1
        if (lineCount >= limits.batchLinesMax || used >= limits.batchBytesMax) close()
      },
      close,
      drop(): void {
        if (bytes !== undefined) keep(bytes)
        bytes = undefined
        used = 0
        lineCount = 0
      },
    }
  }

  const main = createOpenBatch('main')
  const nodes = limits.splitNodes ? createOpenBatch('nodes') : main

  function take(): Batch | undefined {
    const batch = closed.shift()
    if (batch) lent.add(batch.bytes.buffer)
    return batch
  }

  return {
    main: main as OpenBatch,
    nodes: nodes as OpenBatch,
    full: take,
    rest(): readonly Batch[] {
      main.close()
      nodes.close()
      const batches: Batch[] = []
      for (let batch = take(); batch; batch = take()) batches.push(batch)
      return batches
    },
    release(batch: Batch): void {
      // Twice is harmless: only the first one finds it.
      if (lent.delete(batch.bytes.buffer)) keep(new Uint8Array(batch.bytes.buffer as ArrayBuffer))
    },
    reset(): void {
      main.drop()
      nodes.drop()
      for (const batch of closed) keep(new Uint8Array(batch.bytes.buffer as ArrayBuffer))
      closed.length = 0
    },
  }
}
