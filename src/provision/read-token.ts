/** A token of InfluxDB 2.x for Grafana, which may read the places of tailflux and nothing else. It is kept in a file, because the server shows a token only
 * once. */
import { randomUUID } from 'node:crypto'
import { chmod, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { CollectorError } from '../base/errors.ts'
import type { Places } from '../sink/influxdb/places.ts'
import { findBucket } from './influx2.ts'
import { type Planner, right, step } from './plan.ts'
import { type ProvisionDeps, requestJson } from './refusal.ts'

interface Authorization {
  readonly id: string
  readonly token?: string
  readonly status: string
  readonly description: string
  readonly permissions?: readonly {
    readonly action: string
    readonly resource: { readonly type: string; readonly id?: string }
  }[]
}

/** Grafana runs as another user, so it may read the file; only the folder keeps others out. */
const MODE = 0o644
const CHECK_FOLDER = 'Check the folder and its rights.'
const AGAIN = 'Check that INFLUX_URL leads to one server only, and run tailflux init again.'

/** `file`: where the token is kept. `org`: name or id. */
export function planReadToken(
  places: Places,
  options: { readonly file: string; readonly org: string | undefined },
  deps: ProvisionDeps,
): Planner {
  const { db, all } = places
  const { file } = options
  const description = `tailflux: Grafana reads ${db}`

  /** Undefined while a bucket is missing. */
  async function buckets(signal: AbortSignal, by = deps) {
    const found = await Promise.all(all.map((place) => findBucket(place.name ?? db, options.org, by, signal)))
    return found.every((one) => typeof one === 'object') ? found : undefined
  }

  async function authorizations(orgId: string, signal: AbortSignal): Promise<readonly Authorization[]> {
    const request = { method: 'GET', path: `/api/v2/authorizations?orgID=${orgId}` } as const
    const found = await requestJson<{ authorizations?: readonly Authorization[] }>(
      deps,
      'read the tokens',
      request,
      signal,
    )
    return (found?.authorizations ?? []).filter((one) => one.description === description)
  }

  async function make(signal: AbortSignal): Promise<void> {
    const known = await buckets(signal)
    const [first] = known ?? []
    if (known === undefined || first === undefined) throw tokenError('the buckets are not there', AGAIN)
    const { orgId: orgID } = first
    const old = await authorizations(orgID, signal)
    const permissions = known.map(({ id }) => ({ action: 'read', resource: { type: 'buckets', id, orgID } }))
    const body = { orgID, description, permissions }
    const made = await requestJson<Authorization>(
      deps,
      'create a token',
      { method: 'POST', path: '/api/v2/authorizations', body },
      signal,
    )
    if (!made?.token) throw tokenError('the server did not show it', AGAIN)
    await keep(made.token)
    // The new one is in use from now on; the old one is known to nobody any more.
    for (const { id } of old)
      await requestJson(
        deps,
        'remove the old token',
        { method: 'DELETE', path: `/api/v2/authorizations/${id}` },
        signal,
      )
  }

  async function keep(token: string): Promise<void> {
    const draft = `${file}.${randomUUID()}`
    try {
      await writeFile(draft, `${token}\n`, { mode: MODE, flag: 'wx' })
      // The process's mask may have taken rights away.
      await chmod(draft, MODE)
      await rename(draft, file)
    } catch (error) {
      await rm(draft, { force: true }).catch(() => undefined)
      throw tokenError('it cannot be written', CHECK_FOLDER, error)
    }
  }

  function tokenError(why: string, fix: string, cause?: unknown): CollectorError {
    return new CollectorError(`The token for Grafana does not get into ${file}: ${why}. ${fix}`, {
      stage: 'sink',
      code: 'db_misconfigured',
      reaction: 'hold',
      cause,
    })
  }

  async function kept(): Promise<string | undefined> {
    try {
      return (await readFile(file, 'utf8')).trim() || undefined
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw tokenError('it cannot be read', CHECK_FOLDER, error)
    }
  }

  /** The token itself is not compared: newer servers do not show it. */
  async function isGood(token: string, signal: AbortSignal): Promise<boolean> {
    const known = await buckets(signal)
    const orgId = known?.[0]?.orgId
    if (known === undefined || orgId === undefined) return false
    const covers = ({ status, permissions = [] }: Authorization) =>
      status === 'active' &&
      known.every(({ id }) => permissions.some(({ action, resource }) => action === 'read' && resource.id === id))
    if (!(await authorizations(orgId, signal)).some(covers)) return false
    // It may be another one, with other rights.
    const asIt: ProvisionDeps = {
      ...deps,
      http: {
        send: (request, until) =>
          deps.http.send({ ...request, headers: { ...request.headers, authorization: `Token ${token}` } }, until),
        stop: () => undefined,
      },
    }
    try {
      return (await buckets(signal, asIt)) !== undefined
    } catch (error) {
      if (error instanceof CollectorError && error.code === 'db_unauthorized') return false
      throw error
    }
  }

  return async (signal) => {
    const token = await kept()
    if (token !== undefined && (await isGood(token, signal))) return [right(`Grafana's token in ${file} reads ${db}.`)]
    const flags = all.map((_place, index) => `--read-bucket ID${index + 1}`).join(' ')
    const byHand = `influx auth create --description "${description}" ${flags}`
    return [
      step(
        `token for Grafana in ${file}, which reads ${all.map(({ label }) => label).join(', ')} and nothing else`,
        byHand,
        make,
      ),
    ]
  }
}
