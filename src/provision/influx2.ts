/** Buckets and DBRP mappings of InfluxDB 2.x: what is there, and the requests that make what is missing. */
import { CollectorError } from '../base/errors.ts'
import type { Place, Places } from '../sink/influxdb/places.ts'
import { compareKeeping, durationText, type Keeping, keepingFor, keepingText } from './keeping.ts'
import { type Item, left, type Planner, right, step } from './plan.ts'
import { type ProvisionDeps, requestJson } from './refusal.ts'

/** Ids of 2.x. A name may look like one. */
const ID = /^[0-9a-f]{16}$/

interface Bucket extends Keeping {
  readonly id: string
  readonly name: string
  readonly orgId: string
}

/** `hidden`: the token may not see buckets. `missing`: there is none of that name or id. */
type BucketAnswer = Bucket | 'hidden' | 'missing'

interface WireBucket {
  readonly id: string
  readonly orgID: string
  readonly name: string
  readonly retentionRules?: readonly {
    readonly type?: string
    readonly everySeconds?: number
    readonly shardGroupDurationSeconds?: number
  }[]
}

/** By its name; if there is none, by its id. `org` is a name or an id: writes take both, this request tells them apart. Rejects with a CollectorError. */
export async function findBucket(
  name: string,
  org: string | undefined,
  deps: ProvisionDeps,
  signal: AbortSignal,
): Promise<BucketAnswer> {
  const what = `read the bucket ${name}`
  const byName = `name=${encodeURIComponent(name)}`
  for (const of of org === undefined ? [''] : orgParameters(org).map((one) => `&${one}`)) {
    const path = `/api/v2/buckets?${byName}${of}`
    const found = await requestJson<{ buckets?: readonly WireBucket[] }>(deps, what, { method: 'GET', path }, signal)
    if (found === undefined) continue
    const bucket = (found.buckets ?? []).find((one) => one.name === name)
    return bucket === undefined ? 'hidden' : bucketOf(bucket)
  }
  if (!ID.test(name)) return 'missing'
  const byId = await requestJson<WireBucket>(deps, what, { method: 'GET', path: `/api/v2/buckets/${name}` }, signal)
  return byId === undefined ? 'missing' : bucketOf(byId)
}

/** By its name, then by its id if it may be one. */
function orgParameters(org: string): readonly string[] {
  const encoded = encodeURIComponent(org)
  return ID.test(org) ? [`org=${encoded}`, `orgID=${encoded}`] : [`org=${encoded}`]
}

function bucketOf({ id, orgID: orgId, name, retentionRules = [] }: WireBucket): Bucket {
  const rule = retentionRules.find(({ type }) => type === undefined || type === 'expire')
  const positive = (seconds: number | undefined) => (seconds === undefined || seconds === 0 ? undefined : seconds)
  return {
    id,
    name,
    orgId,
    keptSeconds: positive(rule?.everySeconds),
    shardSeconds: positive(rule?.shardGroupDurationSeconds),
  }
}

interface Organisation {
  readonly id: string
  readonly name: string
}

export interface Influx2Options {
  readonly org: string | undefined
  readonly mayShorten: boolean
}

export function planInflux2(places: Places, options: Influx2Options, deps: ProvisionDeps): Planner {
  const { all, db } = places
  const isAlone = all.length === 3
  const { org, mayShorten } = options

  async function organisations(query: string, signal: AbortSignal): Promise<readonly Organisation[]> {
    const request = { method: 'GET', path: `/api/v2/orgs${query}` } as const
    return (
      (await requestJson<{ orgs?: readonly Organisation[] }>(deps, 'read the organisations', request, signal))?.orgs ??
      []
    )
  }

  /** Rejects with a CollectorError when it is not there, or may not be seen. */
  async function findOrganisation(signal: AbortSignal): Promise<Organisation> {
    if (org === undefined) {
      const [only, ...more] = await organisations('', signal)
      if (only !== undefined && more.length === 0) return only
      throw misconfigured('The organisation is not set. Set INFLUX_ORG to its name (influx org list shows it).')
    }
    for (const parameter of orgParameters(org)) {
      const [found] = await organisations(`?${parameter}`, signal)
      if (found !== undefined) return found
    }
    throw misconfigured(
      `The organisation ${org} is not there, or this token may not see it. Check INFLUX_ORG, and use an all-access token for \`tailflux init\`.`,
    )
  }

  function misconfigured(text: string): CollectorError {
    return new CollectorError(`${deps.label}: ${text}`, { stage: 'sink', code: 'db_misconfigured', reaction: 'hold' })
  }

  function rules({ keptSeconds, shardSeconds }: Keeping) {
    return [{ type: 'expire', everySeconds: keptSeconds ?? 0, shardGroupDurationSeconds: shardSeconds }]
  }

  function planBucket(place: Place, found: BucketAnswer, { id: orgID, name: orgName }: Organisation): Item {
    const wanted = keepingFor(place, isAlone)
    const { label } = place
    const name = place.name ?? db
    const flags = (to: Keeping) =>
      `--retention ${to.keptSeconds === undefined ? 0 : durationText(to.keptSeconds)} --shard-group-duration ${durationText(to.shardSeconds ?? 7 * 86_400)}`
    if (found === 'hidden')
      throw misconfigured(`This token may not see ${label}. Use an all-access token for \`tailflux init\`.`)
    if (found === 'missing') {
      const byHand = `influx bucket create --org ${shell(orgName)} --name ${shell(name)} ${flags(wanted)}`
      return step(`${label}, which ${keepingText(wanted)}`, byHand, async (signal) => {
        const body = { orgID, name, retentionRules: rules(wanted) }
        await requestJson(deps, `create ${label}`, { method: 'POST', path: '/api/v2/buckets', body }, signal)
      })
    }
    return compareKeeping(place, found, wanted, {
      mayShorten,
      byHand: (to) => `influx bucket update --id ${found.id} ${flags(to)}`,
      async change(to, signal) {
        const request = {
          method: 'PATCH',
          path: `/api/v2/buckets/${found.id}`,
          body: { retentionRules: rules(to) },
        } as const
        await requestJson(deps, `change ${label}`, request, signal)
      },
    })
  }

  /** InfluxQL finds buckets by database and policy. Newer servers map `db` and `db/rp` by themselves once the bucket is there. */
  function planMappings(
    found: ReadonlyMap<Place, Bucket>,
    mappings: readonly Mapping[],
    { id: orgID }: Organisation,
  ): Item[] {
    return [...found].map(([place, bucket]) => {
      const policy = bucket.name.split('/').slice(1).join('/') || 'autogen'
      const isDefault = policy === 'autogen'
      const mapping = mappings.find((one) =>
        isDefault && place.target === 'main' ? one.default : one.retention_policy === policy,
      )
      const shown = `"${db}"."${policy}"`
      if (mapping?.bucketID === bucket.id) return right(`InfluxQL reads ${place.label} as ${shown}.`)
      if (mapping !== undefined) {
        return left(
          `InfluxQL reads another bucket as ${shown}, so dashboards and tailflux do not find ${place.label}.`,
          `Remove that mapping: influx v1 dbrp delete --id ${mapping.id}. Then run tailflux init again.`,
          true,
        )
      }
      const byHand = `influx v1 dbrp create --bucket-id ${bucket.id} --db ${shell(db)} --rp ${shell(policy)}${isDefault ? ' --default' : ''}`
      return step(`DBRP mapping: InfluxQL reads ${place.label} as ${shown}`, byHand, async (signal) => {
        const body = { orgID, bucketID: bucket.id, database: db, retention_policy: policy, default: isDefault }
        await requestJson(
          deps,
          `map ${place.label} for InfluxQL`,
          { method: 'POST', path: '/api/v2/dbrps', body },
          signal,
        )
      })
    })
  }

  return async (signal) => {
    const organisation = await findOrganisation(signal)
    const items: Item[] = []
    if (org === undefined)
      items.push(left(`INFLUX_ORG is not set, and writes need it.`, `Set INFLUX_ORG=${organisation.name}.`, true))
    const found = new Map<Place, Bucket>()
    for (const place of all) {
      const name = place.name ?? db
      const bucket = await findBucket(name, organisation.id, deps, signal)
      if (typeof bucket === 'object' && bucket.name !== name) {
        return [
          left(
            `INFLUX_BUCKET is the id of bucket ${bucket.name}. Writes take ids, but InfluxQL and the places beside it need the name.`,
            `Set INFLUX_BUCKET=${bucket.name}.`,
            true,
          ),
        ]
      }
      items.push(planBucket(place, bucket, organisation))
      if (typeof bucket === 'object') found.set(place, bucket)
    }
    const path = `/api/v2/dbrps?orgID=${organisation.id}&db=${encodeURIComponent(db)}`
    const mapped = await requestJson<{ content?: readonly Mapping[] }>(
      deps,
      'read the DBRP mappings',
      { method: 'GET', path },
      signal,
    )
    return [...items, ...planMappings(found, mapped?.content ?? [], organisation)]
  }
}

interface Mapping {
  readonly id: string
  readonly retention_policy: string
  readonly default: boolean
  readonly bucketID: string
}

function shell(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
