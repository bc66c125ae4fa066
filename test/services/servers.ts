/** Where the real servers are that tests run against. A server is taken from the environment (`TAILFLUX_TEST_INFLUXD=/path`), else from
 * the cache, else from PATH, else it is brought in: Debian's package, unpacked into `.cache/servers/`. */

import { execFileSync } from 'node:child_process'
import { accessSync, constants, existsSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { withLock } from './lock.ts'
import { unpackPackages } from './packages.ts'

interface Kind {
  readonly packages: readonly string[]
  /** Go programs bring everything with them; others need libraries. */
  readonly withDependencies?: boolean
  /** In the unpacked package. `*` stands for one folder. */
  readonly file: string
  /** Names to look for on PATH. */
  readonly onPath: readonly string[]
  /** What the unpacked package needs to work where it lies. */
  readonly prepare?: (root: string) => void
  /** A program on PATH is taken only if it says so about itself. */
  readonly version?: { readonly args: readonly string[]; readonly pattern: RegExp }
}

const KINDS = {
  influxd: {
    packages: ['influxdb'],
    file: 'usr/bin/influxd',
    onPath: ['influxd'],
    // InfluxDB 2.x has the same name and other options.
    version: { args: ['version'], pattern: /InfluxDB v?1\./ },
  },
  'victoria-metrics': {
    packages: ['victoria-metrics'],
    file: 'usr/bin/victoria-metrics',
    onPath: ['victoria-metrics', 'victoria-metrics-prod'],
  },
  alertmanager: {
    packages: ['prometheus-alertmanager'],
    file: 'usr/bin/prometheus-alertmanager',
    onPath: ['prometheus-alertmanager', 'alertmanager'],
    // Debian's looks for its templates in /usr/share: the unpacked one shall look below its working folder. Both texts are equally long.
    prepare: (root) =>
      replaceInFile(
        join(root, 'usr/bin/prometheus-alertmanager'),
        '/usr/share/prometheus/alertmanager',
        'usr/share/prometheus/alertmanager/',
      ),
  },
  prometheus: { packages: ['prometheus'], file: 'usr/bin/prometheus', onPath: ['prometheus'] },
  promtool: { packages: ['prometheus'], file: 'usr/bin/promtool', onPath: ['promtool'] },
  chromium: {
    packages: ['chromium-headless-shell', 'fonts-dejavu-core'],
    withDependencies: true,
    file: 'usr/lib/chromium/chromium-headless-shell',
    onPath: ['chromium-headless-shell', 'chromium', 'google-chrome'],
  },
  strace: { packages: ['strace'], withDependencies: true, file: 'usr/bin/strace', onPath: ['strace'] },
  /** A library to preload, not a program. */
  libfaketime: { packages: ['libfaketime'], file: 'usr/lib/*/faketime/libfaketime.so.1', onPath: [] },
} as const satisfies Record<string, Kind>

export type ServerName = keyof typeof KINDS
export const SERVER_NAMES = Object.keys(KINDS) as ServerName[]

export interface Server {
  /** The program (of libfaketime: the library). */
  readonly path: string
  /** The folder that the package was unpacked into; undefined for a server that was there already. */
  readonly root: string | undefined
}

export const CACHE = resolve(import.meta.dirname, '../../.cache/servers')

export function variableOf(name: ServerName): string {
  return `TAILFLUX_TEST_${name.toUpperCase().replaceAll('-', '_')}`
}

/** Where the server is, without bringing it in. Throws when the environment names a file that is not there. */
export function find(name: ServerName): Server | undefined {
  const kind: Kind = KINDS[name]
  const given = process.env[variableOf(name)]
  if (given !== undefined && given !== '') {
    if (!existsSync(given)) throw new Error(`${variableOf(name)} names ${given}, which does not exist`)
    return { path: resolve(given), root: undefined }
  }
  const root = rootOf(kind)
  const unpacked = existsSync(root) ? matchOf(root, kind.file) : undefined
  if (unpacked !== undefined) return { path: unpacked, root }
  for (const program of kind.onPath) {
    const path = onPath(program)
    if (path !== undefined && isRight(path, kind)) return { path, root: undefined }
  }
  return undefined
}

const known = new Map<ServerName, Promise<Server>>()

/** Where the server is; brings it in when it is missing. Rejects with what to do when that fails. */
export function ensure(name: ServerName): Promise<Server> {
  const promise = known.get(name) ?? bringIn(name)
  known.set(name, promise)
  return promise
}

async function bringIn(name: ServerName): Promise<Server> {
  const found = find(name)
  if (found) return found
  const kind: Kind = KINDS[name]
  // Test files run beside each other: the first one fetches, the others wait for it.
  return await withLock(join(CACHE, `${kind.packages[0]}.lock`), async () => {
    const meanwhile = find(name)
    if (meanwhile) return meanwhile
    try {
      const { packages, prepare, withDependencies = false } = kind
      await unpackPackages({ packages, withDependencies, into: rootOf(kind), cache: CACHE, prepare })
    } catch (error) {
      throw new Error(missingText(name), { cause: error })
    }
    const fetched = find(name)
    if (fetched === undefined) throw new Error(missingText(name))
    return fetched
  })
}

/** For `test(name, { skip: await missing('influxd') }, …)`: false when the servers are there (they are brought in where they are
 * missing), else the reason to skip. In CI a missing server is no reason to skip: rejects. */
export async function missing(...names: ServerName[]): Promise<string | false> {
  for (const name of names) {
    // A variable that names nothing is a mistake, and no reason to skip either.
    find(name)
    try {
      await ensure(name)
    } catch (error) {
      if (isCi()) throw error
      return error instanceof Error ? error.message : String(error)
    }
  }
  return false
}

export function isCi(): boolean {
  return (process.env['CI'] ?? '') !== '' && process.env['CI'] !== 'false'
}

function missingText(name: ServerName): string {
  return `${name} is not there and could not be fetched. Install it, name it in ${variableOf(name)}, or run "npm run servers" on a Debian machine with access to its archive.`
}

function rootOf(kind: Kind): string {
  return join(CACHE, `${process.arch}-${kind.packages[0]}`)
}

function matchOf(root: string, pattern: string): string | undefined {
  let found = [root]
  for (const part of pattern.split('/')) {
    found = found.flatMap((folder) => {
      if (part !== '*') return existsSync(join(folder, part)) ? [join(folder, part)] : []
      return readdirSync(folder).map((name) => join(folder, name))
    })
  }
  return found[0]
}

function onPath(program: string): string | undefined {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, program)
    try {
      accessSync(path, constants.X_OK)
      return realpathSync(path)
    } catch {
      // Not in this folder.
    }
  }
  return undefined
}

function isRight(path: string, { version }: Kind): boolean {
  if (version === undefined) return true
  try {
    return version.pattern.test(execFileSync(path, version.args, { encoding: 'utf8', timeout: 10_000 }))
  } catch {
    return false
  }
}

function replaceInFile(path: string, from: string, to: string): void {
  writeFileSync(path, readFileSync(path, 'latin1').replaceAll(from, to), 'latin1')
}
