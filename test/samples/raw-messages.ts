/** Flow logs in any wrapping (answers of the API, log streams, raw uploads) found by their shape, with their numbers exact. Shares no code
 * with the reader that it is compared to. */
import { parseExact } from '../simulator/ranges.ts'

export const KINDS = ['virtual', 'subnet', 'exit', 'physical'] as const
export type Kind = (typeof KINDS)[number]
export const COUNTERS = ['txBytes', 'txPkts', 'rxBytes', 'rxPkts'] as const
/** Per kind and counter: `virtual txBytes`. */
export type Sums = Map<string, bigint>

type Json = { readonly [name: string]: unknown }

export interface Sample {
  /** As the API would answer: the bytes of the file where it is such an answer, built from its messages otherwise. */
  readonly answer: string
  readonly messages: readonly unknown[]
}

/** Undefined for a file without flow logs. `name` says of which kind entries without a message are. */
export function sampleOf(text: string, name: string): Sample | undefined {
  const values = valuesIn(text).map(parseExact)
  const [first] = values
  if (values.length === 1 && isObject(first) && Array.isArray(first['logs']))
    return { answer: text, messages: first['logs'] }
  const messages = values.flatMap((value) => [...messagesIn(value, {})])
  const kind = KINDS.find((one) => name.includes(one))
  if (kind && Array.isArray(first) && first.every((one) => isObject(one) && COUNTERS.some((counter) => counter in one)))
    messages.push({ nodeId: 'nSample11CNTRL', start: '2026-05-04T09:00:00Z', [`${kind}Traffic`]: first })
  return messages.length === 0 ? undefined : { answer: `{"logs":[${messages.map(jsonOf).join()}]}`, messages }
}

/** What entries, lists of them or whole messages hold. Only integers count. */
export function addTo(sums: Sums, value: unknown, kind?: Kind): void {
  if (kind !== undefined) {
    for (const entry of Array.isArray(value) ? value : [value]) {
      for (const counter of COUNTERS) {
        const count = isObject(entry) ? entry[counter] : undefined
        const key = `${kind} ${counter}`
        if (typeof count === 'bigint') sums.set(key, (sums.get(key) ?? 0n) + count)
      }
    }
  } else if (isObject(value)) {
    for (const one of KINDS) {
      const list = value[`${one}Traffic`]
      if (list !== undefined && list !== null) addTo(sums, list, one)
    }
  }
}

function* messagesIn(value: unknown, around: Json): Generator<Json> {
  if (Array.isArray(value)) for (const one of value) yield* messagesIn(one, around)
  if (!isObject(value)) return
  const isMessage = typeof value['start'] === 'string' && KINDS.some((kind) => Array.isArray(value[`${kind}Traffic`]))
  if (isMessage) {
    const { fields } = around
    const logged = value['logged'] ?? (isObject(fields) ? fields['recorded'] : undefined)
    yield { nodeId: value['host'], ...value, ...(logged === undefined ? {} : { logged }) }
  } else for (const one of Object.values(value)) yield* messagesIn(one, value)
}

/** JSON values that follow each other, with or without anything between them. */
function valuesIn(text: string): string[] {
  const found: string[] = []
  let depth = 0
  let begin = 0
  let isText = false
  for (let at = 0; at < text.length; at++) {
    const c = text[at]!
    if (isText) {
      if (c === '\\') at += 1
      else if (c === '"') isText = false
    } else if (c === '"') isText = true
    else if (c === '{' || c === '[') {
      if (depth === 0) begin = at
      depth += 1
    } else if (c === '}' || c === ']') {
      depth -= 1
      if (depth === 0) found.push(text.slice(begin, at + 1))
    }
  }
  return found
}

function jsonOf(value: unknown): string {
  if (typeof value === 'bigint') return String(value)
  if (Array.isArray(value)) return `[${value.map(jsonOf).join()}]`
  if (!isObject(value)) return JSON.stringify(value)
  const members = Object.entries(value).filter(([, one]) => one !== undefined)
  return `{${members.map(([name, one]) => `${JSON.stringify(name)}:${jsonOf(one)}`).join()}}`
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
