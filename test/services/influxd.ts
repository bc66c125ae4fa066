/** A real InfluxDB 1.x. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Scope, type ServerProcess, startServer } from './server-process.ts'
import { ensure } from './servers.ts'

export interface InfluxdOptions {
  readonly index?: 'inmem' | 'tsi1'
  /** Makes an administrator `admin` with the password `admin`, who is used by `query`. */
  readonly auth?: boolean
  /** Databases to create. */
  readonly databases?: readonly string[]
  /** Anything else of its configuration file, by section. */
  readonly settings?: Sections
  /** Most open files, as a service manager would set it (`LimitNOFILE`); else what this process may have. */
  readonly descriptorsMax?: number
}
type Sections = Readonly<Record<string, Readonly<Record<string, string | number | boolean>>>>

export interface Influxd extends ServerProcess {
  /** Any InfluxQL, as the administrator; JSON of the answer's results. Rejects with the database's error. Numbers beyond 2^53 are
   * rounded: `influx-read.ts` reads exactly. */
  query(text: string, db?: string): Promise<QueryResult[]>
  /** The header that `auth` needs; empty without it. */
  readonly adminHeaders: Readonly<Record<string, string>>
  /** Other settings, in force from the next start on. */
  configure(settings: Sections): void
}

export interface QueryResult {
  readonly series?: readonly {
    readonly name?: string
    readonly tags?: Readonly<Record<string, string>>
    readonly columns: readonly string[]
    readonly values: readonly (readonly (string | number | boolean | null)[])[]
  }[]
  readonly error?: string
}

const ADMIN = 'admin'

export async function startInfluxd(scope?: Scope, options: InfluxdOptions = {}): Promise<Influxd> {
  const { path } = await ensure('influxd')
  const adminHeaders: Record<string, string> = options.auth
    ? { authorization: `Basic ${Buffer.from(`${ADMIN}:${ADMIN}`).toString('base64')}` }
    : {}
  const { descriptorsMax } = options
  const fileIn = (dir: string) => join(dir, 'influxdb.conf')
  const server = await startServer(scope, {
    name: 'influxd',
    program: descriptorsMax === undefined ? path : 'sh',
    args: ({ dir, port }) => {
      const file = fileIn(dir)
      writeFileSync(file, configOf(dir, port, options))
      const run = ['run', '-config', file]
      // Both limits: a Go program raises its soft one by itself.
      return descriptorsMax === undefined ? run : ['-c', `ulimit -n ${descriptorsMax} && exec "$0" "$@"`, path, ...run]
    },
    readyPath: '/ping',
  })

  async function query(text: string, db = ''): Promise<QueryResult[]> {
    const answer = await fetch(`${server.url}/query?db=${encodeURIComponent(db)}&epoch=ns`, {
      method: 'POST',
      headers: adminHeaders,
      body: new URLSearchParams({ q: text }),
    })
    const body = (await answer.json()) as { results?: QueryResult[]; error?: string }
    const error = body.error ?? body.results?.find((result) => result.error !== undefined)?.error
    if (error !== undefined) throw new Error(`${text}: ${error}`)
    return body.results ?? []
  }

  if (options.auth) {
    // The first user may be made without being one.
    await fetch(`${server.url}/query`, {
      method: 'POST',
      body: new URLSearchParams({ q: `CREATE USER "${ADMIN}" WITH PASSWORD '${ADMIN}' WITH ALL PRIVILEGES` }),
    })
  }
  for (const db of options.databases ?? []) await query(`CREATE DATABASE "${db}"`)

  // The server's `pid` is a getter: a copy by spread would freeze it.
  return Object.assign(server, {
    query,
    adminHeaders,
    configure: (settings: Sections) =>
      writeFileSync(fileIn(server.dir), configOf(server.dir, server.port, { ...options, settings })),
  })
}

function configOf(dir: string, port: number, { index = 'inmem', auth = false, settings = {} }: InfluxdOptions): string {
  const sections: Record<string, Record<string, string | number | boolean>> = {
    meta: { dir: join(dir, 'meta') },
    data: {
      dir: join(dir, 'data'),
      'wal-dir': join(dir, 'wal'),
      'index-version': index,
      'query-log-enabled': false,
    },
    http: { 'bind-address': `127.0.0.1:${port}`, 'auth-enabled': auth, 'log-enabled': false },
    monitor: { 'store-enabled': false },
    subscriber: { enabled: false },
    continuous_queries: { enabled: false },
  }
  for (const [name, values] of Object.entries(settings)) sections[name] = { ...sections[name], ...values }
  const lines = ['reporting-disabled = true', 'bind-address = "127.0.0.1:0"']
  for (const [name, values] of Object.entries(sections)) {
    lines.push(`[${name}]`, ...Object.entries(values).map(([key, value]) => `${key} = ${JSON.stringify(value)}`))
  }
  return `${lines.join('\n')}\n`
}
