/** Words of InfluxQL: how names and texts are quoted, and how the place of our points is called. */
import type { InfluxConfig } from '../config.ts'

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

/** What the first statement was answered, as 1.x, 2.x and 3.x all do at `/query`. */
export interface InfluxqlAnswer {
  readonly error?: string | undefined
  /** Rows are missing because of a limit of the server. */
  readonly isPartial: boolean
  /** Whole numbers stay the text that they were, exact beyond 2^53. */
  readonly series: readonly { readonly columns: readonly string[]; readonly rows: readonly (readonly unknown[])[] }[]
}

/** Undefined when the text is no such answer. */
export function readInfluxql(body: string): InfluxqlAnswer | undefined {
  let parsed: { error?: unknown; results?: readonly WireResult[] }
  try {
    parsed = JSON.parse(body, (_key, value: unknown, context?: { source?: string }) =>
      typeof value === 'number' ? (context?.source ?? value) : value,
    ) as typeof parsed
  } catch {
    return undefined
  }
  const result = Array.isArray(parsed?.results) ? parsed.results[0] : undefined
  const error = parsed?.error ?? result?.error
  if (error !== undefined) return { error: String(error), isPartial: false, series: [] }
  if (result === undefined || result === null) return undefined
  const series: NonNullable<WireResult['series']> = Array.isArray(result.series) ? result.series : []
  return {
    isPartial: result.partial === true || series.some((one) => one.partial === true),
    series: series.map(({ columns = [], values = [] }) => ({ columns, rows: values })),
  }
}

interface WireResult {
  readonly error?: unknown
  readonly partial?: unknown
  readonly series?: readonly {
    readonly columns?: readonly string[]
    readonly values?: readonly (readonly unknown[])[]
    readonly partial?: unknown
  }[]
}
