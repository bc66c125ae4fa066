/** A reverse proxy that shows another server below a path. */
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'

export interface ProxyBelow {
  /** Where the other server is shown; ends with a slash. */
  readonly url: string
  /** Requests that left the path. */
  readonly others: readonly string[]
}

export async function proxyBelow(t: TestContext, path: string, target: string): Promise<ProxyBelow> {
  const others: string[] = []
  const proxy = createServer((incoming, outgoing) => {
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
    incoming.pipe(onward)
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    proxy.closeAllConnections()
    proxy.close()
  })
  return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}${path}/`, others }
}
