/** What is wrong with a value, as a sentence that ends with the fix, in place of those of zod. */
import { z } from 'zod'

type RawIssue = z.core.$ZodRawIssue

/** For every schema of this process: schemas that say it themselves win. */
export function useOwnTexts(): void {
  z.config({ customError: textOf })
}

function textOf(issue: RawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return typeText(issue.expected, issue.input)
    case 'too_small':
      return issue.minimum === 1 && issue.origin !== 'number' && issue.origin !== 'int'
        ? 'must not be empty; give it a value, or remove it'
        : `must be at least ${amountText(issue.origin, issue.minimum)}`
    case 'too_big':
      return `must be at most ${amountText(issue.origin, issue.maximum)}`
    case 'invalid_value':
      return `must be ${issue.values.length === 1 ? '' : 'one of '}${issue.values.map(String).join(', ')}`
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`
    case 'unrecognized_keys':
      return `has unknown keys: ${issue.keys.join(', ')}; remove them`
    case 'invalid_union':
      return unionText(issue.errors)
    case 'invalid_key':
    case 'invalid_element':
      return issue.issues[0]?.message
    case 'invalid_format':
      return 'is written in a wrong way; see docs/settings.md for an example'
    default:
      return undefined
  }
}

function typeText(expected: string, input: unknown): string {
  if (input === undefined) return 'is missing; set it'
  switch (expected) {
    case 'string':
      if (typeof input === 'object') return 'must be one text, not a list or keys with values'
      return `must be a text, and YAML reads this as a ${typeof input}; put it in quotation marks`
    case 'number':
      return 'must be a number'
    case 'int':
      return 'must be a whole number'
    case 'boolean':
      return 'must be true or false'
    case 'array':
      return 'must be a list: begin each entry with "- ", or write [one, two]'
    default:
      return 'must have keys and values below it'
  }
}

function amountText(origin: string, amount: number | bigint): string {
  if (origin === 'string') return `${amount} characters long`
  return origin === 'array' ? `${amount} entries long` : String(amount)
}

/** The first form that comes near what was given; one of another type only when no other does. */
function unionText(forms: readonly (readonly z.core.$ZodIssue[])[]): string | undefined {
  const told = forms.flatMap(([first]) => (first === undefined ? [] : [first]))
  const near = told.find(({ code }) => code !== 'invalid_type')
  const typed = told.find((one) => one.code === 'invalid_type' && YAML_TYPES.has(one.expected))
  return (near ?? typed)?.message
}

const YAML_TYPES: ReadonlySet<string> = new Set(['string', 'number', 'int', 'boolean', 'array', 'object', 'record'])
