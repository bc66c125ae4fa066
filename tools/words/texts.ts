/** Takes a source file apart into what people read: string literals that are sentences or phrases (names, codes and paths are no text),
 * comments, and identifiers. */

export interface Text {
  readonly text: string
  readonly line: number
}

interface Parts {
  readonly literals: readonly Text[]
  readonly comments: readonly Text[]
  /** Everything else: code without literals, comments and regular expressions. */
  readonly code: readonly Text[]
}

/** String and template literals of TypeScript or JavaScript with at least two words, without comments. `${...}` becomes `…`. */
export function messagesIn(source: string): readonly Text[] {
  return partsOf(source).literals.filter(({ text }) => /[a-z.,:;)][ \n]+[a-z(]/i.test(text))
}

/** Comments, and identifiers as words: `isUnderWay` is `is under way`. One text per line of code. */
export function codeWordsIn(source: string): readonly Text[] {
  const { comments, code } = partsOf(source)
  const names = code.map(({ text, line }) => ({ text: wordsOf(text), line }))
  return [...comments, ...names].toSorted((one, other) => one.line - other.line)
}

function wordsOf(code: string): string {
  const names = code.match(/[\p{L}_$][\p{L}\p{N}_$]*/gu) ?? []
  // A comma keeps the words of two names apart.
  return names.map((name) => name.replace(/([\p{Ll}\p{N}])(?=\p{Lu})|_/gu, '$1 ').toLowerCase()).join(', ')
}

function partsOf(source: string): Parts {
  const literals: Text[] = []
  const comments: Text[] = []
  const code: Text[] = []
  let at = 0
  let line = 1
  let rest = ''

  function flush(): void {
    if (rest.trim() !== '') code.push({ text: rest, line })
    rest = ''
  }

  /** Moves on, and counts lines. */
  function skipTo(end: number): void {
    while (at < end) {
      if (source[at] === '\n') {
        flush()
        line += 1
      }
      at += 1
    }
  }

  function quoted(quote: string): void {
    const from = line
    skipTo(at + 1)
    let text = ''
    while (at < source.length && source[at] !== quote) {
      if (source[at] === '\\') {
        text += source[at + 1] === 'n' ? '\n' : (source[at + 1] ?? '')
        skipTo(at + 2)
      } else if (quote === '`' && source.startsWith('${', at)) {
        skipTo(at + 2)
        read('}')
        text += '…'
      } else {
        text += source[at]
        skipTo(at + 1)
      }
    }
    skipTo(at + 1)
    rest += ' '
    literals.push({ text, line: from })
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

  function comment(end: number): void {
    comments.push({ text: source.slice(at, end), line })
    skipTo(end)
  }

  /** Reads code up to the brace that ends it. */
  function read(end?: '}'): void {
    let depth = 0
    while (at < source.length) {
      const character = source[at] ?? ''
      if (source.startsWith('//', at)) comment(indexOr(source.indexOf('\n', at)))
      else if (source.startsWith('/*', at)) comment(indexOr(source.indexOf('*/', at)) + 2)
      else if (character === "'" || character === '"' || character === '`') quoted(character)
      else if (character === '/' && isRegex()) regex()
      else {
        if (character !== '\n') rest += character
        skipTo(at + 1)
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

  read()
  flush()
  return { literals, comments, code }
}
