/** How long the database keeps points, in the terms of each product. */
import type { Clock } from '../base/clock.ts'
import { MS } from '../base/clock.ts'
import { cellOf, type InfluxQl } from '../query/influxql.ts'
import type { InfluxApi } from '../sink/config.ts'
import { messageOf } from '../sink/influxdb/error-message.ts'
import { identifier } from '../sink/influxdb/influxql.ts'
import type { Place } from '../sink/influxdb/places.ts'
import { refusal } from '../sink/influxdb/response-policy.ts'
import type { InfluxHttp } from '../sink/influxdb/transport.ts'

/** How long points are kept; `seconds` undefined: forever. */
interface Retention {
  /** The retention policy, bucket or database. */
  readonly name: string
  readonly seconds: number | undefined
}

/** `unanswerable`: this product does not report it. `missing`: no such bucket or policy, or these credentials may not see it. `not made yet`: a
 * database of 3.x that the first write would make. */
export type RetentionFacts = Retention | 'unanswerable' | 'missing' | 'not made yet'

interface RetentionDeps {
  readonly http: InfluxHttp
  readonly influxql: InfluxQl
  readonly label: string
  readonly clock: Pick<Clock, 'now'>
}

/** Of a retention policy of 1.x, or of a database of 3.x, which shows itself as its only policy. Rejects with a CollectorError when the query fails. */
export async function policyRetention(
  { name }: Place,
  { influxql, db, api }: RetentionDeps & { readonly db: string; readonly api: InfluxApi },
  signal: AbortSignal,
): Promise<RetentionFacts> {
  const database = api === 'v1' ? db : (name ?? db)
  const [table] = await influxql.query(`SHOW RETENTION POLICIES ON ${identifier(database)}`, signal)
  const row = table?.rows.find((one) =>
    name === undefined ? cellOf(table, one, 'default') === true : cellOf(table, one, 'name') === name,
  )
  if (table === undefined || row === undefined) return 'missing'
  return { name: String(cellOf(table, row, 'name')), seconds: goSeconds(String(cellOf(table, row, 'duration'))) }
}

/** Of a bucket of 2.x. Rejects as `policyRetention`. */
export async function bucketRetention(
  name: string,
  organisation: string | undefined,
  { http, label, clock }: RetentionDeps,
  signal: AbortSignal,
): Promise<RetentionFacts> {
  const org = organisation === undefined ? '' : `&org=${encodeURIComponent(organisation)}`
  const answer = await http.send(
    {
      method: 'GET',
      path: `/api/v2/buckets?name=${encodeURIComponent(name)}${org}`,
      headers: { accept: 'application/json' },
    },
    signal,
  )
  if (answer.status === 404) return 'missing'
  if (answer.status !== 200) throw refusal(answer, messageOf(answer.body), label, Number(clock.now() / MS))
  const bucket = bucketIn(answer.body, name)
  if (bucket === undefined) return 'missing'
  const seconds = bucket.retentionRules?.find((rule) => rule.type === undefined || rule.type === 'expire')?.everySeconds
  return { name, seconds: seconds === undefined || seconds === 0 ? undefined : seconds }
}

/** `flags` as VictoriaMetrics shows them; undefined: it does not show them. */
export function flagRetention(flags: string | undefined): RetentionFacts {
  if (flags === undefined) return 'unanswerable'
  const [, amount = '1', unit = ''] = /^-retentionPeriod="([\d.]+)([a-z]*)"/m.exec(flags) ?? []
  // Without a unit it is months, as its own documentation counts them: 31 days.
  const days = { h: 1 / 24, d: 1, w: 7, y: 365 }[unit] ?? 31
  return { name: 'retentionPeriod', seconds: Number(amount) * days * 86_400 }
}

interface WireBucket {
  readonly name?: string
  readonly retentionRules?: readonly { readonly type?: string; readonly everySeconds?: number }[]
}

function bucketIn(body: string, name: string): WireBucket | undefined {
  try {
    const { buckets } = JSON.parse(body) as { buckets?: readonly WireBucket[] }
    return Array.isArray(buckets) ? buckets.find((bucket: WireBucket) => bucket.name === name) : undefined
  } catch {
    return undefined
  }
}

/** `168h0m0s` → 604800; 0 means forever. */
function goSeconds(text: string): number | undefined {
  let seconds = 0
  for (const [, amount, unit] of text.matchAll(/([\d.]+)(h|ms|m|s)/g)) {
    seconds += Number(amount) * { h: 3600, m: 60, s: 1, ms: 0.001 }[unit as 'h' | 'm' | 's' | 'ms']
  }
  return seconds === 0 ? undefined : seconds
}
