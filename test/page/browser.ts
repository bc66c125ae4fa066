/** A real browser in front of the status page, which keeps what must never happen. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium as driver, type Page } from 'playwright-core'
import { chromium } from '../services/chromium.ts'

const AXE = readFileSync(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8')

export interface Looked {
  readonly page: Page
  /** Errors and warnings of the console, failures of scripts, requests to other hosts, dialogs. */
  readonly faults: readonly string[]
  /** Rules of accessibility that the page breaks now, each with where. */
  violations(): Promise<string[]>
  /** Resolves when the expression is true, now or after a change of the page. */
  until(expression: string): Promise<void>
  /** Resolves with the whole headline when it matches. */
  headline(pattern: RegExp): Promise<string>
}

/** One for all tests of a file: starting takes longer than looking. */
export async function startBrowser(): Promise<Browser> {
  const { path, args, env } = await chromium()
  return await driver.launch({ executablePath: path, args: [...args], env: env as Record<string, string> })
}

export async function look(
  browser: Browser,
  url: string,
  options: { width?: number; scheme?: 'light' | 'dark'; javaScript?: boolean } = {},
): Promise<Looked> {
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1440, height: 900 },
    colorScheme: options.scheme ?? 'light',
    javaScriptEnabled: options.javaScript ?? true,
    // The check for accessibility is put in by the test; the page itself has no such right.
    bypassCSP: false,
  })
  const page = await context.newPage()
  const faults: string[] = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) faults.push(`console: ${message.text()}`)
  })
  page.on('pageerror', (error) => faults.push(`script: ${error.message}`))
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) faults.push(`request: ${request.url()}`)
  })
  await page.goto(url)
  /** Not by the driver's own way of waiting, which needs the right to make code of texts. */
  async function until(expression: string): Promise<void> {
    await page.evaluate(`new Promise((resolve) => {
      const isSo = () => (${expression})
      if (isSo()) return resolve()
      const watch = new MutationObserver(() => {
        if (!isSo()) return
        watch.disconnect()
        resolve()
      })
      watch.observe(document, { subtree: true, childList: true, characterData: true, attributes: true })
    })`)
  }
  return {
    page,
    faults,
    until,
    async violations() {
      // In a world of its own, so that the page's policy about scripts stays in force.
      const found = await page.evaluate(`(async () => { ${AXE}; return (await axe.run()).violations })()`)
      return (found as Violation[]).map(
        ({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`,
      )
    },
    async headline(pattern) {
      await until(`${pattern}.test(document.getElementById('headline').textContent)`)
      return (await page.locator('#headline').textContent()) ?? ''
    },
  }
}

interface Violation {
  readonly id: string
  readonly nodes: readonly { readonly target: readonly string[] }[]
}
