/** Server-sent events: a snapshot to each client when it comes, every two seconds, and whenever something changes. */
import type { ServerResponse } from 'node:http'
import type { Clock } from '../base/clock.ts'

export interface Events {
  /** Takes a response whose head is not written yet; false when there are too many clients. `render` gives the data of an event. */
  open(response: ServerResponse, name: string, render: () => string): boolean
  /** Something changed: all clients get a snapshot soon. */
  changed(): void
  /** Ends all streams, and takes no new ones. Idempotent. */
  close(): void
}

const PERIOD_MS = 2_000
/** Changes closer together than this share one snapshot. */
const CALM_MS = 100
const RECONNECT_MS = 3_000
/** A client that reads so slowly that this much is buffered is disconnected. */
const WAITING_BYTES_MAX = 1 << 20

interface Client {
  readonly response: ServerResponse
  readonly name: string
  readonly render: () => string
}

export function createEvents(deps: {
  clock: Clock
  clientsMax: number
  headers: Record<string, string>
  onError: (error: unknown) => void
}): Events {
  const clients = new Set<Client>()
  const closing = new AbortController()
  let wake: (() => void) | undefined
  let isRunning = false

  function send(client: Client): void {
    const { response } = client
    if (response.writableLength > WAITING_BYTES_MAX) {
      response.destroy()
      return
    }
    try {
      const lines = client.render().split('\n')
      response.write(`event: ${client.name}\n${lines.map((line) => `data: ${line}\n`).join('')}\n`)
    } catch (error) {
      deps.onError(error)
      response.destroy()
    }
  }

  /** Runs only while there are clients. */
  async function run(): Promise<void> {
    while (clients.size > 0 && !closing.signal.aborted) {
      const pause = new AbortController()
      const change = new Promise<void>((resolve) => {
        wake = resolve
      })
      const signal = AbortSignal.any([pause.signal, closing.signal])
      await Promise.race([change, deps.clock.sleep(PERIOD_MS, signal).catch(() => undefined)])
      pause.abort()
      await deps.clock.sleep(CALM_MS, closing.signal).catch(() => undefined)
      if (closing.signal.aborted) break
      for (const client of clients) send(client)
    }
    isRunning = false
  }

  return {
    open(response, name, render) {
      if (closing.signal.aborted || clients.size >= deps.clientsMax) return false
      const client = { response, name, render }
      clients.add(client)
      response.on('close', () => {
        clients.delete(client)
        if (clients.size === 0) wake?.()
      })
      response.on('error', deps.onError)
      response.writeHead(200, { ...deps.headers, 'content-type': 'text/event-stream; charset=utf-8' })
      response.write(`retry: ${RECONNECT_MS}\n\n`)
      send(client)
      if (!isRunning) {
        isRunning = true
        void run()
      }
      return true
    },
    changed: () => wake?.(),
    close() {
      closing.abort()
      for (const client of clients) client.response.end()
    },
  }
}
