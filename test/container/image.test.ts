import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, symlinkSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { linesOf } from '../helpers/lines.ts'
import { freePort } from '../services/server-process.ts'
import { imageConfig } from './dockerfile.ts'
import { buildImage, type Image, inContainer, isRoot, packagesOf } from './sandbox.ts'

const config = imageConfig()
const isLinux = process.platform === 'linux'
const skip = isLinux ? false : 'users, capabilities and mounts are those of Linux'

let image: Image
let service: ChildProcess
let env: Record<string, string>
let said = ''

before(async () => {
  if (!isLinux) return
  image = buildImage(await freePort())
  env = { TAILFLUX_DEMO: 'auto', TAILFLUX_HTTP_HOST: '127.0.0.1', TAILFLUX_HTTP_PORT: String(await freePort()) }
  service = inContainer(image, [...config.entrypoint, ...config.cmd], { ...env, NODE_DEBUG_NATIVE: 'COMPILE_CACHE' })
  for (const stream of [service.stdout!, service.stderr!])
    stream.setEncoding('utf8').on('data', (piece: string) => (said += piece))
})
after(async () => {
  if (!isLinux) return
  if (service.exitCode === null && service.signalCode === null) {
    service.kill('SIGKILL')
    await once(service, 'exit')
  }
  image.remove()
})

/** Runs a program beside the service, under the same limits. */
async function run(
  command: readonly string[],
  more: Readonly<Record<string, string>> = {},
): Promise<{ code: number; output: string }> {
  const child = inContainer(image, command, { ...env, ...more })
  const [out, err, [code]] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'exit')])
  return { code: code as number, output: out + err }
}

/** Asks until the health command of the image says yes; the service's end is the only limit. */
async function healthy(): Promise<void> {
  for (;;) {
    assert.equal(service.exitCode, null, `the service ended:\n${said}`)
    if ((await run(config.healthcheck)).code === 0) return
  }
}

test('the image has production packages only', { skip }, () => {
  const packages = packagesOf(image)
  assert.ok(packages.includes('fastify') && packages.includes('@influxdata/influxdb-client'))
  for (const name of packages)
    assert.doesNotMatch(name, /^(typescript|@biomejs\/|@grafana\/|@types\/|fast-check|node-(linux|bin))/)
})

test('the compile cache is filled while the image is built, by the user who uses it', { skip }, () => {
  const cache = join(image.app, '.compile-cache')
  const [version] = readdirSync(cache)
  assert.ok(version)
  assert.ok(readdirSync(join(cache, version)).length > 50)
  assert.equal(statSync(join(cache, version)).uid, image.uid)
})

test('the default command runs, and the health check of the image says so', { skip }, async () => {
  await healthy()
  const status = (await (await fetch(`http://127.0.0.1:${env['TAILFLUX_HTTP_PORT']}/api/status`)).json()) as {
    demo?: boolean
  }
  assert.equal(status.demo, true, 'without credentials it shows the demo')
})

test('every module comes from the compile cache, under the flags of the image', { skip }, async () => {
  const cached = readdirSync(join(image.app, '.compile-cache'), { recursive: true }).length
  const check = await run(config.healthcheck, { NODE_DEBUG_NATIVE: 'COMPILE_CACHE' })
  assert.equal(check.code, 0, check.output)
  for (const output of [said, check.output]) {
    // Threads write between each other's words: a success may be torn, and a failure is not looked for by lines.
    const count = (text: string) => output.split(text).length - 1
    const looked = count('reading cache from')
    assert.ok(looked > 500, `only ${looked} modules were looked for`)
    assert.ok(count(' success') > 0.98 * looked, `${count(' success')} of ${looked} were there`)
    assert.doesNotMatch(output, /no such file|mismatch/)
    assert.ok(!output.includes('was rejected'), 'V8 takes them')
  }
  assert.equal(readdirSync(join(image.app, '.compile-cache'), { recursive: true }).length, cached)
  // Without the flags none is found: the test sees the difference.
  const other = await run(['node', ...config.entrypoint.slice(-1), '--version'], { NODE_DEBUG_NATIVE: 'COMPILE_CACHE' })
  assert.match(other.output, /\[compile cache\]/)
  assert.doesNotMatch(other.output, /\.\.\. success/)
})

test('`tailflux` works by a link on the PATH, as the image has it', { skip }, async () => {
  const bin = join(image.data, 'bin')
  mkdirSync(bin)
  symlinkSync(join(image.app, 'src/cli.js'), join(bin, 'tailflux'))
  const path = [bin, dirname(process.execPath), process.env['PATH']].join(delimiter)
  const { code, output } = await run(['tailflux', 'status'], { PATH: path })
  assert.equal(code, 0, output)
  assert.match(output, /demo|simulated/i)
})

test('it is an unprivileged user without capabilities who can get no new ones', { skip }, () => {
  const status = readFileSync(`/proc/${service.pid}/status`, 'utf8')
  const of = (name: string) => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1]
  assert.equal(of('CapEff'), '0000000000000000')
  assert.equal(of('CapPrm'), '0000000000000000')
  assert.equal(of('NoNewPrivs'), '1')
  assert.deepEqual(of('Uid')?.split('\t').map(Number), Array(4).fill(image.uid))
  if (isRoot) assert.equal(of('CapBnd'), '0000000000000000')
})

test('nothing but the data directory can be written, and nothing else is open for writing', { skip }, async () => {
  const places = isRoot
    ? [image.app, `${image.app}/src`, '/etc', '/var/tmp', '/tmp', '/']
    : [image.app, `${image.app}/src`, '/etc']
  const probe = `
    const { writeFileSync } = require('node:fs')
    for (const place of ${JSON.stringify([...places, image.data])}) {
      try { writeFileSync(place + '/probe', ''); console.log('wrote ' + place) } catch (error) { console.log(error.code + ' ' + place) }
    }`
  const { output } = await run(['node', '-e', probe])
  const lines = linesOf(output)
  for (const place of places)
    assert.ok(
      lines.some((line) => /^(EROFS|EACCES) /.test(line) && line.endsWith(` ${place}`)),
      output,
    )
  assert.ok(lines.includes(`wrote ${image.data}`), output)

  const descriptors = `/proc/${service.pid}/fd`
  const open = readdirSync(descriptors).flatMap((fd) => {
    try {
      const isWritable =
        (Number.parseInt(/flags:\s+(\d+)/.exec(readFileSync(`/proc/${service.pid}/fdinfo/${fd}`, 'utf8'))![1]!, 8) &
          3) >
        0
      const path = readlinkSync(join(descriptors, fd))
      return isWritable && path.startsWith('/') && !path.startsWith('/dev/') ? [path] : []
    } catch {
      // It was closed meanwhile.
      return []
    }
  })
  assert.ok(open.length > 0, 'the state file is open')
  for (const path of open) assert.ok(path.startsWith(`${image.data}/`), `${path} is open for writing`)
})

test('SIGTERM ends it well, and then the health check says no', { skip }, async () => {
  service.kill(config.stopSignal as NodeJS.Signals)
  const [code, signal] = await once(service, 'exit')
  assert.deepEqual([code, signal], [0, null], said)
  assert.equal((await run(config.healthcheck)).code, 1)
})
