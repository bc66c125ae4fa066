/** `tailflux replay` as a process: what was saved becomes the same points as what was polled. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { zstdCompressSync } from 'node:zlib'
import { systemClock } from '../../src/base/clock.ts'
import { createLedger } from '../../src/ledger/sqlite/sqlite-ledger.ts'
import { openStateFile } from '../../src/ledger/sqlite/state-file.ts'
import { runCli, startCli } from '../helpers/cli.ts'
import { silentLog } from '../helpers/silent.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { assertTruth } from '../line/truth-in.ts'
import { createSimulatedApi } from '../simulator/api.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { parseLines } from '../sink/line-protocol/parse-lines.ts'

const MINUTE_NS = 60_000_000_000n

test('replayed over what was polled nothing changes; replayed alone it is the truth', async (t) => {
  const tailnet = createTailnet({ nodes: 8, seed: 21 })
  const nowNs = BigInt(Math.floor(Date.now() / 1000)) * 1_000_000_000n
  const api = createSimulatedApi(tailnet, { nowNs: () => nowNs })
  await api.start()
  t.after(() => api.stop())
  const dir = temporaryFolder(t)
  const env = {
    TAILSCALE_API_URL: api.url,
    TAILSCALE_API_KEY: 'tskey-api-demo',
    TAILFLUX_DATA_DIR: dir,
    TAILFLUX_HTTP_PORT: '0',
    TAILFLUX_POLL_LOOKBACK: '8m',
    TAILFLUX_POLL_INTERVAL: '5s',
  }
  const service = startCli(t, ['run'], env)
  const [, url = ''] = await service.until(/"url":"(http:[^"]+)"[^\n]*is ready/)
  const horizon = new Date(Number((nowNs - MINUTE_NS) / 1_000_000n)).toISOString()
  for (let watermark = ''; watermark !== horizon; ) {
    watermark = ((await (await fetch(`${url}/api/status`)).json()) as { watermark: string }).watermark
  }
  const [fromNs, toNs] = [nowNs - 6n * MINUTE_NS, nowNs - 2n * MINUTE_NS]
  const iso = (ns: bigint) => new Date(Number(ns / 1_000_000n)).toISOString()
  const saved = await fetch(`${api.url}/api/v2/tailnet/-/logging/network?start=${iso(fromNs)}&end=${iso(toNs)}`, {
    headers: { authorization: `Basic ${Buffer.from('tskey-api-demo:').toString('base64')}` },
  })
  const answer = await saved.text()
  const file = join(dir, 'saved.json.zst')
  await writeFile(file, zstdCompressSync(answer))
  const ndjson = join(dir, 'saved.ndjson')
  await writeFile(ndjson, (JSON.parse(answer) as { logs: unknown[] }).logs.map((one) => JSON.stringify(one)).join('\n'))

  const locked = await runCli(t, ['replay', file], env)
  assert.equal(locked.code, 75, locked.stderr)
  service.child.kill('SIGTERM')
  assert.equal(await service.ended, 0)

  const flows = async (data: string) =>
    parseLines((await runCli(t, ['export'], { TAILFLUX_DATA_DIR: data })).stdout).filter(({ measurement }) =>
      measurement.startsWith('tailnet_'),
    )
  const before = await flows(dir)
  for (const path of [file, ndjson]) {
    const { code, stderr } = await runCli(t, ['replay', path], env)
    assert.equal(code, 0, stderr)
    assert.match(stderr, /: \d+ messages, \d+ entries, \d+ points\.\n$/)
  }
  assert.deepEqual(await flows(dir), before)

  const fresh = temporaryFolder(t)
  assert.equal((await runCli(t, ['replay', ndjson], { ...env, TAILFLUX_DATA_DIR: fresh })).code, 0)
  assert.ok((await assertTruth(await flows(fresh), tailnet.truth(fromNs, toNs))) > 100)
  const listed = listedIn(fresh)
  assert.ok(listed.length >= 4 && listed.every(({ read, must }) => read === 0 && must > 0), 'rows are made of it')
  const printed = await runCli(t, ['replay', '--print', file], { ...env, TAILFLUX_DATA_DIR: fresh })
  assert.deepEqual(listedIn(fresh), listed, 'what is only printed is not in the database')
  assert.deepEqual(
    new Set(
      parseLines(printed.stdout).map((one) =>
        JSON.stringify(one, (_key, value) => (typeof value === 'bigint' ? String(value) : value)),
      ),
    ).size,
    (await flows(fresh)).length,
  )
})

/** The minutes whose rows are not settled, by the state file. */
function listedIn(dir: string) {
  const state = openStateFile({ path: join(dir, 'state.db') }, { clock: systemClock, log: silentLog })
  try {
    return createLedger(state, 'default').unsettled.all('minute')
  } finally {
    state.close()
  }
}

test('what cannot be replayed is reported, with exit code 1', async (t) => {
  const dir = temporaryFolder(t)
  const file = join(dir, 'broken.json')
  await writeFile(file, '{"logs":[{"nodeId":"n1"')
  const broken = await runCli(t, ['replay', file], { TAILFLUX_DATA_DIR: dir })
  assert.equal(broken.code, 1)
  assert.match(broken.stderr, /broken\.json cannot be read\. Check that it is a complete, readable file of flow logs/)
  const nothing = await runCli(t, ['replay', join(dir, 'nothing.json')], { TAILFLUX_DATA_DIR: dir })
  assert.equal(nothing.code, 1)
  assert.match(nothing.stderr, /ENOENT/)
})
