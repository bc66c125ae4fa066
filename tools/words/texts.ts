/** Finds what a user reads in a source file: string literals that are sentences or phrases. Names, codes and paths are no text. */

export interface Text {
  readonly text: string
  readonly line: number
}

/** String and template literals of TypeScript or JavaScript with at least two words, without comments. `${...}` becomes `…`. */
export function messagesIn(source: string): readonly Text[] {
  const texts: Text[] = []
  let at = 0

  function add(text: string, from: number): void {
    if (/[a-z.,:;)][ \n]+[a-z(]/i.test(text)) texts.push({ text, line: source.slice(0, from).split('\n').length })
  }

  function quoted(quote: string): void {
    const from = at
    at += 1
    let text = ''
    while (at < source.length && source[at] !== quote) {
      if (source[at] === '\\') {
        text += source[at + 1] === 'n' ? '\n' : (source[at + 1] ?? '')
        at += 2
      } else if (quote === '`' && source.startsWith('${', at)) {
        at += 2
        code('}')
        text += '…'
      } else {
        text += source[at]
        at += 1
      }
    }
    at += 1
    add(text, from)
  }

  /** Where a slash begins a regular expression and no division: after an operator or at the begin of an expression. */
  function isRegex(): boolean {
    return /(?:^|[=(,:;!&|?{}[\n]|=>|return|case)\s*$/.test(source.slice(Math.max(0, at - 40), at))
  }

  function regex(): void {
    let isClass = false
    for (at += 1; at < source.length && source[at] !== '\n'; at += 1) {
      if (source[at] === '\\') at += 1
      else if (source[at] === '[') isClass = true
      else if (source[at] === ']') isClass = false
      else if (source[at] === '/' && !isClass) break
    }
    at += 1
  }

  /** Reads code up to the brace that ends it. */
  function code(end?: '}'): void {
    let depth = 0
    while (at < source.length) {
      const character = source[at] ?? ''
      if (source.startsWith('//', at)) at = indexOr(source.indexOf('\n', at))
      else if (source.startsWith('/*', at)) at = indexOr(source.indexOf('*/', at)) + 2
      else if (character === "'" || character === '"' || character === '`') quoted(character)
      else if (character === '/' && isRegex()) regex()
      else {
        at += 1
        if (character === '{') depth += 1
        else if (character === '}') {
          if (end && depth === 0) return
          depth -= 1
        }
      }
    }
  }

  function indexOr(index: number): number {
    return index < 0 ? source.length : index
  }

  code()
  return texts
}
