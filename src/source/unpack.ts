/** The text of a saved file: gzip and zstd are told by their first bytes, not by the name, and UTF-16 becomes UTF-8. A compressed file may have several
 * members, zstd frames to skip, and zeros between or behind them, as block devices and tapes leave them. */
import type { Transform } from 'node:stream'
import { crc32, createInflateRaw, createZstdDecompress } from 'node:zlib'
import { systemCode } from '../base/errors.ts'

/** Compressed bytes that are not whole, or not compressed at all. The message says what, and where in the file. */
export class UnpackError extends Error {}

type Chunks = AsyncIterable<Buffer>

const MAGIC_BYTES = 4
const TOO_EARLY = 'its compressed data end too early'

export async function* unpacked(file: Chunks): AsyncGenerator<Buffer> {
  yield* asUtf8(decompressed(file))
}

async function* decompressed(file: Chunks): AsyncGenerator<Buffer> {
  const input = new Input(file)
  let unpack = unpackerFor(await input.peek(MAGIC_BYTES))
  if (unpack === undefined) return yield* input.rest()
  for (;;) {
    yield* unpack(input)
    await input.skipZeros()
    const next = await input.peek(MAGIC_BYTES)
    if (next.length === 0) return
    unpack = unpackerFor(next)
    if (unpack === undefined) throw new UnpackError(`after its byte ${input.at} follow bytes that are not compressed`)
  }
}

function unpackerFor(head: Buffer): ((input: Input) => AsyncGenerator<Buffer>) | undefined {
  if (head.length < MAGIC_BYTES) return undefined
  if (head.readUInt16BE(0) === 0x1f8b) return gzipMember
  const magic = head.readUInt32LE(0)
  // RFC 8878: a frame, or one of 16 kinds of frames to skip.
  if (magic === 0xfd2fb528 || (magic & 0xfffffff0) >>> 0 === 0x184d2a50) return zstdFrames
  return undefined
}

/** RFC 1952. Not by `createGunzip`: when something else follows the last member, it fails and keeps what it had unpacked. */
async function* gzipMember(input: Input): AsyncGenerator<Buffer> {
  const flags = (await input.take(10))[3] ?? 0
  if (flags & 4) await input.take((await input.take(2)).readUInt16LE(0))
  for (const text of [8, 16]) if (flags & text) while ((await input.take(1))[0] !== 0);
  if (flags & 2) await input.take(2)
  let [checksum, length] = [0, 0]
  for await (const chunk of through(createInflateRaw(), input)) {
    checksum = crc32(chunk, checksum)
    length = (length + chunk.length) % 2 ** 32
    yield chunk
  }
  const trailer = await input.take(8)
  if (trailer.readUInt32LE(0) !== checksum || trailer.readUInt32LE(4) !== length)
    throw new UnpackError(`its checksum before byte ${input.at} is wrong`)
}

function zstdFrames(input: Input): AsyncGenerator<Buffer> {
  return through(createZstdDecompress(), input)
}

/** Up to the first byte that the transform does not take. */
async function* through(
  transform: Transform & { readonly bytesWritten: number },
  input: Input,
): AsyncGenerator<Buffer> {
  const beganAt = input.at
  const feeding = feed()
  async function feed(): Promise<void> {
    for (let chunk = await input.next(); chunk !== undefined; chunk = await input.next()) {
      const { bytesWritten } = transform
      const written = chunk
      // Each chunk is waited for, so that it is known which bytes were not taken.
      await new Promise<void>((resolve, reject) =>
        transform.write(written, (error) => (error ? reject(error) : resolve())),
      )
      const taken = transform.bytesWritten - bytesWritten
      if (taken === chunk.length) continue
      input.putBack(chunk.subarray(taken))
      break
    }
    transform.end()
  }
  // The read below reports the error.
  feeding.catch((error: unknown) => transform.destroy(error instanceof Error ? error : undefined))
  try {
    yield* transform as AsyncIterable<Buffer>
    await feeding
  } catch (error) {
    const code = systemCode(error) ?? ''
    if (!/^(Z_|ZSTD_|ERR_ZLIB)/.test(code)) throw error
    throw code === 'Z_BUF_ERROR'
      ? new UnpackError(TOO_EARLY)
      : new UnpackError(`its compressed data are damaged behind byte ${beganAt + transform.bytesWritten} (${code})`)
  } finally {
    transform.destroy()
  }
}

/** UTF-16 as Windows shells write it when they redirect, with its mark or without. */
async function* asUtf8(text: Chunks): AsyncGenerator<Buffer> {
  const input = new Input(text)
  const [first = -1, second = -1] = await input.peek(2)
  const isLittle = (first === 0xff && second === 0xfe) || (isOpening(first) && second === 0)
  const isBig = (first === 0xfe && second === 0xff) || (first === 0 && isOpening(second))
  if (!isLittle && !isBig) return yield* input.rest()
  const decoder = new TextDecoder(isLittle ? 'utf-16le' : 'utf-16be')
  for await (const chunk of input.rest()) yield Buffer.from(decoder.decode(chunk, { stream: true }))
  yield Buffer.from(decoder.decode())
}

function isOpening(byte: number): boolean {
  return byte === 0x7b || byte === 0x5b
}

/** Chunks that can be looked at before they are taken, and given back. */
class Input {
  /** Bytes taken so far. */
  at = 0
  private readonly chunks: AsyncIterator<Buffer>
  private held: Buffer[] = []

  constructor(chunks: Chunks) {
    this.chunks = chunks[Symbol.asyncIterator]()
  }

  /** Undefined at the end; never empty. */
  async next(): Promise<Buffer | undefined> {
    const chunk = this.held.shift() ?? (await this.fromChunks())
    this.at += chunk?.length ?? 0
    return chunk
  }

  putBack(chunk: Buffer): void {
    if (chunk.length === 0) return
    this.held.unshift(chunk)
    this.at -= chunk.length
  }

  /** The next bytes, fewer only at the end. */
  async peek(length: number): Promise<Buffer> {
    let head = Buffer.concat(this.held)
    while (head.length < length) {
      const more = await this.fromChunks()
      if (more === undefined) break
      head = Buffer.concat([head, more])
    }
    this.held = head.length === 0 ? [] : [head]
    return head.subarray(0, length)
  }

  /** Exactly so many bytes. */
  async take(length: number): Promise<Buffer> {
    const head = await this.peek(length)
    if (head.length < length) throw new UnpackError(TOO_EARLY)
    const [held] = this.held
    this.held = held === undefined || held.length === length ? [] : [held.subarray(length)]
    this.at += length
    return head
  }

  async skipZeros(): Promise<void> {
    for (let chunk = await this.next(); chunk !== undefined; chunk = await this.next()) {
      const stop = chunk.findIndex((byte) => byte !== 0)
      if (stop >= 0) return this.putBack(chunk.subarray(stop))
    }
  }

  async *rest(): AsyncGenerator<Buffer> {
    for (let chunk = await this.next(); chunk !== undefined; chunk = await this.next()) yield chunk
  }

  private async fromChunks(): Promise<Buffer | undefined> {
    for (;;) {
      const { value, done } = await this.chunks.next()
      if (done) return undefined
      if (value.length > 0) return value
    }
  }
}
