/** What of a saved file is no JSON: by line, for people, and as quarantined messages, so that nothing of it is lost. */
import { excerpt } from '../base/errors.ts'
import { createColumns } from './parse/columns.ts'
import { quarantineMessage } from './parse/exact-parser.ts'
import type { Message, Quarantined } from './parse/message.ts'
import { HEAD_BYTES_MAX, headOf } from './parse/text.ts'

/** Lines that are damaged, one after the other. */
export interface Damage {
  /** From 1. */
  readonly line: number
  toLine: number
  /** In the unpacked text, of the first byte of the first line. */
  readonly offset: number
  /** The text where it stops being JSON; empty when it ends too early. */
  readonly seen: string
}

/** Told to people, one by one. */
const FIRST_MAX = 5

interface DamagedPiece {
  readonly bytes: Buffer
  readonly line: number
  readonly toLine: number
  readonly offset: number
}

/** Kept of a file in which nothing is whole so far. */
const WAITING_MAX = 100

/** `path`: the file, for people. */
export function createDamage(path: string) {
  /** The first ones. */
  const first: Damage[] = []
  let count = 0
  const columns = createColumns()
  let waiting: Quarantined[] = []
  let current: { readonly damage: Damage; readonly texts: Buffer[]; keptBytes: number; bytes: number } | undefined

  function more({ bytes, toLine }: DamagedPiece): void {
    if (current === undefined) return
    current.damage.toLine = toLine
    current.bytes += bytes.length
    if (current.keptBytes >= HEAD_BYTES_MAX) return
    current.keptBytes += bytes.length
    // A copy: the piece is a part of a larger chunk, which would be kept with it.
    current.texts.push(Buffer.from(bytes))
  }

  return {
    first: first as readonly Damage[],
    count: () => count,
    /** A line is damaged; those that follow belong to it until `close`. */
    open(piece: DamagedPiece, seen: string): void {
      if (current === undefined) {
        const damage = { line: piece.line, toLine: piece.line, offset: piece.offset, seen: seen.slice(0, 80) }
        count += 1
        if (first.length < FIRST_MAX) first.push(damage)
        current = { damage, texts: [], keptBytes: 0, bytes: 0 }
      }
      more(piece)
    },
    more,
    /** The damage ends. `next`: what is whole again. */
    close(next?: DamagedPiece): void {
      if (current === undefined) return
      const { damage, texts, bytes } = current
      current = undefined
      if (next !== undefined) damage.toLine = Math.max(damage.toLine, next.line - 1)
      if (waiting.length >= WAITING_MAX) return
      const text = Buffer.concat(texts)
      const size = next === undefined ? bytes : Math.max(bytes, next.offset - damage.offset)
      waiting.push({
        reason: 'bad_json',
        text: headOf(text, 0, text.length).trimEnd(),
        ...(size > text.length ? { bytes: size } : {}),
        detail: `${path}, ${damageText(damage)}`,
      })
    },
    /** The damaged lines that were closed, each as a quarantined message. */
    *messages(): Generator<Message> {
      const parts = waiting
      waiting = []
      for (const part of parts) {
        quarantineMessage(columns, part)
        yield columns
      }
    },
  }
}

/** Such as `line 3 (from byte 598 on): no JSON at "nodeId": "n1"`. */
export function damageText({ line, toLine, offset, seen }: Damage): string {
  const lines = line === toLine ? `line ${line}` : `lines ${line} to ${toLine}`
  const what = seen === '' ? 'it ends too early' : `no JSON at ${JSON.stringify(excerpt(seen))}`
  return `${lines} (from byte ${offset} on): ${what}`
}
