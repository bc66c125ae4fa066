/** Probes InfluxDB, or whatever answers in its place. Writes one point of `tailflux_check` to each place and one of `tailflux_window`, and reads them back. Reads
 * first what is there, and writes nothing to a database that a write would make. */
import { CollectorError } from '../base/errors.ts'
import type { InfluxApi, InfluxConfig, Retention } from '../sink/config.ts'
import { askInfluxql } from '../sink/influxdb/ask-influxql.ts'
import type { InfluxSinkConfig } from '../sink/influxdb/influxdb-sink.ts'
import { cellOf, type Table } from '../sink/influxdb/influxql.ts'
import { createPlaces, type Place } from '../sink/influxdb/places.ts'
import { createQueries } from '../sink/influxdb/query.ts'
import { readRefusal } from '../sink/influxdb/read-refusals.ts'
import { refusal } from '../sink/influxdb/response-policy.ts'
import { apiFor, faultsFor, type Greeting, greet } from '../sink/influxdb/server.ts'
import type { DeadLetters, Sink } from '../sink/sink.ts'
import { type Outcome, outcomeOf, unreadable } from './finding.ts'
import { type RetentionFacts, readRetention } from './probe-retention.ts'
import { type Ask, type Sample, type SampleDeps, writeAndRead } from './probe-sample.ts'

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
  /** Would a write be accepted? */
  readonly accepts: Outcome<void> | undefined
  readonly sample: Outcome<Sample> | undefined
}

export interface InfluxFacts {
  readonly greeting: Outcome<Greeting>
  /** As it is set, or as the server needs it; undefined when neither is known. */
  readonly api: InfluxApi | undefined
  /** Settings that do not fit the API that the server needs. */
  readonly misfits: readonly string[]
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

export interface InfluxDeps extends Pick<SampleDeps, 'http' | 'label' | 'clock' | 'tailnet'> {
  /** A sink that writes as the service does, with dead letters of its own. */
  readonly createSink: (config: InfluxSinkConfig, deadLetters: Pick<DeadLetters, 'append'>) => Sink
  /** Runs the same query as the service. Rejects with a CollectorError when its point cannot be written. */
  readonly probeCheckpoint: (
    sink: Pick<Sink, 'write' | 'checkpoint' | 'checkpointStates'>,
    signal: AbortSignal,
  ) => Promise<CheckpointFacts>
}

const NOT_PROBED = {
  misfits: [],
  influxql: undefined,
  places: [],
  checkpoint: undefined,
  dedups: undefined,
  limits: undefined,
} satisfies Partial<InfluxFacts>

export async function probeInflux(
  config: InfluxConfig & { readonly url: string; readonly retention: Retention },
  deps: InfluxDeps,
  signal: AbortSignal,
): Promise<InfluxFacts> {
  const greeting = await outcomeOf(() => greet(deps, signal))
  if ('error' in greeting) return { ...NOT_PROBED, greeting, api: config.api }
  const api = config.api ?? apiFor(greeting.value)
  if (api === undefined) return { ...NOT_PROBED, greeting, api }
  const misfits = config.api === undefined ? faultsFor(config, api) : []
  if (misfits.length > 0) return { ...NOT_PROBED, greeting, api, misfits }
  return { greeting, api, misfits, ...(await probeDatabase({ ...config, api }, greeting.value, deps, signal)) }
}

type DatabaseFacts = Omit<InfluxFacts, 'greeting' | 'api' | 'misfits'>

async function probeDatabase(
  config: InfluxSinkConfig,
  { product }: Greeting,
  deps: InfluxDeps,
  signal: AbortSignal,
): Promise<DatabaseFacts> {
  const { http, label, clock } = deps
  const places = createPlaces(config)
  const { db } = places
  const nowMs = () => Number(clock.now() / 1_000_000n)
  const reading = { http, label, nowMs }
  const isVictoriaMetrics = product === 'victoria-metrics'
  const createSink: SampleDeps['createSink'] = (deadLetters) => deps.createSink(config, deadLetters)
  const queries = createQueries(places, { http, clock, labelOf: (place) => `${label} (${place.label})` })

  const flags = isVictoriaMetrics ? await flagsOf() : undefined
  const options = { product, db, org: config.org, flags }
  const found: PlaceFacts[] = []
  for (const place of places.all) {
    const retention = await outcomeOf(() => readRetention(place, options, reading, signal))
    const wouldBeMade = 'value' in retention && typeof retention.value === 'object' && 'databases' in retention.value
    const accepts = wouldBeMade ? undefined : await outcomeOf(() => queries.probe(place, signal))
    found.push({ place, retention, accepts, sample: undefined })
  }
  const dedups = flags === undefined ? undefined : /^-dedup\.minScrapeInterval="(?!0)/m.test(flags)
  const notQueried = { influxql: undefined, checkpoint: undefined, limits: undefined }
  if (!accepted(found[0]?.accepts)) return { ...notQueried, places: found, dedups }

  // The sample first: after it there is something to show.
  const sampled: PlaceFacts[] = []
  for (const facts of found) {
    const { place, accepts } = facts
    const sample = accepted(accepts)
      ? await outcomeOf(() =>
          writeAndRead(
            place,
            { ...deps, createSink, ask: (query, until) => ask(query, place.label, until) },
            isVictoriaMetrics,
            signal,
          ),
        )
      : undefined
    sampled.push({ ...facts, sample })
  }
  // A query of a measurement: servers answer others (SHOW MEASUREMENTS) also of databases that they do not find.
  const shows = `SELECT "nonce" FROM ${places.from('tailflux_check')} WHERE time > now() - 1m LIMIT 1`
  const influxql = isVictoriaMetrics
    ? undefined
    : await outcomeOf(async () => void (await ask(shows, places.of('main').label, signal)))
  const isRefused = influxql !== undefined && 'error' in influxql
  const checkpoint = isRefused ? undefined : await outcomeOf(() => checkpointOf())
  // Queried last: the sample has created a shard, and the shard shows which index is in use.
  const limits = product === 'v1' ? await outcomeOf(() => limitsOf()) : undefined
  return { influxql, places: sampled, checkpoint, dedups, limits }

  /** The tables of a query. Rejects with a CollectorError that names the place. */
  async function ask(query: string, place: string, until: AbortSignal): ReturnType<Ask> {
    const { answer, shown, said } = await askInfluxql(http, { query, db }, until)
    if (said === undefined) return shown.tables
    const known = readRefusal(answer.status, said, config.api)
    const text = `${label} does not let these credentials read ${place} (${answer.status === 200 ? said : `${answer.status}: ${said}`}).`
    if (known === undefined && answer.status !== 200) throw refusal(answer, said, label, nowMs())
    throw new CollectorError(text, {
      stage: 'sink',
      code: known?.code ?? 'db_misconfigured',
      reaction: known?.reaction ?? 'hold',
    })
  }

  async function flagsOf(): Promise<string | undefined> {
    const answer = await http.send({ method: 'GET', path: '/flags', headers: { accept: 'text/plain' } }, signal)
    return answer.status === 200 ? answer.body : undefined
  }

  async function checkpointOf(): Promise<CheckpointFacts> {
    const sink = createSink({ append: async (more) => more })
    try {
      return await deps.probeCheckpoint(sink, signal)
    } finally {
      await sink.stop()
    }
  }

  async function limitsOf(): Promise<SeriesLimits> {
    const [table] = await ask(`SHOW DIAGNOSTICS FOR 'config-data'`, 'its settings', signal)
    const cell = (name: string) => (table === undefined ? null : cellOf(table, table.rows[0] ?? [], name))
    const [series, valuesPerTag] = [cell('max-series-per-database'), cell('max-values-per-tag')]
    if (typeof series !== 'bigint' || typeof valuesPerTag !== 'bigint') throw unreadable('does not show the limits')
    const shards = await ask(`SHOW STATS FOR 'shard'`, 'its statistics', signal)
    const newest = shards
      .filter(({ tags }: Table) => tags['database'] === db)
      .toSorted((one, other) => Number(other.tags['id']) - Number(one.tags['id']))[0]
    const index = cell('index-version') ?? newest?.tags['indexType']
    return {
      valuesPerTag: Number(valuesPerTag),
      series: Number(series),
      index: typeof index === 'string' && index !== '' ? index : undefined,
    }
  }
}

function accepted(outcome: Outcome<void> | undefined): boolean {
  return outcome !== undefined && 'value' in outcome
}
