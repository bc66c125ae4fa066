/** The settings of one rule. What is wrong is told with the rule's name, everything at once. */
import { z } from 'zod'
import { DAY, MINUTE, MS } from '../clock.ts'
import { KINDS, type Kind } from '../source/message.ts'
import { durationSchema, formatDuration } from '../units.ts'
import { type Amount, isBytes, MEASURES, parseAmount, totalOf } from './amount.ts'
import { patternsSchema } from './patterns.ts'
import { DIMS, type Dim, type Form, OFFSET_OF, type Rule, SEVERITIES, stepOf, type Where } from './rule.ts'
import { DEFAULT_SUMMARIES, placeholderFaults } from './summary.ts'

const AMOUNT_ERROR = 'must be an amount such as 10GB, 200Mbps, 25MB/s, or a number of packets'
const amount = z.union([z.string(), z.number().int().min(0)], { error: AMOUNT_ERROR }).transform((text, context) => {
  const parsed = parseAmount(text)
  if (parsed && parsed.value > 0) return parsed
  context.addIssue({ code: 'custom', message: AMOUNT_ERROR })
  return z.NEVER
})
/** A share or a factor, where the form says so, else an amount. */
const recovery = z.union([z.string(), z.number().min(0)], { error: AMOUNT_ERROR })
const oneOrMore = <T extends z.ZodType>(item: T) =>
  z.union([item.transform((one) => [one]), z.array(item).min(1).max(100)])
const count = (max: number) => z.number().int().min(1).max(max)

/** What may stand in `by`: dimensions, and words for what people mean by them. */
const BY = [
  'node',
  'pair',
  'src',
  'dst',
  'port',
  'proto',
  'owner',
  'exitNode',
  'subnetRouter',
  'kind',
  'total',
] as const

/** Beside the common keys a rule has the keys of exactly one form. */
const FORM_KEYS = {
  above: ['above', 'recoverBelow'],
  below: ['below', 'recoverAbove', 'within'],
  silentFor: ['silentFor', 'within'],
  relayShareAbove: ['relayShareAbove', 'recoverBelow', 'atLeast'],
  ratioToPreviousAbove: ['ratioToPreviousAbove', 'previous', 'recoverBelow', 'atLeast'],
  newFor: ['newFor'],
  distinctPeersAbove: ['distinctPeersAbove', 'recoverBelow'],
  distinctPortsAbove: ['distinctPortsAbove', 'recoverBelow'],
  rejectedAbove: ['rejectedAbove', 'recoverBelow'],
  quotaAbove: ['quotaAbove', 'per'],
} as const
type FormName = keyof typeof FORM_KEYS
const FORM_NAMES = Object.keys(FORM_KEYS) as FormName[]
const ALL_FORM_KEYS = [...new Set(Object.values(FORM_KEYS).flat())]

export const NAME_PATTERN = /^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$/
const LABEL_PATTERN = /^[a-zA-Z_][a-zA-Z0-9_]*$/
/** Labels that tell alerts of one rule apart, and those that every alert has. */
const OWN_LABELS = [
  'alertname',
  'severity',
  'tailnet',
  'node',
  'node_name',
  'src',
  'dst',
  'port',
  'proto',
  'owner',
  'kind',
]

const keys = z.strictObject({
  name: z.string().regex(NAME_PATTERN, 'must have 1 to 64 of a-z, 0-9 and -, such as exit-egress'),
  title: z.string().min(1).max(200).optional(),
  kind: oneOrMore(z.enum(KINDS)).optional(),
  by: oneOrMore(z.enum(BY)).optional(),
  where: z
    .strictObject({
      node: patternsSchema.optional(),
      owner: patternsSchema.optional(),
      src: patternsSchema.optional(),
      dst: patternsSchema.optional(),
      port: oneOrMore(z.number().int().min(1).max(65535)).optional(),
      proto: oneOrMore(
        z.string().regex(/^[a-z0-9-]{1,32}$/, 'must be a protocol such as tcp, udp, icmp or tsmp'),
      ).optional(),
    })
    .optional(),
  measure: z.enum(MEASURES).optional(),
  window: durationSchema({ min: '1m', max: '31d' }).optional(),
  for: durationSchema({ default: '0s', min: '0s', max: '7d' }),
  severity: z.enum(SEVERITIES).default('warning'),
  labels: z
    .record(
      z
        .string()
        .regex(LABEL_PATTERN, 'must be a name of letters, digits and _, such as team')
        .refine((name) => !OWN_LABELS.includes(name), 'is a label that every alert has already'),
      z.string().max(256),
    )
    .refine((labels) => Object.keys(labels).length <= 20, 'must be at most 20 labels')
    .default({}),
  summary: z.string().min(1).max(500).optional(),
  paused: z.boolean().default(false),

  above: amount.optional(),
  below: amount.optional(),
  recoverBelow: recovery.optional(),
  recoverAbove: recovery.optional(),
  within: durationSchema({ min: '1m', max: '31d' }).optional(),
  silentFor: durationSchema({ min: '1m', max: '7d' }).optional(),
  relayShareAbove: z.number().gt(0).lt(100).optional(),
  atLeast: amount.optional(),
  ratioToPreviousAbove: z.number().gt(0).max(1_000_000).optional(),
  previous: z.enum(['hour', 'day', 'week']).optional(),
  newFor: durationSchema({ min: '1h', max: '90d' }).optional(),
  distinctPeersAbove: count(1_000_000).optional(),
  distinctPortsAbove: count(65_535).optional(),
  rejectedAbove: count(1_000_000_000).optional(),
  quotaAbove: amount.optional(),
  per: z.enum(['day', 'month']).optional(),
})
type Keys = z.output<typeof keys>

type Fault = (key: string, text: string) => void

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
  const rule = decide(parsed.data, (key, text) => {
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
  if (parsed.success) decide(parsed.data, (key, text) => fault([key], text))
}

function decide(given: Keys, fault: Fault): Rule | undefined {
  const names = FORM_NAMES.filter((name) => given[name] !== undefined)
  const [name] = names
  if (name === undefined || names.length > 1) {
    fault(
      name ?? 'name',
      `a rule has exactly one of ${FORM_NAMES.join(', ')}${name ? `, not ${names.join(' and ')}` : ''}`,
    )
    return undefined
  }
  for (const key of ALL_FORM_KEYS) {
    if (given[key] !== undefined && !(FORM_KEYS[name] as readonly string[]).includes(key)) {
      const owner = FORM_NAMES.filter((one) => (FORM_KEYS[one] as readonly string[]).includes(key))
      fault(key, `belongs to ${owner.join(', ')}, and this rule is one of ${name}`)
    }
  }
  if (name === 'newFor' && given.for > 0) fault('for', 'has no meaning for newFor: what is new is told at once')
  const scope = scopeOf(given, name, fault)
  const { windowNs, spanNs, lengths } = timesOf(given, name, fault)
  const stepNs = stepOf(spanNs, lengths)
  if (stepNs === undefined) {
    fault('window', `cannot be cut into equal pieces; take a round length such as ${formatDuration(roundTo(windowNs))}`)
  }
  const measure = measureOf(given, name, scope, fault)
  const form = formOf(given, name, measure, windowNs, fault)
  const title = given.title ?? given.name
  const summary = given.summary ?? DEFAULT_SUMMARIES[form.is]
  for (const text of placeholderFaults(summary, scope.by)) fault('summary', text)
  return {
    name: given.name,
    title,
    form,
    ...scope,
    measure,
    windowNs,
    forNs: BigInt(given.for) * MS,
    stepNs: stepNs ?? MINUTE,
    severity: given.severity,
    labels: given.labels,
    summary,
    isPaused: given.paused,
  }
}

function scopeOf(given: Keys, name: FormName, fault: Fault): Pick<Rule, 'kinds' | 'by' | 'isRouter' | 'where'> {
  const words = given.by ?? [name === 'newFor' || name === 'distinctPortsAbove' ? 'pair' : 'node']
  const isExit = words.includes('exitNode')
  const isRouter = isExit || words.includes('subnetRouter')
  if (isExit && words.includes('subnetRouter')) fault('by', 'must be exitNode or subnetRouter, not both')
  if (words.includes('total') && words.length > 1) fault('by', 'must be total alone: it means the whole tailnet')
  const dims = new Set<Dim>()
  for (const word of words) {
    if (word === 'pair') dims.add('src').add('dst')
    else if (word === 'exitNode' || word === 'subnetRouter') dims.add('node')
    else if (word !== 'total') dims.add(word)
  }
  const by = DIMS.filter((dim) => dims.has(dim))
  const kinds = given.kind ?? defaultKinds(name, isExit, isRouter, dims)
  if (new Set(kinds).size > 1 && !dims.has('kind')) {
    fault('kind', 'must be one, because the same bytes appear in several kinds; or add kind to `by` to keep them apart')
  }
  if (isRouter && kinds.some((kind) => kind !== (isExit ? 'exit' : 'subnet')))
    fault('kind', `must be ${isExit ? 'exit' : 'subnet'} for ${isExit ? 'exitNode' : 'subnetRouter'}`)
  const where: Where = withoutUndefined(given.where ?? {})
  const hasEnds = dims.has('src') || dims.has('dst') || where.src !== undefined || where.dst !== undefined
  if (kinds.includes('physical') && (hasEnds || dims.has('port') || where.port !== undefined)) {
    fault('kind', 'physical traffic has no names and ports of services at its far end: use virtual, subnet or exit')
  }
  if (name === 'relayShareAbove') {
    if (kinds.some((kind) => kind !== 'physical')) fault('kind', 'must be physical: only that goes through relays')
    if (by.some((dim) => dim !== 'node' && dim !== 'owner'))
      fault('by', 'must be node, owner or total for relayShareAbove')
  }
  if (name === 'distinctPeersAbove' && dims.has('dst'))
    fault('by', 'must not have dst or pair: the peers are what is counted')
  if (name === 'distinctPortsAbove' && dims.has('port'))
    fault('by', 'must not have port: the ports are what is counted')
  if (name === 'distinctPeersAbove' && kinds.includes('physical')) fault('kind', 'must be virtual, subnet or exit')
  if (name === 'rejectedAbove' && where.proto !== undefined) fault('where', 'must not have proto: rejections are tsmp')
  return {
    kinds: [...new Set(kinds)],
    by,
    isRouter,
    where: name === 'rejectedAbove' ? { ...where, proto: ['tsmp'] } : where,
  }
}

function defaultKinds(name: FormName, isExit: boolean, isRouter: boolean, dims: ReadonlySet<Dim>): Kind[] {
  if (isRouter) return [isExit ? 'exit' : 'subnet']
  if (name === 'relayShareAbove' || name === 'silentFor') return ['physical']
  return dims.has('kind') ? [...KINDS] : ['virtual']
}

const DEFAULT_WINDOWS: Record<FormName, number> = {
  above: 15 * 60_000,
  below: 15 * 60_000,
  silentFor: 0,
  relayShareAbove: 3_600_000,
  ratioToPreviousAbove: 3_600_000,
  newFor: 3_600_000,
  distinctPeersAbove: 5 * 60_000,
  distinctPortsAbove: 5 * 60_000,
  rejectedAbove: 15 * 60_000,
  quotaAbove: 0,
}

function timesOf(given: Keys, name: FormName, fault: Fault) {
  if (name === 'quotaAbove') {
    if (given.window !== undefined)
      fault('window', 'has no meaning here: a quota counts from the begin of the day or month')
    const windowNs = given.per === 'month' ? 31n * DAY : DAY
    return { windowNs, spanNs: windowNs, lengths: [DAY] }
  }
  if (name === 'silentFor' && given.window !== undefined)
    fault('window', 'has no meaning here: silentFor is the window')
  const windowMs = given.silentFor ?? given.window ?? DEFAULT_WINDOWS[name]
  if (windowMs % 60_000 !== 0) fault(given.silentFor === undefined ? 'window' : 'silentFor', 'must be whole minutes')
  const windowNs = BigInt(windowMs) * MS
  if (given.within !== undefined && given.within <= windowMs)
    fault('within', `must be longer than ${formatDuration(windowMs)}`)
  if (name !== 'ratioToPreviousAbove') return { windowNs, spanNs: windowNs, lengths: [windowNs] }
  const offsetNs = OFFSET_OF[given.previous ?? 'day']
  if (windowNs > offsetNs) fault('window', `must be at most the ${given.previous ?? 'day'} that it is compared with`)
  return { windowNs, spanNs: windowNs + offsetNs, lengths: [windowNs, offsetNs] }
}

function measureOf(given: Keys, name: FormName, scope: Pick<Rule, 'by' | 'isRouter'>, fault: Fault): Rule['measure'] {
  const takesNone = ['silentFor', 'newFor', 'distinctPeersAbove', 'distinctPortsAbove', 'relayShareAbove'] as FormName[]
  if (takesNone.includes(name)) {
    if (given.measure !== undefined) fault('measure', `has no meaning for ${name}`)
    return name === 'relayShareAbove' ? 'bytes' : 'tx_bytes'
  }
  if (name === 'rejectedAbove') {
    if (given.measure !== undefined && isBytes(given.measure))
      fault('measure', 'must be tx_pkts, rx_pkts or pkts: rejections are counted')
    return given.measure ?? 'tx_pkts'
  }
  const isCount = (given.above ?? given.below ?? given.quotaAbove)?.of === 'pkts'
  // Only the router itself reports here, so both directions may be added up.
  const measure = given.measure ?? (scope.isRouter ? (isCount ? 'pkts' : 'bytes') : isCount ? 'tx_pkts' : 'tx_bytes')
  if ((measure === 'bytes' || measure === 'pkts') && !scope.by.includes('node')) {
    fault(
      'measure',
      `${measure} would count traffic between two nodes twice, because both ends report it: use tx_${measure}`,
    )
  }
  return measure
}

function formOf(given: Keys, name: FormName, measure: Rule['measure'], windowNs: bigint, fault: Fault): Form {
  const windowMs = Number(windowNs / MS)
  const total = (key: string, one: Amount): number => {
    if ((one.of === 'bytes') !== isBytes(measure)) {
      fault(
        key,
        `must be ${isBytes(measure) ? 'a size or a rate such as 10GB or 200Mbps' : 'a number of packets'}, as ${measure} is`,
      )
    }
    return totalOf(one, windowMs)
  }
  const recover = (key: 'recoverBelow' | 'recoverAbove', threshold: number): number => {
    const text = given[key]
    if (text === undefined) return threshold
    const isAmount = name === 'above' || name === 'below'
    const one = isAmount ? parseAmount(text) : Number(text)
    if (one === undefined || Number.isNaN(one)) fault(key, isAmount ? AMOUNT_ERROR : 'must be a number')
    const value = typeof one === 'object' ? total(key, one) : (one ?? threshold)
    if (key === 'recoverBelow' ? value > threshold : value < threshold)
      fault(key, `must be ${key === 'recoverBelow' ? 'at most' : 'at least'} the threshold`)
    return value
  }
  const atLeast = (fallback: number) => (given.atLeast ? total('atLeast', given.atLeast) : fallback)
  const above = (threshold: number) => ({ threshold, recover: recover('recoverBelow', threshold) })
  switch (name) {
    case 'above':
      return { is: 'above', ...above(total('above', given.above!)), amount: given.above! }
    case 'below': {
      const threshold = total('below', given.below!)
      const withinMs = given.within ?? Math.max(24 * 3_600_000, 2 * windowMs)
      return { is: 'below', threshold, recover: recover('recoverAbove', threshold), amount: given.below!, withinMs }
    }
    case 'silentFor':
      return { is: 'silent', withinMs: given.within ?? Math.max(6 * 3_600_000, 4 * windowMs) }
    case 'relayShareAbove':
      return { is: 'relayShare', ...above(given.relayShareAbove!), atLeast: atLeast(100e6) }
    case 'ratioToPreviousAbove':
      return {
        is: 'ratio',
        ...above(given.ratioToPreviousAbove!),
        atLeast: atLeast(isBytes(measure) ? 1e9 : 1e6),
        previous: given.previous ?? 'day',
      }
    case 'newFor':
      return { is: 'new', memoryMs: given.newFor! }
    case 'distinctPeersAbove':
      return { is: 'distinct', of: 'dst', ...above(given.distinctPeersAbove!) }
    case 'distinctPortsAbove':
      return { is: 'distinct', of: 'port', ...above(given.distinctPortsAbove!) }
    case 'rejectedAbove': {
      const threshold = given.rejectedAbove!
      return { is: 'above', ...above(threshold), amount: { per: 'window', of: 'pkts', value: threshold } }
    }
    case 'quotaAbove': {
      if (given.quotaAbove!.per === 'second') fault('quotaAbove', 'must be a volume such as 500GB, not a rate')
      if (given.per === undefined) fault('per', 'is needed: day or month')
      return {
        is: 'quota',
        threshold: total('quotaAbove', given.quotaAbove!),
        amount: given.quotaAbove!,
        per: given.per ?? 'day',
      }
    }
  }
}

function roundTo(windowNs: bigint): number {
  const hours = Number(windowNs / (60n * MINUTE))
  return Math.max(1, Math.round(hours / 24)) * 86_400_000
}

function withoutUndefined(where: { [K in keyof Where]: Where[K] | undefined }): Where {
  return Object.fromEntries(Object.entries(where).filter(([, value]) => value !== undefined)) as Where
}

/** A fault of a union is told by the branch that came furthest, instead of as "invalid input". */
function flatten(issue: z.core.$ZodIssue): { path: PropertyKey[]; text: string }[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...issue.path, key], text: 'is no key of a rule' }))
  }
  if (issue.code === 'invalid_union') {
    const branch = issue.errors.filter((one) =>
      one.some((inner) => inner.code !== 'invalid_type' || inner.path.length > 0),
    )[0]
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
