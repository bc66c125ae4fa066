/** The keys that a rule may have in the settings, each by itself. */
import { z } from 'zod'
import { durationSchema } from '../../base/units.ts'
import { KINDS } from '../../source/parse/message.ts'
import { MEASURES } from '../amount.ts'
import type { Given } from '../forms/form.ts'
import { FORMS } from '../forms/index.ts'
import { patternsSchema } from '../patterns.ts'
import { SEVERITIES } from './rule.ts'

const oneOrMore = <T extends z.ZodType>(item: T) =>
  z.union([item.transform((one) => [one]), z.array(item).min(1).max(100)])

/** What may stand in `by`: dimensions, and words for what people mean by them. */
const BY = [
  'node',
  'pair',
  'src',
  'dst',
  'port',
  'proto',
  'owner',
  'network',
  'exitNode',
  'subnetRouter',
  'kind',
  'total',
] as const

export const ALL_FORM_KEYS = [...new Set(FORMS.flatMap(({ keys }) => Object.keys(keys)))]
export const FORM_NAMES = FORMS.map(({ name }) => name)

const NAME_PATTERN = /^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$/
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
  'network',
  'kind',
]

const where = z.strictObject({
  node: patternsSchema.optional(),
  owner: patternsSchema.optional(),
  src: patternsSchema.optional(),
  dst: patternsSchema.optional(),
  network: patternsSchema.optional(),
  port: oneOrMore(z.number().int().min(1).max(65535)).optional(),
  proto: oneOrMore(
    z.string().regex(/^[a-z0-9-]{1,32}$/, 'must be a protocol such as tcp, udp, icmp or tsmp'),
  ).optional(),
})

const common = {
  name: z.string().regex(NAME_PATTERN, 'must have 1 to 64 of a-z, 0-9 and -, such as exit-egress'),
  title: z.string().min(1).max(200).optional(),
  kind: oneOrMore(z.enum(KINDS)).optional(),
  by: oneOrMore(z.enum(BY)).optional(),
  where: where.optional(),
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
}

/** Beside the common keys a rule has the keys of exactly one form. */
export const keys = z.strictObject({ ...common, ...Object.assign({}, ...FORMS.map((form) => form.keys)) })
/** The keys that a rule may have, and those of its `where`. */
export const KEY_NAMES = { rule: Object.keys(keys.shape), where: Object.keys(where.shape) }
/** Keys of forms are given to the form that they belong to. */
export type Keys = z.output<z.ZodObject<typeof common>> & Given<z.ZodRawShape>
