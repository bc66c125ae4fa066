/** What a file is that has no flow logs. */
import { excerpt } from '../base/errors.ts'

const MAGICS: readonly (readonly [magic: string, offset: number, what: string])[] = [
  ['PK\x03\x04', 0, 'is a zip archive; unpack it'],
  ['BZh', 0, 'is packed by bzip2; unpack it'],
  ['\xfd7zXZ\x00', 0, 'is packed by xz; unpack it'],
  ['\x04\x22\x4d\x18', 0, 'is packed by lz4; unpack it'],
  ['7z\xbc\xaf\x27\x1c', 0, 'is a 7-Zip archive; unpack it'],
  ['ustar', 257, 'is a tar archive; unpack it'],
  ['PAR1', 0, 'is a Parquet file; export it as NDJSON'],
  ['SQLite format 3\x00', 0, 'is an SQLite database; give the saved answers of the API, or the files of log streaming'],
]
const MARKUP = /^\ufeff?\s*<(?:!doctype|html|head|body|\?xml|!--)/i
const AUDIT = /"(?:eventGroupID|eventTime|actor)"\s*:/
const DEVICES = /^\s*\{\s*"devices"\s*:/
const EMPTY_ANSWER = /"logs"\s*:\s*(?:\[\s*\]|null)/
const OPENS = /^\ufeff?\s*[[{]/

/** What a file is that is not read at all, by its first bytes, and what to do; undefined for one that may have flow logs. */
export function foreignFile(head: Buffer): string | undefined {
  const found = MAGICS.find(([magic, offset]) => head.toString('latin1', offset, offset + magic.length) === magic)
  if (found !== undefined) return `it ${found[2]} first`
  return MARKUP.test(head.toString()) ? `it ${PAGE}` : undefined
}

const PAGE =
  'is a page (HTML or XML), perhaps the sign-in page of a proxy or an error page; download the file again, past that page'

/** What a text is in which no flow log was found, and what to do; undefined for an answer of the API that has none. `head`: its first bytes. */
export function kindWithoutFlows(head: Buffer, isDamaged: boolean): string | undefined {
  const text = head.toString()
  if (text.trim() === '') return 'it is empty; check how it was saved'
  const message = errorIn(text)
  if (message !== undefined)
    return `it is an error answer of the API ("${message}"); fix what it says, and save the answer again`
  if (AUDIT.test(text))
    return 'it holds configuration audit logs; flow logs come from /logging/network, not from /logging/configuration'
  if (DEVICES.test(text)) return 'it is a list of devices; flow logs come from /logging/network'
  if (EMPTY_ANSWER.test(text) && !isDamaged) return undefined
  if (text.includes('\0')) return 'it is no text; give the saved answers of the API, or the files of log streaming'
  if (isDamaged && OPENS.test(text)) return 'its JSON is damaged or ends too early; save it again'
  if (OPENS.test(text)) return `it is other JSON; it begins with ${JSON.stringify(excerpt(text.slice(0, 60)))}`
  return `it is no JSON; it begins with ${JSON.stringify(excerpt(text.slice(0, 60)))}`
}

function errorIn(text: string): string | undefined {
  try {
    const value = JSON.parse(text) as { message?: unknown; error?: unknown } | null
    const message = value?.message ?? value?.error
    return typeof message === 'string' ? excerpt(message) : undefined
  } catch {
    // No JSON, or more of it than the head.
    return undefined
  }
}
