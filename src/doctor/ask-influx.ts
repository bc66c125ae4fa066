/** Asks InfluxDB, or what stands in its place, what `check` wants to know. Writes one point of `tailflux_check` and one of `tailflux_window`,
 * and reads them back. */
import { MS } from '../base/clock.ts'
import { cellOf } from '../query/influxql.ts'
import type { InfluxConfig } from '../sink/config.ts'
import { placeOf } from '../sink/influxdb/influxql.ts'
import type { Sink, Target } from '../sink/sink.ts'
import { bucketRetention, flagRetention, policyRetention, type RetentionFacts } from './ask-retention.ts'
import { type Sample, type SampleAsk, writeAndRead } from './ask-sample.ts'
import { type Outcome, outcomeOf, unreadable } from './finding.ts'

const PRODUCTS = ['v1', 'v2', 'v3', 'victoria-metrics', 'unknown'] as const
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

/** Of InfluxDB 1.x; 0 is none. */
export interface SeriesLimits {
  readonly valuesPerTag: number
  readonly series: number
  /** `inmem` or `tsi1`; undefined: older versions do not tell. */
  readonly index: string | undefined
}

/** What came of the question that the service asks for its checkpoint: how many points the database shows, or why it proves nothing. */
export type CheckpointFacts =
  | { readonly shown: number }
  | {
      /** Ends with the fix. */
      readonly text: string
      /** This kind of database has no such questions. */
      readonly isByNature: boolean
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
  /** Undefined also when InfluxQL is not answered at all. */
  readonly checkpoint: Outcome<CheckpointFacts> | undefined
  /** VictoriaMetrics only: whether it drops what is written twice. */
  readonly dedups: boolean | undefined
  /** InfluxDB 1.x only. */
  readonly limits: Outcome<SeriesLimits> | undefined
}

export interface InfluxProbes extends SampleAsk {
  /** Asks as the service does. Rejects with a CollectorError when its point cannot be written. */
  readonly askCheckpoint: (sink: Pick<Sink, 'write' | 'checkpoint'>, signal: AbortSignal) => Promise<CheckpointFacts>
}

export async function probeInflux(config: InfluxConfig, ask: InfluxProbes, signal: AbortSignal): Promise<InfluxFacts> {
  const { http, influxql, clock } = ask
  const notAsked = {
    accepts: undefined,
    influxql: undefined,
    retention: undefined,
    nodesRetention: undefined,
    sample: undefined,
    nodesSample: undefined,
    checkpoint: undefined,
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
  const sample = await outcomeOf(() => sampleOf('main'))
  const nodesSample = nodes === undefined ? undefined : await outcomeOf(() => sampleOf('nodes'))
  const isRefused = queried !== undefined && 'error' in queried
  const checkpoint = isRefused ? undefined : await outcomeOf(() => checkpointOf())
  // Asked last: the sample has made a shard, which tells its index.
  const limits = product === 'v1' ? await outcomeOf(() => limitsOf()) : undefined
  const samples = { sample, nodesSample, checkpoint }
  return { greeting, accepts, influxql: queried, retention, nodesRetention, ...samples, dedups, limits }

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
    if (product === 'v2') return await bucketRetention(config, ask, target, signal)
    if (product === 'victoria-metrics') return flagRetention(flags)
    return product === 'v1' ? await policyRetention(config, ask, target, signal) : 'unanswerable'
  }

  async function sampleOf(target: Target): Promise<Sample> {
    return await writeAndRead(config, ask, target, product === 'victoria-metrics', signal)
  }

  async function checkpointOf(): Promise<CheckpointFacts> {
    const asking = ask.createSink({ append: async (more) => more })
    try {
      return await ask.askCheckpoint(asking, signal)
    } finally {
      await asking.stop()
    }
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
