/** Stopping from outside, with real processes: npm between the service and whoever stops it, and the first process of a container. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { eventually, inTime } from '../helpers/eventually.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** Runs the demo by way of `command`, in a process group of its own, and collects what it prints. */
function startBy(t: TestContext, command: string, args: readonly string[], env: Record<string, string> = {}) {
  const dataDir = temporaryFolder(t)
  const child = spawn(command, args, {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: process.env['HOME'] ?? '',
      TAILFLUX_DEMO: 'auto',
      TAILFLUX_HTTP_PORT: '0',
      TAILFLUX_DATA_DIR: dataDir,
      ...env,
    },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  t.after(() => {
    try {
      process.kill(-(child.pid ?? 0), 'SIGKILL')
    } catch {
      // Everything has ended.
    }
  })
  return {
    child,
    /** The output ends when the last process that holds it has ended. */
    closed: once(child, 'close'),
    token: join(dataDir, 'control-token'),
    said: (pattern: RegExp) =>
      eventually(
        () => `${pattern} in:\n${output}`,
        () => pattern.test(output),
      ),
  }
}

async function endsWith(service: ReturnType<typeof startBy>): Promise<void> {
  await service.said(/"msg":"tailflux stopped"/)
  await inTime('the end of all processes', service.closed)
  assert.equal(existsSync(service.token), false, 'the service was stopped in order')
}

test('whoever stops npm stops the service: by SIGTERM, and by SIGKILL, of which npm learns nothing', async (t) => {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const service = startBy(t, 'npm', ['start'])
    await service.said(/Status page/)
    assert.equal(service.child.kill(signal), true)
    await endsWith(service)
  }
})

test('a signal for npm and the service alike, which npm passes on, is one signal; a later one ends the process at once', async (t) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const service = startBy(t, 'npm', ['start'])
    await service.said(/Status page/)
    process.kill(-(service.child.pid ?? 0), signal)
    await endsWith(service)
  }
  const preload = "process.getBuiltinModule('node:http').Server.prototype.close = () => undefined"
  const stuck = startBy(t, process.execPath, ['src/cli.js', 'run'], {
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(preload)}`,
  })
  await stuck.said(/Status page/)
  stuck.child.kill('SIGTERM')
  await stuck.said(/"msg":"stopping"/)
  await new Promise((resolve) => setTimeout(resolve, 700))
  stuck.child.kill('SIGTERM')
  await inTime('the end', stuck.closed)
  assert.equal(stuck.child.exitCode, 143)
})

test('npx puts a shell in between; when that is gone the service stops', async (t) => {
  const command = `'${process.execPath}' src/cli.js run; true`
  const service = startBy(t, 'sh', ['-c', command], { npm_lifecycle_event: 'npx' })
  await service.said(/Status page/)
  service.child.kill('SIGTERM')
  await service.said(/"signal":"npm ended"[^\n]*"msg":"stopping"/)
  await endsWith(service)
})

test('without npm the end of the parent means nothing', async (t) => {
  const env = { npm_lifecycle_event: 'deploy', npm_package_name: 'somebody' }
  const service = startBy(t, 'sh', ['-c', `'${process.execPath}' src/cli.js run; true`], env)
  await service.said(/Status page/)
  const [pid] = childrenOf(service.child)
  service.child.kill('SIGKILL')
  await eventually('the shell to be gone', () => service.child.signalCode !== null)
  // Longer than the service would need to notice.
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  process.kill(pid ?? 0, 'SIGTERM')
  await endsWith(service)
})

test('the first process of a container obeys SIGTERM from the moment its own code runs', async (t) => {
  const namespace = ['--pid', '--fork', '--mount-proc']
  const asRoot = process.getuid?.() === 0 ? namespace : ['--map-root-user', ...namespace]
  if (spawnSync('unshare', [...asRoot, 'true']).status !== 0) return t.skip('no process namespaces on this machine')
  const marked = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(MARK)}` }
  async function startAndSignal(...args: string[]) {
    const started = startBy(t, 'unshare', [...asRoot, process.execPath, 'src/cli.js', ...args], marked)
    await started.said(/listens to SIGTERM/)
    process.kill(childrenOf(started.child)[0] ?? 0, 'SIGTERM')
    return started
  }
  const service = await startAndSignal('run')
  await service.said(/"msg":"stopping"/)
  await endsWith(service)
  assert.equal(service.child.exitCode, 0)

  const command = await startAndSignal('status', '--url', 'http://192.0.2.1')
  await inTime('the end', command.closed)
  assert.equal(command.child.exitCode, 143)
})

/** Says when the program's first listener is there. Node itself takes some 50 ms to start, in which the kernel drops the signal. */
const MARK = `import { writeSync } from 'node:fs'
process.on('newListener', function told(name) {
  if (name !== 'SIGTERM') return
  process.removeListener('newListener', told)
  writeSync(2, 'listens to SIGTERM')
})`

function childrenOf({ pid }: ChildProcess): number[] {
  const path = `/proc/${pid}/task/${pid}/children`
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split(' ').filter(Boolean).map(Number) : []
}
