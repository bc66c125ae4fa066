/** Batches that are being filled, in memory that is reused. */

import type { Batch, Target } from '../sink.ts'
import { NEEDS_ESCAPE } from './escape.ts'

/** Bytes are copied eight at a time. A line consists of some fifteen short texts, and copying eight bytes at once is several times faster than one
 * by one. Most texts have at most 16 bytes, so 16 bytes are always copied: without a condition there is no branch that the processor can mispredict,
 * which saves a tenth of the time of a line. The next text overwrites what was copied too much, and each memory has SPARE bytes at its end. */
const SPARE = 16

export interface LineLimits {
  /** Maximum lines of one batch. */
  readonly batchLinesMax: number
  /** Maximum bytes of one batch; a single line may be longer and is then a batch of its own. */
  readonly batchBytesMax: number
  /** How many buffers of `batchBytesMax` are kept for reuse (8). More may be in flight; they are then left to the garbage collector. */
  readonly buffers?: number
}

const BUFFERS = 8
/** Where raw points live. */
const TARGET: Target = 'raw'
/** No line is longer: five tags of at most 256 bytes, each byte escaped, the short ones, keys and fields. */
const LINE_BYTES_MAX = 4096

/** A batch that is being filled. Call `begin`, write lines into `view` from `used` on, then `took`. */
class OpenBatch {
  bytes: Uint8Array<ArrayBuffer>
  view: DataView
  used = 0
  lineCount = 0
  private memory: Memory | undefined
  /** Where `mark` was called. */
  private markedUsed = 0
  private markedLines = 0
  private readonly limits: LineLimits
  private readonly pool: Pool

  constructor(limits: LineLimits, pool: Pool) {
    this.limits = limits
    this.pool = pool
    this.bytes = NOTHING.bytes
    this.view = NOTHING.view
  }

  /** How many more lines fit. */
  get linesLeft(): number {
    return this.limits.batchLinesMax - this.lineCount
  }

  /** Memory for one more line, even of the longest kind. */
  begin(): void {
    if (this.memory === undefined) this.use(this.pool.take())
  }

  /** A number of lines is complete, the last one ends at `end`. Closes the batch when it is full. */
  took(lines: number, end: number): void {
    this.used = end
    this.lineCount += lines
    if (this.lineCount >= this.limits.batchLinesMax || this.used >= this.limits.batchBytesMax) this.close()
  }

  close(): void {
    if (this.memory === undefined) return
    this.pool.close(
      { bytes: this.bytes.subarray(0, this.used), lineCount: this.lineCount, target: TARGET },
      this.memory,
    )
    this.use(undefined)
  }

  /** `rollback` returns to this state. */
  mark(): void {
    this.markedUsed = this.used
    this.markedLines = this.lineCount
  }

  /** Returns to the state at `mark`. `first`: the memory of the batch that was open then, if it was closed since. */
  rollback(first: Memory | undefined): void {
    if (first !== undefined) {
      this.drop()
      this.use(first)
    }
    if (this.markedLines === 0) return this.drop()
    this.used = this.markedUsed
    this.lineCount = this.markedLines
  }

  drop(): void {
    if (this.memory !== undefined) this.pool.keep(this.memory)
    this.use(undefined)
  }

  private use(memory: Memory | undefined): void {
    this.memory = memory
    this.bytes = (memory ?? NOTHING).bytes
    this.view = (memory ?? NOTHING).view
    this.used = 0
    this.lineCount = 0
  }
}

const NOTHING = createMemory(0)

interface Pool {
  take(): Memory
  keep(memory: Memory): void
  close(batch: Batch, memory: Memory): void
}

export function createBatches(limits: LineLimits) {
  const free: Memory[] = []
  const closed: Batch[] = []
  const memories = new WeakMap<Batch, Memory>()

  const pool: Pool = {
    take: () => free.pop() ?? createMemory(limits.batchBytesMax + LINE_BYTES_MAX),
    keep(memory) {
      if (free.length < (limits.buffers ?? BUFFERS)) free.push(memory)
    },
    close(batch, memory) {
      memories.set(batch, memory)
      closed.push(batch)
    },
  }
  const open = new OpenBatch(limits, pool)

  function release(batch: Batch): void {
    const memory = memories.get(batch)
    // A second call does nothing, because the first one took the memory.
    if (memory === undefined) return
    memories.delete(batch)
    pool.keep(memory)
  }

  let closedAtMark = 0

  function mark(): void {
    closedAtMark = closed.length
    open.mark()
  }

  /** Removes what was written since `mark`, also from closed batches. */
  function rollback(): void {
    const [first, ...others] = closed.splice(closedAtMark)
    const memory = first && memories.get(first)
    if (first) memories.delete(first)
    open.rollback(memory)
    for (const one of others) release(one)
  }

  return {
    open,
    mark,
    rollback,
    hasFull: (): boolean => closed.length > 0,
    full: (): Batch | undefined => closed.shift(),
    rest(): readonly Batch[] {
      open.close()
      return closed.splice(0)
    },
    release,
    reset(): void {
      open.drop()
      for (const batch of closed.splice(0)) release(batch)
    },
  }
}

/** The same memory as bytes and as a view. */
export interface Memory {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly view: DataView
}

function createMemory(size: number): Memory {
  const bytes = new Uint8Array(size + SPARE)
  return { bytes, view: new DataView(bytes.buffer) }
}

/** Copies `from[start, end)` to `to[p]`; returns the position after it. */
export function copyWords(to: DataView, p: number, from: DataView, start: number, end: number): number {
  const shift = p - start
  to.setBigUint64(p, from.getBigUint64(start, true), true)
  to.setBigUint64(p + 8, from.getBigUint64(start + 8, true), true)
  for (let i = start + 16; i < end; i += 8) to.setBigUint64(i + shift, from.getBigUint64(i, true), true)
  return end + shift
}

const encoder = new TextEncoder()

/** Texts that occur in many lines, one after the other in one memory. */
export class TextChunks {
  private readonly memory: Memory
  readonly view: DataView
  used = 0

  constructor(size: number) {
    this.memory = createMemory(size)
    this.view = this.memory.view
  }

  /** Appends text as it is. */
  add(text: string): void {
    this.append(text, false)
  }

  /** Appends a tag value, escaped. */
  addTag(text: string): void {
    this.append(text, true)
  }

  /** Appends text from another memory, or from earlier in this one. */
  copy(from: DataView, start: number, end: number): void {
    this.used = copyWords(this.view, this.used, from, start, end)
  }

  private append(text: string, escapes: boolean): void {
    const { bytes } = this.memory
    const start = this.used
    let p = start
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i)
      if (c > 0x7e) return this.appendUtf8(text, escapes)
      if (escapes && NEEDS_ESCAPE[c] === 1) bytes[p++] = 0x5c
      bytes[p++] = c
    }
    this.used = p
  }

  private appendUtf8(text: string, escapes: boolean): void {
    const { bytes } = this.memory
    for (const c of encoder.encode(text)) {
      if (escapes && NEEDS_ESCAPE[c] === 1) bytes[this.used++] = 0x5c
      bytes[this.used++] = c
    }
  }
}
