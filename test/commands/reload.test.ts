/** Reload, pause and resume of a running service, as a process: valid settings are applied, invalid ones rejected, and nothing is lost. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { readControlToken } from '../../src/http/control-token.ts'
import type { HealthState } from '../../src/observe/health.ts'
import type { StatusAnswer } from '../../src/observe/status.ts'
import { runCli, startCli } from '../helpers/cli.ts'
import { linesOf } from '../helpers/lines.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { assertTruth } from '../line/truth-in.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { parseLines } from '../sink/line-protocol/parse-lines.ts'
import { startSimulated } from './simulated.ts'

const MINUTE_NS = 60_000_000_000n

test('under load: valid settings are applied, invalid ones rejected with all errors, and the content is the truth', async (t) => {
  const tailnet = createTailnet({ nodes: 12, seed: 9 })
  // The API's clock stands still, so that the last edge is known.
  const nowNs = BigInt(Math.floor(Date.now() / 1000)) * 1_000_000_000n
  const { api, dir } = await startSimulated(t, tailnet, { nowNs: () => nowNs, latencyMs: 20 })
  const file = join(dir, 'tailflux.yaml')
  const settings = (poll: string) =>
    `tailscale: { apiUrl: '${api.url}', apiKey: tskey-api-demo }\ndataDir: ${dir}\nhttp: { port: 0 }\npoll: { lookback: 30m, interval: 5s, windowMax: 1m, latePasses: [], ${poll} }\n`
  await writeFile(file, settings('parallel: 1'))
  const run = startCli(t, ['run', '-c', file])
  await run.until(/"msg":"window done"/)

  const addressOf = () => /(?:[\s\S]*)"url":"(http:[^"]+)"/.exec(run.stdout())?.[1] ?? ''
  const counters = async () => {
    const text = await (await fetch(`${addressOf()}/metrics`)).text()
    return new Map(
      [...text.matchAll(/^(tailflux_\S*_(?:total|count)(?:\{.*\})?) (\S+)$/gm)].map(([, name, value]) => [
        name,
        Number(value),
      ]),
    )
  }
  const statusNow = async () =>
    (await (await fetch(`${addressOf()}/api/status`)).json()) as Pick<
      StatusAnswer,
      'totals' | 'startedAt' | 'uptimeSeconds'
    >
  const before = await counters()
  const statusBefore = await statusNow()
  assert.ok((before.get('tailflux_windows_total{pass="1"}') ?? 0) > 0)

  await writeFile(file, `${settings('parallel: 99, nonsense: 1')}ports: all\n`)
  run.child.kill('SIGHUP')
  const refused = await run.until(/\{[^\n]*"new settings rejected, old settings stay in force"[^\n]*\}/)
  for (const fault of ['parallel', 'nonsense', 'ports'])
    assert.match(refused[0], new RegExp(`poll.${fault}|: ${fault}`))

  for (const [index, parallel] of [2, 3, 4].entries()) {
    await writeFile(file, settings(`parallel: ${parallel}`))
    run.child.kill('SIGHUP')
    await run.until(
      new RegExp(`(?:settings applied[\\s\\S]*?tailflux is ready[\\s\\S]*?window done[\\s\\S]*?){${index + 1}}`),
    )
  }
  run.child.kill('SIGHUP')
  await run.until(/settings unchanged/)
  const horizon = new Date(Number((nowNs - MINUTE_NS) / 1_000_000n)).toISOString()
  const url = addressOf()
  // Reported at the end of a poll, which comes a little later than its last window.
  let gauges = ''
  while (!/^tailflux_nodes_reporting [1-9]\d*$/m.test(gauges)) gauges = await (await fetch(`${url}/metrics`)).text()
  assert.match(gauges, /^tailflux_series_estimate{measurement="tailnet_flow"} [1-9]\d*$/m)
  const after = await counters()
  const statusAfter = await statusNow()
  assert.equal(statusAfter.startedAt, statusBefore.startedAt, 'since the start is since the start of the process')
  assert.ok(statusAfter.uptimeSeconds > statusBefore.uptimeSeconds)
  for (const [name, value] of Object.entries(statusBefore.totals))
    assert.ok(statusAfter.totals[name as keyof typeof statusBefore.totals] >= value, name)
  assert.ok(statusAfter.totals.windows > statusBefore.totals.windows)
  for (const [name, value] of before) assert.ok((after.get(name) ?? -1) >= value, `${name} went down`)
  for (let status = { watermark: '', backlogSeconds: 1 }; status.watermark !== horizon || status.backlogSeconds > 0; ) {
    status = (await (await fetch(`${url}/api/status`)).json()) as typeof status
  }
  run.child.kill('SIGTERM')
  assert.equal(await run.ended, 0)
  assert.match(run.stdout(), /"durationMs":\d+,"msg":"tailflux stopped"/)

  const exported = async (measurement: string) =>
    parseLines((await runCli(t, ['export', '--measurement', measurement], { TAILFLUX_DATA_DIR: dir })).stdout)
  const lines = await exported('tailnet_flow')
  const origin = /^origin +(\S+)/m.exec((await runCli(t, ['ledger', 'show', '-c', file])).stdout)?.[1] ?? ''
  const fromNs = BigInt(Date.parse(origin)) * 1_000_000n
  const count = await assertTruth(lines, tailnet.truth(fromNs, nowNs - MINUTE_NS))
  assert.ok(count > 1_000)
})

test('settings that are good but do not work here: the old ones come back', async (t) => {
  const { api, dir } = await startSimulated(t, createTailnet({ nodes: 5 }))
  const file = join(dir, 'tailflux.yaml')
  const settings = (port: number) =>
    `tailscale: { apiUrl: '${api.url}', apiKey: tskey-api-demo }\ndataDir: ${dir}\nhttp: { port: ${port} }\npoll: { lookback: 2m, interval: 5s }\n`
  await writeFile(file, settings(0))
  const run = startCli(t, ['run', '-c', file])
  await run.until(/"msg":"window done"/)
  // The port of the simulated API is taken.
  await writeFile(file, settings(Number(new URL(api.url).port)))
  run.child.kill('SIGHUP')
  await run.until(/is in use by another program[\s\S]*old settings restored[\s\S]*tailflux is ready/)
  await run.until(/old settings restored[\s\S]*window done/)
  run.child.kill('SIGTERM')
  assert.equal(await run.ended, 0)
})

test('commands over HTTP and from the command line: only with a token, and the one of the data directory is enough', async (t) => {
  const dir = temporaryFolder(t)
  const env = { TAILFLUX_DATA_DIR: dir, TAILFLUX_HTTP_PORT: '0', TAILFLUX_POLL_LOOKBACK: '5m' }
  const demo = startCli(t, ['demo', '--nodes', '6'], env)
  const [, url = ''] = await demo.until(/Status page: (http:\S+)\//, 'stderr')
  await demo.until(/"msg":"window done"/)
  const post = async (path: string, token?: string) => {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const answer = await fetch(`${url}${path}`, { method: 'POST', headers })
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
  }
  const control = readControlToken(dir)
  assert.match(control ?? '', /^[0-9a-f]{48}$/)
  assert.equal((await post('/api/pause')).status, 401)
  assert.equal((await post('/api/pause', 'wrong')).status, 401)

  const beside = { ...env, TAILFLUX_HTTP_PORT: new URL(url).port }
  const pause = await runCli(t, ['pause'], beside)
  assert.deepEqual([pause.code, pause.stdout], [0, 'Paused; run `tailflux resume` to continue.\n'])
  const status = await runCli(t, ['status', '--json'], beside)
  assert.equal(JSON.parse(status.stdout).paused, true)
  const health = (await (await fetch(`${url}/health`)).json()) as HealthState
  const line = health.components.find(({ component }) => component === 'line')
  assert.deepEqual([line?.status, line?.code], ['warning', 'paused'])
  assert.match(line?.text ?? '', /^Reading is paused; run `tailflux resume` to continue\.$/)
  const page = await (await fetch(url)).text()
  assert.match(page, /Paused<\/b> <span>Reading is paused; run `tailflux resume` to continue/)
  assert.equal((await runCli(t, ['resume'], beside)).code, 0)
  assert.equal(((await (await fetch(`${url}/api/status`)).json()) as { paused: boolean }).paused, false)
  const resumed = (await (await fetch(`${url}/health`)).json()) as HealthState
  assert.ok(resumed.components.every(({ code }) => code !== 'paused'))
  assert.deepEqual((await post('/api/reload', control)).body, { changed: [] })
  const reload = await runCli(t, ['reload'], beside)
  assert.deepEqual([reload.code, reload.stdout], [0, 'Settings unchanged.\n'])
  const wrong = await post('/api/backfill?from=yesterday&to=now', control)
  assert.equal(wrong.status, 422)
  demo.child.kill('SIGTERM')
  assert.equal(await demo.ended, 0)
  assert.equal(readControlToken(dir), undefined)
})

test('no other process gets the state file while settings are exchanged, ten times', async (t) => {
  const { api, dir } = await startSimulated(t, createTailnet({ nodes: 5 }))
  const file = join(dir, 'tailflux.yaml')
  const data = join(dir, 'data')
  const settings = (parallel: number) =>
    `tailscale: { apiUrl: '${api.url}', apiKey: tskey-api-demo }\ndataDir: ${data}\nhttp: { port: 0 }\npoll: { lookback: 2m, interval: 5s, parallel: ${parallel} }\n`
  await writeFile(file, settings(1))
  const run = startCli(t, ['run', '-c', file])
  await run.until(/"msg":"window done"/)
  const rival = await startRival(t, join(data, 'state.db'))
  for (let round = 1; round <= 10; round += 1) {
    await writeFile(file, settings(1 + (round % 2)))
    run.child.kill('SIGHUP')
    await run.until(new RegExp(`(?:tailflux is ready[\\s\\S]*?){${round + 1}}`))
  }
  assert.equal(rival.taken(), 0, 'the lock was free for a moment')
  assert.ok(rival.tries() > 100, `only ${rival.tries()} tries`)
  t.diagnostic(`${rival.tries()} tries in vain during 10 reloads`)
  run.child.kill('SIGTERM')
  assert.equal(await run.ended, 0)
  await rival.gotIt
})

test('another data directory: its lock is taken first, the old one is free then; one that is taken changes nothing', async (t) => {
  const { api, dir } = await startSimulated(t, createTailnet({ nodes: 5 }))
  const file = join(dir, 'tailflux.yaml')
  const settings = (data: string) =>
    `tailscale: { apiUrl: '${api.url}', apiKey: tskey-api-demo }\ndataDir: ${join(dir, data)}\nhttp: { port: 0 }\npoll: { lookback: 2m, interval: 5s }\n`
  await writeFile(file, settings('one'))
  const run = startCli(t, ['run', '-c', file])
  await run.until(/"msg":"window done"/)
  const other = startCli(t, ['demo', '--nodes', '5'], {
    TAILFLUX_DATA_DIR: join(dir, 'taken'),
    TAILFLUX_HTTP_PORT: '0',
  })
  await other.until(/tailflux is ready/)

  await writeFile(file, settings('taken'))
  run.child.kill('SIGHUP')
  await run.until(/"code":"state_locked"[^\n]*"msg":"new settings do not work, old settings stay in force"/)
  assert.equal(run.stdout().match(/tailflux starts/g)?.length, 1, 'the old service was not disturbed')

  const rival = await startRival(t, join(dir, 'one', 'state.db'))
  await writeFile(file, settings('two'))
  run.child.kill('SIGHUP')
  await run.until(/dataDir":"[^"]*two"[\s\S]*tailflux is ready[\s\S]*window done/)
  await rival.gotIt
  run.child.kill('SIGTERM')
  assert.equal(await run.ended, 0)
})

/** A process that tries to take the state file every millisecond. */
async function startRival(t: TestContext, path: string) {
  const module = (name: string) => JSON.stringify(new URL(`../../src/${name}.ts`, import.meta.url).href)
  const script = `
    import { openStateFile } from ${module('ledger/sqlite/state-file')}
    import { systemClock } from ${module('base/clock')}
    let tries = 0
    function attempt() {
      tries += 1
      try {
        openStateFile({ path: process.argv[1] }, { clock: systemClock, log: { error() {} } }).close()
        console.log('taken')
        return
      } catch (error) {
        if (error.code !== 'state_locked') throw error
      }
      if (tries % 50 === 0) console.log(tries)
      setTimeout(attempt, 1)
    }
    attempt()`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  let tries = 0
  let taken = 0
  const got = Promise.withResolvers<void>()
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    for (const line of linesOf(text)) {
      if (line === 'taken') {
        taken += 1
        got.resolve()
      } else tries = Number(line)
    }
  })
  await once(child.stdout, 'data')
  return { tries: () => tries, taken: () => taken, gotIt: got.promise }
}
