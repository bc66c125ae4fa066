/** A log that is not read costs log lines and nothing else: the service as a process, with a standard output that is full, unread or gone. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { eventually, inTime } from '../helpers/eventually.ts'
import { linesOf } from '../helpers/lines.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { createSimulatedApi } from '../simulator/api.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { type Child, startChild } from './child.ts'

/** The whole stop may take so long: docker kills after 10 s. */
const STOP_MS_MAX = 10_000

/** The service with a shell's redirection of its standard output. Each request of ours is a line of its log. */
async function startWith(t: TestContext, redirection: string): Promise<Child> {
  const api = createSimulatedApi(createTailnet({ nodes: 5 }))
  await api.start()
  t.after(() => api.stop())
  const env = {
    TAILSCALE_API_URL: api.url,
    TAILSCALE_API_KEY: 'tskey-api-demo',
    TAILFLUX_LOG_LEVEL: 'debug',
    TAILFLUX_DATA_DIR: join(temporaryFolder(t), 'data'),
    TAILFLUX_POLL_LOOKBACK: '5m',
    TAILFLUX_POLL_INTERVAL: '5s',
    TAILFLUX_POLL_LAG: '5s',
  }
  return await startChild(t, env, ['run'], ['/bin/sh', '-c', `exec "$0" "$@" ${redirection}`])
}

interface Status {
  readonly watermarkNs: string
  readonly totals: { readonly points: number }
  readonly health: { readonly components: { component: string; status: string; code?: string; text?: string }[] }
}

async function statusOf(child: Child): Promise<Status> {
  return JSON.parse((await child.get('/api/status')).body) as Status
}

async function lostOf(child: Child): Promise<number> {
  return Number(/^tailflux_log_lines_lost_total (\d+)$/m.exec((await child.get('/metrics')).body)?.[1])
}

/** Asks until lines are lost; returns the time of the slowest probe. */
async function untilLost(child: Child): Promise<{ lost: number; worstMs: number; probes: number }> {
  let worstMs = 0
  let probes = 0
  const lost = await eventually('lost lines', async () => {
    for (let index = 0; index < 100; index += 1) {
      const beganMs = performance.now()
      assert.equal((await child.get('/livez')).status, 200)
      worstMs = Math.max(worstMs, performance.now() - beganMs)
    }
    probes += 100
    return (await lostOf(child)) || undefined
  })
  return { lost, worstMs, probes }
}

/** Ingestion continues, probes answer, the warning is there, and SIGTERM ends it well and soon. */
async function assertContinues(t: TestContext, child: Child, text: RegExp): Promise<void> {
  const { lost, worstMs, probes } = await untilLost(child)
  const before = await statusOf(child)
  await child.until(
    ({ watermarkNs, totals }) =>
      BigInt(watermarkNs ?? 0) > BigInt(before.watermarkNs) && totals.points > before.totals.points,
  )
  assert.equal((await child.get('/livez')).status, 200)
  assert.equal((await child.get('/health')).status, 200, 'a warning is no reason to be restarted')
  const { health } = await statusOf(child)
  const log = health.components.find(({ component }) => component === 'log')
  assert.equal(log?.status, 'warning')
  assert.match(log?.text ?? '', text)
  const beganMs = performance.now()
  assert.equal(await inTime('an orderly end', child.kill('SIGTERM')), 0)
  const stopMs = performance.now() - beganMs
  assert.ok(stopMs < STOP_MS_MAX, `the stop took ${stopMs} ms`)
  t.diagnostic(`${lost} lines lost, longest of ${probes} probes ${worstMs.toFixed(1)} ms, stop ${stopMs.toFixed(0)} ms`)
}

test('a standard output that is full: all goes on, lost lines are counted, SIGTERM ends it', async (t) => {
  const child = await startWith(t, '> /dev/full')
  await child.until(({ watermarkNs }) => watermarkNs !== null)
  await assertContinues(t, child, /disk is full \(ENOSPC\); \d+ log lines are lost .*Free space/)
})

test('both outputs full', async (t) => {
  const child = await startWith(t, '> /dev/full 2>&1')
  await child.until(({ watermarkNs }) => watermarkNs !== null)
  await assertContinues(t, child, /ENOSPC/)
})

test('a pipe that nobody reads: all goes on, lost lines are counted, SIGTERM ends it', async (t) => {
  const { path } = unreadPipe(t)
  const child = await startWith(t, `> ${path} 2>&1`)
  await child.until(({ watermarkNs }) => watermarkNs !== null)
  await assertContinues(t, child, /Standard output is not read; \d+ log lines are lost .*Check the program/)
})

test('a reader that comes back gets what waited, then how many lines were lost', async (t) => {
  const { path, close } = unreadPipe(t)
  const child = await startWith(t, `> ${path}`)
  await child.until(({ watermarkNs }) => watermarkNs !== null)
  await untilLost(child)
  const reader = await open(path, 'r')
  const stream = reader.createReadStream({ encoding: 'utf8' })
  let text = ''
  stream.on('data', (piece) => {
    text += piece
  })
  const reported = await eventually('the number of lost lines', () =>
    text.split('\n').find((line) => /"msg":"log lines were lost/.test(line)),
  )
  const { lostCount, code, level } = JSON.parse(reported) as { lostCount: number; code: string; level: string }
  assert.deepEqual({ lostCount, code, level }, { lostCount: await lostOf(child), code: 'EAGAIN', level: 'warn' })
  const { health } = await statusOf(child)
  assert.equal(health.components.find(({ component }) => component === 'log')?.status, 'ok')
  const lines = linesOf(text)
  for (const line of lines) JSON.parse(line)
  assert.match(lines[0] ?? '', /tailflux starts/, 'nothing of what waited is missing')
  close()
  assert.equal(await inTime('an orderly end', child.kill('SIGTERM')), 0)
  await eventually('the last line', () => /"msg":"tailflux stopped"/.test(text))
  stream.destroy()
})

test('a reader that ends (EPIPE): all goes on', async (t) => {
  const { path, close } = unreadPipe(t)
  const child = await startWith(t, `> ${path}`)
  await child.until(({ watermarkNs }) => watermarkNs !== null)
  close()
  await assertContinues(t, child, /has ended; \d+ log lines are lost .*Restart/)
})

/** A named pipe that can be opened for writing, because it is held open here. */
function unreadPipe(t: TestContext): { path: string; close(): void } {
  const path = join(temporaryFolder(t), 'pipe')
  execFileSync('mkfifo', [path])
  const fd = openSync(path, 'r+')
  let isOpen = true
  const close = () => {
    if (isOpen) closeSync(fd)
    isOpen = false
  }
  t.after(close)
  return { path, close }
}
