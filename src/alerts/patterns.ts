/** Patterns for names: `*` any letters, `?` one letter, `!` in front excludes. No regular expressions: those of JavaScript and of InfluxDB
 * are not the same language, and a rule must mean the same in both. */
import { z } from 'zod'

export interface Patterns {
  /** Empty: everything that is not excluded. */
  readonly wanted: readonly string[]
  readonly excluded: readonly string[]
}

const pattern = z
  .string({ error: 'must be a pattern such as exit-* (with * and ?, and ! in front to exclude)' })
  .min(1, 'must not be empty')
  .max(256, 'must be at most 256 characters')
  .refine((text) => text !== '!', 'must name something after the !')
  // Each star doubles what a matcher may have to try.
  .refine((text) => (text.match(/\*/g) ?? []).length <= 4, 'must have at most four *')

/** One pattern or a list of them. */
export const patternsSchema = z
  .union([pattern, z.array(pattern).min(1).max(100)], { error: 'must be a pattern such as exit-*, or a list of them' })
  .transform((given): Patterns => {
    const all = typeof given === 'string' ? [given] : given
    return {
      wanted: all.filter((one) => !one.startsWith('!')),
      excluded: all.filter((one) => one.startsWith('!')).map((one) => one.slice(1)),
    }
  })

/** True for a name (or the id or address beside it) that is wanted and not excluded. */
export function createMatcher(patterns: Patterns): (...names: string[]) => boolean {
  const wanted = patterns.wanted.length > 0 ? new RegExp(anyOf(patterns.wanted), 'su') : undefined
  const excluded = patterns.excluded.length > 0 ? new RegExp(anyOf(patterns.excluded), 'su') : undefined
  return (...names) =>
    (wanted === undefined || names.some((name) => wanted.test(name))) &&
    (excluded === undefined || !names.some((name) => excluded.test(name)))
}

/** The same as a condition in InfluxQL over tags that hold the name and the id or address. */
export function toInfluxQL(patterns: Patterns, tags: readonly string[]): string[] {
  const conditions: string[] = []
  if (patterns.wanted.length > 0) {
    const regex = `/${anyOf(patterns.wanted)}/`
    const some = tags.map((tag) => `"${tag}" =~ ${regex}`)
    conditions.push(some.length > 1 ? `(${some.join(' OR ')})` : some.join())
  }
  if (patterns.excluded.length > 0) for (const tag of tags) conditions.push(`"${tag}" !~ /${anyOf(patterns.excluded)}/`)
  return conditions
}

/** One regular expression that JavaScript and Go (RE2) read alike. */
function anyOf(patterns: readonly string[]): string {
  return `^(?:${patterns.map(regexOf).join('|')})$`
}

function regexOf(text: string): string {
  return text
    .replace(/[.+^${}()|[\]\\/]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
}
