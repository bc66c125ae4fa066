/** The image without an engine: its build steps in a folder, its command line as a plain process under the limits that the container has: an
 * unprivileged user, no capabilities, no new privileges, nothing writable but the data directory. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'
import { imageConfig, ROOT, stages } from './dockerfile.ts'

/** Mounts and user ids are root's to give; any other user is unprivileged already and gets read-only files instead of mounts. */
export const isRoot = process.getuid?.() === 0
const config = imageConfig()
const [uid, gid] = config.user.split(':').map(Number) as [number, number]

export interface Image {
  /** What is `/app` in the image. */
  readonly app: string
  /** What is `/data`. */
  readonly data: string
  readonly uid: number
  remove(): void
}

/** Runs the build steps of the Dockerfile. Not below the folder for temporary files, which the container has to itself. `port`: any free one. */
export function buildImage(port: number): Image {
  const dir = mkdtempSync('/var/tmp/tailflux-image-')
  chmodSync(dir, 0o755)
  const app = join(dir, 'app')
  const data = join(dir, 'data')
  mkdirSync(app)
  mkdirSync(data)
  const image: Image = {
    app,
    data,
    uid: isRoot ? uid : process.getuid!(),
    remove() {
      if (!isRoot) execFileSync('chmod', ['-R', 'u+w', dir])
      rmSync(dir, { recursive: true, force: true })
    },
  }
  const [build, final] = stages()
  for (const { keyword, text } of [...build!.instructions, ...final!.instructions]) {
    if (keyword === 'COPY' && !text.startsWith('--from')) copy(text.split(/\s+/), app)
    // The first stage; of the second one, folders and the compile cache are made below.
    if (keyword === 'RUN' && text.startsWith('npm '))
      execFileSync('sh', ['-c', text], { cwd: app, stdio: 'pipe', env: buildEnv() })
  }
  const cache = config.env['NODE_COMPILE_CACHE']!.replace('/app', app)
  mkdirSync(cache)
  if (isRoot) for (const path of [data, cache]) chownSync(path, uid, gid)
  const warmUp = final!.instructions.find(({ keyword, text }) => keyword === 'RUN' && text.startsWith('['))!
  execFileSync('setpriv', [...asUser(), ...(JSON.parse(warmUp.text) as string[])], {
    cwd: app,
    env: {
      ...imageEnv(image),
      PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH']}`,
      TAILFLUX_HTTP_HOST: '127.0.0.1',
      TAILFLUX_HTTP_PORT: String(port),
    },
    stdio: 'pipe',
  })
  if (!isRoot) execFileSync('chmod', ['-R', 'a-w', app])
  return image
}

function copy(words: readonly string[], app: string): void {
  for (const path of words.slice(0, -1)) cpSync(resolve(ROOT, path), join(app, path), { recursive: true })
}

function buildEnv(): NodeJS.ProcessEnv {
  // What npm passes to its scripts would change what the inner npm does.
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('npm_')))
}

/** The image's own environment, with its folders where they are here. */
export function imageEnv({ app, data }: Pick<Image, 'app' | 'data'>): Record<string, string> {
  const here = (text: string) => text.replace(/^\/app/, app).replace(/^\/data/, data)
  return Object.fromEntries(Object.entries(config.env).map(([name, value]) => [name, here(value)]))
}

function asUser(): string[] {
  const drop = ['--no-new-privs']
  if (isRoot) drop.push(`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--bounding-set=-all', '--inh-caps=-all')
  return drop
}

/** Starts a program of the image (`node …`) in the container's place; it has the process id of what is returned. */
export function inContainer(
  image: Image,
  command: readonly string[],
  env: Readonly<Record<string, string>>,
): ChildProcess {
  const [program, ...args] = command.map((word) => word.replace(/^\/app/, image.app))
  const all = ['setpriv', ...asUser(), program === 'node' ? process.execPath : program!, ...args]
  const options = {
    cwd: image.app,
    env: { ...imageEnv(image), PATH: process.env['PATH'] ?? '', ...env },
    stdio: 'pipe' as const,
  }
  if (!isRoot) return spawn(all[0]!, all.slice(1), options)
  const mounts = [
    'mount --make-rprivate /',
    `mount --bind ${image.data} ${image.data}`,
    `mount --bind ${image.app} ${image.app}`,
    `mount -o remount,bind,ro ${image.app}`,
    'mount -o remount,bind,ro /',
    'exec "$@"',
  ]
  return spawn('unshare', ['--mount', 'sh', '-ec', mounts.join('\n'), 'container', ...all], options)
}

/** Every package below node_modules. */
export function packagesOf(image: Image): string[] {
  const modules = join(image.app, 'node_modules')
  return readdirSync(modules).flatMap((name) =>
    name.startsWith('@')
      ? readdirSync(join(modules, name)).map((part) => `${name}/${part}`)
      : name.startsWith('.')
        ? []
        : [name],
  )
}
