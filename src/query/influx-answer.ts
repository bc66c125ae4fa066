/** Reads the response to one InfluxQL statement while it arrives: row by row, in flat memory, integers exact. Asked for with `chunked=true`, 1.x, 2.x and
 * 3.x send one JSON document after the other; each but the last says `partial`. JSON and not CSV, because CSV of 1.x and 2.x hides errors and limits of
 * rows: a failed query is an empty table there. It takes no longer.
 *
 * The rows are taken out of the text by a loop of our own; what is left of a document is small, and goes through JSON.parse. */
import { StringDecoder } from 'node:string_decoder'
import type { Cell } from '../sink/influxdb/influxql.ts'

export interface AnswerSeries {
  readonly name: string
  readonly tags: Readonly<Record<string, string>>
  readonly columns: readonly string[]
}

export interface AnswerReader {
  /** Throws a SyntaxError for what is not such a response, and whatever `onRow` throws. */
  push(chunk: Uint8Array): void
  /** After the last chunk. `error`: the text of the database. Throws a SyntaxError when the response breaks off. */
  end(): { readonly error: string | undefined; readonly isPartial: boolean }
}

/** `cells` are in the order of the series' columns; the array is used again for the next row. Texts are those of earlier rows where they are equal, and
 * never hold the response in memory. */
export type OnRow = (cells: readonly Cell[], series: AnswerSeries) => void

interface Document {
  readonly error?: unknown
  readonly results?: readonly {
    readonly error?: unknown
    readonly partial?: unknown
    readonly series?: readonly { readonly partial?: unknown }[]
  }[]
}

const VALUES = '"values":['
const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const CLOSE = 0x5d
const OPEN = 0x5b
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
/** Different texts that are kept for later rows. */
const INTERNED_MAX = 100_000

export function createAnswerReader(onRow: OnRow): AnswerReader {
  const decoder = new StringDecoder('utf8')
  const interned = new Map<string, string>()
  const cells: Cell[] = []
  /** What is not taken yet. */
  let text = ''
  let at = 0
  let series: AnswerSeries | undefined
  /** The document so far, without rows and without the heads of its series. */
  let outline = ''
  /** Brackets that are open in `outline`. */
  let open = 0
  let last: Document | undefined
  let error: string | undefined

  /** The text itself would keep the whole chunk in memory. */
  function intern(part: string): string {
    const known = interned.get(part)
    if (known !== undefined) return known
    const own = Buffer.from(part).toString()
    if (interned.size >= INTERNED_MAX) interned.clear()
    interned.set(own, own)
    return own
  }

  /** Takes what stands before the rows of the next series, or the end of the document. False when the text ends before. */
  function takeOutline(): boolean {
    const values = text.indexOf(VALUES, at)
    const stop = values < 0 ? text.length : values
    const opened: number[] = []
    let depth = open
    let isText = false
    for (let i = at; i < stop; i++) {
      const c = text.charCodeAt(i)
      if (isText) {
        if (c === BACKSLASH) i++
        else if (c === QUOTE) isText = false
      } else if (c === QUOTE) isText = true
      else if (c === OPEN || c === OPEN_OBJECT) {
        depth++
        opened.push(i)
      } else if (c === CLOSE || c === CLOSE_OBJECT) {
        depth--
        opened.pop()
        if (depth > 0) continue
        takeDocument(outline + text.slice(at, i + 1))
        at = i + 1
        return true
      }
    }
    // The text may end within anything: it is looked at again when there is more.
    if (values < 0) return false
    const head = opened.at(-1)
    if (head === undefined) throw new SyntaxError('rows without a series')
    const {
      name = '',
      tags = {},
      columns = [],
    } = JSON.parse(`${text.slice(head, values)}${VALUES}]}`) as {
      name?: string
      tags?: Record<string, string>
      columns?: string[]
    }
    series = { name, tags, columns }
    outline += `${text.slice(at, head)}{${VALUES}`
    open = depth + 1
    at = values + VALUES.length
    return true
  }

  function takeDocument(json: string): void {
    outline = ''
    open = 0
    const document = JSON.parse(json) as Document
    last = document
    const said = document.error ?? document.results?.find((result) => result.error !== undefined)?.error
    if (said !== undefined) error ??= String(said)
  }

  /** Takes one row, or the end of the rows. False when the text ends before. */
  function takeRow(): boolean {
    let i = at
    if (text.charCodeAt(i) === COMMA) i++
    if (i >= text.length) return false
    if (text.charCodeAt(i) === CLOSE) {
      at = i
      series = undefined
      return true
    }
    if (text.charCodeAt(i) !== OPEN) throw new SyntaxError('rows are no lists')
    i++
    cells.length = 0
    while (true) {
      const begin = i
      if (text.charCodeAt(i) === QUOTE) {
        i = text.indexOf('"', i + 1)
        // A backslash stands before a quotation mark, or before another backslash.
        while (i > 0 && isEscaped(text, i)) i = text.indexOf('"', i + 1)
        if (i < 0) return false
        const part = text.slice(begin + 1, i)
        cells.push(intern(part.includes('\\') ? String(JSON.parse(`"${part}"`)) : part))
        i++
      } else {
        while (i < text.length && text.charCodeAt(i) !== COMMA && text.charCodeAt(i) !== CLOSE) i++
        if (i >= text.length) return false
        cells.push(cellOf(text.slice(begin, i)))
      }
      if (i >= text.length) return false
      if (text.charCodeAt(i++) === CLOSE) break
    }
    at = i
    onRow(cells, series!)
    return true
  }

  function take(more: string): void {
    text = at < text.length ? text.slice(at) + more : more
    at = 0
    if (outline === '' && series === undefined) at = text.length - text.trimStart().length
    while (at < text.length && (series === undefined ? takeOutline() : takeRow()));
  }

  return {
    push: (chunk) => take(decoder.write(chunk as Buffer)),
    end() {
      take(decoder.end())
      if (text.slice(at).trim() !== '' || outline !== '' || last === undefined)
        throw new SyntaxError('the response breaks off')
      const isPartial =
        last.results?.some(
          ({ partial, series: all }) => partial === true || all?.some((one) => one.partial === true),
        ) ?? false
      return { error, isPartial }
    },
  }
}

function cellOf(text: string): Cell {
  if (text === 'null') return null
  if (/^-?\d+$/.test(text)) return BigInt(text)
  const value: unknown = JSON.parse(text)
  if (typeof value === 'number' || typeof value === 'boolean') return value
  throw new SyntaxError('a cell of a row is no plain value')
}

function isEscaped(text: string, at: number): boolean {
  let i = at
  while (text.charCodeAt(i - 1) === BACKSLASH) i--
  return (at - i) % 2 === 1
}
