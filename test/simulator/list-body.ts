/** Sends lists of the simulated API: computed while they are sent, compressed if the client accepts that, with or without a fault. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip, type Gzip } from 'node:zlib'
import { type Fault, faultyBody, nextTurn } from './faults.ts'
import type { ApiRequest } from './requests.ts'

const CHUNK_CHARS = 64 * 1024
const BODY_FAULTS: readonly Fault['kind'][] = ['truncate', 'hang-body', 'drip', 'garbage']

export interface ListBody {
  /** Up to the first item. */
  readonly head: string
  readonly items: () => Iterable<string>
}

/** `gone` aborts when the connection is closed. Rejects when the connection breaks, by a fault or by the client. */
export async function sendList(
  request: IncomingMessage,
  response: ServerResponse,
  entry: ApiRequest,
  list: ListBody,
  faults: readonly Fault[],
  gone: AbortSignal,
): Promise<void> {
  const fault = faults.find(({ kind }) => BODY_FAULTS.includes(kind))
  // Compression delays bytes, so a body that must arrive in steps is not compressed.
  const isPlain = fault !== undefined && fault.kind !== 'truncate'
  const zip = !isPlain && /\bgzip\b/.test(request.headers['accept-encoding'] ?? '')
  entry.status = 200
  response.writeHead(200, {
    'Content-Type': 'application/json',
    ...(zip ? { 'Content-Encoding': 'gzip', Vary: 'Accept-Encoding' } : {}),
  })
  response.flushHeaders()
  const gzip = zip ? createGzip({ level: 1 }) : undefined
  const body = chunksOf(list, entry)
  const source =
    fault === undefined ? body : flushBeforeBreak(faultyBody(body, inBytes(fault, list), gone), response, gzip)
  if (gzip) await pipeline(Readable.from(source), gzip, response)
  else await pipeline(Readable.from(source), response)
}

async function* chunksOf({ head, items }: ListBody, entry: ApiRequest): AsyncGenerator<Buffer> {
  let text = head
  let first = true
  const take = () => {
    const chunk = Buffer.from(text)
    entry.bytes += chunk.length
    text = ''
    return chunk
  }
  for (const item of items()) {
    text += first ? item : `,${item}`
    first = false
    entry.messages += 1
    if (text.length < CHUNK_CHARS) continue
    yield take()
    await nextTurn()
  }
  text += ']}\n'
  yield take()
}

/** A fraction of the body as bytes. */
function inBytes(fault: Fault, list: ListBody): Fault {
  if (fault.kind !== 'truncate' || fault.fraction === undefined) return fault
  return { ...fault, afterBytes: Math.floor(lengthOf(list) * fault.fraction) }
}

function lengthOf({ head, items }: ListBody): number {
  let bytes = Buffer.byteLength(head) + 3
  let count = 0
  for (const item of items()) {
    bytes += Buffer.byteLength(item)
    count += 1
  }
  return bytes + Math.max(0, count - 1)
}

/** Before a fault breaks the connection, everything so far is sent. */
async function* flushBeforeBreak(
  body: AsyncIterable<Buffer>,
  response: ServerResponse,
  gzip: Gzip | undefined,
): AsyncGenerator<Buffer> {
  try {
    yield* body
  } catch (error) {
    for (let i = 0; i < 5; i++) await nextTurn()
    if (gzip) await new Promise<void>((resolve) => gzip.flush(() => resolve()))
    for (let i = 0; i < 100 && (i < 5 || response.writableLength > 0); i++) await nextTurn()
    throw error
  }
}
