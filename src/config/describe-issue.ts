/** What is wrong with settings, as lines for people: with the place, and with the name that was probably meant. */
import type { z } from 'zod'
import { suggestion } from '../base/suggestion.ts'
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
