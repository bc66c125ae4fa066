/** Debian packages without installing them: `apt-get download` fetches, `dpkg -x` unpacks into a folder. Needs no root and changes
 * nothing on the machine: where the machine's package lists are missing or out of date, lists of our own are kept in the cache. */
import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { withLock } from './lock.ts'

const run = promisify(execFile)

/** What a process with LD_LIBRARY_PATH must not find twice: it belongs to the loader of the machine. */
const OF_THE_MACHINE = /^(libc6|libc-bin|libgcc-s1|libcrypt1|dpkg|debconf|perl-base|gcc-\d+-base)$/

export interface Unpacking {
  readonly packages: readonly string[]
  /** Also whatever they depend on and this machine does not have. */
  readonly withDependencies: boolean
  /** Made again; appears only when everything is in it. */
  readonly into: string
  /** For downloads and package lists. */
  readonly cache: string
  /** Last touch, before the folder appears. */
  readonly prepare?: ((root: string) => void) | undefined
}

/** Rejects with an error that says what apt-get or dpkg said. */
export async function unpackPackages({ packages, withDependencies, into, cache, prepare }: Unpacking): Promise<void> {
  const work = `${into}.${process.pid}.part`
  rmSync(work, { recursive: true, force: true })
  mkdirSync(work, { recursive: true })
  try {
    const attempt = async (options: readonly string[]) => {
      const wanted = withDependencies ? await closureOf(packages, options) : packages
      await run('apt-get', [...options, 'download', ...wanted], { cwd: work, env: plainEnv(), maxBuffer: 64 << 20 })
    }
    const common = process.getuid?.() === 0 ? ['-o', 'APT::Sandbox::User=root'] : []
    try {
      await attempt(common)
    } catch {
      // No lists, or lists older than the archive.
      await attempt([...common, ...(await ownLists(cache, common))])
    }
    for (const name of readdirSync(work).filter((file) => file.endsWith('.deb'))) {
      await run('dpkg', ['-x', name, '.'], { cwd: work })
      rmSync(join(work, name))
    }
    prepare?.(work)
    rmSync(into, { recursive: true, force: true })
    renameSync(work, into)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** The packages and what an installation would bring along. */
async function closureOf(packages: readonly string[], options: readonly string[]): Promise<string[]> {
  const { stdout } = await run('apt-get', [...options, '-s', 'install', '--no-install-recommends', ...packages], {
    env: plainEnv(),
    maxBuffer: 64 << 20,
  })
  const named = stdout.split('\n').flatMap((line) => {
    const [, name, version] = /^Inst (\S+) (?:\[[^\]]*\] )?\((\S+) /.exec(line) ?? []
    return name === undefined || OF_THE_MACHINE.test(name) ? [] : [`${name}=${version}`]
  })
  // Those that are installed already are not in the list; their files are wanted here all the same.
  const missing = packages.filter((name) => !named.some((one) => one.startsWith(`${name}=`)))
  return [...named, ...missing]
}

async function ownLists(cache: string, common: readonly string[]): Promise<string[]> {
  const lists = join(cache, 'apt-lists')
  const archives = join(cache, 'apt-cache')
  const options = ['-o', `Dir::State::Lists=${lists}`, '-o', `Dir::Cache=${archives}`]
  await withLock(join(cache, 'apt.lock'), async () => {
    const stamp = join(lists, 'updated')
    if (isFresh(stamp)) return
    mkdirSync(join(lists, 'partial'), { recursive: true })
    mkdirSync(join(archives, 'archives', 'partial'), { recursive: true })
    // A source that does not answer is not ours to fix: what counts is whether the packages can be had, which is seen next.
    await run('apt-get', [...common, ...options, 'update'], { env: plainEnv(), maxBuffer: 64 << 20 }).catch(
      (error: unknown) => console.error(`apt-get update: ${error instanceof Error ? error.message : String(error)}`),
    )
    writeFileSync(stamp, String(Date.now()))
  })
  return options
}

const LISTS_AGE_MAX_MS = 600_000

function isFresh(stamp: string): boolean {
  try {
    return Date.now() - Number(readFileSync(stamp, 'utf8')) < LISTS_AGE_MAX_MS
  } catch {
    return false
  }
}

function plainEnv(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' }
}
