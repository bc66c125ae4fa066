/** A TCP proxy in front of a server, with the faults that networks have. It knows nothing of HTTP but where a head ends. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort, type Scope } from './server-process.ts'

export type Toxic =
  /** Each piece of an answer arrives so much later. */
  | { readonly kind: 'latency'; readonly ms: number }
  /** The connection is closed when this many bytes of requests or of answers have passed since the toxic was set. */
  | { readonly kind: 'cut'; readonly of: 'request' | 'answer'; readonly afterBytes: number }
  /** The same with a reset instead of an orderly end. */
  | { readonly kind: 'reset'; readonly of: 'request' | 'answer'; readonly afterBytes: number }
  /** Answers come in small pieces with pauses between them. */
  | { readonly kind: 'drip'; readonly bytes: number; readonly everyMs: number }
  /** An answer ends in an orderly way after its head and half of its body. */
  | { readonly kind: 'half-body' }
  /** The server gets the whole request and works on it; its answer is lost and the connection reset. */
  | { readonly kind: 'lose-answer' }
  /** Nothing listens. */
  | { readonly kind: 'refuse' }
  /** Connections open, bytes vanish, nothing ever comes back. */
  | { readonly kind: 'black-hole' }

export interface Proxy extends AsyncDisposable {
  /** In front of the server's path `/`. */
  readonly url: string
  readonly port: number
  /** Open connections of clients. */
  readonly openSockets: number
  /** Connections that were ever opened by clients. */
  readonly socketsSeen: number
  /** Bytes of requests that reached the proxy, and of answers that left it. */
  readonly passed: { readonly request: number; readonly answer: number }
  /** One fault from now on, on old and on new connections; undefined: none. `times`: it goes away by itself after this many victims
   * (connections that were cut, reset or lost). Changing it ends the connections that the old one held up. */
  set(toxic: Toxic | undefined, times?: number): Promise<void>
  /** New connections lead there from now on; those that are open are reset. */
  retarget(target: string): void
  /** Resets every open connection now. */
  dropAll(): void
  stop(): Promise<void>
}

interface Pair {
  readonly client: Socket
  readonly server: Socket
  request: number
  answer: number
  /** Resolves when all earlier pieces of the answer are on their way. */
  queue: Promise<void>
  head: Buffer
  bodyLeft: number | undefined
}

/** `target` is a URL whose host and port count. */
export async function startProxy(scope: Scope | undefined, target: string): Promise<Proxy> {
  let goal = new URL(target)
  const port = await freePort()
  const pairs = new Set<Pair>()
  const passed = { request: 0, answer: 0 }
  let toxic: Toxic | undefined
  let victimsLeft = Number.POSITIVE_INFINITY
  let seen = 0
  const listener = createServer({ allowHalfOpen: false }, (client) => accept(client))

  function end(pair: Pair, how: 'close' | 'reset'): void {
    pairs.delete(pair)
    pair.server.destroy()
    if (how === 'reset') pair.client.resetAndDestroy()
    else pair.client.end(() => pair.client.destroy())
  }

  /** Ends a connection because of the toxic. */
  function strike(pair: Pair, how: 'close' | 'reset'): void {
    if (!pairs.has(pair)) return
    end(pair, how)
    victimsLeft -= 1
    if (victimsLeft <= 0) toxic = undefined
  }

  function accept(client: Socket): void {
    seen += 1
    const server = connect(Number(goal.port), goal.hostname)
    const pair: Pair = {
      client,
      server,
      request: 0,
      answer: 0,
      queue: Promise.resolve(),
      head: Buffer.alloc(0),
      bodyLeft: undefined,
    }
    pairs.add(pair)
    client.on('data', (chunk) => onRequest(pair, chunk as Buffer))
    server.on('data', (chunk) => {
      server.pause()
      pair.queue = pair.queue.then(() => onAnswer(pair, chunk as Buffer)).then(() => void server.resume())
    })
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => other.destroy())
      one.on('close', () => {
        // Behind what is still on its way.
        void pair.queue.then(() => {
          pairs.delete(pair)
          other.end(() => other.destroy())
        })
      })
    }
  }

  function onRequest(pair: Pair, chunk: Buffer): void {
    passed.request += chunk.length
    if (toxic?.kind === 'black-hole') return
    if ((toxic?.kind === 'cut' || toxic?.kind === 'reset') && toxic.of === 'request') {
      const left = toxic.afterBytes - pair.request
      pair.request += chunk.length
      if (chunk.length >= left) {
        const how = toxic.kind === 'cut' ? 'close' : 'reset'
        // What passed must reach the server before the connection goes.
        pair.server.write(chunk.subarray(0, Math.max(0, left)), () => strike(pair, how))
        return
      }
    }
    pair.server.write(chunk)
  }

  async function onAnswer(pair: Pair, chunk: Buffer): Promise<void> {
    const now = toxic
    switch (now?.kind) {
      case 'black-hole':
        return
      case 'lose-answer':
        return strike(pair, 'reset')
      case 'latency':
        await sleep(now.ms)
        return send(pair, chunk)
      case 'drip':
        for (let at = 0; at < chunk.length && pairs.has(pair); at += now.bytes) {
          if (toxic !== now) return send(pair, chunk.subarray(at))
          send(pair, chunk.subarray(at, at + now.bytes))
          await sleep(now.everyMs)
        }
        return
      case 'cut':
      case 'reset': {
        if (now.of !== 'answer') return send(pair, chunk)
        const left = now.afterBytes - pair.answer
        pair.answer += chunk.length
        if (chunk.length < left) return send(pair, chunk)
        await flushed(pair, chunk.subarray(0, Math.max(0, left)))
        return strike(pair, now.kind === 'cut' ? 'close' : 'reset')
      }
      case 'half-body':
        return await halfBody(pair, chunk)
      default:
        return send(pair, chunk)
    }
  }

  async function halfBody(pair: Pair, chunk: Buffer): Promise<void> {
    if (pair.bodyLeft === undefined) {
      pair.head = Buffer.concat([pair.head, chunk])
      const headEnd = pair.head.indexOf('\r\n\r\n')
      if (headEnd < 0) return
      const length = /\r\ncontent-length: *(\d+)/i.exec(pair.head.subarray(0, headEnd).toString('latin1'))?.[1]
      const inHead = pair.head.length - headEnd - 4
      // Without a length: half of what is there.
      pair.bodyLeft = headEnd + 4 + Math.floor(Number(length ?? inHead) / 2)
      chunk = pair.head
      pair.head = Buffer.alloc(0)
    }
    const piece = chunk.subarray(0, pair.bodyLeft)
    pair.bodyLeft -= piece.length
    await flushed(pair, piece)
    if (pair.bodyLeft === 0) strike(pair, 'close')
  }

  function send(pair: Pair, chunk: Buffer): void {
    if (!pairs.has(pair) || pair.client.destroyed) return
    passed.answer += chunk.length
    pair.client.write(chunk)
  }

  async function flushed(pair: Pair, chunk: Buffer): Promise<void> {
    if (!pairs.has(pair) || pair.client.destroyed || chunk.length === 0) return
    passed.answer += chunk.length
    await new Promise<void>((resolve) => pair.client.write(chunk, () => resolve()))
  }

  function dropAll(): void {
    for (const pair of [...pairs]) end(pair, 'reset')
  }

  async function listen(): Promise<void> {
    listener.listen(port, '127.0.0.1')
    await once(listener, 'listening')
  }

  async function close(): Promise<void> {
    if (!listener.listening) return dropAll()
    const closed = once(listener, 'close')
    listener.close()
    dropAll()
    await closed
  }

  await listen()
  scope?.after(close)
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    get openSockets() {
      return pairs.size
    },
    get socketsSeen() {
      return seen
    },
    passed,
    async set(next, times = Number.POSITIVE_INFINITY) {
      const before = toxic
      toxic = next
      victimsLeft = times
      for (const pair of pairs)
        Object.assign(pair, { request: 0, answer: 0, head: Buffer.alloc(0), bodyLeft: undefined })
      if (before?.kind === 'black-hole') dropAll()
      if (next?.kind === 'refuse') await close()
      else if (!listener.listening) await listen()
    },
    retarget(next) {
      goal = new URL(next)
      dropAll()
    },
    dropAll,
    stop: close,
    [Symbol.asyncDispose]: close,
  }
}
