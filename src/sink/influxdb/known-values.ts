/** Remembers what a database at its limit has accepted: such lines fit, so they are sent separately from lines that may be new. It only orders
 * the lines; the database decides whether they fit. */
import { hash } from 'node:crypto'
import { createHashSet, type HashSet } from '../../base/hash-tables.ts'
import type { Limit } from './response-policy.ts'

export interface Known {
  /** A line was acknowledged while the limit was reached. */
  learn(line: string, counts: Limit['counts']): void
  /** Everything in the line that this limit counts was acknowledged before. */
  has(line: string, counts: Limit['counts']): boolean
  /** Lines were refused with this text, which names a tag that has too many values. `isAllKnown`: lines that were accepted before are refused. */
  refused(detail: string, isAllKnown: boolean): void
}

/** Beyond this nothing more is remembered. At most 12 MiB. */
const KNOWN_MAX = 400_000
const FULL_MAX = 100
/** The measurement, then each tag with its value, as they stand in a line. */
const FULL_TAG = /measurement="([^"]*)" tag="([^"]*)"/
const MEMBER = /((?:\\.|[^\\, ])*)([, ])/gsy

export function createKnown(): Known {
  let taken: HashSet = createHashSet(KNOWN_MAX)
  /** Measurement and tag of which the database accepts no new value; other tags do not matter. */
  const full = new Set<string>()

  function keysOf(line: string, counts: Limit['counts']): bigint[] {
    if (counts === 'series') return [hashOf(seriesOf(line))]
    const [measurement, ...tags] = membersOf(line)
    const isFull = (tag: string) => full.has(`${measurement},${tag.slice(0, tag.indexOf('='))}`)
    return tags.filter(isFull).map((tag) => hashOf(`${measurement},${tag}`))
  }

  return {
    learn(line, counts) {
      for (const key of keysOf(line, counts)) taken.add(key)
    },
    has: (line, counts) => taken.size > 0 && keysOf(line, counts).every(taken.has),
    refused(detail, isAllKnown) {
      const [, measurement, tag] = FULL_TAG.exec(detail) ?? []
      const name = `${measurement},${tag}`
      if (measurement !== undefined && !full.has(name) && full.size < FULL_MAX) full.add(name)
      // It is another database, or it was emptied.
      else if (isAllKnown) taken = createHashSet(KNOWN_MAX)
    },
  }
}

/** The measurement and tags of a line. */
export function seriesOf(line: string): string {
  return membersOf(line).join(',')
}

export function hashOf(text: string): bigint {
  return hash('sha1', text, 'buffer').readBigUInt64LE()
}

function membersOf(line: string): string[] {
  const members: string[] = []
  MEMBER.lastIndex = 0
  for (let found = MEMBER.exec(line); found !== null; found = MEMBER.exec(line)) {
    members.push(found[1]!)
    if (found[2] === ' ') break
  }
  return members
}
