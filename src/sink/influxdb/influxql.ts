/** Words of InfluxQL: how names and texts are quoted, and how answers are read. */

export function identifier(name: string): string {
  return quoted(name, '"')
}

function literal(text: string): string {
  return quoted(text, "'")
}

/** `"node" = 'n1'`. A value with a quotation mark is compared by a regular expression: InfluxDB 3 (3.10.1) writes such a text anew while it plans a query, in
 * a way that it then does not understand. */
export function equals(tag: string, value: string): string {
  if (!value.includes('"')) return `${identifier(tag)} = ${literal(value)}`
  return `${identifier(tag)} =~ /^${patternOf(value)}$/`
}

/** A text as a regular expression, also between slashes. */
export function patternOf(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&').replaceAll('/', '\\/')
}

function quoted(text: string, quote: string): string {
  return `${quote}${text.replaceAll('\\', '\\\\').replaceAll(quote, `\\${quote}`)}${quote}`
}

/** Integers are bigint, whatever their size: times are nanoseconds, counters go up to 2^63-1. */
export type Cell = bigint | number | string | boolean | null

/** One series of a response. */
export interface Table {
  readonly name: string
  readonly tags: Readonly<Record<string, string>>
  readonly columns: readonly string[]
  readonly rows: readonly (readonly Cell[])[]
}

/** The cell of a row under a column's name; null when there is none. */
export function cellOf(table: Table, row: readonly Cell[], column: string): Cell {
  return row[table.columns.indexOf(column)] ?? null
}

/** The response to the first statement, as 1.x, 2.x and 3.x all give it at `/query`. */
export interface InfluxqlAnswer {
  readonly error?: string | undefined
  /** Rows are missing because of a limit of the server. */
  readonly isPartial: boolean
  readonly tables: readonly Table[]
}

/** Undefined when the text is not such a response. Integers are read from their text, so that none is rounded. */
export function readInfluxql(body: string): InfluxqlAnswer | undefined {
  let parsed: { error?: unknown; results?: readonly WireResult[] }
  try {
    parsed = JSON.parse(body, (_key, value: unknown, context?: { source?: string }) =>
      typeof value === 'number' && /^-?\d+$/.test(context?.source ?? '') ? BigInt(context?.source ?? '') : value,
    ) as typeof parsed
  } catch {
    return undefined
  }
  const result = Array.isArray(parsed?.results) ? parsed.results[0] : undefined
  const error = parsed?.error ?? result?.error
  if (error !== undefined) return { error: String(error), isPartial: false, tables: [] }
  if (result === undefined || result === null) return undefined
  const series: NonNullable<WireResult['series']> = Array.isArray(result.series) ? result.series : []
  return {
    isPartial: result.partial === true || series.some((one) => one.partial === true),
    tables: series.map(({ name = '', tags = {}, columns = [], values = [] }) => ({
      name,
      tags,
      columns,
      rows: values,
    })),
  }
}

interface WireResult {
  readonly error?: unknown
  readonly partial?: unknown
  readonly series?: readonly {
    readonly name?: string
    readonly tags?: Readonly<Record<string, string>>
    readonly columns?: readonly string[]
    readonly values?: readonly (readonly Cell[])[]
    readonly partial?: unknown
  }[]
}
