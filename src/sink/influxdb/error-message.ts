/** Parses the body of an answer: its message, the part of the message that is the database's own text, and the lines that it names. */
import { excerpt } from '../../base/errors.ts'

interface Body {
  readonly message: string
  /** InfluxDB 3: one refused line, or several. */
  readonly data: unknown
}

/** `{"error":…}` (1.x, 3.x), `{"message":…}` (2.x), or the text itself. InfluxDB 3 sends its errors without a content type, so the body
 * decides, not the header. */
function parseBody(body: string): Body {
  const text = body.trim()
  // An answer may be cut by a proxy or by us: then use what is there of its message, or all rows but the last.
  const parsed =
    parseJson(text) ?? parseJson(`${text}"}`) ?? parseJson(`${text.slice(0, Math.max(0, text.lastIndexOf('\\n')))}"}`)
  if (typeof parsed !== 'object' || parsed === null) return { message: text, data: undefined }
  const { error, message, data } = parsed as { error?: unknown; message?: unknown; data?: unknown }
  return { message: typeof error === 'string' ? error : typeof message === 'string' ? message : text, data }
}

/** undefined for a text that is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

interface RefusedData {
  readonly error_message?: unknown
  /** From 1. */
  readonly line_number?: unknown
  /** Its first 20 bytes. */
  readonly original_line?: unknown
}

function refusedIn(data: unknown): readonly RefusedData[] {
  const all: readonly unknown[] = Array.isArray(data) ? data : [data]
  return all.filter((one): one is RefusedData => typeof one === 'object' && one !== null)
}

/** The message of a body for the operator: at most 512 characters. */
export function messageOf(body: string): string {
  const { message, data } = parseBody(body)
  const [first] = refusedIn(data)
  return excerpt(typeof first?.error_message === 'string' ? `${message}: ${detailOf(first)}` : message)
}

/** The line is in quotation marks, so that it is not taken for the text of the database. */
function detailOf({ error_message: said, original_line: line }: RefusedData): string {
  return typeof line === 'string' ? `${said} in the line that begins '${line}'` : String(said)
}

/** The database's own part of a message. After it lines are quoted, and a tag value in them may look like any message of a database. */
export function ownWords(message: string): string {
  return /^.*?(?=['"`]| point )/s.exec(message)?.[0] ?? message
}

/** Lines of a request that its answer names as refused. */
export interface NamedLines {
  /** `every`: each refused line is named. `first`: only the first one, and the lines before it are as they should be. */
  readonly kind: 'every' | 'first'
  /** By the line's place in the request. */
  readonly lines: ReadonlyMap<number, Reason>
}
export interface Reason {
  /** For the dead letter. */
  readonly detail: string
  /** Of it, what the database says about the line. */
  readonly why: string
}

const UNABLE = /^(?:[a-z ]+: )*unable to parse '/i
/** Of a line that is quoted in a reason: the reason must stay readable. */
const QUOTED_MAX = 200

/** InfluxDB 1.x and 2.x quote every line that they cannot parse, one reason per row; 3.x reports line numbers. `texts` are the lines of the
 * request. A named line counts only if it is one of them, byte for byte (3.x: by its first bytes). Undefined when no line is named. */
export function namedLines(body: string, texts: readonly string[]): NamedLines | undefined {
  const { message, data } = parseBody(body)
  const lines = data === undefined || data === null ? quotedLines(message, texts) : numberedLines(data, texts)
  if (lines.size === 0) return undefined
  return { kind: data === undefined || data === null || Array.isArray(data) ? 'every' : 'first', lines }
}

function quotedLines(message: string, texts: readonly string[]): Map<number, Reason> {
  const found = new Map<number, Reason>()
  const rows = message.split('\n').filter((row) => UNABLE.test(row))
  if (rows.length === 0) return found
  const places = Map.groupBy(texts.keys(), (index) => texts[index])
  for (const row of rows) {
    const begin = UNABLE.exec(row)?.[0].length ?? 0
    // A line may contain what looks like its end. A part of a line is never a line, because only the whole line ends with its time.
    for (let end = row.indexOf("': ", begin); end >= 0; end = row.indexOf("': ", end + 1)) {
      const quoted = row.slice(begin, end)
      const indices = places.get(quoted)
      if (indices === undefined) continue
      const why = row.slice(end + 3)
      const shown = quoted.length > QUOTED_MAX ? `${quoted.slice(0, QUOTED_MAX)}...` : quoted
      for (const index of indices) found.set(index, { detail: excerpt(`unable to parse '${shown}': ${why}`), why })
      break
    }
  }
  return found
}

function numberedLines(data: unknown, texts: readonly string[]): Map<number, Reason> {
  const found = new Map<number, Reason>()
  for (const one of refusedIn(data)) {
    const index = Number(one.line_number) - 1
    const text = texts[index]
    // Its 20 bytes may end in the middle of a character.
    const begin = String(one.original_line ?? '').replace(/\ufffd+$/, '')
    if (text === undefined || !text.startsWith(begin) || typeof one.error_message !== 'string') continue
    found.set(index, { detail: excerpt(detailOf(one)), why: ownWords(one.error_message) })
  }
  return found
}

/** How many lines the database says it did not write; undefined when it does not say. */
export function droppedOf(message: string): number | undefined {
  const found = /dropped=(\d+)|dropped (\d+) points/.exec(message)
  const count = Number(found?.[1] ?? found?.[2])
  return Number.isSafeInteger(count) && count > 0 ? count : undefined
}
