/** `tailflux backfill` as a process: beside a service, alone, killed again and again. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { runCli, startCli } from '../helpers/cli.ts'
import { eventually } from '../helpers/eventually.ts'
import { assertTruth } from '../line/truth-in.ts'
import { createTailnet, type Tailnet } from '../simulator/tailnet.ts'
import { truthKey } from '../simulator/truth.ts'
import { countersByMinute, exported } from './exported.ts'
import { startSimulated } from './simulated.ts'

const MINUTE_NS = 60_000_000_000n
const HOUR_NS = 60n * MINUTE_NS

function isoOf(ns: bigint): string {
  return new Date(Number(ns / 1_000_000n)).toISOString()
}

type Place = Awaited<ReturnType<typeof world>>

async function world(t: TestContext, tailnet: Tailnet, latencyMs = 0) {
  const nowNs = BigInt(Math.floor(Date.now() / 1000)) * 1_000_000_000n
  // Its clock runs, as that of the service does: one that stands still would be reported as clock skew.
  const { api, dir, env: place } = await startSimulated(t, tailnet, { latencyMs })
  const env = {
    ...place,
    TAILFLUX_HTTP_PORT: '0',
    TAILFLUX_POLL_LOOKBACK: '5m',
    TAILFLUX_POLL_INTERVAL: '5s',
    TAILFLUX_POLL_WINDOW_MAX: '1m',
  }
  return { api, env, dir, nowNs, fromNs: nowNs - 3n * HOUR_NS, toNs: nowNs - 3n * HOUR_NS + 30n * MINUTE_NS }
}

/** What the store holds of records logged in the range is the truth, no more and no less. What was logged in the hour before the test and since is
 * read too, in part; a node that was offline uploads flows there that are hours old, so what is not of the range is told by its identity.
 */
async function assertStored(t: TestContext, tailnet: Tailnet, { dir, nowNs, fromNs, toNs }: Place) {
  const truth = new Map([...tailnet.truth(fromNs, toNs)].map((point) => [truthKey(point), point]))
  const later = [...tailnet.truth(nowNs - HOUR_NS, BigInt(Date.now()) * 1_000_000n)]
  const others = new Set(later.map(truthKey).filter((key) => !truth.has(key)))
  const stored = (await exported(t, dir, 'tailnet_flow')).filter((point) => !others.has(truthKey(point)))
  return await assertTruth(stored, truth.values())
}

test('alone, killed three times: it goes on where it was, and the content is the truth', async (t) => {
  const tailnet = createTailnet({ nodes: 10, seed: 12 })
  const place = await world(t, tailnet, 20)
  const { env, fromNs, toNs, api } = place
  const args = ['backfill', '--from', isoOf(fromNs), '--to', isoOf(toNs)]
  const asksForHistory = ({ window }: { window: { toNs: bigint } | undefined }) =>
    window !== undefined && window.toNs <= toNs
  for (let kill = 0; kill < 3; kill += 1) {
    const child = startCli(t, args, env)
    for (let window = 0; window < 6; window += 1) await api.nextRequest(asksForHistory)
    child.child.kill('SIGKILL')
    await child.ended
  }
  const { code, stdout, stderr } = await runCli(t, args, env)
  assert.equal(code, 0, stderr)
  assert.match(stdout, /^Done: .* \(30 min\), \d+ messages, \d+ points in \d+ windows, in \d+ s\.\n$/)
  assert.match(stderr, /by this command, because no service is running/)
  assert.match(stderr, /backfill: 100\.0 %/)
  assert.ok((await assertStored(t, tailnet, place)) > 1_000)
  const asked = api.count('logs')
  // Per kill the window that was in progress, and those whose reflection in the database was not written yet.
  const windows = api.requests.filter(asksForHistory).length
  assert.ok(windows <= 30 + 3 * 3, `${windows} windows were asked for`)
  const again = await runCli(t, args, env)
  assert.equal(again.code, 0)
  assert.match(again.stderr, /0 s to read/)
  const late = api.requests.slice(-(api.count('logs') - asked)).filter(({ window }) => window && window.toNs < toNs)
  assert.deepEqual(late, [], 'what is done is not read again')
})

test('through the running service: it is asked, watched, and done behind the present', async (t) => {
  const tailnet = createTailnet({ nodes: 8, seed: 13 })
  const place = await world(t, tailnet)
  const { env, fromNs, toNs } = place
  const service = startCli(t, ['run'], env)
  const [, url = ''] = await service.until(/"url":"(http:[^"]+)"[^\n]*is ready/)
  await service.until(/"msg":"window done"/)
  const beside = { ...env, TAILFLUX_HTTP_PORT: new URL(url).port }
  const { code, stdout, stderr } = await runCli(t, ['backfill', '--from', isoOf(fromNs), '--to', isoOf(toNs)], beside)
  assert.equal(code, 0, stderr)
  assert.match(stderr, /by the service at http/)
  assert.match(stdout, /^Done: /)
  const refused = await runCli(t, ['backfill', '--from', '90d', '--to', '60d'], beside)
  assert.equal(refused.code, 2)
  assert.match(refused.stderr, /The API has nothing from/)
  const reversed = await runCli(t, ['backfill', '--from', '1h', '--to', '2h'], beside)
  assert.deepEqual([reversed.code, reversed.stdout], [2, ''])
  const asked = await runCli(t, ['backfill', '--from', '20d', '--to', '19d', '--detach'], beside)
  assert.equal(asked.code, 0)
  assert.equal((await runCli(t, ['backfill', '--cancel'], beside)).code, 0)
  // Derived rows follow from the database, a minute at a time. Those of minutes that the range has in part wait longer.
  const whole = { fromNs: fromNs - (fromNs % MINUTE_NS) + MINUTE_NS, toNs: toNs - (toNs % MINUTE_NS) - MINUTE_NS }
  await eventually(
    'rows of nodes that are the sums of their raw points',
    async () => {
      const raw = countersByMinute(await exported(t, place.dir, 'tailnet_flow'), whole)
      const rows = countersByMinute(await exported(t, place.dir, 'tailnet_node'), whole)
      return Object.keys(raw).length > 100 && isDeepStrictEqual(rows, raw)
    },
    1_000,
  )
  service.child.kill('SIGTERM')
  assert.equal(await service.ended, 0)
  assert.ok((await assertStored(t, tailnet, place)) > 500)
})
