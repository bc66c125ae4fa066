import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ageAdjective, ageText, bytesText, countText } from '../../src/base/format.ts'
import type { ServiceStatus } from '../../src/observe/status.ts'
import { escapeHtml, html } from '../../src/page/html.ts'
import { readEvent, serve, someStatus, someTraffic } from '../http/serve.ts'

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
  const links = [...text.matchAll(/(?:href|src)="([^"]*)"/g)].map(([, link]) => link ?? '')
  assert.ok(links.length >= 8, links.join())
  // Below a path of a reverse proxy an address from the root leads elsewhere.
  for (const link of links) {
    assert.match(link, /^[a-z]/)
    assert.equal((await get(`/${link}`)).status, 200, link)
  }
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

test('while something failed the page says when it is tried again', async (t) => {
  const soon = (seconds: number) => new Date(Date.now() + seconds * 1_000).toISOString()
  let status: ServiceStatus = {
    ...someStatus,
    api: { next: soon(300) },
    database: { state: 'open', code: 'db_unreachable', next: soon(40) },
    nextPoll: soon(5),
  }
  const { get, health } = await serve(t, { status: () => status })
  const text = async () => await (await get('/')).text()
  health.set('sink', 'warning', 'db_unreachable', 'The database cannot be reached; start it.')
  assert.match(
    await text(),
    /<span>The database cannot be reached; start it\.<\/span> <small>next try in (39|40) s<\/small>/,
  )
  // A batch that is repeated: the window has not failed yet.
  status = { ...status, database: { state: 'closed', code: null, next: null }, nextPoll: soon(20) }
  status = { ...status, live: { stages: status.live.stages.map((one) => ({ ...one, nextTrySeconds: 6.2 })) } }
  assert.match(await text(), /start it\.<\/span> <small>next try in 7 s<\/small>/)
  health.set('source', 'error', 'api_unauthorized', 'The key is expired; make a new one.')
  const both = await text()
  assert.match(both, /<span>The key is expired; make a new one\.<\/span> <small>next try in 5 min<\/small>/)
  assert.match(both, /start it\. <small>next try in 7 s<\/small>/)
})

test('the alerts card lists every rule with its state and last value', async (t) => {
  const rule = { title: '', severity: 'warning', pending: 0, series: 1, overflowed: 0, evaluated: null }
  const rules = [
    { ...rule, name: 'busy', state: 'firing', firing: 1, value: '3.2 Mbps' },
    { ...rule, name: 'quiet', state: 'inactive', firing: 0, value: null },
  ]
  const alert = {
    name: 'busy',
    severity: 'warning',
    state: 'firing',
    text: 'busy is busy',
    labels: {},
    value: '3.2 Mbps',
  }
  const { get } = await serve(t, {
    status: () =>
      ({
        ...someStatus,
        alerts: [{ ...alert, threshold: '1 Mbps', since: '2026-11-02T12:00:00.000Z', until: null }],
        alerting: { rules },
      }) as unknown as ServiceStatus,
  })
  const text = await (await get('/')).text()
  assert.match(text, /1 firing.*busy is busy <small>3\.2 Mbps of 1 Mbps/s)
  assert.match(
    text,
    /<th scope="row">busy<\/th><td><span class="badge firing">firing<\/span><\/td><td class="number">3\.2 Mbps</,
  )
  assert.match(
    text,
    /<th scope="row">quiet<\/th><td><span class="badge inactive">inactive<\/span><\/td><td class="number">none yet</,
  )
})

test('how complete the figures are', async (t) => {
  const newest = {
    minute: '2026-11-02T11:58:00.000Z',
    nodes: 44,
    nodesSilent: 3,
    edges: 174,
    edgesBoth: 139,
    clockOff: 2,
  }
  let status: ServiceStatus = {
    ...someStatus,
    live: { ...someStatus.live, ...someTraffic, gapMinutes: 7 },
    rows: { waitingMinutes: 4, edgesOfDay: 9, newest },
  }
  const { get } = await serve(t, { status: () => status })
  const text = async () => (await (await get('/')).text()).replace(/<[^>]*>/g, '')
  for (const line of [
    'Silent3 of 44 connected nodes reported nothing for an hour',
    'Both endpointsheard on 139 of 174 edges at 11:58 UTC',
    'Clocks off2 nodes, by more than a minute',
    'Waiting4 minutes have no rows yet',
    'Gaps7 minutes of the last day are not complete',
  ])
    assert.ok((await text()).includes(line), line)
  status = { ...status, rows: { ...status.rows!, newest: { ...newest, nodes: null, nodesSilent: null } } }
  assert.match(await text(), /Silentnot known without a device list/)
  status = {
    ...status,
    live: { ...someStatus.live, ...someTraffic, loading: { share: 0.4, problem: 'It is away; start it.' } },
  }
  assert.match(
    await text(),
    /Reading the last day from the database: 40 %\. It is tried again\. It is away; start it\./,
  )
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
