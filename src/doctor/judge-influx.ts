/** What the answers of the database mean for the service. Pure. */
import { ageText } from '../base/format.ts'
import { formatDuration } from '../base/units.ts'
import type { InfluxApi, InfluxConfig } from '../sink/config.ts'
import { identifier } from '../sink/influxdb/influxql.ts'
import type { CheckpointFacts, Greeting, InfluxFacts, Product } from './ask-influx.ts'
import type { RetentionFacts } from './ask-retention.ts'
import type { Sample } from './ask-sample.ts'
import { counted, type Finding, findingsOf, type Outcome } from './finding.ts'
import { diagnoseLimits, diagnoseVersion } from './judge-server.ts'

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
  unknown: 'Something that does not tell its version',
}
/** The write API of 2.x came to 1.x with this version. */
const V2_PATH_SINCE = 8
const SKEW_WARNING_MS = 5_000
const SKEW_ERROR_MS = 60_000

export function diagnoseInflux(facts: InfluxFacts, config: InfluxConfig, plan: WritingPlan): readonly Finding[] {
  const { greeting } = facts
  if ('error' in greeting) return [error('database', greeting.error.message)]
  const { product } = greeting.value
  const findings = [
    ok('database', `${productText(greeting.value)} answers at ${config.url}.`),
    flavour(greeting.value, config.api),
    ...[diagnoseVersion(greeting.value) ?? []].flat(),
    ...clock(greeting.value),
    bucket(facts, config),
  ]
  if (product === 'victoria-metrics') findings.push(dedup(facts.dedups))
  else findings.push(influxql(facts, config))
  findings.push(retention('retention', facts.retention, plan, config))
  if (facts.nodesRetention) findings.push(retention('retention of nodes', facts.nodesRetention, plan, config))
  if (product === 'v1') findings.push(diagnoseLimits(facts.limits))
  findings.push(sample('sample point', facts.sample))
  if (facts.nodesSample) findings.push(sample('sample point of nodes', facts.nodesSample))
  findings.push(checkpoint(facts))
  return findings
}

/** Does INFLUX_API fit what answers? */
function flavour({ product, version }: Greeting, api: InfluxApi): Finding {
  const check = 'write api'
  const minor = Number(version?.split('.')[1] ?? 0)
  const what = product === 'victoria-metrics' ? 'VictoriaMetrics' : `InfluxDB ${version}`
  const set = (to: string) => `Set INFLUX_API=${to}.`
  if (product === 'unknown') {
    return skipped(check, `nobody tells which InfluxDB this is, so INFLUX_API=${api} is taken for right`)
  }
  if (product === 'v1') {
    if (api === 'v1' || (api === 'v2' && minor >= V2_PATH_SINCE)) return ok(check, `INFLUX_API=${api} fits ${what}.`)
    return error(check, `INFLUX_API is ${api}, and this is ${what}.`, set('v1 and INFLUX_DB to the database'))
  }
  if (product === 'v2') {
    if (api === 'v2') return ok(check, `INFLUX_API=${api} fits ${what}.`)
    const remedy = set('v2, with INFLUX_TOKEN, INFLUX_ORG and INFLUX_BUCKET')
    return (api === 'v1' ? warning : error)(check, `INFLUX_API is ${api}, and this is ${what}.`, remedy)
  }
  if (product === 'v3') {
    if (api === 'v3') return ok(check, `INFLUX_API=${api} fits ${what}.`)
    return warning(
      check,
      `INFLUX_API is ${api}, and this is ${what}, which then does not say which lines it refuses.`,
      set('v3, with INFLUX_TOKEN and INFLUX_BUCKET'),
    )
  }
  if (api !== 'v3') return ok(check, `INFLUX_API=${api} fits ${what}.`)
  return error(check, `INFLUX_API is v3, and this is ${what}.`, set('v2'))
}

function clock({ serverMs, localMs }: Greeting): readonly Finding[] {
  if (serverMs === undefined) return []
  const skewMs = localMs - serverMs - 500
  const amount = Math.abs(skewMs)
  if (amount < SKEW_WARNING_MS) return [ok('clock of the database', 'It agrees with the clock of this machine.')]
  const text = `It is ${ageText(amount / 1000)} ${skewMs > 0 ? 'behind' : 'ahead of'} that of this machine.`
  const remedy =
    'Switch time synchronisation on, on both machines; retention and queries go by the clock of the database.'
  return [(amount < SKEW_ERROR_MS ? warning : error)('clock of the database', text, remedy)]
}

function bucket({ accepts }: InfluxFacts, config: InfluxConfig): Finding {
  const check = config.api === 'v2' ? 'bucket' : 'database name'
  const name = config.api === 'v1' ? config.db : (config.bucket ?? config.db)
  if (accepts === undefined) return skipped(check, 'not asked')
  if ('error' in accepts) return error(check, accepts.error.message)
  return ok(check, `${name} is there, and these credentials may write to it.`)
}

/** Dashboards, and the comparison of what is done with what the database holds, read by InfluxQL. */
function influxql({ influxql: asked, accepts }: InfluxFacts, config: InfluxConfig): Finding {
  if (asked === undefined || (accepts && 'error' in accepts))
    return skipped('influxql', 'not asked, because writing does not work yet')
  if ('value' in asked) return ok('influxql', 'The database answers to InfluxQL, so dashboards find it.')
  const { error: failure } = asked
  const effect = 'The dashboards cannot read, and tailflux cannot notice when a database was restored from a backup.'
  if (failure.code === 'db_not_found' && config.api === 'v2') {
    const { db, rp } = { db: (config.bucket ?? config.db ?? '').split('/')[0], rp: 'autogen' }
    return warning(
      'influxql',
      `${failure.message} ${effect}`,
      `Map the bucket: influx v1 dbrp create --db ${db} --rp ${rp} --default --bucket-id ID (influx bucket list shows the id).`,
    )
  }
  const remedy =
    failure.code === 'db_forbidden' || failure.code === 'db_unauthorized'
      ? 'Give the token or user the right to read as well, or give Grafana a token of its own.'
      : undefined
  return warning('influxql', `${failure.message} ${effect}`, remedy)
}

function dedup(dedups: boolean | undefined): Finding {
  const check = 'deduplication'
  const remedy = 'Start VictoriaMetrics with -dedup.minScrapeInterval=1ms.'
  if (dedups === undefined) {
    return skipped(check, `VictoriaMetrics does not show its flags; it needs -dedup.minScrapeInterval=1ms`)
  }
  if (dedups) return ok(check, 'What is written twice counts once.')
  return error(check, 'What is written twice counts twice: each window that is read again doubles.', remedy)
}

function retention(
  check: string,
  outcome: Outcome<RetentionFacts> | undefined,
  plan: WritingPlan,
  config: InfluxConfig,
): Finding {
  const { api } = config
  if (outcome === undefined) return skipped(check, 'not asked, because writing does not work yet')
  const needMs = plan.latePassesMs.at(-1) ?? 0
  if ('error' in outcome || outcome.value === 'unanswerable' || outcome.value === 'missing') {
    const why = 'error' in outcome ? outcome.error.message : 'the database does not tell it to these credentials'
    const by = api === 'v3' ? ' (`influxdb3 show retention` does)' : ''
    return skipped(
      check,
      `${why}${by}; it must be longer than ${formatDuration(needMs)}, the age of the last late pass`,
    )
  }
  const { name, seconds } = outcome.value
  return diagnoseRetention(check, name, seconds, plan, howToRaise(config, name))
}

/** `seconds`: undefined for ever. Also for the embedded store. */
export function diagnoseRetention(
  check: string,
  name: string,
  seconds: number | undefined,
  plan: WritingPlan,
  howToRaise: string,
): Finding {
  if (seconds === undefined) return ok(check, `${name} keeps points for ever.`)
  const keeps = `${name} keeps points for ${formatDuration(Math.round(seconds * 1000))}`
  const keptMs = seconds * 1000
  const lastPassMs = plan.latePassesMs.at(-1) ?? 0
  if (keptMs <= lastPassMs) {
    return error(
      check,
      `${keeps}, but records that appear late are written up to ${formatDuration(lastPassMs)} after they were made: the database drops those.`,
      `${howToRaise}, or read again sooner: poll.latePasses.`,
    )
  }
  if (keptMs < plan.lookbackMs) {
    return warning(
      check,
      `${keeps}, and the first start reads ${formatDuration(plan.lookbackMs)} of history, of which the database drops the older part.`,
      `${howToRaise}, or lower poll.lookback.`,
    )
  }
  return ok(
    check,
    `${keeps}${keptMs < plan.apiRetentionMs ? `; after an outage, what is older than that is not written` : ''}.`,
  )
}

function howToRaise({ api, db }: InfluxConfig, name: string): string {
  if (name === 'retentionPeriod') return 'Raise -retentionPeriod of VictoriaMetrics'
  if (api === 'v2') return 'Raise it: influx bucket update --id ID --retention 30d'
  return `Raise it: ALTER RETENTION POLICY ${identifier(name)} ON ${identifier(db ?? '')} DURATION 30d`
}

function sample(check: string, outcome: Outcome<Sample> | undefined): Finding {
  if (outcome === undefined) return skipped(check, 'not written, because writing does not work yet')
  if ('error' in outcome) return error(check, outcome.error.message)
  const { written, refused, readBack, durationMs } = outcome.value
  if (refused !== undefined) {
    return error(
      check,
      `The database refuses it: ${refused}.`,
      'It is a plain point: check that INFLUX_API is its version, and that nothing in between changes requests.',
    )
  }
  if (written === 0) {
    return error(check, 'The database calls a point of this moment too old.', 'Check its clock and its retention.')
  }
  const took = `in ${Math.round(durationMs)} ms`
  if (readBack === 'equal') return ok(check, `It was written and read back ${took} (measurement tailflux_check).`)
  if (readBack === 'missing' || readBack === 'different') {
    return error(
      check,
      'It was acknowledged, but cannot be found again.',
      'Check that INFLUX_URL leads to one database only, and that nothing in between answers for it.',
    )
  }
  return ok(check, `It was written ${took}. It was not read back, because these credentials cannot read.`)
}

/** Would the service notice what the database loses? */
function checkpoint({ checkpoint: outcome, accepts }: InfluxFacts): Finding {
  const check = 'checkpoint'
  if (accepts === undefined || 'error' in accepts) return skipped(check, 'not asked, because writing does not work yet')
  if (outcome === undefined) return skipped(check, 'not asked, because the database does not answer to InfluxQL')
  const effect = 'What the database loses, or had lost when it was restored, is not noticed'
  if ('error' in outcome) return warning(check, `${effect}: ${outcome.error.message}`)
  if ('shown' in outcome.value) return ok(check, checkpointText(outcome.value))
  const { text, isByNature } = outcome.value
  return (isByNature ? skipped : warning)(check, `${effect}: ${text.replace(/\.?$/, '.')}`)
}

function checkpointText({ shown }: Extract<CheckpointFacts, { shown: number }>): string {
  const held = shown === 0 ? 'no window of the last 25 hours' : `${counted(shown, 'point')} of the last 25 hours`
  return `What the database loses is noticed: it answers for tailflux_window, with what was just written, and shows ${held}.`
}

function productText({ product, version }: Greeting): string {
  return version === undefined ? NAMES[product] : `${NAMES[product]} ${version}`
}
