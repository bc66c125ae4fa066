/** Takes apart one line that this program wrote. */
import { unescapeTag } from './escape.ts'

interface LineTexts {
  /** Measurement and tags, as they stand in the line. */
  readonly key: string
  readonly fields: string
  readonly timestamp: string
}

export interface LineParts {
  readonly key: string
  readonly tags: Readonly<Record<string, string>>
  readonly fields: Readonly<Record<string, bigint>>
  readonly timestampNs: bigint
}

/** The key ends at the first space without a backslash, the fields end at the last space. With or without the newline. */
export function splitLine(line: string): LineTexts {
  const last = line.lastIndexOf(' ')
  let space = line.indexOf(' ')
  while (line[space - 1] === '\\') space = line.indexOf(' ', space + 1)
  return {
    key: line.slice(0, space),
    fields: line.slice(space + 1, last),
    timestamp: line.slice(last + 1).trimEnd(),
  }
}

/** The same with tags and integer fields; fields of other types are left out. */
export function partsOfLine(line: string): LineParts {
  const { key, fields, timestamp } = splitLine(line)
  const integers = [...fields.matchAll(/([^,=]+)=(-?\d+)i/g)].map(([, name = '', value = '']) => [name, BigInt(value)])
  // The backslashes stand before a comma, a space or an equals sign only.
  const tags = key
    .split(/(?<!\\),/)
    .slice(1)
    .map((tag) => tag.split(/(?<!\\)=/))
    .map(([name = '', value = '']) => [name, unescapeTag(value)])
  return { key, tags: Object.fromEntries(tags), fields: Object.fromEntries(integers), timestampNs: BigInt(timestamp) }
}
