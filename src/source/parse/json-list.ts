/** Cuts one list out of an answer such as `{"devices":[…]}` while its bytes come in: one element is held at a time, so 50,000 devices
 * need no more memory than five. For lists whose elements are small and few; flow logs have their own, faster way (array-cutter.ts). */
import { type Code, CollectorError } from '../../base/errors.ts'
import { createValueScanner } from './scan.ts'

export interface JsonList {
  /** Elements that these bytes complete. Throws a CollectorError (retry): `api_not_json`, `api_too_large`. */
  push(chunk: Uint8Array): unknown[]
  /** The answer is over. Throws `api_truncated` when its JSON is not, `api_not_json` when the list was missing. */
  end(): void
}

type State =
  | 'open'
  | 'firstKey'
  | 'key'
  | 'colon'
  | 'value'
  | 'next'
  | 'firstElement'
  | 'element'
  | 'nextElement'
  | 'done'

/** What follows each mark, by state; values are read by the scanner. */
const AFTER: Partial<Record<State, Readonly<Record<string, State>>>> = {
  open: { '{': 'firstKey' },
  firstKey: { '}': 'done' },
  colon: { ':': 'value' },
  next: { ',': 'key', '}': 'done' },
  firstElement: { ']': 'next' },
  nextElement: { ',': 'element', ']': 'next' },
}

/** `name`: the member of the answer that is the list; null counts as empty, other members are skipped. */
export function createJsonList(name: string, elementBytesMax: number): JsonList {
  const scanner = createValueScanner()
  let state: State = 'open'
  let key: unknown
  let hasList = false
  /** PrefixCache of the value that is being read; undefined outside of values. */
  let pieces: Uint8Array[] | undefined
  let size = 0

  function push(chunk: Uint8Array): unknown[] {
    const elements: unknown[] = []
    let at = 0
    while (at < chunk.length) {
      if (pieces === undefined) {
        const mark = String.fromCharCode(chunk[at]!)
        if (' \n\r\t'.includes(mark)) {
          at += 1
          continue
        }
        const after = state === 'value' && key === name && mark === '[' ? 'firstElement' : AFTER[state]?.[mark]
        if (after !== undefined) {
          hasList ||= after === 'firstElement'
          state = after
          at += 1
          continue
        }
        const startsKey = (state === 'firstKey' || state === 'key') && mark === '"'
        if (!startsKey && state !== 'value' && state !== 'firstElement' && state !== 'element') throw notJson()
        scanner.begin()
        pieces = []
        size = 0
      }
      const stop = scanner.run(chunk, at, chunk.length)
      const until = stop < 0 ? chunk.length : stop
      keep(chunk.subarray(at, until))
      at = until
      if (stop >= 0) finish(elements)
    }
    // The caller may use the memory of the chunk again.
    if (pieces !== undefined) pieces = [Buffer.concat(pieces)]
    return elements
  }

  function keep(piece: Uint8Array): void {
    if (state === 'value' && key !== name) return
    size += piece.length
    if (size > elementBytesMax) throw fail('api_too_large', `has a part of more than ${elementBytesMax} bytes`)
    pieces?.push(piece)
  }

  function finish(elements: unknown[]): void {
    const text = Buffer.concat(pieces ?? []).toString('utf8')
    pieces = undefined
    if (state === 'value') {
      if (key === name) {
        if (text !== 'null') throw notJson()
        hasList = true
      }
      state = 'next'
    } else if (state === 'key' || state === 'firstKey') {
      key = parse(text)
      state = 'colon'
    } else {
      elements.push(parse(text))
      state = 'nextElement'
    }
  }

  function parse(text: string): unknown {
    try {
      return JSON.parse(text)
    } catch (cause) {
      throw notJson(cause)
    }
  }

  function notJson(cause?: unknown): CollectorError {
    return fail('api_not_json', `is not JSON with a list "${name}"`, cause)
  }
  function fail(code: Code, what: string, cause?: unknown): CollectorError {
    const text = `The answer with the ${name} ${what}; look for a proxy or portal in between, and check TAILSCALE_API_URL.`
    return new CollectorError(text, { stage: 'source', code, reaction: 'retry', cause })
  }

  return {
    push,
    end() {
      if (state === 'done' && hasList) return
      if (state === 'done' || state === 'open') throw notJson()
      throw fail('api_truncated', 'ended before its JSON did')
    },
  }
}
