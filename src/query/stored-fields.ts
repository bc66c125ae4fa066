/** Tags and fields of a stored point, from the text of its line. */
import { unescapeTag } from '../sink/line-protocol/escape.ts'

type Value = bigint | number | string | boolean
export type Fields = ReadonlyMap<string, Value>

/** A field, up to its comma: strings are in quotation marks, and a backslash stands before a quotation mark or a backslash in them. */
const FIELD = /([^=,]+)=(?:"((?:[^"\\]|\\.)*)"|([^,]*))/gsy

/** `key`: measurement and tags as in the line. */
export function tagsOf(key: string): ReadonlyMap<string, string> {
  // Backslashes stand before a comma, a space or an equals sign only.
  return new Map(
    key
      .split(/(?<!\\),/)
      .slice(1)
      .map((tag) => {
        const at = tag.search(/(?<!\\)=/)
        return [tag.slice(0, at), unescapeTag(tag.slice(at + 1))]
      }),
  )
}

export function fieldsOf(text: string): Fields {
  const fields = new Map<string, Value>()
  FIELD.lastIndex = 0
  for (let found = FIELD.exec(text); found !== null; found = FIELD.exec(text)) {
    const [, name = '', string, plain = ''] = found
    fields.set(name, string === undefined ? plainValue(plain) : string.replace(/\\(["\\])/g, '$1'))
    FIELD.lastIndex += 1
  }
  return fields
}

export function integerIn(fields: Fields, name: string): bigint {
  const value = fields.get(name)
  return typeof value === 'bigint' ? value : 0n
}

export function textIn(fields: Fields, name: string): string {
  const value = fields.get(name)
  return typeof value === 'string' ? value : ''
}

function plainValue(text: string): Value {
  if (text.endsWith('i')) return BigInt(text.slice(0, -1))
  if (/^(t|true)$/i.test(text)) return true
  return /^(f|false)$/i.test(text) ? false : Number(text)
}
