/** Reads one line of our own writing: tags and integer fields. */

export interface LineParts {
  /** Measurement and tags as they stand there. */
  readonly key: string
  readonly tags: Readonly<Record<string, string>>
  readonly fields: Readonly<Record<string, bigint>>
}

/** The key ends at the first blank that no backslash escapes, the fields at the last one: our fields are integers and hold none. */
export function partsOfLine(line: string): LineParts {
  const text = line.trimEnd()
  const last = text.lastIndexOf(' ')
  let blank = text.indexOf(' ')
  while (text[blank - 1] === '\\') blank = text.indexOf(' ', blank + 1)
  const key = text.slice(0, blank)
  const fields: Record<string, bigint> = {}
  for (const [, name = '', value = ''] of text.slice(blank + 1, last).matchAll(/([^,=]+)=(-?\d+)i/g)) {
    fields[name] = BigInt(value)
  }
  const tags: Record<string, string> = {}
  // Backslashes of ours stand in front of a comma, a blank or an equals sign only.
  for (const part of key.split(/(?<!\\),/).slice(1)) {
    const [name = '', value = ''] = part.split(/(?<!\\)=/)
    tags[name] = value.replace(/\\([ ,=])/g, '$1')
  }
  return { key, tags, fields }
}
