/** A small real HTTP server that answers as InfluxDB 2.9.1 and 3 Core 3.10.1 do where they differ from 1.x, by the recorded answers beside the tests of the
 * sink. It has organisation `home`, buckets (databases), mappings, tokens and tables, and keeps points of `tailflux_check` and `tailflux_window`. */
import { randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import { startHttpServer } from '../helpers/http-server.ts'
import { linesOf } from '../helpers/lines.ts'

export interface ScriptedInflux {
  readonly version: string
  readonly token: string
  /** The main one; undefined: none is there. */
  readonly bucket?: string | undefined
  readonly retentionSeconds?: number
  /** Other buckets or databases, with their retention, seconds; 0: forever. */
  readonly others?: Readonly<Record<string, number>>
  /** 2.x: false as in older versions, where InfluxQL finds a bucket only by a mapping that somebody made. */
  readonly hasMapping?: boolean
  /** The token may write, and nothing else. */
  readonly isWriteOnly?: boolean
  /** The token may write and read these only. */
  readonly only?: readonly string[]
  /** The token may not create or change anything. */
  readonly isOperator?: boolean
  /** 3.x: false where the token may not read the server's own tables. */
  readonly hasSystemTables?: boolean
  /** 2.x: what it answers about a token that it made has no token. */
  readonly hidesTokens?: boolean
  /** Acknowledges, and forgets. */
  readonly forgets?: boolean
  /** Instead of the checkpoint. */
  readonly checkpoint?: { readonly status: number; readonly body: unknown }
  /** InfluxQL of the checkpoint shows no point that was written. */
  readonly showsOther?: boolean
  /** Added to its clock, ms. */
  readonly skewMs?: number
}

export interface Made {
  readonly id: string
  readonly name: string
  everySeconds: number
  shardSeconds: number
}
interface Mapping {
  readonly id: string
  readonly database: string
  readonly retention_policy: string
  readonly default: boolean
  readonly virtual: boolean
  readonly bucketID: string
}
interface Right {
  readonly resource: { readonly id: string }
}
interface Authorization {
  readonly id: string
  readonly token: string
  readonly status: string
  readonly description: string
  readonly permissions: readonly unknown[]
}

export interface ScriptedServer {
  readonly url: string
  readonly buckets: Map<string, Made>
  readonly mappings: Mapping[]
  readonly authorizations: Authorization[]
  /** 3.x: tags by `database table`. */
  readonly tables: Map<string, readonly string[]>
  /** Method and path of every request that changes something. */
  readonly changes: string[]
}

export const ORG_ID = '550b1aeff24e231f'
const newId = () => randomBytes(8).toString('hex')
const CORE_MAX = 5

export async function startScriptedInflux(t: TestContext, script: ScriptedInflux): Promise<ScriptedServer> {
  const isV3 = script.version.startsWith('3')
  const buckets = new Map<string, Made>()
  const mappings: Mapping[] = []
  const authorizations: Authorization[] = []
  const tables = new Map<string, readonly string[]>()
  const changes: string[] = []
  let lines: string[] = []
  const add = (name: string, everySeconds: number, shardSeconds = 604_800) =>
    buckets.set(name, { id: newId(), name, everySeconds, shardSeconds })
  if (script.bucket !== undefined) add(script.bucket, script.retentionSeconds ?? 0)
  for (const [name, seconds] of Object.entries(script.others ?? {})) add(name, seconds)

  const mayUse = (name: string) => script.only === undefined || script.only.includes(name)
  const byNameOrId = (text: string | null) => [...buckets.values()].find(({ name, id }) => name === text || id === text)

  /** Those that somebody made go before those that the server makes by itself. */
  function mapped(db: string): Mapping[] {
    const own = mappings.filter(({ database }) => database === db)
    if (script.hasMapping === false) return own
    const virtual = [...buckets.values()].flatMap(({ id, name }): Mapping[] => {
      const [database = '', policy] = name.split('/')
      if (database !== db || own.some((one) => one.retention_policy === (policy ?? 'autogen'))) return []
      const isDefault = policy === undefined && !own.some((one) => one.default)
      return [{ id, database, retention_policy: policy ?? 'autogen', default: isDefault, virtual: true, bucketID: id }]
    })
    return [...own, ...virtual]
  }

  function wireBucket({ id, name, everySeconds, shardSeconds }: Made) {
    const rule = { type: 'expire', everySeconds, shardGroupDurationSeconds: shardSeconds }
    return { id, orgID: ORG_ID, type: 'user', name, retentionRules: [rule] }
  }

  const server = await startHttpServer(t, async (request, response) => {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    const { pathname, searchParams: query } = new URL(request.url ?? '/', 'http://influx')
    const method = request.method ?? ''
    response.sendDate = false
    response.setHeader('date', new Date(Date.now() + (script.skewMs ?? 0)).toUTCString())
    const send = (status: number, value?: unknown) => {
      response.writeHead(status, {
        'content-type': 'application/json',
        ...(isV3
          ? { 'cluster-uuid': 'eca6abd4-0b51-4cb7-9d8b-5265f842b272' }
          : { 'x-influxdb-version': `v${script.version}`, 'x-influxdb-build': 'OSS' }),
      })
      response.end(value === undefined ? undefined : typeof value === 'string' ? value : JSON.stringify(value))
    }
    const shown = (result: object) => send(200, { results: [{ statement_id: 0, ...result }] })
    const given = (request.headers.authorization ?? '').replace(/^(Token|Bearer) /, '')
    const isKnown = given === script.token || authorizations.some(({ token }) => token === given)
    const unknown = isV3
      ? { error: 'the request was not authenticated' }
      : { code: 'unauthorized', message: 'unauthorized access' }
    if (pathname === '/ping') {
      if (!isV3) return send(204)
      const pong = { product_name: 'InfluxDB 3 Core', version: script.version, revision: 'ff6872a3d8' }
      return isKnown ? send(200, pong) : send(401, unknown)
    }
    if (!isKnown) return send(401, unknown)

    const isWrite = pathname === '/api/v2/write' || (isV3 && pathname === '/api/v3/write_lp')
    if (isWrite) {
      const asked = query.get(isV3 && pathname === '/api/v3/write_lp' ? 'db' : 'bucket') ?? ''
      if (!isV3) {
        const org = query.get('org') ?? ''
        if (org === '') return send(400, { code: 'invalid', message: 'Please provide either orgID or org' })
        if (org !== 'home' && org !== ORG_ID)
          return send(404, { code: 'not found', message: `organization name "${org}" not found` })
        const found = byNameOrId(asked)
        if (found === undefined) return send(404, { code: 'not found', message: `bucket "${asked}" not found` })
        if (!mayUse(found.name)) return send(403, { code: 'forbidden', message: 'insufficient permissions for write' })
      }
      if (body.startsWith('#')) return isV3 ? send(400, 'incoming write was empty') : send(204)
      if (isV3 && !buckets.has(asked)) {
        if (buckets.size >= CORE_MAX)
          return send(422, { error: `Adding a new database would exceed limit of ${CORE_MAX} databases` })
        add(asked, 0)
      }
      if (!script.forgets) lines = [...lines, ...linesOf(body)]
      return send(204)
    }

    if (method !== 'GET') {
      const may = script.isOperator !== false && !script.isWriteOnly
      changes.push(`${method} ${pathname}`)
      const given = body === '' ? {} : JSON.parse(body)
      if (isV3) {
        if (!may) return send(403, { error: 'forbidden' })
        if (pathname === '/api/v3/configure/database') {
          const seconds =
            given.retention_period === undefined ? 0 : Number.parseInt(given.retention_period, 10) * 86_400
          if (method === 'POST') {
            if (buckets.has(given.db)) return send(409, 'attempted to create a resource that already exists')
            if (buckets.size >= CORE_MAX)
              return send(422, { error: `Adding a new database would exceed limit of ${CORE_MAX} databases` })
            add(given.db, seconds)
          } else (buckets.get(given.db) as Made).everySeconds = seconds
          return send(200)
        }
        if (pathname === '/api/v3/configure/table') {
          const key = `${given.db} ${given.table}`
          if (tables.has(key)) return send(409, 'attempted to create a resource that already exists')
          tables.set(key, given.tags)
          return send(200)
        }
        return send(404, 'Not found')
      }
      const kind = pathname.split('/')[3] ?? ''
      if (!may) return send(401, { code: 'unauthorized', message: `write:orgs/${ORG_ID}/${kind} is unauthorized` })
      if (pathname === '/api/v2/buckets') {
        if (buckets.has(given.name))
          return send(422, { code: 'conflict', message: `bucket with name ${given.name} already exists` })
        const [rule] = given.retentionRules
        add(given.name, rule.everySeconds, rule.shardGroupDurationSeconds)
        return send(201, wireBucket(buckets.get(given.name) as Made))
      }
      if (method === 'PATCH' && kind === 'buckets') {
        const found = byNameOrId(pathname.split('/')[4] ?? '') as Made
        const [rule] = given.retentionRules
        found.everySeconds = rule.everySeconds
        found.shardSeconds = rule.shardGroupDurationSeconds ?? found.shardSeconds
        return send(200, wireBucket(found))
      }
      if (pathname === '/api/v2/dbrps') {
        const { database, retention_policy, bucketID } = given
        const made = { id: newId(), database, retention_policy, default: given.default, virtual: false, bucketID }
        mappings.push(made)
        return send(201, made)
      }
      if (pathname === '/api/v2/authorizations') {
        const { description, permissions } = given
        const made = { id: newId(), token: `made-${newId()}`, status: 'active', description, permissions }
        authorizations.push(made)
        return send(201, script.hidesTokens ? { ...made, token: undefined } : made)
      }
      if (method === 'DELETE' && kind === 'authorizations') {
        const at = authorizations.findIndex(({ id }) => pathname.endsWith(`/${id}`))
        authorizations.splice(at, 1)
        return send(204)
      }
      return send(405, { code: 'method not allowed', message: 'method not allowed' })
    }

    if (pathname === '/api/v2/orgs' && !isV3) {
      const all = script.isWriteOnly ? [] : [{ id: ORG_ID, name: 'home' }]
      const org = query.get('org')
      if (org !== null && org !== 'home' && !script.isWriteOnly)
        return send(404, { code: 'not found', message: `organization name "${org}" not found` })
      return send(200, { orgs: all })
    }
    if (pathname === '/api/v2/buckets' && !isV3) {
      const org = query.get('org')
      if (org !== null && org !== 'home')
        return send(404, { code: 'not found', message: `organization name "${org}" not found` })
      const name = query.get('name')
      if (name !== null && !buckets.has(name))
        return send(404, { code: 'not found', message: `bucket "${name}" not found` })
      const rights = authorizations.find(({ token }) => token === given)?.permissions as Right[] | undefined
      const mayRead = ({ id, name: called }: Made) =>
        rights === undefined ? mayUse(called) : rights.some(({ resource }) => resource.id === id)
      const seen = [...buckets.values()].filter((one) => (name === null || one.name === name) && mayRead(one))
      return send(200, { buckets: script.isWriteOnly ? [] : seen.map(wireBucket) })
    }
    if (pathname.startsWith('/api/v2/buckets/') && !isV3) {
      const found = [...buckets.values()].find(({ id }) => pathname.endsWith(`/${id}`))
      if (found === undefined) return send(404, { code: 'not found', message: 'bucket not found' })
      return send(200, wireBucket(found))
    }
    if (pathname === '/api/v2/dbrps' && !isV3) return send(200, { content: mapped(query.get('db') ?? '') })
    if (pathname === '/api/v2/authorizations' && !isV3) {
      // Newer servers show no tokens.
      return send(200, { authorizations: authorizations.map(({ token: _, ...one }) => one) })
    }
    if (pathname === '/api/v3/query_sql' && isV3) {
      if (script.isWriteOnly || script.hasSystemTables === false) return send(403, { error: 'forbidden' })
      if (/system\.databases/.test(query.get('q') ?? '')) {
        const own = { database_name: '_internal', retention_period_ns: 604_800_000_000_000, deleted: false }
        const rows = [...buckets.values()].map(({ name, everySeconds }) => ({
          database_name: name,
          ...(everySeconds === 0 ? {} : { retention_period_ns: everySeconds * 1_000_000_000 }),
          deleted: false,
        }))
        return send(200, [own, ...rows])
      }
      return send(400, `Error during planning: table 'public.system.tables' not found`)
    }

    if (pathname === '/query') {
      const q = query.get('q') ?? ''
      const db = query.get('db') ?? ''
      if (isV3 && script.isWriteOnly) return send(403, { error: 'forbidden' })
      // Both answer so for what the token may not see, too.
      const policy = /FROM "[^"]*"\."([^"]*)"/.exec(q)?.[1]
      const found = isV3
        ? buckets.get(policy === undefined ? db : `${db}/${policy}`)
        : byNameOrId(
            mapped(db).find((one) => (policy === undefined ? one.default : one.retention_policy === policy))
              ?.bucketID ?? '',
          )
      if (found === undefined || script.isWriteOnly || !mayUse(found.name)) {
        // A query of no measurement is answered nevertheless.
        if (!isV3 && !q.startsWith('SELECT')) return shown({})
        return shown({
          error: isV3
            ? `Cannot retrieve database: External error: database not found: ${db}`
            : `database not found: ${db}`,
        })
      }
      if (isV3 && q.startsWith('SHOW RETENTION POLICIES')) {
        const values = [[found.name, `${found.everySeconds / 3600}h0m0s`, true]]
        return shown({ series: [{ name: 'retention_policies', columns: ['name', 'duration', 'default'], values }] })
      }
      if (isV3 && q === 'SHOW MEASUREMENTS') {
        const names = [...tables.keys()].filter((key) => key.startsWith(`${db} `)).map((key) => [key.split(' ')[1]])
        const series = { name: 'measurements', columns: ['name'], values: names }
        return shown(names.length === 0 ? {} : { series: [series] })
      }
      const question = /FROM "tailflux_window".* time >= (\d+) AND time <= (\d+)$/.exec(q)
      if (question) {
        if (script.checkpoint) return send(script.checkpoint.status, script.checkpoint.body)
        const [, fromNs = '0', toNs = '0'] = question
        // As text: numbers of this size would be rounded.
        const rows = lines.flatMap((line) => {
          const [, tags, acked, ns = '0'] = /^tailflux_window(\S*) acked=(\d+)i (\d+)$/.exec(line) ?? []
          if (acked === undefined || script.showsOther || BigInt(ns) < BigInt(fromNs) || BigInt(ns) > BigInt(toNs))
            return []
          const tag = (name: string) => JSON.stringify(new RegExp(`,${name}=([^,]*)`).exec(tags ?? '')?.[1] ?? null)
          return [`[${ns},${acked},null,null,${tag('pass')},${tag('writer')}]`]
        })
        const columns = '["time","acked","watermark","passed","pass","writer"]'
        const series =
          rows.length === 0 ? '' : `,"series":[{"name":"tailflux_window","columns":${columns},"values":[${rows}]}]`
        return send(200, `{"results":[{"statement_id":0${series}}]}`)
      }
      const ns = /time = (\d+)/.exec(q)?.[1]
      const line = lines.find((one) => ns !== undefined && one.endsWith(` ${ns}`))
      const nonce = /nonce=(\d+)i/.exec(line ?? '')?.[1]
      if (nonce === undefined) return shown({})
      const series = { name: 'tailflux_check', columns: ['time', 'nonce'], values: [[Number(ns), Number(nonce)]] }
      return shown({ series: [series] })
    }
    // 2.x answers every other path with its web interface.
    if (isV3) return send(404, 'Not found')
    response.writeHead(200, { 'content-type': 'text/html', 'x-influxdb-version': `v${script.version}` })
    return response.end('<!doctype html><html><title>InfluxDB</title></html>\n')
  })
  return { url: server.url, buckets, mappings, authorizations, tables, changes }
}
