/** Where points are in InfluxDB. Without `retention.raw` and `retention.minutes` there is one place, `main`: a bucket (2.x), a database (3.x), or a retention
 * policy of a database (1.x). Each of the two settings moves its points to a place of its own, called `raw` or `minutes`: a policy of that name on 1.x,
 * the bucket or database `db/raw` or `db/minutes` on the others. InfluxQL reads all of them as `"db"."raw"."measurement"`. */
import { type InfluxApi, type InfluxConfig, mainOf, type Retention } from '../config.ts'
import { type Target, targetOf } from '../sink.ts'
import { identifier } from './influxql.ts'
import { MAIN_MISSING } from './response-policy.ts'

/** Settings that decide where points are read. */
export interface NamesConfig extends Pick<InfluxConfig, 'api' | 'db' | 'bucket' | 'rp'> {
  readonly retention: Retention
}

/** Settings that decide where points are. */
export interface PlacesConfig extends NamesConfig, Pick<InfluxConfig, 'org'> {
  readonly api: InfluxApi
}

/** How InfluxQL calls the places; the same for every version, so it is known before the server was asked for its own. */
export interface PlaceNames {
  /** Of every query. */
  readonly db: string
  /** What stands after FROM to read a measurement of tailflux: `"tailnet_edge"`, or `"db"."minutes"."tailnet_edge"`. */
  from(measurement: string): string
}

export interface Place {
  readonly target: Target
  /** As the server calls it: the bucket or database; on 1.x the retention policy, undefined for the default one. */
  readonly name: string | undefined
  /** For people: `bucket flows/raw`. */
  readonly label: string
  /** Path and query of a write. */
  readonly path: string
  /** What stands after FROM to read a measurement here. */
  readonly from: (measurement: string) => string
  /** How to fix it when the server does not have this place. */
  readonly ifMissing: string
  /** 3.x: a write to a place that is not there makes it, without the retention that it should have. */
  readonly isMadeByWriting: boolean
  /** How long its points should be kept, by the settings, ms; undefined: as the database keeps them. */
  readonly retentionMs: number | undefined
}

export interface Places extends PlaceNames {
  /** Each place once, `main` first. */
  readonly all: readonly Place[]
  of(target: Target): Place
}

export function createPlaceNames(config: NamesConfig): PlaceNames {
  const { db, rp } = mainOf(config)
  return {
    db,
    from(measurement) {
      const target = targetOf(measurement)
      const isApart = target !== 'main' && config.retention[target] !== undefined
      return fromOf(db, isApart ? target : rp, measurement)
    },
  }
}

/** With the database in front: 3.x does not understand `"rp"."measurement"`. */
function fromOf(db: string, policy: string | undefined, measurement: string): string {
  const quoted = identifier(measurement)
  return policy === undefined ? quoted : `${identifier(db)}.${identifier(policy)}.${quoted}`
}

export function createPlaces(config: PlacesConfig): Places {
  const { api, retention } = config
  const { db, rp } = mainOf(config)

  function placeOf(target: Target): Place {
    const policy = target === 'main' ? rp : target
    const name = api === 'v1' || policy === undefined ? policy : `${db}/${policy}`
    const from = (measurement: string) => fromOf(db, policy, measurement)
    const common = {
      target,
      from,
      ifMissing: ifMissing(target),
      isMadeByWriting: api === 'v3',
      retentionMs: retention[target === 'main' ? 'rest' : target],
    }
    if (api !== 'v1') {
      const bucket = name ?? db
      return { ...common, name: bucket, label: `${KINDS[api]} ${bucket}`, path: pathOf(bucket, undefined) }
    }
    const label = target === 'main' ? `database ${db}` : `retention policy ${policy} of database ${db}`
    return { ...common, name, label, path: pathOf(db, policy) }
  }

  function pathOf(store: string, policy: string | undefined): string {
    const name = encodeURIComponent(store)
    if (api === 'v1') {
      // No precision parameter: that means nanoseconds in every version, while its names differ (`n`, `ns`).
      return `/write?db=${name}${policy === undefined ? '' : `&rp=${encodeURIComponent(policy)}`}`
    }
    if (api === 'v3') return `/api/v3/write_lp?db=${name}&precision=nanosecond&accept_partial=false`
    return `/api/v2/write?org=${encodeURIComponent(config.org ?? '')}&bucket=${name}&precision=ns`
  }

  const main = placeOf('main')
  const places: Record<Target, Place> = {
    main,
    raw: retention.raw === undefined ? main : placeOf('raw'),
    minutes: retention.minutes === undefined ? main : placeOf('minutes'),
  }
  return {
    ...createPlaceNames(config),
    all: [...new Set([main, places.raw, places.minutes])],
    of: (target) => places[target],
  }
}

function ifMissing(target: Target): string {
  if (target === 'main') return MAIN_MISSING
  return `It is the place of retention.${target}. Create it with \`tailflux init\`. Writing then resumes by itself.`
}

const KINDS = { v2: 'bucket', v3: 'database' } as const
