/** Decides about each dead letter: it is known already, it is kept, or it is only counted.
 *
 * One node that only sends invalid data must not fill the disk or delay the other nodes. So each node has a quota of letters and bytes per hour.
 * Letters beyond the quota, or beyond the limit of all letters together, are counted exactly but not kept. A letter that was seen before is
 * neither kept nor counted again, because failed windows are read again, and late passes read every window again. */

import { createHash } from 'node:crypto'
import { HOUR } from '../base/clock.ts'
import { excerpt } from '../base/errors.ts'
import { isoOf } from '../base/format.ts'
import { createHashSet, type HashSet } from '../base/hash-tables.ts'
import { nodeOf as nodeOfLine } from './line-protocol/line-spans.ts'
import type { DeadLetter } from './sink.ts'

/** Letters and bytes that are kept per node and hour of `logged` time: lines that the database refused are small, messages are not. */
export const LETTERS_PER_NODE_HOUR = 1_000
export const BYTES_PER_NODE_HOUR = 1 << 20
/** Maximum bytes of the text of one letter; a longer text is truncated. A client sends at most 256 KiB at once. */
export const LETTER_BYTES_MAX = 512 << 10

/** This many ids of letters are remembered, and the same number of earlier ones: 12 MiB at most. */
const KNOWN_MAX = 200_000
/** Maximum quotas (one per node and hour) that are remembered; the oldest are forgotten first. */
const QUOTAS_MAX = 20_000
/** Stands for the node of letters without one. */
const NO_NODE = 'unknown'

/** One line of the dead-letter file, as JSON. */
interface LetterLine {
  /** When it was written; local clock, RFC 3339. */
  readonly at: string
  readonly stage: string
  readonly reason: string
  readonly node?: string
  /** When the API got the message. */
  readonly logged?: string
  readonly detail?: string
  /** The number of messages, entries or lines that the letter stands for; 1 when absent. */
  readonly count?: number
  /** Length of the whole text, if it was truncated. */
  readonly bytes?: number
  /** Present when it cannot be computed from the text. */
  readonly id?: string
  readonly text?: string
  /** This line is not a letter: the number of letters of this stage, reason, node and hour that were counted and not kept. */
  readonly more?: number
  readonly hour?: string
  /** Ids of the letters that `more` counts, so that they are known after a restart. */
  readonly ids?: string
}

/** The decisions about some letters. Nothing is remembered until `commit`, so that a failed write can be retried. */
interface Sorted {
  /** Lines of the file, each with its newline. */
  readonly lines: readonly Buffer[]
  /** Letters that were not known: they are kept or counted now. */
  readonly fresh: readonly DeadLetter[]
  /** A letter was only counted because all letters together have reached their limit. */
  readonly isFull: boolean
  commit(): void
}

export interface LetterQuota {
  /** `bytesLeft`: for letters; `reserve`: additional bytes for the lines that count. */
  sort(letters: readonly DeadLetter[], nowNs: bigint, bytesLeft: number, reserve: number): Sorted
  /** Remembers a line that an earlier process wrote. Throws a SyntaxError when it is not JSON. */
  recall(line: string): void
}

interface Used {
  letters: number
  bytes: number
}

interface More {
  readonly letter: DeadLetter
  readonly node: string
  readonly hour: string
  readonly why: string
  readonly ids: string[]
  count: number
}

export function createLetterQuota(): LetterQuota {
  let known = createHashSet(KNOWN_MAX)
  let before: HashSet = createHashSet(0)
  const quotas = new Map<string, Used>()

  function remember(id: string): void {
    if (known.size >= KNOWN_MAX) {
      before = known
      known = createHashSet(KNOWN_MAX)
    }
    known.add(BigInt(`0x${id}`))
  }

  function isKnown(id: string): boolean {
    const hash = BigInt(`0x${id}`)
    return known.has(hash) || before.has(hash)
  }

  function use(key: string, bytes: number): void {
    const used = quotas.get(key)
    if (used !== undefined) {
      used.letters += 1
      used.bytes += bytes
      return
    }
    if (quotas.size >= QUOTAS_MAX)
      for (const oldest of [...quotas.keys()].slice(0, QUOTAS_MAX / 4)) quotas.delete(oldest)
    quotas.set(key, { letters: 1, bytes })
  }

  return {
    sort(letters, nowNs, bytesLeft, reserve) {
      const at = isoOf(nowNs)
      const lines: Buffer[] = []
      const fresh: DeadLetter[] = []
      const ids = new Set<string>()
      /** The quotas with these letters included. */
      const taken = new Map<string, Used>()
      const uses: [key: string, bytes: number][] = []
      const counted = new Map<string, More>()
      let left = bytesLeft
      let isFull = false

      for (const letter of letters) {
        const id = letter.id ?? idOf(letter.stage, letter.text)
        if (ids.has(id) || isKnown(id)) continue
        ids.add(id)
        fresh.push(letter)
        const node = letter.node ?? nodeOf(letter)
        const hour = hourOf(letter.loggedNs ?? nowNs)
        const key = `${node ?? NO_NODE} ${hour}`
        const line = lineOf(letter, at, node, id)
        const used = taken.get(key) ?? { ...(quotas.get(key) ?? { letters: 0, bytes: 0 }) }
        const isOver = used.letters >= LETTERS_PER_NODE_HOUR || used.bytes + line.length > BYTES_PER_NODE_HOUR
        if (!isOver && line.length <= left) {
          left -= line.length
          lines.push(line)
          uses.push([key, line.length])
          taken.set(key, { letters: used.letters + 1, bytes: used.bytes + line.length })
          continue
        }
        isFull ||= !isOver
        const why = isOver ? OVER_QUOTA : OVER_LIMIT
        const group = `${key} ${letter.stage} ${letter.reason} ${why}`
        const more = counted.get(group) ?? { letter, node: node ?? NO_NODE, hour, why, ids: [], count: 0 }
        more.count += letter.count ?? 1
        more.ids.push(id)
        counted.set(group, more)
      }

      left += reserve
      for (const more of counted.values()) {
        const line = moreLine(more, at)
        if (line.length > left) {
          isFull = true
          continue
        }
        left -= line.length
        lines.push(line)
      }
      return {
        lines,
        fresh,
        isFull,
        commit() {
          for (const id of ids) remember(id)
          for (const [key, bytes] of uses) use(key, bytes)
        },
      }
    },

    recall(text) {
      const line = JSON.parse(text) as LetterLine
      if (line.more !== undefined) {
        for (const id of line.ids?.split(' ') ?? []) if (ID.test(id)) remember(id)
        return
      }
      const id = line.id ?? idOf(line.stage, line.text ?? '')
      if (ID.test(id)) remember(id)
      const ms = Date.parse(line.logged ?? line.at)
      if (Number.isFinite(ms))
        use(`${line.node ?? NO_NODE} ${hourOf(BigInt(ms) * 1_000_000n)}`, Buffer.byteLength(text) + 1)
    },
  }
}

const ID = /^[0-9a-f]{16}$/
const OVER_QUOTA = `counted, not kept: this node has used up its ${LETTERS_PER_NODE_HOUR} letters or ${Math.round(BYTES_PER_NODE_HOUR / 1e6)} MB of this hour`
const OVER_LIMIT = 'counted, not kept: the dead letters together have used up deadLetters.maxBytes'

/** A 64-bit id of a letter. */
export function idOf(...parts: readonly string[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part).update('\0')
  return hash.digest('hex').slice(0, 16)
}

function lineOf(letter: DeadLetter, at: string, node: string | undefined, id: string): Buffer {
  const { stage, reason, loggedNs, detail, count, text } = letter
  const length = Buffer.byteLength(text)
  const isTruncated = length > LETTER_BYTES_MAX
  const bytes = letter.bytes ?? (isTruncated ? length : undefined)
  const line: LetterLine = {
    at,
    stage,
    reason,
    ...(node === undefined ? {} : { node }),
    ...(loggedNs === undefined ? {} : { logged: isoOf(loggedNs) }),
    ...(detail === undefined ? {} : { detail: excerpt(detail) }),
    ...(count === undefined || count === 1 ? {} : { count }),
    ...(bytes === undefined ? {} : { bytes }),
    ...(letter.id === undefined && !isTruncated ? {} : { id }),
    text: isTruncated ? Buffer.from(text).subarray(0, LETTER_BYTES_MAX).toString() : text,
  }
  return Buffer.from(`${JSON.stringify(line)}\n`)
}

function moreLine({ letter: { stage, reason }, node, hour, why, ids, count }: More, at: string): Buffer {
  const line: LetterLine = { at, stage, reason, node, hour, detail: why, more: count, ids: ids.join(' ') }
  return Buffer.from(`${JSON.stringify(line)}\n`)
}

/** The node of a line of line protocol. */
function nodeOf({ stage, text }: DeadLetter): string | undefined {
  return stage === 'sink' ? nodeOfLine(text.slice(0, 1_024)) : undefined
}

function hourOf(ns: bigint): string {
  return isoOf(ns - (((ns % HOUR) + HOUR) % HOUR))
}
