/** The keys that a rule may have in the settings, each by itself. */
import { z } from 'zod'
import { durationSchema } from '../../base/units.ts'
import { KINDS } from '../../source/parse/message.ts'
import { MEASURES, parseAmount } from '../amount.ts'
import { patternsSchema } from '../patterns.ts'
import { SEVERITIES } from './rule.ts'

export const AMOUNT_ERROR = 'must be an amount such as 10GB, 200Mbps, 25MB/s, or a number of packets'
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
export const FORM_KEYS = {
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
export type FormName = keyof typeof FORM_KEYS
export const FORM_NAMES = Object.keys(FORM_KEYS) as FormName[]
export const ALL_FORM_KEYS = [...new Set(Object.values(FORM_KEYS).flat())]

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
  'kind',
]

export const keys = z.strictObject({
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
export type Keys = z.output<typeof keys>

export type Fault = (key: string, text: string) => void
