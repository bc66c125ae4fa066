/** The status page in a real Chromium, in front of a real service. */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { proxyBelow } from '../http/proxy-below.ts'
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
  await until(`document.querySelectorAll('#owners tbody tr').length > 3`)
  assert.equal(await page.title(), 'OK · tailflux')

  // The plot shows the values under the pointer.
  await until(`JSON.parse(document.getElementById('plot').dataset.series).virtual.at(-4) !== null`)
  const shown = (await page.evaluate(
    `JSON.parse(document.getElementById('plot').dataset.series).virtual.length`,
  )) as number
  assert.equal(shown, 12)
  const plot = await page.locator('#plot .u-over').boundingBox()
  assert.ok(plot !== null)
  await page.mouse.move(plot.x + plot.width * ((shown - 4) / (shown - 1)), plot.y + plot.height / 2)
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
  await page.locator('footer a').first().focus()
  const now = await page.locator('#now').textContent()
  await until(`document.getElementById('now').textContent !== ${JSON.stringify(now)}`)
  assert.equal(await page.evaluate(`document.activeElement.getAttribute('href')`), 'api/status')
  await page.keyboard.press('Tab')
  assert.equal(await page.evaluate(`document.activeElement.getAttribute('href')`), 'health')
  assert.deepEqual(faults, [])
})

test('without JavaScript everything is there but the plot', { skip }, async (t) => {
  const { url, service } = await startWholeService(t)
  const { page, faults } = await look(browser, url, { javaScript: false })
  while ((service.status().live.talkers?.top.length ?? 0) <= 3 || service.status().lagSeconds === null)
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
  await headline(/next try in \d+ s$/)
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
  await headline(/next try in \d+ s$/)
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

test('a quiet tailnet is a line of zeros, not a hole', { skip }, async (t) => {
  const { url } = await startWholeService(t, { tailnet: { activity: 0 } })
  const { page, headline, until, violations, faults } = await look(browser, url)
  await headline(/^OK \d+ s behind, \d+ points\/min/)
  await until(`document.querySelector('#traffic tbody .number').textContent === '0 bps'`)
  await until(`JSON.parse(document.getElementById('plot').dataset.series).exit.includes(0)`)
  assert.match((await page.locator('#talkers').textContent()) ?? '', /No traffic/)
  const known = await page.evaluate(
    `JSON.parse(document.getElementById('plot').dataset.series).virtual.filter((value) => value !== null)`,
  )
  // Twenty minutes were read; of the last two more may come.
  assert.ok((known as number[]).length >= 3, String(known))
  assert.ok((known as number[]).every((value) => value === 0))
  assert.deepEqual(await violations(), [])
  await picture(page, 'quiet')
  assert.deepEqual(faults, [])
})

test('below a path of a reverse proxy everything is found and lives', { skip }, async (t) => {
  const service = await startWholeService(t)
  const { url, others } = await proxyBelow(t, '/tools/tailflux', service.url)
  const { page, headline, until, violations, faults } = await look(browser, url)
  await headline(/^OK/)
  const now = await page.locator('#now').textContent()
  await until(`document.getElementById('now').textContent !== ${JSON.stringify(now)}`)
  await until(`document.querySelectorAll('#talkers tbody tr').length > 3`)
  assert.equal(await page.locator('#plot canvas').count(), 1)
  for (const link of ['status as JSON', 'health', 'metrics']) {
    await page.getByText(link, { exact: true }).click()
    assert.match(page.url(), new RegExp(`^${url}.`))
    await page.goBack()
    await headline(/^OK/)
  }
  assert.deepEqual(await violations(), [])
  assert.deepEqual(others, [])
  assert.deepEqual(faults, [])
})

test('labels of the plot are whole, however large the font is', { skip }, async (t) => {
  const { url } = await startWholeService(t)
  const { page, until, faults } = await look(browser, url)
  await until(`document.querySelectorAll('#talkers tbody tr').length > 3`)
  for (const font of ['15px serif', '15px monospace', '28px sans-serif', '40px monospace']) {
    const room = (await page.evaluate(`(async () => {
      document.body.style.font = '${font}'
      draw(true)
      await new Promise(requestAnimationFrame)
      const [, axis] = plot.axes
      const labels = axis._values.filter((text) => text !== null && text !== '')
      plot.ctx.font = axis.font[0]
      const widest = Math.max(...labels.map((text) => plot.ctx.measureText(text).width / devicePixelRatio))
      return { labels: labels.length, px: Number.parseFloat(axis.font[0]), rest: axis._size - axis.ticks.size - axis.gap - widest }
    })()`)) as { labels: number; px: number; rest: number }
    assert.ok(room.labels > 0 && room.px >= 12 && room.rest >= 0, `${font}: ${JSON.stringify(room)}`)
    await picture(page, `font-${font.replace(' ', '-')}`)
  }
  assert.deepEqual(faults, [])
})

test('alerts, a backfill and a pause are shown', { skip }, async (t) => {
  const { url, service } = await startWholeService(t, {
    env: {
      TAILFLUX_ALERTS_RULES: '[{ name: busy, by: node, above: 1kbps, window: 1m, severity: critical }]',
      // Alerts wait until the minutes before are made.
      TAILFLUX_POLL_LOOKBACK: '3m',
    },
  })
  const { page, headline, until, violations, faults } = await look(browser, url)
  await headline(/^OK/)
  await until(
    `/firing.*busy.*critical.*RuleStateLast value.*busy.*firing/s.test(document.getElementById('alerts').textContent)`,
  )
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
