/** Rules as files for Grafana's provisioning: rules, and a contact point if asked for; never the policy tree, which a file would replace as a
 * whole. Pure: texts in, texts out. */
import { createHash } from 'node:crypto'
import { parse, stringify } from 'yaml'
import { MS } from '../../base/clock.ts'
import { CollectorError } from '../../base/errors.ts'
import { formatDuration } from '../../base/units.ts'
import { isBytes } from '../amount.ts'
import type { AlertsConfig } from '../config.ts'
import type { Chain } from '../forms/form.ts'
import type { Rule } from '../rules/rule.ts'
import { DIMS } from '../rules/scope.ts'
import { groupText, replacePlaceholders } from '../summary.ts'
import { chainOf, type QueryOptions } from './grafana-query.ts'
import { noSource, type RuleSource, type Side, sourcesOf } from './rule-source.ts'

export const RULES_FILE = 'tailflux-alert-rules.yaml'
export const CONTACT_POINT_FILE = 'tailflux-contact-point.yaml'

export interface GrafanaExport {
  /** By file name. */
  readonly files: ReadonlyMap<string, string>
  /** Rules that only the service can judge, and why. */
  readonly skipped: readonly { readonly rule: string; readonly reason: string }[]
}

/** `before`: the rules file as it was exported last, if there is one; rules that are no more are deleted by the new one. Throws a
 * CollectorError (`config_invalid`) when that is no YAML. */
export function grafanaExport(config: AlertsConfig, options: QueryOptions, before?: string): GrafanaExport {
  const rules = config.rules.map(({ rule }) => rule)
  const skipped = rules.flatMap((rule) => {
    const reason = noSource(rule)
    return reason === undefined ? [] : [{ rule: rule.name, reason }]
  })
  const exported = rules
    .filter((rule) => noSource(rule) === undefined)
    .flatMap((rule) => sourcesOf(rule, options.networks).map((source) => ({ rule, source })))
  const uids = new Set(exported.map(({ rule, source }) => uidOf(rule, source.side)))
  const gone = [...uidsIn(before)].filter((uid) => !uids.has(uid)).toSorted()
  const content = {
    apiVersion: 1,
    ...(exported.length === 0
      ? {}
      : {
          groups: [
            {
              orgId: 1,
              name: 'tailflux-traffic',
              folder: config.grafana.folder.replaceAll('$', '$$$$'),
              interval: '1m',
              rules: exported.map(({ rule, source }) => grafanaRule(rule, source, config, options)),
            },
          ],
        }),
    ...(gone.length === 0 ? {} : { deleteRules: gone.map((uid) => ({ orgId: 1, uid })) }),
  }
  const files = new Map([[RULES_FILE, textOf(content)]])
  const point = contactPoint(config)
  if (point) files.set(CONTACT_POINT_FILE, textOf(point))
  return { files, skipped }
}

/** Stable: it depends on the rule's name and the side alone. */
export function uidOf({ name }: Pick<Rule, 'name'>, side?: Side): string {
  // No name has a space.
  const identity = side === undefined ? name : `${name} ${side}`
  return `tailflux-${createHash('sha1').update(identity).digest('hex').slice(0, 12)}`
}

function textOf(content: unknown): string {
  const head = '# Written by `tailflux grafana export` from the settings of tailflux: change those, not this file.\n'
  return head + stringify(content, { lineWidth: 0 })
}

/** uids of rules that an exported file has or deletes. */
function uidsIn(text: string | undefined): Set<string> {
  let file: { groups?: { rules?: { uid?: unknown }[] }[]; deleteRules?: { uid?: unknown }[] }
  try {
    file = (text === undefined ? undefined : parse(text)) ?? {}
  } catch (cause) {
    throw new CollectorError(
      `${RULES_FILE} as it is cannot be read, so it is not known which rules to delete; put it back, or remove it and delete old rules by hand.`,
      { stage: 'config', code: 'config_invalid', reaction: 'hold', cause },
    )
  }
  const rules = [...(file.groups ?? []).flatMap((group) => group.rules ?? []), ...(file.deleteRules ?? [])]
  return new Set(rules.map(({ uid }) => uid).filter((uid) => typeof uid === 'string'))
}

const ROLES: Readonly<Record<Side, string>> = { src: 'client', dst: 'server' }

function grafanaRule(rule: Rule, source: RuleSource, config: AlertsConfig, options: QueryOptions) {
  const chain = chainOf(rule, source, options)
  const isTaken = config.rules.some(({ rule: other }) => other !== rule && other.title === rule.title)
  const { receiver } = config.grafana
  const { side } = source
  const role = side === undefined ? '' : ` as ${ROLES[side]}`
  return {
    uid: uidOf(rule, side),
    // Titles must differ within a folder.
    title: expandable((isTaken ? `${rule.title} (${rule.name})` : rule.title) + role),
    condition: 'F',
    data: dataOf(chain, config.grafana.datasource),
    // No traffic is no incident; a database that does not answer is an error, not an alert of this rule.
    noDataState: 'OK',
    execErrState: 'Error',
    for: formatDuration(Number(rule.forNs / MS)),
    annotations: { summary: summaryTemplate(rule, source, options.tailnet, chain) + literal(role) },
    labels: {
      ...Object.fromEntries(Object.entries(rule.labels).map(([name, value]) => [name, expandable(value)])),
      service: 'tailflux',
      rule: rule.name,
      severity: rule.severity,
      ...(side === undefined ? {} : { side: ROLES[side] }),
    },
    isPaused: rule.isPaused,
    ...(receiver === undefined ? {} : { notification_settings: { receiver: expandable(receiver) } }),
  }
}

/** A, B: queries; C, D: their last values; E: what is made of both; F: the comparison. */
function dataOf(chain: Chain, datasource: string) {
  const expression = (refId: string, model: Record<string, unknown>) => ({
    refId,
    relativeTimeRange: { from: 0, to: 0 },
    datasourceUid: '__expr__',
    model: {
      refId,
      ...model,
      datasource: { type: '__expr__', uid: '__expr__' },
      intervalMs: 1000,
      maxDataPoints: 43200,
    },
  })
  const queries = chain.queries.map(({ text, fromSeconds, toSeconds }, index) => {
    const refId = 'AB'[index] ?? ''
    return {
      refId,
      relativeTimeRange: { from: fromSeconds, to: toSeconds },
      datasourceUid: datasource,
      model: {
        refId,
        datasource: { type: 'influxdb', uid: datasource },
        query: text,
        rawQuery: true,
        resultFormat: 'time_series',
        intervalMs: 60000,
        maxDataPoints: 43200,
      },
    }
  })
  const lasts = chain.queries.map((_, index) =>
    expression('CD'[index] ?? '', { type: 'reduce', expression: 'AB'[index], reducer: 'last' }),
  )
  const math = chain.math === undefined ? [] : [expression('E', { type: 'math', expression: chain.math })]
  const condition = {
    evaluator: { type: chain.compare, params: [chain.threshold] },
    ...(chain.recover === undefined
      ? {}
      : { unloadEvaluator: { type: chain.compare === 'gt' ? 'lt' : 'gt', params: [chain.recover] } }),
  }
  const threshold = expression('F', { type: 'threshold', expression: valueRef(chain), conditions: [condition] })
  return [...queries, ...lasts, ...math, threshold]
}

function valueRef(chain: Chain): string {
  return chain.math === undefined ? 'C' : 'E'
}

/** The sentence as a template of Grafana's. Annotations are not expanded like the rest of the file, and names are put in as text. */
function summaryTemplate(rule: Rule, source: RuleSource, tailnet: string, chain: Chain): string {
  const label = (name: string) => `{{ $labels.${name} }}`
  const value = `{{ humanize $values.${valueRef(chain)}.Value }}`
  const { form } = rule
  const texts = new Map<string, string>(
    Object.entries({
      rule: rule.name,
      title: rule.title,
      severity: rule.severity,
      tailnet,
      threshold: form.thresholdText,
      window: form.windowText,
    }).map(([name, text]) => [name, literal(text)]),
  )
  texts.set('value', `${value}${chain.unit ?? (isBytes(rule.measure) ? 'B' : ' packets')}`)
  for (const dim of DIMS) texts.set(dim, label(source.nameTag(dim)))
  texts.set('node_id', label(source.idTag))
  texts.set('group', groupText(rule, Object.fromEntries(DIMS.map((dim) => [dim, label(source.nameTag(dim))]))))
  // Literal text is made safe piece by piece; what is put in is ours.
  return rule.summaries.firing
    .split(/(\{[^{}]*\})/)
    .map((piece, index) => (index % 2 === 1 ? replacePlaceholders(piece, texts) : literal(piece)))
    .join('')
}

/** Text that a Go template shows as it is. */
function literal(text: string): string {
  return text.replaceAll('{{', '{{ "{{" }}')
}

/** Text in a field whose `$` Grafana expands. */
function expandable(text: string): string {
  return text.replaceAll('$', '$$$$')
}

function contactPoint({ grafana, notify }: AlertsConfig) {
  // Grafana sends JSON of its own.
  const webhook = notify.find(({ kind, body }) => kind === 'webhook' && body === undefined)
  if (!grafana.contactPoint || grafana.receiver === undefined || webhook === undefined) return undefined
  return {
    apiVersion: 1,
    contactPoints: [
      {
        orgId: 1,
        name: expandable(grafana.receiver),
        receivers: [
          {
            uid: 'tailflux-webhook',
            type: 'webhook',
            settings: {
              url: expandable(webhook.url.reveal()),
              httpMethod: 'POST',
              // The secret itself stays out of the file.
              ...(webhook.token === undefined
                ? {}
                : { authorization_scheme: 'Bearer', authorization_credentials: '$TAILFLUX_WEBHOOK_TOKEN' }),
            },
            disableResolveMessage: false,
          },
        ],
      },
    ],
  }
}
