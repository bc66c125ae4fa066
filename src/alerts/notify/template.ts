/** The body of a webhook as a template of the settings: `{summary}` and the like are replaced once, so what a device calls itself is never a template, and
 * never ends a JSON string. */

/** What a body may hold, beside `{labels.NAME}`. */
const PLACEHOLDERS = [
  'title',
  'summary',
  'edges',
  'state',
  'severity',
  'rule',
  'value',
  'threshold',
  'window',
  'started',
  'ended',
  'count',
  'tailnet',
  'url',
] as const
export type Placeholder = (typeof PLACEHOLDERS)[number]

export interface Template {
  /** Without braces, each once: `summary`, `labels.node`. */
  readonly names: ReadonlySet<string>
  readonly contentType: string
  /** `text`: the value of a placeholder. */
  fill(text: (name: string) => string): string
}

const PATTERN = /\{([a-z][\w.]*)\}/gi
const LABEL = /^labels\.[a-z_]\w*$/i
/** A text that begins so is meant as JSON. */
const LOOKS_LIKE_JSON = /^\s*(?:\{(?![a-z][\w.]*\})|\[\s*[[{"])/i

/** `given`: the body as text, or what YAML makes of a body that is written as YAML; that is sent as JSON. Adds every fault, each with its fix. */
export function createTemplate(given: unknown, fault: (text: string) => void): Template {
  if (typeof given !== 'string')
    for (const name of unquoted(given)) fault(`has {${name}} without quotes; write '{${name}}'`)
  const source = typeof given === 'string' ? given : JSON.stringify(given)
  const names = new Set([...source.matchAll(PATTERN)].map(([, name = '']) => name))
  for (const name of names) {
    if (!isPlaceholder(name) && !LABEL.test(name))
      fault(`has {${name}}, but there are only ${PLACEHOLDERS.map((one) => `{${one}}`).join(' ')} and {labels.NAME}`)
  }
  const why = noJson(source)
  const isJson = why === undefined
  if (!isJson && LOOKS_LIKE_JSON.test(source))
    fault(`is no JSON (${why}); check commas and quotes, and put each placeholder into double quotes`)
  return {
    names,
    contentType: isJson ? 'application/json' : 'text/plain; charset=utf-8',
    fill: (text) =>
      source.replace(PATTERN, (_, name: string) => (isJson ? JSON.stringify(text(name)).slice(1, -1) : text(name))),
  }
}

function isPlaceholder(name: string): boolean {
  return (PLACEHOLDERS as readonly string[]).includes(name)
}

/** Why the text is no JSON when its placeholders are filled in; undefined when it is. */
function noJson(source: string): string | undefined {
  try {
    JSON.parse(source.replace(PATTERN, 'x'))
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** YAML takes `text: {summary}` for a mapping with a key that has no value. */
function unquoted(given: unknown): string[] {
  if (typeof given !== 'object' || given === null) return []
  const entries = Object.entries(given)
  const [name, value] = entries[0] ?? []
  if (entries.length === 1 && name !== undefined && value === null && (isPlaceholder(name) || LABEL.test(name)))
    return [name]
  return entries.flatMap(([, one]) => unquoted(one))
}
