/** Takes the text of a saved file line by line, so that damage costs the lines that are damaged and no more.
 *
 * What is valid JSON is read as such, however it is spread over lines. When it turns out not to be, the lines since the last whole message are looked
 * at again: reading goes on at the first one that begins with a bracket, no further in than the damaged one. The lines before it are quarantined together, with their number. */
import type { Message } from './parse/message.ts'
import { createMessageReader, type ReaderLimits } from './parse/message-reader.ts'
import { createDamage, type Damage } from './saved-damage.ts'
import { createUnwrapper } from './saved-wrappers.ts'

export interface SavedLines {
  /** The next bytes of the text. Take all messages before the next call: a message is valid only until the next one is taken. */
  take(chunk: Buffer): Iterable<Message>
  /** The text is over: what is left of it. */
  end(): Iterable<Message>
  /** Bytes taken so far. */
  bytesRead(): number
  /** Lines and values that are no flow logs. */
  others(): number
  /** Messages, with those that the parser quarantined. */
  messages(): number
  readonly damage: { readonly first: readonly Damage[]; count(): number }
  /** The text ended inside an answer or a list: nobody knows how much is missing. */
  isCutOff(): boolean
}

/** A line, several indented ones, or a piece of a long one. */
interface Piece {
  readonly bytes: Buffer
  /** From 1. */
  readonly line: number
  readonly toLine: number
  /** In the text, of its first byte. */
  readonly offset: number
  readonly isStart: boolean
  readonly isEnd: boolean
}

/** A longer line is read in pieces. */
const PIECE_BYTES_MAX = 256 * 1024
/** So many are looked at again after damage, at most. */
const PENDING_BYTES_MAX = 1 << 20
const PENDING_LINES_MAX = 1_000

const INDENT_MAX = 64
/** Indented lines are read together up to this length. */
const JOINED_BYTES_MAX = 4_096

const TAB = 0x09
const NEW_LINE = 0x0a
const SPACE = 0x20
const ONLY_CLOSING = /^[\]},\s]*$/
/** What is left of a torn line belongs to a message. */
const OF_A_MESSAGE = /"(?:nodeId|logged|[a-z]+Traffic|[tr]x(?:Bytes|Pkts))"\s*:/

/** Thrown where the text stops being JSON; `seen` is what stands there. */
class NotJson extends Error {
  readonly seen: string
  constructor(seen: string) {
    super('no JSON')
    this.seen = seen
  }
}

/** `path`: for people. */
export function createSavedLines(path: string, limits: ReaderLimits): SavedLines {
  let others = 0
  let messages = 0
  let bytesRead = 0
  let isCutOff = false
  const reader = createMessageReader(limits, {
    onOther() {
      others += 1
    },
    fault: ({ seen }) => new NotJson(seen),
  })
  const { position } = reader
  const unwrapper = createUnwrapper()
  const damage = createDamage(path)

  /** The line that is not complete yet. */
  let open: Buffer[] = []
  let openBytes = 0
  let openLines = 0
  let line = 1
  let offset = 0
  let isStart = true
  /** What was read since the last whole message. The first one may have that message's end. */
  let pending: Piece[] = []
  let pendingBytes = 0
  /** Too much is pending to be kept: only its first piece is. */
  let isLong = false
  /** After damage nothing is taken until a line begins with a bracket, indented no further than the one that is damaged. */
  let isSkipping = false
  let indent = 0

  function* take(chunk: Buffer): Generator<Message> {
    for (let at = 0; at < chunk.length; ) {
      const newLine = chunk.indexOf(NEW_LINE, at)
      const stop = newLine < 0 ? chunk.length : newLine + 1
      // Indented lines of a text that is spread over lines: one at a time they cost five times as much.
      const canJoin = newLine >= 0 && openBytes < JOINED_BYTES_MAX && (openLines > 0 || position.place() === 'inside')
      open.push(chunk.subarray(at, stop))
      openBytes += stop - at
      at = stop
      if (newLine >= 0) openLines += 1
      if (canJoin && isInner(chunk, stop)) continue
      if (newLine >= 0 || openBytes >= PIECE_BYTES_MAX) yield* takeOpen(newLine >= 0)
    }
  }

  function* takeOpen(isEnd: boolean): Generator<Message> {
    const [first] = open
    const bytes = open.length === 1 && first !== undefined ? first : Buffer.concat(open)
    const piece = { bytes, line, toLine: line + Math.max(0, openLines - 1), offset, isStart, isEnd }
    line += openLines
    open = []
    openBytes = openLines = 0
    offset += bytes.length
    bytesRead = offset
    isStart = isEnd
    yield* read(piece)
  }

  function* read(piece: Piece): Generator<Message> {
    if (isSkipping) {
      if (!piece.isStart || !opens(piece.bytes, indent)) return damage.more(piece)
      yield* resume(piece)
    }
    const isAlone = pending.length === 0 && position.place() === 'outside'
    const isLine = isAlone && piece.isStart && piece.isEnd
    if (isLine && !isValueAt(piece.bytes)) return yield* readRemark(piece)
    const before = { others, messages }
    keep(piece)
    const isWhole = yield* push(piece, piece.bytes)
    if (!isLine || !isWhole || position.place() !== 'outside') return
    if (messages > before.messages || others === before.others) return
    const inside = unwrapper.unwrapJson(piece.bytes)
    if (inside === undefined) return
    others = before.others
    yield* readInside(piece, inside)
  }

  /** A line that does not begin as JSON does: of another log, with a message behind what that log puts before it, or what is left of one, or a remark. */
  function* readRemark(piece: Piece): Generator<Message> {
    const text = piece.bytes.toString()
    const inside = unwrapper.unwrapContainer(text) ?? jsonBehind(text)
    if (inside !== undefined) return yield* readInside(piece, inside)
    if (ONLY_CLOSING.test(text)) return
    if (!OF_A_MESSAGE.test(text)) others += 1
    else {
      damage.open(piece, text)
      isSkipping = true
      indent = 0
    }
  }

  /** What a line wraps. */
  function* readInside(piece: Piece, inside: string): Generator<Message> {
    if (inside === '') return
    const before = others + messages
    keep(piece)
    const isWhole = yield* push(piece, Buffer.from(inside))
    if (!isWhole) return
    if (position.place() !== 'outside') yield* repair(new NotJson(''))
    else if (others + messages === before) others += 1
  }

  /** False when the piece, or what was pending with it, is no JSON. */
  function* push(piece: Piece, bytes: Buffer): Generator<Message, boolean> {
    const othersBefore = others
    try {
      for (const message of reader.push(bytes)) {
        messages += 1
        restart(piece)
        yield message
      }
      if (others > othersBefore) restart(piece)
      if (piece.isEnd && position.place() === 'inside' && position.isDamaged()) throw new NotJson('')
    } catch (error) {
      if (!(error instanceof NotJson)) throw error
      yield* repair(error)
      return false
    }
    const place = position.place()
    if (place === 'outside' || (place === 'between' && piece.isEnd)) forget()
    return true
  }

  function keep(piece: Piece): void {
    pendingBytes += piece.bytes.length
    if (pending.length > 0 && (pendingBytes > PENDING_BYTES_MAX || pending.length >= PENDING_LINES_MAX)) isLong = true
    if (isLong) pending = [pending[0] ?? piece, piece]
    else pending.push(piece)
  }

  function restart(piece: Piece): void {
    pending = [piece]
    pendingBytes = piece.bytes.length
    isLong = false
  }

  function forget(): void {
    pending = []
    pendingBytes = 0
    isLong = false
  }

  /** Leaves the first pending line out and looks at the others again. */
  function* repair({ seen }: NotJson): Generator<Message> {
    const [first, ...rest] = pending
    reader.reset()
    forget()
    if (first === undefined) return
    // The list of an answer that was damaged further up ends here.
    if (damage.count() > 0 && seen !== '' && ONLY_CLOSING.test(seen)) return
    const last = rest.at(-1)
    // Where the next line begins, nothing is wrong with that line.
    indent = opens(first.bytes, INDENT_MAX) ? first.bytes.findIndex((byte) => byte !== SPACE) : 0
    damage.open(first, last !== undefined && opens(last.bytes, indent) ? '' : seen)
    isSkipping = true
    for (const piece of rest) yield* read(piece)
  }

  /** The damaged lines end, at the latest before this piece. */
  function* resume(piece?: Piece): Generator<Message> {
    isSkipping = false
    damage.close(piece)
    // A file without any flow log is something else, and none of it is quarantined.
    if (messages > 0) yield* damage.messages()
  }

  return {
    take,
    *end() {
      if (openBytes > 0) yield* takeOpen(true)
      while (position.place() !== 'outside') {
        isCutOff ||= position.isInList()
        // Of an answer that breaks off, what is left is no line of its own.
        if (pending.length < 2 && position.isInList()) break
        yield* repair(new NotJson(''))
      }
      yield* resume()
    },
    bytesRead: () => bytesRead + openBytes,
    others: () => others,
    messages: () => messages,
    damage,
    isCutOff: () => isCutOff,
  }
}

/** The next line is indented and begins no object or list. */
function isInner(chunk: Buffer, start: number): boolean {
  let at = start
  while (chunk[at] === SPACE || chunk[at] === TAB) at += 1
  return at > start && at < chunk.length && !isBracket(chunk[at])
}

/** A line of NDJSON, or what jq writes: objects inside a message are indented further. */
function opens(bytes: Buffer, indentMax: number): boolean {
  let at = 0
  while (bytes[at] === SPACE && at < indentMax) at += 1
  return isBracket(bytes[at])
}

function isValueAt(bytes: Buffer): boolean {
  let at = bytes[0] === 0xef ? 3 : 0
  while (bytes[at] === SPACE || bytes[at] === TAB) at += 1
  return isBracket(bytes[at])
}

/** One that begins an object or a list. */
function isBracket(byte: number | undefined): boolean {
  return byte === 0x7b || byte === 0x5b
}

/** The value that ends a line of another log. */
function jsonBehind(line: string): string | undefined {
  const text = (/[[{].*/s.exec(line)?.[0] ?? '').trim()
  try {
    JSON.parse(text)
    return text
  } catch {
    // There is none.
    return undefined
  }
}
