/** The settings of one rule. What is wrong is told with the rule's name, everything at once. */
import type { z } from 'zod'
import { MINUTE, MS } from '../../base/clock.ts'
import { suggestion } from '../../base/suggestion.ts'
import { formatDuration } from '../../base/units.ts'
import type { Fault, FormType, Times } from '../forms/form.ts'
import { FORMS } from '../forms/index.ts'
import { placeholderFaults } from '../summary.ts'
import { type Rule, stepOf } from './rule.ts'
import { ALL_FORM_KEYS, FORM_NAMES, KEY_NAMES, type Keys, keys } from './rule-keys.ts'
import { measureOf, scopeOf } from './rule-scope.ts'

/** One rule from its settings. Adds every fault to `fault`, with the path of its key; undefined when there was one. */
export function ruleOf(given: unknown, fault: (path: PropertyKey[], text: string) => void): Rule | undefined {
  const parsed = keys.safeParse(given)
  if (!parsed.success) {
    const wrong = new Set<PropertyKey>()
    for (const issue of parsed.error.issues) {
      for (const one of flatten(issue)) {
        fault(one.path, one.text)
        wrong.add(one.path[0] ?? '')
      }
    }
    alsoWrong(given, wrong, fault)
    return undefined
  }
  let isGood = true
  const rule = decide(parsed.data as Keys, (key, text) => {
    isGood = false
    fault([key], text)
  })
  return isGood ? rule : undefined
}

/** What else is wrong with a rule when the keys that cannot be read are left out, so that nobody mends a file twice. */
function alsoWrong(
  given: unknown,
  wrong: ReadonlySet<PropertyKey>,
  fault: (path: PropertyKey[], text: string) => void,
) {
  if (typeof given !== 'object' || given === null) return
  const needed = ['by', 'kind', 'measure', 'per', ...FORM_NAMES]
  if (needed.some((key) => wrong.has(key))) return
  const rest = Object.fromEntries(Object.entries(given).filter(([key]) => !wrong.has(key)))
  const parsed = keys.safeParse({ name: 'unnamed', ...rest })
  if (parsed.success) decide(parsed.data as Keys, (key, text) => fault([key], text))
}

function decide(given: Keys, fault: Fault): Rule | undefined {
  const forms = FORMS.filter(({ name }) => givenAs(given, name) !== undefined)
  const [form] = forms
  if (form === undefined || forms.length > 1) {
    fault(
      form?.name ?? 'name',
      `a rule has exactly one of ${FORM_NAMES.join(', ')}${form ? `, not ${forms.map(({ name }) => name).join(' and ')}` : ''}`,
    )
    return undefined
  }
  for (const key of ALL_FORM_KEYS) {
    if (givenAs(given, key) !== undefined && !(key in form.keys)) {
      const owners = FORMS.filter(({ keys }) => key in keys).map(({ name }) => name)
      fault(key, `belongs to ${owners.join(', ')}, and this rule is one of ${form.name}`)
    }
  }
  const scope = scopeOf(given, form, fault)
  const { windowNs, spanNs, lengths } = form.times?.(given, fault) ?? windowTimes(given, form, fault)
  const stepNs = stepOf(spanNs, lengths)
  if (stepNs === undefined) {
    fault(
      'window',
      `cannot be divided into equal intervals; use a round length such as ${formatDuration(roundTo(windowNs))}`,
    )
  }
  const full = { ...scope, measure: measureOf(given, form, scope, fault), windowNs }
  const made = form.make(given, full, fault)
  const { summary } = given
  if (summary !== undefined) for (const text of placeholderFaults(summary, scope.by)) fault('summary', text)
  return {
    name: given.name,
    title: given.title ?? given.name,
    form: made,
    ...full,
    forNs: BigInt(given.for) * MS,
    stepNs: stepNs ?? MINUTE,
    severity: given.severity,
    labels: given.labels,
    summaries: summary === undefined ? made.summaries : { firing: summary, resolved: summary },
    isPaused: given.paused,
    identity: identityOf(given),
  }
}

function identityOf(given: Keys): string {
  const { title: _, summary: __, paused: ___, ...rest } = given
  return JSON.stringify(rest)
}

function givenAs(given: Keys, key: string): unknown {
  return (given as Readonly<Record<string, unknown>>)[key]
}

const WINDOW_MS = 15 * 60_000

/** A rule that looks at its window alone. */
function windowTimes(given: Keys, form: FormType, fault: Fault): Times {
  const windowMs = given.window ?? form.defaults?.windowMs ?? WINDOW_MS
  if (windowMs % 60_000 !== 0) fault('window', 'must be whole minutes')
  const windowNs = BigInt(windowMs) * MS
  return { windowNs, spanNs: windowNs, lengths: [windowNs] }
}

function roundTo(windowNs: bigint): number {
  const hours = Number(windowNs / (60n * MINUTE))
  return Math.max(1, Math.round(hours / 24)) * 86_400_000
}

/** A fault of a union is told by the branch that came furthest, instead of as "invalid input". */
function flatten(issue: z.core.$ZodIssue): { path: PropertyKey[]; text: string }[] {
  if (issue.code === 'unrecognized_keys') {
    const [what, names] = issue.path[0] === 'where' ? ['of where', KEY_NAMES.where] : ['of a rule', KEY_NAMES.rule]
    const text = (key: string) => `is no key ${what}${suggestion(key, names) || `; there are ${names.join(', ')}`}`
    return issue.keys.map((key) => ({ path: [...issue.path, key], text: text(key) }))
  }
  if (issue.code === 'invalid_union') {
    const branch = issue.errors.find((one) =>
      one.some((inner) => inner.code !== 'invalid_type' || inner.path.length > 0),
    )
    if (branch)
      return branch.flatMap((inner) => flatten(inner).map((one) => ({ ...one, path: [...issue.path, ...one.path] })))
  }
  if (issue.code === 'invalid_key') {
    return issue.issues.flatMap((inner) =>
      flatten(inner).map((one) => ({ ...one, path: [...issue.path, ...one.path] })),
    )
  }
  const isNoRule = issue.path.length === 0 && issue.code === 'invalid_type'
  return [{ path: issue.path as PropertyKey[], text: isNoRule ? 'must be a list of keys and values' : issue.message }]
}
