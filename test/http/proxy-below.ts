/** A reverse proxy that shows another server below a path. */
import { request } from 'node:http'
import type { TestContext } from 'node:test'
import { startHttpServer } from '../helpers/http-server.ts'

export interface ProxyBelow {
  /** Where the other server is shown; ends with a slash. */
  readonly url: string
  /** Requests that left the path. */
  readonly others: readonly string[]
}

export async function proxyBelow(t: TestContext, path: string, target: string): Promise<ProxyBelow> {
  const others: string[] = []
  const { url: root } = await startHttpServer(t, (incoming, outgoing) => {
    const { url = '', method = 'GET', headers } = incoming
    if (!url.startsWith(`${path}/`)) {
      others.push(url)
      return outgoing.writeHead(404).end()
    }
    const onward = request(
      target + url.slice(path.length),
      { method, headers: { ...headers, host: '127.0.0.1' } },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(outgoing)
      },
    )
    onward.on('error', () => outgoing.destroy())
    outgoing.on('close', () => onward.destroy())
    return incoming.pipe(onward)
  })
  return { url: `${root}${path}/`, others }
}
