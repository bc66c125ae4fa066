/** Asks InfluxDB, or what stands in its place, what `check` wants to know. Writes one point of `tailflux_check`, and reads it back. */
import { type Clock, MS } from '../clock.ts'
import { CollectorError } from '../errors.ts'
import { cellOf, type InfluxQl } from '../query/influxql.ts'
import type { InfluxConfig } from '../sink/config.ts'
import { refusal } from '../sink/influx-answer.ts'
import type { InfluxHttp } from '../sink/influx-http.ts'
import { messageOf } from '../sink/influx-message.ts'
import { identifier, literal, measurementOf, placeOf } from '../sink/influxql.ts'
import { encodeLine } from '../sink/lines-own.ts'
import type { DeadLetter, DeadLetters, Sink, Target } from '../sink/sink.ts'
import { type Outcome, outcomeOf } from './finding.ts'

export const PRODUCTS = ['v1', 'v2', 'v3', 'victoria-metrics', 'unknown'] as const
export type Product = (typeof PRODUCTS)[number]

/** What `/ping` tells. */
export interface Greeting {
  readonly product: Product
  /** `1.6.7`, without a `v` in front; undefined when it does not tell. */
  readonly version: string | undefined
  /** Its clock from the Date header, and the local one then; ms since the epoch. */
  readonly serverMs: number | undefined
  readonly localMs: number
}

/** How long points are kept; `seconds` undefined: for ever. */
export interface Retention {
  /** The retention policy, bucket or database. */
  readonly name: string
  readonly seconds: number | undefined
}

/** `unanswerable`: this product does not tell. `missing`: it tells of no such bucket or policy, or not to these credentials. */
export type RetentionFacts = Retention | 'unanswerable' | 'missing'

/** What became of a point of ours. */
export interface Sample {
  readonly written: number
  /** What the database said about a line that it refused. */
  readonly refused: string | undefined
  readonly readBack: 'equal' | 'missing' | 'different' | Outcome<never>
  readonly durationMs: number
}

/** Of InfluxDB 1.x; 0 is none. */
export interface SeriesLimits {
  readonly valuesPerTag: number
  readonly series: number
  /** `inmem` or `tsi1`; undefined: older versions do not tell. */
  readonly index: string | undefined
}

export interface InfluxFacts {
  readonly greeting: Outcome<Greeting>
  readonly accepts: Outcome<void> | undefined
  readonly influxql: Outcome<void> | undefined
  readonly retention: Outcome<RetentionFacts> | undefined
  /** Of `nodesBucket`, when there is one. */
  readonly nodesRetention: Outcome<RetentionFacts> | undefined
  readonly sample: Outcome<Sample> | undefined
  readonly nodesSample: Outcome<Sample> | undefined
  /** VictoriaMetrics only: whether it drops what is written twice. */
  readonly dedups: boolean | undefined
  /** InfluxDB 1.x only. */
  readonly limits: Outcome<SeriesLimits> | undefined
}

export interface InfluxAsk {
  readonly http: InfluxHttp
  readonly influxql: InfluxQl
  readonly label: string
  readonly clock: Clock
  readonly tailnet: string
  /** A sink that writes as the service does, with dead letters of its own. */
  readonly createSink: (deadLetters: Pick<DeadLetters, 'append'>) => Sink
}

const MEASUREMENT = 'tailflux_check'
const READ_PATIENCE_MS = 1_000
/** VictoriaMetrics shows what was written only some seconds later, unless it lets itself be asked to. */
const READ_PATIENCE_SLOW_MS = 15_000
const READ_EVERY_MS = 250

export async function askInflux(config: InfluxConfig, ask: InfluxAsk, signal: AbortSignal): Promise<InfluxFacts> {
  const { http, influxql, label, clock } = ask
  const notAsked = {
    accepts: undefined,
    influxql: undefined,
    retention: undefined,
    nodesRetention: undefined,
    sample: undefined,
    nodesSample: undefined,
    dedups: undefined,
    limits: undefined,
  }
  const greeting = await outcomeOf(() => greet())
  if ('error' in greeting) return { greeting, ...notAsked }
  const { product } = greeting.value
  const flags = product === 'victoria-metrics' ? await flagsOf() : undefined
  const dedups = flags === undefined ? undefined : /^-dedup\.minScrapeInterval="(?!0)/m.test(flags)
  const sink = ask.createSink({ append: async (more) => more })
  const accepts = await outcomeOf(() => sink.probe(signal))
  await sink.stop()
  if ('error' in accepts) return { greeting, ...notAsked, accepts, dedups }
  const nodes = config.nodesBucket
  const [queried, retention, nodesRetention] = await Promise.all([
    product === 'victoria-metrics'
      ? undefined
      : outcomeOf(async () => void (await influxql.ask('SHOW MEASUREMENTS LIMIT 1', signal))),
    outcomeOf(() => retentionOf('main')),
    nodes === undefined ? undefined : outcomeOf(() => retentionOf('nodes')),
  ])
  const sample = await outcomeOf(() => writeAndRead('main'))
  const nodesSample = nodes === undefined ? undefined : await outcomeOf(() => writeAndRead('nodes'))
  // Asked last: the sample has made a shard, which tells its index.
  const limits = product === 'v1' ? await outcomeOf(() => limitsOf()) : undefined
  return { greeting, accepts, influxql: queried, retention, nodesRetention, sample, nodesSample, dedups, limits }

  async function get(path: string, accept = 'application/json') {
    return await http.send({ method: 'GET', path, headers: { accept } }, signal)
  }

  /** Any answer of any status says that somebody is there. InfluxDB 3 keeps its version from strangers. */
  async function greet(): Promise<Greeting> {
    const answer = await get('/ping')
    const date = Date.parse(headerOf(answer.headers['date']))
    const times = {
      serverMs: Number.isNaN(date) ? undefined : date,
      localMs: Number(clock.now() / MS),
    }
    const told = versionIn(headerOf(answer.headers['x-influxdb-version'])) ?? versionIn(answer.body)
    const product = productOf(told) ?? ((await isVictoriaMetrics()) ? 'victoria-metrics' : 'unknown')
    return { product, version: told, ...times }
  }

  async function isVictoriaMetrics(): Promise<boolean> {
    return (await get('/', 'text/html')).body.includes('VictoriaMetrics')
  }

  async function flagsOf(): Promise<string | undefined> {
    const answer = await get('/flags', 'text/plain')
    return answer.status === 200 ? answer.body : undefined
  }

  async function retentionOf(target: Target): Promise<RetentionFacts> {
    if (product === 'v2') return await bucketRetention(target)
    if (product === 'victoria-metrics') return flagRetention()
    return product === 'v1' ? await policyRetention(target) : 'unanswerable'
  }

  async function policyRetention(target: Target): Promise<RetentionFacts> {
    const { db, rp } = placeOf(config)
    const [table] = await influxql.ask(`SHOW RETENTION POLICIES ON ${identifier(db)}`, signal)
    const wanted = target === 'nodes' ? config.nodesBucket : rp
    const row = table?.rows.find((one) =>
      wanted === undefined ? cellOf(table, one, 'default') === true : cellOf(table, one, 'name') === wanted,
    )
    if (table === undefined || row === undefined) return 'missing'
    return { name: String(cellOf(table, row, 'name')), seconds: goSeconds(String(cellOf(table, row, 'duration'))) }
  }

  async function bucketRetention(target: Target): Promise<RetentionFacts> {
    const name = (target === 'nodes' ? config.nodesBucket : undefined) ?? config.bucket ?? config.db ?? ''
    const org = config.org === undefined ? '' : `&org=${encodeURIComponent(config.org)}`
    const answer = await get(`/api/v2/buckets?name=${encodeURIComponent(name)}${org}`)
    if (answer.status === 404) return 'missing'
    if (answer.status !== 200) throw refusal(answer, messageOf(answer.body), label, Number(clock.now() / MS))
    const bucket = bucketIn(answer.body, name)
    if (bucket === undefined) return 'missing'
    const seconds = bucket.retentionRules?.find(
      (rule) => rule.type === undefined || rule.type === 'expire',
    )?.everySeconds
    return { name, seconds: seconds === undefined || seconds === 0 ? undefined : seconds }
  }

  function flagRetention(): RetentionFacts {
    if (flags === undefined) return 'unanswerable'
    const [, amount = '1', unit = ''] = /^-retentionPeriod="([\d.]+)([a-z]*)"/m.exec(flags) ?? []
    // Without a unit it is months, as its own documentation counts them: 31 days.
    const days = { h: 1 / 24, d: 1, w: 7, y: 365 }[unit] ?? 31
    return { name: 'retentionPeriod', seconds: Number(amount) * days * 86_400 }
  }

  async function limitsOf(): Promise<SeriesLimits> {
    const [table] = await influxql.ask(`SHOW DIAGNOSTICS FOR 'config-data'`, signal)
    const cell = (name: string) => (table === undefined ? null : cellOf(table, table.rows[0] ?? [], name))
    const [series, valuesPerTag] = [cell('max-series-per-database'), cell('max-values-per-tag')]
    if (typeof series !== 'bigint' || typeof valuesPerTag !== 'bigint') throw unreadable('does not tell its limits')
    const { db } = placeOf(config)
    const shards = await influxql.ask(`SHOW STATS FOR 'shard'`, signal)
    const newest = shards
      .filter(({ tags }) => tags['database'] === db)
      .toSorted((one, other) => Number(other.tags['id']) - Number(one.tags['id']))[0]
    const told = cell('index-version') ?? newest?.tags['indexType']
    return {
      valuesPerTag: Number(valuesPerTag),
      series: Number(series),
      index: typeof told === 'string' && told !== '' ? told : undefined,
    }
  }

  async function writeAndRead(target: Target): Promise<Sample> {
    const letters: DeadLetter[] = []
    const writer = ask.createSink({
      append: async (more) => {
        letters.push(...more)
        return more
      },
    })
    const beganMs = clock.monotonicMs()
    const ns = clock.now()
    const nonce = BigInt(Math.floor(Math.random() * 2 ** 48))
    const bytes = encodeLine(MEASUREMENT, { tailnet: ask.tailnet }, { nonce }, ns)
    try {
      const receipt = await writer.write({ bytes, lineCount: 1, target }, signal)
      const refused = letters[0] && (letters[0].detail ?? letters[0].reason)
      const readBack = receipt.written === 0 ? 'missing' : await read(target, ns, nonce)
      return { written: receipt.written, refused, readBack, durationMs: clock.monotonicMs() - beganMs }
    } finally {
      await writer.stop()
    }
  }

  async function read(target: Target, ns: bigint, nonce: bigint): Promise<Sample['readBack']> {
    const isSlow = product === 'victoria-metrics'
    if (isSlow) await get('/internal/force_flush', 'text/plain')
    const untilMs = clock.monotonicMs() + (isSlow ? READ_PATIENCE_SLOW_MS : READ_PATIENCE_MS)
    for (;;) {
      const found = await outcomeOf(() => (isSlow ? exported(ns) : selected(target, ns)))
      if ('error' in found) return found
      if (found.value === nonce) return 'equal'
      if (found.value !== undefined) return 'different'
      if (clock.monotonicMs() >= untilMs) return 'missing'
      await clock.sleep(READ_EVERY_MS, signal)
    }
  }

  async function selected(target: Target, ns: bigint): Promise<bigint | undefined> {
    const from =
      target === 'nodes' && config.api === 'v1' && config.nodesBucket !== undefined
        ? measurementOf(MEASUREMENT, config.nodesBucket)
        : influxql.from(MEASUREMENT)
    // Another bucket of 2.x or database of 3.x is another place for InfluxQL, which was not opened for reading.
    if (target === 'nodes' && config.api !== 'v1') throw unreadable('is asked for the main bucket only')
    const tables = await influxql.ask(
      `SELECT "nonce" FROM ${from} WHERE "tailnet" = ${literal(ask.tailnet)} AND time = ${ns}`,
      signal,
    )
    const [table] = tables
    const cell = table && cellOf(table, table.rows[0] ?? [], 'nonce')
    return typeof cell === 'bigint' ? cell : undefined
  }

  async function exported(ns: bigint): Promise<bigint | undefined> {
    const match = `${MEASUREMENT}_nonce{tailnet=${JSON.stringify(ask.tailnet)}}`
    const ms = ns / MS
    const range = `&start=${Number(ms) / 1000 - 1}&end=${Number(ms) / 1000 + 1}`
    const answer = await get(`/api/v1/export?match[]=${encodeURIComponent(match)}${range}`)
    if (answer.status !== 200) throw refusal(answer, messageOf(answer.body), label, Number(clock.now() / MS))
    const series = answer.body.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Exported]))
    const value = series.flatMap((one) => one.values.filter((_, index) => one.timestamps[index] === Number(ms)))[0]
    return value === undefined ? undefined : BigInt(value)
  }

  function unreadable(why: string): CollectorError {
    return new CollectorError(`InfluxQL ${why}.`, {
      stage: 'sink',
      code: 'db_not_found',
      reaction: 'hold',
    })
  }
}

interface Exported {
  readonly values: readonly number[]
  readonly timestamps: readonly number[]
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

function headerOf(value: string | string[] | undefined): string {
  return (Array.isArray(value) ? value[0] : value) ?? ''
}

/** `v2.7.6`, `1.6.7~rc0`, `{"version":"3.4.1",…}` → the version without `v`. */
function versionIn(text: string): string | undefined {
  return /^(?:\{.*?"version"\s*:\s*")?v?(\d+\.\d[\w.~+-]*)/s.exec(text.trim())?.[1]
}

function productOf(version: string | undefined): Product | undefined {
  const major = version?.split('.')[0]
  return major === '1' || major === '2' || major === '3' ? `v${major}` : undefined
}

/** `168h0m0s` → 604800; 0 is for ever. */
function goSeconds(text: string): number | undefined {
  let seconds = 0
  for (const [, amount, unit] of text.matchAll(/([\d.]+)(h|ms|m|s)/g)) {
    seconds += Number(amount) * { h: 3600, m: 60, s: 1, ms: 0.001 }[unit as 'h' | 'm' | 's' | 'ms']
  }
  return seconds === 0 ? undefined : seconds
}
