/** Databases and retention policies of InfluxDB 1.x: what is there, and the statements that make what is missing. */

import { askInfluxql } from '../sink/influxdb/ask-influxql.ts'
import { cellOf, identifier, type Table } from '../sink/influxdb/influxql.ts'
import type { Place, Places } from '../sink/influxdb/places.ts'
import { compareKeeping, durationText, type Keeping, keepingFor, keepingText } from './keeping.ts'
import { type Item, type Planner, step } from './plan.ts'
import { type ProvisionDeps, provisionError } from './refusal.ts'

export interface Policy extends Keeping {
  readonly name: string
  readonly isDefault: boolean
}

/** Undefined when there is no such database, or these credentials may not see it. Also for databases of 3.x, which show themselves as their only
 * policy. Rejects with a CollectorError. */
export async function readPolicies(
  db: string,
  deps: ProvisionDeps,
  signal: AbortSignal,
): Promise<readonly Policy[] | undefined> {
  const query = `SHOW RETENTION POLICIES ON ${identifier(db)}`
  const { answer, shown, said } = await askInfluxql(deps.http, { query, db }, signal)
  if (said !== undefined) {
    if (/database not found/i.test(said)) return undefined
    throw provisionError(deps, `read the retention policies of database ${db}`, answer, said)
  }
  const [table] = shown.tables
  return (table?.rows ?? []).map((row) => {
    const cell = (name: string) => cellOf(table as Table, row, name)
    return {
      name: String(cell('name')),
      isDefault: cell('default') === true,
      keptSeconds: goSeconds(String(cell('duration'))),
      shardSeconds: goSeconds(String(cell('shardGroupDuration') ?? '')),
    }
  })
}

export function planInflux1(places: Places, deps: ProvisionDeps & { readonly mayShorten: boolean }): Planner {
  const { db, all } = places
  const isAlone = all.length === 3

  async function run(query: string, signal: AbortSignal): Promise<void> {
    const { answer, said } = await askInfluxql(deps.http, { query, db: undefined, method: 'POST' }, signal)
    if (said !== undefined) throw provisionError(deps, `run ${query}`, answer, said)
  }

  function statement(what: string, query: string): Item {
    return step(what, query, (signal) => run(query, signal))
  }

  function planPlace(place: Place, policies: readonly Policy[] | undefined): readonly Item[] {
    const { target, name, label } = place
    const wanted = keepingFor(place, isAlone)
    const policy = policies?.find((one) => (name === undefined ? one.isDefault : one.name === name))
    if (policy !== undefined) {
      const alter = (to: Keeping) =>
        `ALTER RETENTION POLICY ${identifier(policy.name)} ON ${identifier(db)} ${clauses(to, ' ')}`
      return [
        compareKeeping(place, policy, wanted, {
          mayShorten: deps.mayShorten,
          byHand: alter,
          change: (to, signal) => run(alter(to), signal),
        }),
      ]
    }
    const what = `${label}, which ${keepingText(wanted)}`
    if (target === 'main' && policies === undefined && name === undefined) {
      const query = `CREATE DATABASE ${identifier(db)} WITH ${clauses(wanted, ' REPLICATION 1 ')} NAME "autogen"`
      return [statement(what, query)]
    }
    const made = `CREATE RETENTION POLICY ${identifier(name ?? 'autogen')} ON ${identifier(db)} ${clauses(wanted, ' REPLICATION 1 ')}`
    const query = name === undefined ? `${made} DEFAULT` : made
    const isFirst = target === 'main' && policies === undefined
    return [
      ...(isFirst ? [statement(`database ${db}`, `CREATE DATABASE ${identifier(db)}`)] : []),
      statement(what, query),
    ]
  }

  return async (signal) => {
    const policies = await readPolicies(db, deps, signal)
    return all.flatMap((place) => planPlace(place, policies))
  }
}

function clauses({ keptSeconds, shardSeconds }: Keeping, between: string): string {
  const kept = keptSeconds === undefined ? 'INF' : durationText(keptSeconds)
  return `DURATION ${kept}${between}SHARD DURATION ${durationText(shardSeconds ?? 7 * 86_400)}`
}

/** `168h0m0s` → 604800; 0 or nothing → undefined. */
function goSeconds(text: string): number | undefined {
  let seconds = 0
  for (const [, amount, unit] of text.matchAll(/([\d.]+)(h|ms|m|s)/g)) {
    seconds += Number(amount) * { h: 3600, m: 60, s: 1, ms: 0.001 }[unit as 'h' | 'm' | 's' | 'ms']
  }
  return seconds === 0 ? undefined : seconds
}
