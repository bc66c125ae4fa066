/** Probes InfluxDB, or whatever answers in its place. Writes one point of `tailflux_check` and one of `tailflux_window`, and reads them back. */
import { MS } from '../base/clock.ts'
import { cellOf } from '../query/influxql.ts'
import type { InfluxSinkConfig } from '../sink/influxdb/influxdb-sink.ts'
import { createPlaces, type Place } from '../sink/influxdb/places.ts'
import type { Sink } from '../sink/sink.ts'
import { type Outcome, outcomeOf, unreadable } from './finding.ts'
import { bucketRetention, flagRetention, policyRetention, type RetentionFacts } from './probe-retention.ts'
import { type Sample, type SampleDeps, writeAndRead } from './probe-sample.ts'

const PRODUCTS = ['v1', 'v2', 'v3', 'victoria-metrics', 'unknown'] as const
export type Product = (typeof PRODUCTS)[number]

/** What `/ping` reports. */
export interface Greeting {
  readonly product: Product
  /** `1.6.7`, without a `v` in front; undefined when the server does not report it. */
  readonly version: string | undefined
  /** Its clock from the Date header, and the local one then; ms since the epoch. */
  readonly serverMs: number | undefined
  readonly localMs: number
}

/** Of InfluxDB 1.x; 0 is none. */
export interface SeriesLimits {
  readonly valuesPerTag: number
  readonly series: number
  /** `inmem` or `tsi1`; undefined: older versions do not report it. */
  readonly index: string | undefined
}

/** Result of the checkpoint query of the service: how many points the database returns, or why the answer cannot be used. */
export type CheckpointFacts =
  | { readonly shown: number }
  | {
      /** Ends with the fix. */
      readonly text: string
      /** This kind of database does not support the query. */
      readonly isByNature: boolean
    }

/** Undefined: not probed, because an earlier step failed. */
export interface PlaceFacts {
  readonly place: Place
  readonly retention: Outcome<RetentionFacts> | undefined
  readonly sample: Outcome<Sample> | undefined
}

export interface InfluxFacts {
  readonly greeting: Outcome<Greeting>
  readonly accepts: Outcome<void> | undefined
  readonly influxql: Outcome<void> | undefined
  /** The main place first. */
  readonly places: readonly PlaceFacts[]
  /** Undefined also when the database does not answer InfluxQL at all. */
  readonly checkpoint: Outcome<CheckpointFacts> | undefined
  /** VictoriaMetrics only: whether it removes duplicate points. */
  readonly dedups: boolean | undefined
  /** InfluxDB 1.x only. */
  readonly limits: Outcome<SeriesLimits> | undefined
}

export interface InfluxDeps extends SampleDeps {
  /** Runs the same query as the service. Rejects with a CollectorError when its point cannot be written. */
  readonly probeCheckpoint: (
    sink: Pick<Sink, 'write' | 'checkpoint' | 'checkpointStates'>,
    signal: AbortSignal,
  ) => Promise<CheckpointFacts>
}

export async function probeInflux(
  config: InfluxSinkConfig,
  deps: InfluxDeps,
  signal: AbortSignal,
): Promise<InfluxFacts> {
  const { http, influxql, clock } = deps
  const { db, all } = createPlaces(config)
  const notProbed = {
    accepts: undefined,
    influxql: undefined,
    places: all.map((place) => ({ place, retention: undefined, sample: undefined })),
    checkpoint: undefined,
    dedups: undefined,
    limits: undefined,
  }
  const greeting = await outcomeOf(() => greet())
  if ('error' in greeting) return { greeting, ...notProbed }
  const { product } = greeting.value
  const flags = product === 'victoria-metrics' ? await flagsOf() : undefined
  const dedups = flags === undefined ? undefined : /^-dedup\.minScrapeInterval="(?!0)/m.test(flags)
  const sink = deps.createSink({ append: async (more) => more })
  const accepts = await outcomeOf(() => sink.probe(signal))
  await sink.stop()
  if ('error' in accepts) return { greeting, ...notProbed, accepts, dedups }
  const queried =
    product === 'victoria-metrics'
      ? undefined
      : await outcomeOf(async () => void (await influxql.query('SHOW MEASUREMENTS LIMIT 1', signal)))
  const places: PlaceFacts[] = []
  for (const place of all) {
    const retention = await outcomeOf(() => retentionOf(place))
    // A write would make it, without the retention that it should have.
    const isMissing = product === 'v3' && 'error' in retention && retention.error.code === 'db_not_found'
    if (isMissing && place.retentionMs !== undefined) {
      places.push({ place, retention: { value: 'not made yet' }, sample: undefined })
      continue
    }
    const sample = await outcomeOf(() => writeAndRead(place, deps, product === 'victoria-metrics', signal))
    places.push({ place, retention, sample })
  }
  const isRefused = queried !== undefined && 'error' in queried
  const checkpoint = isRefused ? undefined : await outcomeOf(() => checkpointOf())
  // Queried last: the sample has created a shard, and the shard shows which index is in use.
  const limits = product === 'v1' ? await outcomeOf(() => limitsOf()) : undefined
  return { greeting, accepts, influxql: queried, places, checkpoint, dedups, limits }

  async function get(path: string, accept = 'application/json') {
    return await http.send({ method: 'GET', path, headers: { accept } }, signal)
  }

  /** An answer of any status shows that a server is there. InfluxDB 3 reports its version only with a valid token. */
  async function greet(): Promise<Greeting> {
    const answer = await get('/ping')
    const date = Date.parse(headerOf(answer.headers['date']))
    const times = {
      serverMs: Number.isNaN(date) ? undefined : date,
      localMs: Number(clock.now() / MS),
    }
    const version = versionIn(headerOf(answer.headers['x-influxdb-version'])) ?? versionIn(answer.body)
    const product = productOf(version) ?? ((await isVictoriaMetrics()) ? 'victoria-metrics' : 'unknown')
    return { product, version, ...times }
  }

  async function isVictoriaMetrics(): Promise<boolean> {
    return (await get('/', 'text/html')).body.includes('VictoriaMetrics')
  }

  async function flagsOf(): Promise<string | undefined> {
    const answer = await get('/flags', 'text/plain')
    return answer.status === 200 ? answer.body : undefined
  }

  async function retentionOf(place: Place): Promise<RetentionFacts> {
    if (product === 'v2') return await bucketRetention(place.name ?? db, config.org, deps, signal)
    if (product === 'victoria-metrics') return flagRetention(flags)
    return product === 'unknown'
      ? 'unanswerable'
      : await policyRetention(place, { ...deps, db, api: config.api }, signal)
  }

  async function checkpointOf(): Promise<CheckpointFacts> {
    const sink = deps.createSink({ append: async (more) => more })
    try {
      return await deps.probeCheckpoint(sink, signal)
    } finally {
      await sink.stop()
    }
  }

  async function limitsOf(): Promise<SeriesLimits> {
    const [table] = await influxql.query(`SHOW DIAGNOSTICS FOR 'config-data'`, signal)
    const cell = (name: string) => (table === undefined ? null : cellOf(table, table.rows[0] ?? [], name))
    const [series, valuesPerTag] = [cell('max-series-per-database'), cell('max-values-per-tag')]
    if (typeof series !== 'bigint' || typeof valuesPerTag !== 'bigint') throw unreadable('does not show the limits')
    const shards = await influxql.query(`SHOW STATS FOR 'shard'`, signal)
    const newest = shards
      .filter(({ tags }) => tags['database'] === db)
      .toSorted((one, other) => Number(other.tags['id']) - Number(one.tags['id']))[0]
    const index = cell('index-version') ?? newest?.tags['indexType']
    return {
      valuesPerTag: Number(valuesPerTag),
      series: Number(series),
      index: typeof index === 'string' && index !== '' ? index : undefined,
    }
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
