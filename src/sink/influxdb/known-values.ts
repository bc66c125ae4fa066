/** What a database that is at a limit was seen to take: such lines fit, so they are sent apart from those that may be new. It only puts lines in
 * order: whether they fit is what the database answers. */
import { hash } from 'node:crypto'
import { createHashSet, type HashSet } from '../../base/hash-set.ts'
import type { Limit } from './response-policy.ts'

export interface Known {
  /** A line was acknowledged while the limit stood. */
  learn(line: string, counts: Limit['counts']): void
  /** Everything in the line that this limit counts was acknowledged before. */
  has(line: string, counts: Limit['counts']): boolean
  /** Lines were refused, with these words, which name a tag whose values are too many. `isAllKnown`: what was taken before is refused now. */
  refused(detail: string, isAllKnown: boolean): void
}

/** Beyond this the rest is found out anew with each batch. At most 8 MiB. */
const KNOWN_MAX = 400_000
const FULL_MAX = 100
/** The measurement, then each tag with its value, as they stand in a line. */
const FULL_TAG = /measurement="([^"]*)" tag="([^"]*)"/
const MEMBER = /((?:\\.|[^\\, ])*)([, ])/gsy

export function createKnown(): Known {
  let taken: HashSet = createHashSet(KNOWN_MAX)
  /** Measurement and tag of which the database takes no new value; any other tag does not matter. */
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
