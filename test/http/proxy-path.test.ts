/** Behind a reverse proxy that gives the service a path: every address in its answers is relative. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proxyBelow } from './proxy-below.ts'
import { serve } from './serve.ts'

test('the page and everything that it loads work below a path', async (t) => {
  const { url } = await serve(t)
  const { url: page, others } = await proxyBelow(t, '/flows', url)
  const html = await (await fetch(page)).text()
  const script = await (await fetch(`${page}page.js`)).text()
  const inHtml = [...html.matchAll(/(?:href|src)="([^"#]+)"/g)].map(([, one = '']) => one)
  const inScript = [...script.matchAll(/\b(?:EventSource|fetch)\('([^']+)'/g)].map(([, one = '']) => one)
  assert.ok(inHtml.length >= 3 && inScript.length >= 1, `${inHtml} ${inScript}`)
  for (const one of inHtml) {
    if (/^https?:/.test(one)) continue
    const answer = await fetch(new URL(one, page))
    assert.equal(answer.status, 200, one)
    await answer.body?.cancel()
  }
  for (const one of inScript) assert.match(new URL(one, page).pathname, /^\/flows\/./, one)
  for (const path of ['nothing', 'api/status', 'api/flows?port=x', 'health', 'metrics']) {
    const text = await (await fetch(page + path)).text()
    assert.doesNotMatch(text, /(?:at|GET|see) \/(?!\/)/, path)
  }
  assert.deepEqual(others, [])
})
