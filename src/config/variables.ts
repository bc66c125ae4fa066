/** The variables of the environment: their type, and which are settings. */
import { KEYS } from './keys.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** Every variable that sets a key, `…_FILE` of secrets too. */
export const VARIABLES: ReadonlySet<string> = new Set(
  KEYS.flatMap((key) => [
    ...key.variables,
    ...(key.kind === 'secret' ? key.variables.map((variable) => `${variable}_FILE`) : []),
  ]),
)

/** Undefined for what is not set; an empty variable is not set, as compose files pass on variables that have no value. */
export function filled(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === '' ? undefined : text
}
