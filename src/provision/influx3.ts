/** Databases and tables of InfluxDB 3 Core and Enterprise: what is there, and the requests that make what is missing. */
import { askInfluxql } from '../sink/influxdb/ask-influxql.ts'
import type { Place, Places } from '../sink/influxdb/places.ts'
import type { Greeting } from '../sink/influxdb/server.ts'
import { targetOf } from '../sink/sink.ts'
import { compareKeeping, durationText, keepingFor, keepingText } from './keeping.ts'
import { type Item, left, type Planner, right, step } from './plan.ts'
import { type ProvisionDeps, provisionError, requestJson } from './refusal.ts'

export interface Database {
  readonly name: string
  /** Undefined: forever. */
  readonly keptSeconds: number | undefined
}

/** Core allows so many databases; its own one does not count. */
export const CORE_DATABASES_MAX = 5
const OWN_DATABASE = '_internal'

/** Without a word about the edition it is treated as Core: a database that cannot be made is refused anyway. */
export function isCore({ edition }: Pick<Greeting, 'edition'>): boolean {
  return !/enterprise|cloud/i.test(edition ?? '')
}

/** All but the server's own. Rejects with a CollectorError. */
export async function readDatabases(deps: ProvisionDeps, signal: AbortSignal): Promise<readonly Database[]> {
  const query = encodeURIComponent('SELECT * FROM system.databases')
  const path = `/api/v3/query_sql?db=${OWN_DATABASE}&format=json&q=${query}`
  const rows = await requestJson<readonly WireDatabase[]>(deps, 'read the databases', { method: 'GET', path }, signal)
  return (rows ?? []).flatMap(({ database_name: name, retention_period_ns: ns, deleted }) =>
    name === OWN_DATABASE || deleted === true
      ? []
      : [{ name, keptSeconds: ns === undefined || ns === null ? undefined : ns / 1e9 }],
  )
}

/** What to do where Core has no room for another database. */
export function coreIsFull(databases: readonly Database[], missing: readonly string[]): { text: string; fix: string } {
  const names = databases.map(({ name }) => name).join(', ')
  const free = CORE_DATABASES_MAX - databases.length
  return {
    text: `InfluxDB 3 Core allows ${CORE_DATABASES_MAX} databases. It has ${databases.length} (${names}), so ${free <= 0 ? 'none' : free === 1 ? 'only one' : `only ${free}`} of ${missing.join(', ')} can be made.`,
    fix: 'Set INFLUX_BUCKET to one that is there, delete one that is not needed (influxdb3 delete database NAME), or leave out retention.raw or retention.minutes, each of which needs a database.',
  }
}

interface WireDatabase {
  readonly database_name: string
  readonly retention_period_ns?: number | null
  readonly deleted?: boolean
}

/** Measurements with many series, with their tags in the order in which queries narrow them down: few values first. The first write of a table would fix the
 * order of line protocol, which begins with the addresses. */
export const TAG_ORDER: Readonly<Record<string, readonly string[]>> = {
  tailnet_flow: ['tailnet', 'kind', 'path', 'proto', 'node', 'src', 'dst', 'dst_port', 'src_port'],
  ...tiersOf('tailnet_edge', [
    ...['tailnet', 'kind', 'path', 'proto', 'src_owner', 'dst_owner'],
    ...['src_name', 'src', 'dst_name', 'dst', 'port'],
  ]),
  ...tiersOf('tailnet_node', ['tailnet', 'kind', 'role', 'os', 'owner', 'node_name', 'node']),
}

function tiersOf(measurement: string, tags: readonly string[]): Record<string, readonly string[]> {
  return Object.fromEntries(['', '_1h', '_1d'].map((suffix) => [`${measurement}${suffix}`, tags]))
}

export function planInflux3(
  places: Places,
  options: { readonly mayShorten: boolean; readonly isCore: boolean },
  deps: ProvisionDeps,
): Planner {
  const { all, of } = places
  const isAlone = all.length === 3
  const configure = (
    what: string,
    method: 'POST' | 'PUT',
    kind: 'database' | 'table',
    body: unknown,
    signal: AbortSignal,
  ) => requestJson(deps, what, { method, path: `/api/v3/configure/${kind}`, body }, signal)

  function planDatabase(place: Place, found: Database | undefined): Item {
    const { label } = place
    const name = place.name ?? places.db
    const wanted = { keptSeconds: keepingFor(place, isAlone).keptSeconds, shardSeconds: undefined }
    const period = wanted.keptSeconds === undefined ? undefined : durationText(wanted.keptSeconds)
    if (found === undefined) {
      const flag = period === undefined ? '' : `--retention-period ${period} `
      const body = period === undefined ? { db: name } : { db: name, retention_period: period }
      return step(
        `${label}, which ${keepingText(wanted)}`,
        `influxdb3 create database ${flag}${name}`,
        async (signal) => {
          await configure(`create ${label}`, 'POST', 'database', body, signal)
        },
      )
    }
    return compareKeeping(place, { ...found, shardSeconds: undefined }, wanted, {
      mayShorten: options.mayShorten,
      byHand: () => `influxdb3 update database --database ${name} --retention-period ${period}`,
      async change(_to, signal) {
        await configure(`change ${label}`, 'PUT', 'database', { db: name, retention_period: period }, signal)
      },
    })
  }

  async function readTables(db: string, label: string, signal: AbortSignal): Promise<readonly string[]> {
    const { answer, shown, said } = await askInfluxql(deps.http, { query: 'SHOW MEASUREMENTS', db }, signal)
    if (said !== undefined) throw provisionError(deps, `read the tables of ${label}`, answer, said)
    return shown.tables.flatMap(({ rows }) => rows.map(([name]) => String(name)))
  }

  async function planTables(place: Place, isThere: boolean, signal: AbortSignal): Promise<readonly Item[]> {
    const db = place.name ?? places.db
    const names = Object.keys(TAG_ORDER).filter((name) => of(targetOf(name)) === place)
    const there = isThere ? await readTables(db, place.label, signal) : []
    const missing = names.filter((name) => !there.includes(name))
    if (missing.length === 0) return [right(`${place.label} has its tables (${names.join(', ')}).`)]
    const byHand = missing.map(
      (table) => `influxdb3 create table --database ${db} --tags ${TAG_ORDER[table]?.join(',')} ${table}`,
    )
    return [
      step(
        `${missing.length} tables of ${place.label} with the order of tags that queries need: ${missing.join(', ')}`,
        byHand.join('\n'),
        async (until) => {
          for (const table of missing) {
            const body = { db, table, tags: TAG_ORDER[table], fields: [] }
            await configure(`create table ${table} in ${place.label}`, 'POST', 'table', body, until)
          }
        },
      ),
    ]
  }

  return async (signal) => {
    const databases = await readDatabases(deps, signal)
    const foundFor = (place: Place) => databases.find(({ name }) => name === (place.name ?? places.db))
    const missing = all.filter((place) => foundFor(place) === undefined).map((place) => place.name ?? places.db)
    if (options.isCore && missing.length > 0 && databases.length + missing.length > CORE_DATABASES_MAX) {
      const { text, fix } = coreIsFull(databases, missing)
      return [left(text, fix, true)]
    }
    const items: Item[] = []
    for (const place of all) {
      const found = foundFor(place)
      items.push(planDatabase(place, found), ...(await planTables(place, found !== undefined, signal)))
    }
    return items
  }
}
