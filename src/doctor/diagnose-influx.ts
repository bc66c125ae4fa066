/** Diagnoses what the answers of the database mean for the service. Pure. */

import type { CollectorError } from '../base/errors.ts'
import { ageText } from '../base/format.ts'
import { formatDuration } from '../base/units.ts'
import { CORE_DATABASES_MAX, coreIsFull, isCore } from '../provision/influx3.ts'
import type { InfluxApi, InfluxConfig } from '../sink/config.ts'
import { identifier } from '../sink/influxdb/influxql.ts'
import type { Place } from '../sink/influxdb/places.ts'
import type { Greeting, Product } from '../sink/influxdb/server.ts'
import { diagnoseLimits, diagnoseVersion } from './diagnose-server.ts'
import { counted, type Finding, findingsOf } from './finding.ts'
import type { CheckpointFacts, InfluxFacts, PlaceFacts } from './probe-influx.ts'

const { ok, warning, error, skipped } = findingsOf('database')

/** What of the settings matters here; ms. */
export interface WritingPlan {
  readonly latePassesMs: readonly number[]
  readonly lookbackMs: number
  /** Of the API: the oldest points that can ever be written after a long outage. */
  readonly apiRetentionMs: number
}

const NAMES: Record<Product, string> = {
  v1: 'InfluxDB',
  v2: 'InfluxDB',
  v3: 'InfluxDB',
  'victoria-metrics': 'VictoriaMetrics',
  unknown: 'An unidentified server',
}
/** InfluxDB 1.8 and newer accept the write API of 2.x. */
const V2_PATH_SINCE = 8
const NO_WRITE = 'skipped: writing does not work yet'
const NOT_READ =
  'tailflux reads back what it makes rows of: without that, minutes that memory does not hold completely are never made or corrected.'
const SKEW_WARNING_MS = 5_000
const SKEW_ERROR_MS = 60_000

export function diagnoseInflux(facts: InfluxFacts, config: InfluxConfig, plan: WritingPlan): readonly Finding[] {
  const { greeting, api } = facts
  if ('error' in greeting) return [error('database', greeting.error.message)]
  const { product } = greeting.value
  const [main] = facts.places
  if (product === 'unknown' && (main === undefined || !isAccepted(main))) return [foreign(greeting.value, config, main)]
  const findings = [
    ok('database', `${productText(greeting.value)} answers at ${config.url}.`),
    ...(facts.misfits.length === 0
      ? [flavour(greeting.value, config.api)]
      : facts.misfits.map((text) => error('write api', `This is ${productText(greeting.value)}, and ${text}.`))),
    ...[diagnoseVersion(greeting.value) ?? []].flat(),
    ...clock(greeting.value),
  ]
  if (api === undefined || main === undefined) return findings
  const known = { ...config, api }
  for (const place of facts.places) findings.push(existence(place, greeting.value))
  if (product === 'victoria-metrics') findings.push(dedup(facts.dedups))
  else findings.push(influxql(facts, main, known))
  for (const place of facts.places) findings.push(retention(place, plan, known))
  if (product === 'v1') findings.push(diagnoseLimits(facts.limits))
  for (const place of facts.places) findings.push(sample(place, facts))
  findings.push(checkpoint(facts, main))
  return findings
}

type KnownConfig = InfluxConfig & { readonly api: InfluxApi }

function isAccepted({ accepts }: PlaceFacts): boolean {
  return accepts !== undefined && 'value' in accepts
}

/** Something answers, and it is no database as far as it shows: a web page, another program, a proxy. */
function foreign({ answered }: Greeting, { url }: InfluxConfig, main: PlaceFacts | undefined): Finding {
  const refused =
    main?.accepts !== undefined && 'error' in main.accepts ? ` A write is refused: ${main.accepts.error.message}` : ''
  return error(
    'database',
    `What answers at ${url} does not show that it is InfluxDB: it answered ${answered.replace(/\.$/, '')}.${refused}`,
    'Check that INFLUX_URL is the address of the database itself, not of its web interface or of a proxy for something else. If it is, set INFLUX_API to v1, v2 or v3.',
  )
}

/** Does INFLUX_API fit what answers? */
function flavour({ product, version }: Greeting, api: InfluxApi | undefined): Finding {
  const check = 'write api'
  const minor = Number(version?.split('.')[1] ?? 0)
  const what = product === 'victoria-metrics' ? 'VictoriaMetrics' : `InfluxDB ${version ?? `${product.slice(1)}.x`}`
  if (api === undefined)
    return ok(
      check,
      `INFLUX_API is not set; by its version the server is ${product === 'unknown' ? 'taken for one with the write API of 2.x' : what}.`,
    )
  const set = (to: string) => `Set INFLUX_API=${to}.`
  if (product === 'unknown') {
    return skipped(check, `the server does not report its version; INFLUX_API=${api} is assumed to be right`)
  }
  if (product === 'v1') {
    if (api === 'v1' || (api === 'v2' && minor >= V2_PATH_SINCE)) return ok(check, `INFLUX_API=${api} fits ${what}.`)
    return error(check, `INFLUX_API is ${api}, but this is ${what}.`, set('v1 and INFLUX_DB to the database'))
  }
  if (product === 'v2') {
    if (api === 'v2') return ok(check, `INFLUX_API=${api} fits ${what}.`)
    const remedy = set('v2, with INFLUX_TOKEN, INFLUX_ORG and INFLUX_BUCKET')
    return (api === 'v1' ? warning : error)(check, `INFLUX_API is ${api}, but this is ${what}.`, remedy)
  }
  if (product === 'v3') {
    if (api === 'v3') return ok(check, `INFLUX_API=${api} fits ${what}.`)
    return warning(
      check,
      `INFLUX_API is ${api}, but this is ${what}, which with that API does not report which lines it refuses.`,
      set('v3, with INFLUX_TOKEN and INFLUX_BUCKET'),
    )
  }
  const unset =
    'Remove INFLUX_API: tailflux finds VictoriaMetrics by itself, and writes milliseconds that keep them apart.'
  if (api === 'v3') return error(check, `INFLUX_API is v3, but this is ${what}.`, unset)
  return warning(
    check,
    `INFLUX_API is ${api}, and this is ${what}, which keeps milliseconds: of points that begin in the same one only one is kept.`,
    unset,
  )
}

function clock({ serverMs, localMs }: Greeting): readonly Finding[] {
  if (serverMs === undefined) return []
  const skewMs = localMs - serverMs - 500
  const amount = Math.abs(skewMs)
  if (amount < SKEW_WARNING_MS) return [ok('clock of the database', 'It matches the clock of this machine.')]
  const text = `It is ${ageText(amount / 1000)} ${skewMs > 0 ? 'behind' : 'ahead of'} that of this machine.`
  const remedy = 'Turn on time synchronisation on both machines; retention and queries use the clock of the database.'
  return [(amount < SKEW_ERROR_MS ? warning : error)('clock of the database', text, remedy)]
}

/** Is the place there, and would it accept a write? */
function existence({ place, retention, accepts }: PlaceFacts, greeting: Greeting): Finding {
  const check = checkOf('place', place)
  const facts = retention !== undefined && 'value' in retention ? retention.value : undefined
  if (typeof facts === 'object' && 'databases' in facts) {
    const { databases } = facts
    if (isCore(greeting) && databases.length >= CORE_DATABASES_MAX) {
      const { text, fix } = coreIsFull(databases, [place.name ?? ''])
      return error(check, `There is no ${place.label}. ${text}`, fix)
    }
    const there = databases.map(({ name }) => name).join(', ')
    return (place.retentionMs === undefined ? warning : error)(
      check,
      `There is no ${place.label}${there === '' ? '' : ` (there is: ${there})`}. The first write would make it, and it would keep points forever.`,
      place.target === 'main'
        ? 'If that is the right name, make it with `tailflux init`; else set INFLUX_BUCKET.'
        : place.ifMissing,
    )
  }
  if (accepts === undefined) return skipped(check, 'skipped: the database did not answer')
  if ('error' in accepts) return error(check, accepts.error.message)
  return ok(check, `${capital(place.label)} is there, and these credentials can write to it.`)
}

/** Dashboards read by InfluxQL, and so does tailflux itself. */
function influxql({ influxql: outcome }: InfluxFacts, main: PlaceFacts, config: KnownConfig): Finding {
  if (outcome === undefined || !isAccepted(main)) return skipped('influxql', NO_WRITE)
  if ('value' in outcome) return ok('influxql', 'The database answers InfluxQL queries, so the dashboards work.')
  const { error: failure } = outcome
  const effect = `The dashboards stay empty, and ${NOT_READ}`
  return error('influxql', `${failure.message} ${effect}`, influxqlRemedy(failure, main, config))
}

function influxqlRemedy(
  { code }: CollectorError,
  { place, retention }: PlaceFacts,
  { api }: KnownConfig,
): string | undefined {
  const readAccess = `Give the token or user of tailflux read access to ${place.label} as well.`
  if (code === 'db_forbidden' || code === 'db_unauthorized') return readAccess
  if (code !== 'db_not_found') return undefined
  const facts = retention !== undefined && 'value' in retention ? retention.value : undefined
  if (typeof facts === 'object' && 'idOf' in facts)
    return `INFLUX_BUCKET is the id of bucket ${facts.idOf}, and queries find buckets by name. Set INFLUX_BUCKET=${facts.idOf}.`
  if (api !== 'v2' || facts === 'hidden') return readAccess
  // The token sees the bucket, so what is missing is the mapping.
  if (typeof facts === 'object') return 'The bucket is not mapped for InfluxQL: run `tailflux init`, which maps it.'
  return `${readAccess} If it has that, run \`tailflux init\`, which maps the bucket for InfluxQL.`
}

function dedup(dedups: boolean | undefined): Finding {
  const check = 'deduplication'
  const remedy = 'Start VictoriaMetrics with -dedup.minScrapeInterval=1ms.'
  if (dedups === undefined) {
    return skipped(check, `VictoriaMetrics does not show its flags; it needs -dedup.minScrapeInterval=1ms`)
  }
  if (dedups) return ok(check, 'Points that are written twice are counted once.')
  return error(
    check,
    'Points that are written twice are counted twice: every window that is read again is doubled.',
    remedy,
  )
}

/** `retention`, `retention of raw`. */
function checkOf(what: string, { target }: Place): string {
  return target === 'main' ? what : `${what} of ${target}`
}

function retention({ place, retention: outcome }: PlaceFacts, plan: WritingPlan, config: KnownConfig): Finding {
  const check = checkOf('retention', place)
  if (outcome === undefined) return skipped(check, NO_WRITE)
  const facts = 'value' in outcome ? outcome.value : undefined
  if (typeof facts === 'object' && 'databases' in facts)
    return skipped(check, `skipped: there is no ${place.label} yet`)
  if (typeof facts === 'object' && 'idOf' in facts)
    return error(
      check,
      `${capital(place.label)} is known by its id only.`,
      `Set INFLUX_BUCKET=${facts.idOf}, its name.`,
    )
  const needMs = plan.latePassesMs.at(-1) ?? 0
  if (typeof facts !== 'object') {
    const why =
      'error' in outcome
        ? outcome.error.message.replace(/\.$/, '')
        : facts === 'unanswerable'
          ? 'the database does not report it'
          : facts === 'missing'
            ? `there is no ${place.label}`
            : 'these credentials may not read it'
    return skipped(check, `${why}; it must be longer than ${formatDuration(needMs)}, the age of the last late pass`)
  }
  const { name, seconds } = facts
  const wantedMs = place.retentionMs
  // A server may round: 1.x keeps no policy shorter than an hour.
  if (wantedMs !== undefined && seconds !== wantedMs / 1000) {
    const keeps = seconds === undefined ? 'forever' : `for ${formatDuration(Math.round(seconds * 1000))}`
    const key = place.target === 'main' ? 'rest' : place.target
    return warning(
      check,
      `${name} keeps points ${keeps}, and retention.${key} is ${formatDuration(wantedMs)}.`,
      `Run \`tailflux init${(seconds ?? Number.POSITIVE_INFINITY) > wantedMs / 1000 ? ' --shorten' : ''}\`, or ${howToChange(config, name, formatDuration(wantedMs)).replace(/^Change it: /, '')}, or change retention.${key}.`,
    )
  }
  return diagnoseRetention(check, name, seconds, plan, howToChange(config, name, '30d'))
}

/** `seconds`: undefined means forever. Also for the embedded store. */
export function diagnoseRetention(
  check: string,
  name: string,
  seconds: number | undefined,
  plan: WritingPlan,
  howToRaise: string,
): Finding {
  if (seconds === undefined) return ok(check, `${name} keeps points forever.`)
  const keeps = `${name} keeps points for ${formatDuration(Math.round(seconds * 1000))}`
  const keptMs = seconds * 1000
  const lastPassMs = plan.latePassesMs.at(-1) ?? 0
  if (keptMs <= lastPassMs) {
    return error(
      check,
      `${keeps}, but late records are written up to ${formatDuration(lastPassMs)} after they were created: the database drops those.`,
      `${howToRaise}, or re-read windows sooner: poll.latePasses.`,
    )
  }
  if (keptMs < plan.lookbackMs) {
    return warning(
      check,
      `${keeps}, but the first start reads ${formatDuration(plan.lookbackMs)} of history: the database drops the older part.`,
      `${howToRaise}, or lower poll.lookback.`,
    )
  }
  return ok(
    check,
    `${keeps}${keptMs < plan.apiRetentionMs ? `; after a long outage, older records are not written` : ''}.`,
  )
}

function howToChange({ api, db }: KnownConfig, name: string, to: string): string {
  if (name === 'retentionPeriod') return 'Change -retentionPeriod of VictoriaMetrics'
  if (api === 'v2') return `Change it: influx bucket update --id ID --retention ${to} (influx bucket list shows the id)`
  if (api === 'v3') return `Change it: influxdb3 update database --database ${name} --retention-period ${to}`
  return `Change it: ALTER RETENTION POLICY ${identifier(name)} ON ${identifier(db ?? '')} DURATION ${to}`
}

function sample({ place, sample: outcome }: PlaceFacts, { influxql: queried }: InfluxFacts): Finding {
  const check = checkOf('sample point', place)
  if (outcome === undefined) return skipped(check, NO_WRITE)
  if ('error' in outcome) return error(check, outcome.error.message)
  const { written, refused, readBack, durationMs } = outcome.value
  if (refused !== undefined) {
    return error(
      check,
      `The database rejected it: ${refused}.`,
      'It is an ordinary point: check that INFLUX_API matches the version, and that no proxy changes requests.',
    )
  }
  if (written === 0) {
    return error(
      check,
      'The database rejected a point of the current time as too old.',
      'Check its clock and its retention.',
    )
  }
  const took = `in ${Math.round(durationMs)} ms`
  if (readBack === 'equal') return ok(check, `It was written and read back ${took} (measurement tailflux_check).`)
  if (readBack === 'missing' || readBack === 'different') {
    return error(
      check,
      'It was acknowledged, but cannot be read back.',
      'Check that INFLUX_URL leads to one database only, and that no proxy answers for it.',
    )
  }
  const isReported = queried === undefined || 'error' in queried
  if (!('error' in readBack) || isReported)
    return ok(check, `It was written ${took}. It was not read back, because these credentials cannot read.`)
  return error(
    check,
    `It was written ${took}, and cannot be read back: ${readBack.error.message} ${NOT_READ}`,
    `Give the token or user read access to ${place.label} as well.`,
  )
}

/** Would the service notice data loss in the database? */
function checkpoint({ checkpoint: outcome }: InfluxFacts, main: PlaceFacts): Finding {
  const check = 'checkpoint'
  if (!isAccepted(main)) return skipped(check, NO_WRITE)
  if (outcome === undefined) return skipped(check, 'skipped: the database does not answer InfluxQL')
  const effect = 'Data loss in the database, or a restore of an older copy, is not noticed'
  if ('error' in outcome) return warning(check, `${effect}: ${outcome.error.message}`)
  if ('shown' in outcome.value) return ok(check, checkpointText(outcome.value))
  const { text, isByNature } = outcome.value
  return (isByNature ? skipped : warning)(check, `${effect}: ${text.replace(/\.?$/, '.')}`)
}

function checkpointText({ shown }: Extract<CheckpointFacts, { shown: number }>): string {
  const held = shown === 0 ? 'no window of the last 25 hours' : `${counted(shown, 'point')} of the last 25 hours`
  return `Data loss in the database is noticed: a query of tailflux_window returns what was just written, and ${held}.`
}

function productText({ product, version }: Greeting): string {
  return version === undefined ? NAMES[product] : `${NAMES[product]} ${version}`
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
