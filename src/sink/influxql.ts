/** Words of InfluxQL: how names and texts are quoted, and how the place of our points is called. */
import type { InfluxConfig } from './config.ts'

export function identifier(name: string): string {
  return quoted(name, '"')
}

export function literal(text: string): string {
  return quoted(text, "'")
}

/** `"rp"."measurement"`, or without a policy `"measurement"`. */
export function measurementOf(name: string, rp: string | undefined): string {
  return rp === undefined ? identifier(name) : `${identifier(rp)}.${identifier(name)}`
}

/** Where points go, as `/query` calls it. Buckets of 2.x, and databases of 3.x that were made by its 2.x API, have names like `db/rp`. */
export function placeOf(config: Pick<InfluxConfig, 'api' | 'db' | 'rp' | 'bucket'>): {
  db: string
  rp: string | undefined
} {
  if (config.api === 'v1') return { db: config.db ?? '', rp: config.rp }
  const [db = '', ...rest] = (config.bucket ?? config.db ?? '').split('/')
  return { db, rp: rest.length === 0 ? undefined : rest.join('/') }
}

function quoted(text: string, quote: string): string {
  return `${quote}${text.replaceAll('\\', '\\\\').replaceAll(quote, `\\${quote}`)}${quote}`
}
