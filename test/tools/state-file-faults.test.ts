/** A state file on a disk that fails, as a real process meets it: input/output errors from the kernel (by strace), and answers
 * that are larger than the memory. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { startChild } from '../line/child.ts'
import { find, missing } from '../services/servers.ts'
import { createSimulatedApi } from '../simulator/api.ts'
import type { TailnetOptions } from '../simulator/options.ts'
import { createTailnet } from '../simulator/tailnet.ts'

const LAG_NS = 60_000_000_000n

async function setUp(t: TestContext, dir: string, tailnet: TailnetOptions = { nodes: 5, activity: 0.2 }) {
  const nowNs = (BigInt(Date.now()) / 1000n) * 1_000_000_000n
  const api = createSimulatedApi(createTailnet(tailnet), { nowNs: () => nowNs })
  await api.start()
  t.after(() => api.stop())
  const env = {
    TAILSCALE_API_URL: api.url,
    TAILSCALE_API_KEY: 'tskey-api-demo',
    TAILFLUX_DATA_DIR: dir,
    TAILFLUX_POLL_LOOKBACK: '5m',
    TAILFLUX_POLL_INTERVAL: '5s',
    TAILFLUX_POLL_WINDOW_MAX: '10s',
    TAILFLUX_POLL_LATE_PASSES: '[]',
  }
  return { api, env, horizon: String(nowNs - LAG_NS) }
}

test('input/output errors on the state file: told, nothing is called done, and it goes on by itself', {
  skip: await missing('strace'),
}, async (t) => {
  const dir = temporaryFolder(t)
  const { env, horizon } = await setUp(t, dir)
  const state = join(dir, 'state.db')
  const inject = ['-D', '-f', '-qq', '-o', '/dev/null', '-P', state, '-P', `${state}-journal`]
  // The fsync calls 30 to 33 of the process on these files fail, each time with EIO.
  const strace = [...inject, '-e', 'trace=fsync', '-e', 'inject=fsync:error=EIO:when=30..33']
  const child = await startChild(t, env, ['run'], [find('strace')!.path, ...strace])
  await child.until(({ watermarkNs }) => watermarkNs === horizon)
  assert.match(child.output(), /state file cannot be written/)
  assert.match(child.output(), /"code":"state_failed"/)
  const { body } = await child.get('/metrics')
  assert.match(body, /tailflux_state_write_failures_total [1-9]/)
  assert.equal(await child.kill('SIGTERM'), 0)
})

test('an answer larger than the memory that it may use goes through in one piece', async (t) => {
  const { api, env, horizon } = await setUp(t, temporaryFolder(t), {
    nodes: 10,
    activity: 0.2,
    scan: { nodes: 4, tuples: 250 },
  })
  const child = await startChild(t, {
    ...env,
    NODE_OPTIONS: '--max-old-space-size=40',
    TAILFLUX_POLL_LOOKBACK: '2h',
    TAILFLUX_POLL_WINDOW_MAX: '24h',
    TAILFLUX_POLL_WINDOW_BYTES_TARGET: '1GiB',
    TAILFLUX_POLL_PARALLEL: '1',
    TAILFLUX_PORTS: 'none',
  })
  await child.until(({ watermarkNs }) => watermarkNs === horizon)
  const largest = Math.max(...api.requests.map((request) => request.bytes))
  t.diagnostic(`largest answer ${Math.round(largest / (1 << 20))} MiB, heap limit 40 MiB`)
  assert.ok(largest > 40 << 20, `${largest} bytes`)
})
