/** The settings file: YAML, with the line of each key. */
import { isUtf8 } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { type Document, isMap, isNode, LineCounter, parseDocument } from 'yaml'

export interface SettingsFile {
  readonly value: Record<string, unknown>
  lineOf(path: readonly PropertyKey[]): number | undefined
}

/** Adds what is wrong with it to `faults`; undefined when nothing can be used. */
export function readSettingsFile(path: string, faults: string[]): SettingsFile | undefined {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${error.code})` : ''
    faults.push(`the settings file ${path} cannot be read${code}; check --config or TAILFLUX_CONFIG`)
    return undefined
  }
  const encoding = encodingFault(bytes)
  if (encoding !== undefined) {
    faults.push(`${path} ${encoding}; save it as UTF-8`)
    return undefined
  }
  const text = bytes.toString('utf8').replace(/^\ufeff/, '')
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true })
  for (const error of document.errors) {
    const { line } = lines.linePos(error.pos[0])
    faults.push(
      error.code === 'MULTIPLE_DOCS'
        ? `${path} line ${line}: a second document begins here (---); settings are one document, so remove the line, or put the other document into a file of its own`
        : `${path} line ${line}: this is not valid YAML: ${error.message.replace(/ at line \d+, column \d+:?(?:\n.*)?$/s, '')}`,
    )
  }
  if (document.errors.length > 0) return undefined
  if (document.toJS() !== null && !isMap(document.contents)) {
    faults.push(`${path} must contain keys and values, such as \`ports: none\``)
    return undefined
  }
  return {
    value: withoutEmpty(document.toJS({ maxAliasCount: 100 }) ?? {}) as Record<string, unknown>,
    lineOf: (at) => lineOf(document, lines, at),
  }
}

/** Windows PowerShell 5 writes UTF-16 when it redirects. */
function encodingFault(bytes: Buffer): string | undefined {
  const isUtf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)
  if (isUtf16 || (bytes.includes(0) && bytes.length % 2 === 0)) return 'is saved as UTF-16'
  return isUtf8(bytes) ? undefined : 'is not UTF-8'
}

/** `poll:` with nothing below it (all of it commented out) is the same as no `poll`. */
function withoutEmpty(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const members = Object.entries(value).filter(([, member]) => member !== null)
  return Object.fromEntries(members.map(([name, member]) => [name, withoutEmpty(member)]))
}

/** The line of the deepest part of the path that the file has. */
function lineOf(document: Document, lines: LineCounter, path: readonly PropertyKey[]): number | undefined {
  for (let length = path.length; length > 0; length -= 1) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true)
    const name = path[length - 1]
    const pair = isMap(parent) ? parent.items.find((item) => String(item.key) === String(name)) : undefined
    const node = pair === undefined ? document.getIn(path.slice(0, length), true) : pair.key
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line
  }
  return undefined
}
