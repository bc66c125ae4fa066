import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ageAdjective, ageText, bytesText, countText } from '../../src/base/format.ts'
import { escapeHtml, html } from '../../src/page/html.ts'
import { readEvent, serve, someStatus } from '../http/serve.ts'

const HOSTILE = `<script>alert(1)</script>"'&<img src=x onerror=alert(2)>\u202e`

test('hostile names stay text on the page', async (t) => {
  const { get, health } = await serve(t, {
    status: () => ({
      ...someStatus,
      tailnet: HOSTILE,
      sink: HOSTILE,
      gaps: [{ from: HOSTILE, to: HOSTILE, reason: HOSTILE, state: HOSTILE, attempts: 1, next: HOSTILE }],
    }),
  })
  health.set('source', 'error', HOSTILE, HOSTILE)
  const document = await (await get('/')).text()
  const event = await readEvent((await get('/api/events?as=page')).body!, () => true)
  for (const text of [document, event]) {
    assert.match(text, /&lt;script&gt;/)
    assert.doesNotMatch(text, /<script>|<img|\u202e/)
  }
})

test('the page has no inline script or style, and all that it names is there', async (t) => {
  const { get } = await serve(t)
  const answer = await get('/')
  const text = await answer.text()
  assert.match(answer.headers.get('content-type') ?? '', /^text\/html/)
  assert.doesNotMatch(text, /<script(?![^>]*src=)|<style| style=| on[a-z]+=/)
  const links = [...text.matchAll(/(?:href|src)="(\/[^"]*)"/g)].map(([, link]) => link ?? '')
  assert.ok(links.length >= 5, links.join())
  for (const link of links) assert.equal((await get(link)).status, 200, link)
  assert.match(text, /38 s behind, 744 k points\/min/)
})

test('the headline shows the sentence of the worst component, and the demo says that it is one', async (t) => {
  const { get, health } = await serve(t, {
    status: () => ({ ...someStatus, demo: true, lagSeconds: null, watermark: null }),
  })
  assert.match(await (await get('/')).text(), /No data read yet/)
  health.set('names', 'warning', 'api_forbidden', 'Names cannot be read.')
  health.set('source', 'error', 'api_unauthorized', 'The key is expired; make a new one.')
  const text = await (await get('/')).text()
  assert.match(text, /class="headline error"[^>]*><b role="status">Error<\/b> <span>The key is expired/)
  assert.match(text, /simulated tailnet/)
})

test('whatever is put into a template cannot leave its place', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
      const escaped = html`${text}`.text
      assert.doesNotMatch(escaped, /[<>"'\u0000-\u001f]/)
      assert.equal(escaped, escapeHtml(text))
    }),
    { seed: 7, numRuns: 200 },
  )
})

test('numbers read well', () => {
  const rows: [string, string][] = [
    [ageText(-1), '0 s'],
    [ageText(38.4), '38 s'],
    [ageText(720), '12 min'],
    [ageText(19_200), '5 h 20 min'],
    [ageText(86_400 * 3 + 3_600 * 4), '3 d 4 h'],
    [ageText(86_400 * 3), '3 d'],
    [countText(0), '0'],
    [countText(1.54), '1.5'],
    [countText(12_400), '12.4 k'],
    [countText(3_100_000), '3.1 M'],
    [bytesText(512), '512 B'],
    [bytesText(8 << 20), '8.4 MB'],
    [ageAdjective(900), '15-minute'],
    [ageAdjective(86_400), '24-hour'],
    [ageAdjective(86_400 * 7), '7-day'],
    [ageAdjective(90), '90-second'],
  ]
  for (const [got, wanted] of rows) assert.equal(got, wanted)
})
