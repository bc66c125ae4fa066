/** A programmer's error anywhere ends the process: in order, with exit code 1, within a bound, and with its last words where the log can take
 * them. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { inTime } from '../helpers/eventually.ts'
import { linesOf } from '../helpers/lines.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { createSimulatedApi } from '../simulator/api.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { type Child, startChild } from './child.ts'

const STOP_MS_MAX = 10_000

/** The service with `fault` as what happens on SIGUSR2. */
async function startFaulty(t: TestContext, fault: string, redirection = ''): Promise<Child> {
  const api = createSimulatedApi(createTailnet({ nodes: 5 }))
  await api.start()
  t.after(() => api.stop())
  const code = `process.on('SIGUSR2', () => { ${fault} })`
  const env = {
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}`,
    TAILSCALE_API_URL: api.url,
    TAILSCALE_API_KEY: 'tskey-api-demo',
    TAILFLUX_DATA_DIR: join(temporaryFolder(t), 'data'),
    TAILFLUX_POLL_LOOKBACK: '2m',
    TAILFLUX_POLL_INTERVAL: '5s',
  }
  const child = await startChild(t, env, ['run'], ['/bin/sh', '-c', `exec "$0" "$@" ${redirection}`])
  await child.until(({ watermarkNs }) => watermarkNs !== null)
  return child
}

const FAULTS: Readonly<Record<string, string>> = {
  'an exception that nobody catches': `throw new Error('a bug')`,
  'a rejection that nobody handles': `Promise.reject(new Error('a bug'))`,
  'an error that cannot be shown': `throw Object.defineProperty(new Error('x'), 'stack', { get() { throw new Error('a bug') } })`,
  'one that is no error': `throw undefined`,
  'a second one while the process ends': `setTimeout(() => { throw new Error('later') }, 1); setTimeout(() => { throw new Error('later') }, 20); throw new Error('a bug')`,
}
for (const [name, fault] of Object.entries(FAULTS)) {
  for (const redirection of ['', '> /dev/full 2>&1']) {
    test(`${name}${redirection && ', and the log is full'}: exit code 1, in order`, async (t) => {
      const child = await startFaulty(t, fault, redirection)
      const beganMs = performance.now()
      assert.equal(await inTime('the end', child.kill('SIGUSR2')), 1, child.output())
      assert.ok(performance.now() - beganMs < STOP_MS_MAX)
      if (redirection !== '') return
      const lines = linesOf(child.output())
      for (const line of lines) JSON.parse(line)
      assert.match(child.output(), /"level":"fatal".*programmer error, the process ends/)
      // The stop takes some milliseconds, so an error that follows may come after its last words.
      assert.ok(
        lines.some((line) => /tailflux stopped/.test(line)),
        child.output(),
      )
    })
  }
}

test('a stop that hangs ends by itself, with exit code 1', async (t) => {
  // What the stop waits for, at last: the closing of the HTTP server.
  const child = await startFaulty(
    t,
    `process.getBuiltinModule('node:http').Server.prototype.close = () => undefined; process.kill(process.pid, 'SIGTERM')`,
  )
  const beganMs = performance.now()
  assert.equal(await inTime('the end', child.kill('SIGUSR2')), 1, child.output())
  assert.ok(performance.now() - beganMs < STOP_MS_MAX)
  assert.match(child.output(), /"level":"error".*stop timed out/)
})
