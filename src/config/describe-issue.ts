/** What is wrong with settings, as lines for people: with the place, and with the name that was probably meant. */
import type { z } from 'zod'
import { KEYS } from './keys.ts'
import { replacementOf } from './replaced.ts'
import type { SettingsFile } from './settings-file.ts'

/** An issue of the schema as lines for people. `origins`: by key name, the variable or file that set it. */
export function describeIssue(
  issue: z.core.$ZodIssue,
  file: SettingsFile | undefined,
  path: string | undefined,
  origins: ReadonlyMap<string, string>,
): string[] {
  const where = (at: readonly PropertyKey[]) => {
    const name = at.join('.')
    const key = KEYS.find((one) => name === one.name || name.startsWith(`${one.name}.`))
    const origin = key && origins.get(key.name)
    if (origin !== undefined && !origin.startsWith('the file')) return `${origin} (${name})`
    const line = file?.lineOf(at)
    return line === undefined ? name : `${path} line ${line}: ${name}`
  }
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((name) => {
      const at = [...issue.path, name]
      const replacement = replacementOf(at.join('.'))
      if (replacement !== undefined) return `${where(at)} ${replacement}`
      const siblings = KEYS.filter(({ path }) => issue.path.every((part, index) => path[index] === part)).map(
        (key) => key.path[issue.path.length] ?? '',
      )
      return `${where(at)}: unknown setting${suggestion(name, siblings)}`
    })
  }
  return [`${where(issue.path)}: ${issue.message}`]
}

/** `, did you mean …?` when a name is near enough. */
export function suggestion(name: string, names: readonly string[]): string {
  const near = names.map((one) => ({ one, distance: distance(name.toLowerCase(), one.toLowerCase()) }))
  const best = near.toSorted((a, b) => a.distance - b.distance)[0]
  return best !== undefined && best.distance <= Math.max(2, name.length / 4) ? `; did you mean ${best.one}?` : ''
}

/** Levenshtein's. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= other.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, change))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
