/** `tailflux replay` as a process: what was saved becomes the same points as what was polled. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
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
import { createTailnet } from '../simulator/tailnet.ts'
import { parseLines } from '../sink/line-protocol/parse-lines.ts'
import { startSimulated } from './simulated.ts'

const MINUTE_NS = 60_000_000_000n

test('replayed over what was polled nothing changes; replayed alone it is the truth', async (t) => {
  const tailnet = createTailnet({ nodes: 8, seed: 21 })
  const nowNs = BigInt(Math.floor(Date.now() / 1000)) * 1_000_000_000n
  const { api, dir, env: place } = await startSimulated(t, tailnet, { nowNs: () => nowNs })
  const env = {
    ...place,
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

const BEGAN_MS = Date.now() - 3_600_000
const message = (index: number) =>
  JSON.stringify({
    nodeId: 'n1CNTRL',
    start: new Date(BEGAN_MS + index * 1_000).toISOString(),
    end: new Date(BEGAN_MS + index * 1_000).toISOString(),
    logged: new Date(BEGAN_MS + 30_000).toISOString(),
    virtualTraffic: [{ proto: 6, src: '100.64.0.1:4000', dst: '100.64.0.2:443', txBytes: 10 + index, txPkts: 1 }],
  })

test('a torn line costs that line, and the next files are read', async (t) => {
  const dir = temporaryFolder(t)
  const [torn, page, good] = [join(dir, 'torn.ndjson'), join(dir, 'page.html'), join(dir, 'good.json')]
  await writeFile(torn, [message(0), message(1).slice(0, 60), message(2)].join('\n'))
  await writeFile(page, '<!doctype html><html><body>Sign in</body></html>')
  await writeFile(good, `{"logs":[${message(3)}]}`)
  const data = join(dir, 'data')
  const env = { TAILFLUX_DATA_DIR: data }
  const { code, stderr } = await runCli(t, ['replay', torn, page, join(dir, 'nothing'), good], env)
  assert.equal(code, 1)
  const lines = stderr.split('\n')
  assert.match(lines[0] ?? '', /torn\.ndjson: line 2 \(from byte \d+ on\): it ends too early; left out$/)
  assert.match(lines[1] ?? '', /torn\.ndjson: 2 messages, 2 entries, 2 points; 1 quarantined \(.*dead-letters\)\.$/)
  assert.match(lines[2] ?? '', /^tailflux: .*page\.html has no flow logs: it is a page/)
  assert.match(lines[3] ?? '', /^tailflux: .*nothing cannot be read \(ENOENT\)/)
  assert.match(lines[4] ?? '', /good\.json: 1 messages/)
  const stored = parseLines((await runCli(t, ['export', '--measurement', 'tailnet_flow'], env)).stdout)
  assert.deepEqual(
    stored.map(({ fields }) => fields['tx_bytes']),
    [10n, 12n, 13n],
  )
  const letters = await readFile(join(data, 'dead-letters', 'dead-letters-000001.jsonl'), 'utf8')
  const letter = JSON.parse(letters) as Record<string, unknown>
  assert.equal(letter['text'], message(1).slice(0, 60))
  assert.match(String(letter['detail']), /torn\.ndjson, line 2 \(from byte \d+ on\)/)
  const again = await runCli(t, ['replay', torn], env)
  assert.equal(again.code, 0, 'what is quarantined is no failure')
  assert.equal(await readFile(join(data, 'dead-letters', 'dead-letters-000001.jsonl'), 'utf8'), letters)
})

test('what cannot be replayed is reported, with exit code 1', async (t) => {
  const dir = temporaryFolder(t)
  const file = join(dir, 'broken.json')
  await writeFile(file, '{"logs":[{"nodeId":"n1"')
  const broken = await runCli(t, ['replay', file], { TAILFLUX_DATA_DIR: dir })
  assert.equal(broken.code, 1)
  assert.match(
    broken.stderr,
    /broken\.json has no flow logs: its JSON is damaged or ends too early; save it again\.\n$/,
  )
  const nothing = await runCli(t, ['replay', join(dir, 'nothing.json')], { TAILFLUX_DATA_DIR: dir })
  assert.equal(nothing.code, 1)
  assert.match(nothing.stderr, /ENOENT/)
})

test('credentials are not needed, however wrong they are; an unreachable database is told without a promise', async (t) => {
  const dir = temporaryFolder(t)
  const file = join(dir, 'good.json')
  await writeFile(file, message(1))
  const settings = join(dir, 'settings.yaml')
  await writeFile(settings, 'tailscale:\n  apiKeyFile: /nowhere/key\n  oauthClientId: k1\n')
  const wrong = {
    TAILFLUX_DATA_DIR: join(dir, 'data'),
    TAILSCALE_API_KEY: '"tskey-client-abc"',
    TAILSCALE_ID_TOKEN_FILE: '/nowhere/token',
    TAILSCALE_API_URL: 'http://127.0.0.1:1',
  }
  const { code, stderr } = await runCli(t, ['--config', settings, 'replay', file], wrong)
  assert.equal(code, 0, stderr)
  const down = await runCli(t, ['replay', file], {
    ...wrong,
    INFLUX_URL: 'http://127.0.0.1:1',
    INFLUX_API: 'v1',
    INFLUX_DB: 'x',
    TAILFLUX_INFLUX_GIVE_UP: '10s',
  })
  assert.equal(down.code, 1, down.stderr)
  assert.match(down.stderr, /cannot be reached \(ECONNREFUSED\)/)
  assert.doesNotMatch(down.stderr, /by itself|automatically|retried/)
})

test('--print changes nothing and needs no lock', async (t) => {
  const dir = temporaryFolder(t)
  const file = join(dir, 'torn.ndjson')
  await writeFile(file, [message(0), message(1).slice(0, 60), message(2)].join('\n'))
  const data = join(dir, 'data')
  const env = { TAILFLUX_DATA_DIR: data }
  const printed = await runCli(t, ['replay', '--print', file], env)
  assert.equal(printed.code, 0, printed.stderr)
  assert.equal(parseLines(printed.stdout).length, 2)
  assert.match(printed.stderr, /1 quarantined \(not kept, because of --print\)/)
  assert.equal(existsSync(data), false)
  const state = openStateFile({ path: join(data, 'state.db') }, { clock: systemClock, log: silentLog })
  t.after(() => state.close())
  const locked = await runCli(t, ['replay', '--print', file], env)
  assert.deepEqual([locked.code, locked.stdout], [0, printed.stdout], locked.stderr)
  assert.match(locked.stderr, /A service uses the state file: the lines are made with the settings of now/)
  assert.equal((await runCli(t, ['replay', file], env)).code, 75)
})
