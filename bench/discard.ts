/** A database that takes everything and keeps nothing. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Discard extends AsyncDisposable {
  readonly url: string
}

export async function startDiscard(): Promise<Discard> {
  const server = createServer((request, response) => {
    request.resume()
    request.once('end', () => {
      if (request.url?.startsWith('/query')) return response.end('{"results":[{"statement_id":0}]}')
      response.writeHead(204).end()
    })
  })
  const { promise, resolve } = Promise.withResolvers<void>()
  server.listen(0, '127.0.0.1', resolve)
  await promise
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}
