/** What differs between two sets of settings, for a reload. */
import { isDeepStrictEqual } from 'node:util'
import { Secret } from '../secrets/secret.ts'
import { get } from './at-path.ts'
import { KEYS } from './keys.ts'
import type { Loaded } from './load.ts'

/** Names of keys whose values differ, secrets by their values. */
export function changedKeys(before: Loaded, after: Loaded): readonly string[] {
  const changed = KEYS.filter(({ path }) => !isSame(get(before.settings, path), get(after.settings, path)))
  // Secrets inside of lists show no difference above.
  const isOther = !isDeepStrictEqual(valuesOf(before), valuesOf(after))
  const names = changed.map(({ name }) => name)
  return isOther && names.length === 0 ? ['a secret'] : names
}

function isSame(one: unknown, other: unknown): boolean {
  if (one instanceof Secret && other instanceof Secret) return one.reveal() === other.reveal()
  // As they were given: what a list was made into holds functions, which are never equal.
  return JSON.stringify(one) === JSON.stringify(other)
}

function valuesOf({ secrets }: Loaded): string[] {
  return secrets.map((secret) => secret.reveal())
}
