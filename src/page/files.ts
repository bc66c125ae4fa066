/** Static files of the page: style, script, the plotting library from its package, an icon. Nothing is loaded from other hosts. */
import { readFile } from 'node:fs/promises'

interface StaticFile {
  readonly type: string
  read(): Promise<string>
}

const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="#2563c9"/><path d="M2.5 10.5c3 0 3-5 5.5-5s2.5 5 5.5 5" fill="none" stroke="#fff" stroke-width="2" stroke-linecap="round"/></svg>'

const CSS = 'text/css; charset=utf-8'
const JS = 'text/javascript; charset=utf-8'

export const FILES: Readonly<Record<string, StaticFile>> = {
  '/page.css': { type: CSS, read: () => text(new URL('./page.css', import.meta.url)) },
  '/page.js': { type: JS, read: () => text(new URL('./page.js', import.meta.url)) },
  '/uplot.css': { type: CSS, read: () => text(new URL(import.meta.resolve('uplot/dist/uPlot.min.css'))) },
  '/uplot.js': { type: JS, read: () => text(new URL(import.meta.resolve('uplot/dist/uPlot.iife.min.js'))) },
  '/icon.svg': { type: 'image/svg+xml', read: async () => ICON },
}

function text(url: URL): Promise<string> {
  return readFile(url, 'utf8')
}
