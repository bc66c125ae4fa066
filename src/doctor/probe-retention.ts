/** Whether a place is there, and how long it keeps points, in the terms of each product. Read before anything is written: InfluxDB 3 makes what a write
 * names. */
import { readPolicies } from '../provision/influx1.ts'
import { findBucket } from '../provision/influx2.ts'
import { type Database, readDatabases } from '../provision/influx3.ts'
import type { ProvisionDeps } from '../provision/refusal.ts'
import type { Place } from '../sink/influxdb/places.ts'
import type { Product } from '../sink/influxdb/server.ts'
import { outcomeOf } from './finding.ts'

/** How long points are kept; `seconds` undefined: forever. */
interface Retention {
  /** The retention policy, bucket or database. */
  readonly name: string
  readonly seconds: number | undefined
}

/** `unanswerable`: this product does not report it. `hidden`: these credentials may not see it. `missing`: it is not there. */
export type RetentionFacts =
  | Retention
  | 'unanswerable'
  | 'hidden'
  | 'missing'
  /** 3.x: the first write would make it, and it would keep points forever. The databases that are there. */
  | { readonly databases: readonly Database[] }
  /** 2.x: the settings name the bucket by its id. */
  | { readonly idOf: string }

/** Rejects with a CollectorError when the question is refused. */
export async function readRetention(
  place: Place,
  options: {
    readonly product: Product
    readonly db: string
    readonly org: string | undefined
    /** Of VictoriaMetrics. */
    readonly flags: string | undefined
  },
  deps: ProvisionDeps,
  signal: AbortSignal,
): Promise<RetentionFacts> {
  const { product, db, org, flags } = options
  if (product === 'victoria-metrics') return flagRetention(flags)
  if (product === 'v1') return await policyRetention(place, db, deps, signal)
  if (product === 'v2') {
    const bucket = await findBucket(place.name ?? db, org, deps, signal)
    if (typeof bucket === 'string') return bucket
    return bucket.name === (place.name ?? db)
      ? { name: bucket.name, seconds: bucket.keptSeconds }
      : { idOf: bucket.name }
  }
  if (product === 'v3') return await databaseRetention(place.name ?? db, deps, signal)
  return 'unanswerable'
}

async function policyRetention(
  { name }: Place,
  db: string,
  deps: ProvisionDeps,
  signal: AbortSignal,
): Promise<RetentionFacts> {
  const policies = await readPolicies(db, deps, signal)
  const policy = policies?.find((one) => (name === undefined ? one.isDefault : one.name === name))
  return policy === undefined ? 'missing' : { name: policy.name, seconds: policy.keptSeconds }
}

async function databaseRetention(name: string, deps: ProvisionDeps, signal: AbortSignal): Promise<RetentionFacts> {
  const databases = await outcomeOf(() => readDatabases(deps, signal))
  if ('value' in databases) {
    const found = databases.value.find((one) => one.name === name)
    return found === undefined ? { databases: databases.value } : { name, seconds: found.keptSeconds }
  }
  // The list is in a table of the server's own, which older versions lack, and which tokens with fewer rights may not read.
  if (!['db_forbidden', 'db_misconfigured'].includes(databases.error.code)) throw databases.error
  const policies = await readPolicies(name, deps, signal)
  return policies === undefined ? { databases: [] } : { name, seconds: policies[0]?.keptSeconds }
}

/** `flags` as VictoriaMetrics shows them; undefined: it does not show them. */
function flagRetention(flags: string | undefined): RetentionFacts {
  if (flags === undefined) return 'unanswerable'
  const [, amount = '1', unit = ''] = /^-retentionPeriod="([\d.]+)([a-z]*)"/m.exec(flags) ?? []
  // Without a unit it is months, as its own documentation counts them: 31 days.
  const days = { h: 1 / 24, d: 1, w: 7, y: 365 }[unit] ?? 31
  return { name: 'retentionPeriod', seconds: Number(amount) * days * 86_400 }
}
