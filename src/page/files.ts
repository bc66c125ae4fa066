/** Static files of the page: style, script, an icon, and the plotting library from its package. Nothing is loaded from other hosts. */
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

interface StaticFile {
  readonly folder: string
  readonly name: string
}

const HERE = fileURLToPath(new URL('.', import.meta.url))
const UPLOT = dirname(fileURLToPath(import.meta.resolve('uplot/dist/uPlot.min.css')))

/** By path. A list, because both folders have files that are not for visitors. */
export const FILES: Readonly<Record<string, StaticFile>> = {
  '/page.css': { folder: HERE, name: 'page.css' },
  '/page.js': { folder: HERE, name: 'page.js' },
  '/icon.svg': { folder: HERE, name: 'icon.svg' },
  '/uplot.css': { folder: UPLOT, name: 'uPlot.min.css' },
  '/uplot.js': { folder: UPLOT, name: 'uPlot.iife.min.js' },
}
