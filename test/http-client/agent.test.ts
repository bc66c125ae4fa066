/** Which way a request takes: through the proxy of the environment, or around it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { type TestContext, test } from 'node:test'
import { CollectorError } from '../../src/base/errors.ts'
import { createAgent } from '../../src/http-client/agent.ts'
import { http } from '../../src/http-client/node-http.ts'
import { readProxy } from '../../src/http-client/proxy.ts'
import { startForwardProxy } from '../helpers/forward-proxy.ts'
import { startScriptedApi } from '../helpers/scripted-api.ts'

async function startPlace(t: TestContext) {
  const api = await startScriptedApi()
  t.after(() => api.close())
  const proxy = await startForwardProxy(t, new Map([['only.example:80', api.url]]))
  /** The status, or the code of the error. */
  async function ask(url: string, env: Record<string, string>): Promise<number | string> {
    const agent = await createAgent({ url, proxyMs: 5_000 }, env)
    try {
      const [answer] = (await once(http.get(url, { agent }), 'response')) as [IncomingMessage]
      answer.resume()
      return answer.statusCode ?? 0
    } catch (error) {
      return error instanceof Error && 'code' in error ? String(error.code) : String(error)
    } finally {
      agent.destroy()
    }
  }
  return { api, proxy, ask }
}

test('a plain request goes to HTTP_PROXY with its whole URL; lower case wins, and the scheme may be left out', async (t) => {
  const { proxy, ask } = await startPlace(t)
  const url = 'http://only.example/x?y=1'
  assert.equal(await ask(url, {}), 'ENOTFOUND')
  assert.equal(await ask(url, { HTTPS_PROXY: proxy.host }), 'ENOTFOUND')
  assert.equal(await ask(url, { HTTP_PROXY: proxy.host }), 404)
  assert.equal(await ask(url, { HTTP_PROXY: 'http://127.0.0.1:1', http_proxy: `http://${proxy.host}` }), 404)
  assert.deepEqual(proxy.asked, Array(2).fill(`GET ${url}`))
})

test('NO_PROXY and this machine go around it', async (t) => {
  const { api, proxy, ask } = await startPlace(t)
  const env = { HTTP_PROXY: proxy.host }
  assert.equal(await ask(`${api.url}/x`, env), 404)
  assert.equal(await ask(`${api.url.replace('127.0.0.1', 'localhost')}/x`, env), 404)
  for (const exception of [
    'only.example',
    'example',
    '.example',
    '*.example',
    '*',
    'a.b, ONLY.example',
    'only.example:80',
  ])
    assert.equal(await ask('http://only.example/', { ...env, NO_PROXY: exception }), 'ENOTFOUND', exception)
  assert.deepEqual(proxy.asked, [])
  for (const exception of ['', 'nly.example', 'only.example:81', '10.0.0.0/8'])
    assert.equal(await ask('http://only.example/', { ...env, NO_PROXY: exception }), 404, exception)
})

test('a range of addresses in NO_PROXY is understood', () => {
  assert.match(readProxy({ NO_PROXY: '10.1.2.3/8' }).env.NO_PROXY, /,10\.0\.0\.0-10\.255\.255\.255$/)
})

test('what people are shown has no password, and a proxy that cannot be used is refused', () => {
  const { text, passwords } = readProxy({
    HTTPS_PROXY: 'http://me:pass%2Fword@proxy.example:3128',
    http_proxy: 'proxy.example:3128',
    NO_PROXY: 'influxdb,.lan',
  })
  assert.equal(
    text,
    'http://proxy.example:3128 (HTTPS_PROXY), http://proxy.example:3128 (HTTP_PROXY), not for influxdb,.lan',
  )
  assert.deepEqual(passwords, ['pass/word'])
  assert.equal(readProxy({ NO_PROXY: 'x', HTTP_PROXY: '' }).text, undefined)
  const composed = readProxy({ HTTPS_PROXY: 'proxy.example:3128', NO_PROXY: 'influxdb,' })
  assert.equal(composed.text, 'http://proxy.example:3128 (HTTPS_PROXY), not for influxdb')
  for (const bad of ['socks5://secret@host:1', 'http://', 'http://host:port'])
    assert.throws(
      () => readProxy({ HTTPS_PROXY: bad }),
      (error) => {
        assert.ok(error instanceof CollectorError)
        assert.match(error.message, /^HTTPS_PROXY .*write http:\/\/host:port/)
        return !error.message.includes('secret')
      },
    )
})
