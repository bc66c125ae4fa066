/** The status page in a real Chromium, in front of a real service. */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { startWholeService } from '../http/whole-service.ts'
import { startInfluxd } from '../services/influxd.ts'
import { missing } from '../services/servers.ts'
import { look, startBrowser } from './browser.ts'

const skip = await missing('chromium')
/** Where pictures go, for those who want to look at them. */
const PICTURES = process.env['TAILFLUX_TEST_PICTURES']

const OVERFLOW = 'document.documentElement.scrollWidth - document.documentElement.clientWidth'

let browser: Browser
before(async () => {
  if (!skip) browser = await startBrowser()
})
after(() => browser?.close())

async function picture(page: Page, name: string): Promise<void> {
  if (PICTURES === undefined) return
  mkdirSync(PICTURES, { recursive: true })
  await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true })
}

test('the page lives: figures move, the plot is drawn, nothing is asked of others, and anybody can use it', {
  skip,
}, async (t) => {
  const { url } = await startWholeService(t)
  const { page, faults, headline, until, violations } = await look(browser, url)
  await headline(/^OK \d+ s behind, .* points\/min, next poll in \d s\.$/)
  const watermark = await page.locator('#progress time').first().getAttribute('datetime')
  await until(`document.querySelector('#progress time').getAttribute('datetime') !== '${watermark}'`)
  assert.equal(await page.locator('#plot canvas').count(), 1)
  await until(`document.querySelectorAll('#talkers tbody tr').length === 10`)
  await until(`document.querySelectorAll('#peek code').length > 10`)
  assert.equal(await page.title(), 'OK · tailflux')

  // The plot shows the values under the pointer.
  const plot = await page.locator('#plot .u-over').boundingBox()
  assert.ok(plot !== null)
  await page.mouse.move(plot.x + plot.width * 0.9, plot.y + plot.height / 2)
  await until(`/UTC: virtual .*bps/.test(document.getElementById('traffic-at').textContent)`)

  for (const scheme of ['light', 'dark'] as const) {
    for (const width of [1440, 390]) {
      await page.emulateMedia({ colorScheme: scheme })
      await page.setViewportSize({ width, height: 900 })
      assert.deepEqual(await violations(), [], `${scheme} at ${width}`)
      assert.equal(await page.evaluate(OVERFLOW), 0, `${width} px are not enough`)
      await picture(page, `well-${width}-${scheme}`)
    }
  }
  assert.deepEqual(faults, [])
})

test('what has the focus keeps it while figures change, and everything is reached by keyboard', { skip }, async (t) => {
  const { url } = await startWholeService(t)
  const { page, headline, until, faults } = await look(browser, url)
  await headline(/^OK/)
  await page.locator('#peek pre').focus()
  const peek = await page.locator('#peek code').first().textContent()
  await until(`document.querySelector('#peek code').textContent !== ${JSON.stringify(peek)}`)
  assert.equal(await page.evaluate('document.activeElement.tagName'), 'PRE')
  await page.keyboard.press('Tab')
  assert.equal(await page.evaluate(`document.activeElement.getAttribute('href')`), '/api/status')
  assert.deepEqual(faults, [])
})

test('without JavaScript everything is there but the plot', { skip }, async (t) => {
  const { url, service } = await startWholeService(t)
  const { page, faults } = await look(browser, url, { javaScript: false })
  while ((service.status().live?.peek.length ?? 0) === 0 || service.status().lagSeconds === null)
    await new Promise(setImmediate)
  await page.reload()
  assert.match((await page.locator('#headline').textContent()) ?? '', /^OK /)
  assert.equal(await page.locator('.stage').count(), 4)
  assert.equal(await page.locator('#traffic tbody tr').count(), 4)
  assert.ok((await page.locator('#talkers tbody tr').count()) > 3)
  assert.equal(await page.locator('#plot').isVisible(), false)
  assert.deepEqual(faults, [])
})

test('an API that refuses is shown with the fix, and forgotten when it works again', { skip }, async (t) => {
  const { url, api } = await startWholeService(t)
  const { page, headline, violations, faults } = await look(browser, url)
  await headline(/^OK/)
  const clear = api.setFault({ kind: 'status', status: 503 })
  assert.match(await headline(/^Warning/), /503 .*it is retried; if it persists, see https:\/\/status\.tailscale\.com/)
  clear()
  await headline(/^OK/)
  api.setFault({ kind: 'status', status: 401 })
  const text = await headline(/^Error/)
  assert.match(text, /401 .*the API key is wrong, revoked or expired.*create a new one in the admin console/)
  await page.waitForSelector('.stage.error')
  assert.match((await page.locator('.stage.error .fault').textContent()) ?? '', /ago: Tailscale answered 401/)
  assert.match((await page.locator('#problems').textContent()) ?? '', /Tailscale API: Error.*api_unauthorized/s)
  assert.equal(await page.title(), 'Error · tailflux')
  assert.deepEqual(await violations(), [])
  await picture(page, 'api-401')
  assert.deepEqual(faults, [])
})

test('a database that stops, and comes back', { skip: skip || (await missing('influxd')) }, async (t) => {
  const influxd = await startInfluxd(t, { databases: ['telemetry'] })
  const { url } = await startWholeService(t, {
    env: { INFLUX_URL: influxd.url, INFLUX_API: 'v1', INFLUX_DB: 'telemetry' },
  })
  const { page, headline, violations, faults } = await look(browser, url, { scheme: 'dark' })
  await headline(/^OK/)
  assert.match((await page.locator('#next').textContent()) ?? '', /docs\/grafana\.md/)
  await influxd.kill()
  const text = await headline(/^Warning/)
  assert.match(text, /cannot be reached \(ECONN(REFUSED|RESET)\)\. Check that it runs and that INFLUX_URL is right/)
  assert.deepEqual(await violations(), [])
  await picture(page, 'database-down')
  await influxd.start()
  await headline(/^OK/)
  assert.deepEqual(faults, [])
})

test('hostile names stay text, on every part of the page', { skip }, async (t) => {
  const { url } = await startWholeService(t, {
    tailnet: { hostile: true, nodes: 12 },
    env: { TAILFLUX_TAILNET_NAME: '<img src=x onerror=alert(1)>"\'&' },
  })
  const { page, headline, until, violations, faults } = await look(browser, url, { width: 390 })
  await headline(/^OK/)
  await until(`/['"=,]/.test(document.getElementById('talkers').textContent)`)
  assert.match((await page.locator('header').textContent()) ?? '', /tailnet <img src=x onerror=alert\(1\)>/)
  assert.equal(await page.locator('img, main script, main iframe').count(), 0)
  assert.equal(await page.evaluate(OVERFLOW), 0)
  assert.deepEqual(await violations(), [])
  await picture(page, 'hostile-390')
  assert.deepEqual(faults, [])
})

test('alerts, a backfill and a pause are shown', { skip }, async (t) => {
  const { url, service } = await startWholeService(t, {
    env: { TAILFLUX_ALERTS_RULES: '[{ name: busy, by: node, above: 1kbps, window: 1m, severity: critical }]' },
  })
  const { page, headline, until, violations, faults } = await look(browser, url)
  await headline(/^OK/)
  await until(`/firing.*busy.*critical/s.test(document.getElementById('alerts').textContent)`)
  const nowNs = BigInt(Date.now()) * 1_000_000n
  service.pipeline.backfill({ fromNs: nowNs - 7_200_000_000_000n, toNs: nowNs - 3_600_000_000_000n }, false)
  await until(`/Backfill/.test(document.getElementById('progress').textContent)`)
  service.pipeline.pause()
  await headline(/^Paused Reading is paused; run `tailflux resume` to continue\.$/)
  assert.deepEqual(await violations(), [])
  await picture(page, 'alerts-backfill-paused')
  assert.deepEqual(faults, [])
})

test('when tailflux goes away the page says so, and comes back by itself', { skip }, async (t) => {
  const { url, service } = await startWholeService(t)
  const { page, headline, until } = await look(browser, url)
  await headline(/^OK/)
  await service.stop()
  await until(`/No connection/.test(document.getElementById('now').textContent)`)
  assert.equal(await page.evaluate(`document.body.classList.contains('stale')`), true)
})
