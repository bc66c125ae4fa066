/** A small reader of line protocol, written from its grammar alone, so that tests do not trust the writer's own idea of it. */

export interface ParsedLine {
  readonly measurement: string
  readonly tags: Readonly<Record<string, string>>
  /** Integers. */
  readonly fields: Readonly<Record<string, bigint>>
  /** Fields that are texts; absent without any. */
  readonly texts?: Readonly<Record<string, string>>
  readonly timestampNs: bigint
}

/** Lines of a body; each must be ended by "\n". */
export function parseLines(body: string): ParsedLine[] {
  const lines = body.split('\n')
  if (lines.pop() !== '') throw new Error('the last line has no end')
  return lines.map(parseLine)
}

export function parseLine(line: string): ParsedLine {
  let at = 0
  /** Up to one of `stops` that has no backslash before it; a backslash before a comma, space or `=` vanishes, another one stays. */
  function token(stops: string): string {
    let text = ''
    for (; at < line.length && !stops.includes(line[at]!); at++) {
      if (line[at] === '\\' && ', ='.includes(line[at + 1] ?? 'x')) at += 1
      text += line[at]
    }
    if (text === '') throw new Error(`nothing at ${at} in ${line}`)
    return text
  }
  function expect(mark: string): void {
    if (line[at++] !== mark) throw new Error(`no "${mark}" at ${at - 1} in ${line}`)
  }
  const measurement = token(', ')
  const tags: Record<string, string> = {}
  while (line[at] === ',') {
    at += 1
    const key = token(', =')
    expect('=')
    if (key in tags) throw new Error(`tag ${key} twice in ${line}`)
    tags[key] = token(', =')
  }
  expect(' ')
  const fields: Record<string, bigint> = {}
  const texts: Record<string, string> = {}
  /** Up to the quote that ends it; a quote inside has a backslash before it. */
  function quoted(): string {
    let text = ''
    for (at += 1; line[at] !== '"'; at++) {
      if (line[at] === '\\' && line[at + 1] === '"') at += 1
      if (at >= line.length) throw new Error(`a text without end in ${line}`)
      text += line[at]
    }
    at += 1
    return text
  }
  for (;;) {
    const key = token(', =')
    expect('=')
    if (line[at] === '"') {
      texts[key] = quoted()
      if (line[at] !== ',') break
      at += 1
      continue
    }
    const value = token(', ')
    if (!/^-?\d+i$/.test(value)) throw new Error(`field ${key} is no integer in ${line}`)
    fields[key] = BigInt(value.slice(0, -1))
    if (line[at] !== ',') break
    at += 1
  }
  expect(' ')
  const time = line.slice(at)
  if (!/^-?\d+$/.test(time)) throw new Error(`no timestamp at ${at} in ${line}`)
  const text = Object.keys(texts).length > 0 ? { texts } : {}
  return { measurement, tags, fields, ...text, timestampNs: BigInt(time) }
}
