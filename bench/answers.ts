/** The API, as far as a measurement needs it: logs are answered with files that were made before, when they are released; until then a request
 * waits. It costs next to nothing, so that what is measured is the service. */
import { createReadStream } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import type { Tailnet } from '../test/simulator/tailnet.ts'

export interface Answers extends AsyncDisposable {
  readonly url: string
  /** The next requests for logs get these files, each one once; requests that wait already come first. */
  release(paths: readonly string[]): void
  /** From now on requests get an empty answer at once instead of waiting. */
  answerEmpty(): void
}

const CHUNK_BYTES = 1 << 20
const EMPTY = '{"logs":[]}'

/** Length of the window that is asked for. */
function seconds(path: string): number {
  const { searchParams } = new URL(path, 'http://answers')
  const at = (name: string) => Date.parse(searchParams.get(name) ?? '')
  return (at('end') - at('start')) / 1000
}

export async function startAnswers(tailnet: Tailnet, atNs: bigint): Promise<Answers> {
  const devices = `{"devices":[${Array.from(tailnet.devices(atNs)).join()}]}`
  const waiting: ServerResponse[] = []
  const files: string[] = []
  let empty = false

  const server = createServer((request, response) => {
    const path = request.url ?? ''
    response.setHeader('Content-Type', 'application/json')
    if (path.includes('/devices')) return response.end(devices)
    if (!path.includes('/logging/network')) return response.end('{"networkFlowLoggingOn":true}')
    // A window of a millisecond only asks for the time.
    if (seconds(path) < 1) return response.end(EMPTY)
    waiting.push(response)
    serve()
  })

  function serve(): void {
    while (waiting.length > 0 && (files.length > 0 || empty)) {
      const response = waiting.shift()!
      const path = files.shift()
      if (response.destroyed) continue
      if (path === undefined) response.end(EMPTY)
      else {
        pipeline(createReadStream(path, { highWaterMark: CHUNK_BYTES }), response).catch((error: unknown) => {
          // The service went away at the end of a measurement.
          if (!response.destroyed) throw error
        })
      }
    }
  }

  const { promise, resolve } = Promise.withResolvers<void>()
  server.listen(0, '127.0.0.1', resolve)
  await promise
  // A request may wait for minutes.
  server.requestTimeout = 0
  server.timeout = 0
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    release(paths) {
      files.push(...paths)
      serve()
    },
    answerEmpty() {
      empty = true
      serve()
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}
