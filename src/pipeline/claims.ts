/** What a message that cannot be read says about itself all the same, so that its dead letter counts for the right node and hour: the texts
 * `nodeId` and `logged` among its own members, as far as its text goes. */
import { parseTime } from '../source/parse/time.ts'

export interface Claims {
  readonly node?: string
  /** ns, the API's clock. */
  readonly loggedNs?: bigint
}

/** A node id is a dozen characters; what is longer is none. */
const NODE = /^[\x21-\x7e]{1,64}$/
const encoder = new TextEncoder()

/** `text`: JSON, whole or cut off, valid or not. */
export function claimsOf(text: string): Claims {
  let node: string | undefined
  let loggedNs: bigint | undefined
  let depth = 0
  /** The key whose value follows; undefined before a key. */
  let key: string | undefined
  let isValue = false
  for (let at = 0; at < text.length && (node === undefined || loggedNs === undefined); at += 1) {
    const c = text[at]
    if (c === '{' || c === '[') depth += 1
    else if (c === '}' || c === ']') depth -= 1
    else if (c === '"') {
      const end = endOfText(text, at)
      if (end < 0) break
      const content = text.slice(at + 1, end)
      at = end
      if (depth !== 1) continue
      if (!isValue) key = content
      else if (key === 'nodeId' && NODE.test(content)) node ??= content
      else if (key === 'logged') loggedNs ??= timeOf(content)
    } else if (depth === 1 && (c === ':' || c === ',')) isValue = c === ':'
  }
  return { ...(node === undefined ? {} : { node }), ...(loggedNs === undefined ? {} : { loggedNs }) }
}

function endOfText(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === '"') return at
    if (text[at] === '\\') at += 1
  }
  return -1
}

function timeOf(text: string): bigint | undefined {
  const bytes = encoder.encode(text)
  return parseTime(bytes, 0, bytes.length)
}
