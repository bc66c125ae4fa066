import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HealthState } from '../../src/observe/health.ts'
import { startInfluxd } from '../services/influxd.ts'
import type { Fault } from '../simulator/faults.ts'
import { NOON } from '../simulator/ranges.ts'
import { assertTruth, storedIn } from './truth-in.ts'
import { HOUR_NS, LAG_NS, originOf, startWorld } from './world.ts'

/** What goes wrong, how it is called, and the words that say what to do. */
const FAULTS: readonly (readonly [what: string, fault: Fault, code: string, remedy: RegExp])[] = [
  ['401', { kind: 'status', status: 401 }, 'api_unauthorized', /expired .*create a new one .*TAILSCALE_API_KEY/],
  ['403', { kind: 'status', status: 403 }, 'api_forbidden', /logs:network:read.*Premium or Enterprise/],
  ['feature off', { kind: 'feature-off' }, 'api_feature_off', /switched off .*switch them on in the admin console/],
  ['404', { kind: 'status', status: 404 }, 'api_not_found', /check TAILSCALE_TAILNET/],
  ['429', { kind: 'status', status: 429, retryAfter: '7' }, 'api_rate_limited', /retried later/],
  ['502', { kind: 'status', status: 502 }, 'api_gateway', /retried with a shorter one/],
  ['a web page', { kind: 'html' }, 'api_not_json', /proxy or portal in between/],
  ['a body cut off', { kind: 'truncate', fraction: 0.6 }, 'api_truncated|api_unreachable', /.{20}/],
  [
    'a body cut off in an orderly way',
    { kind: 'truncate', fraction: 0.6, clean: true },
    'api_truncated',
    /shorter window/,
  ],
  ['a connection reset', { kind: 'reset' }, 'api_unreachable', /.{20}/],
]

test('refusals and broken answers of the API: the watermark stays, health names the fix, and it recovers by itself', async (t) => {
  const database = await startInfluxd(t, { databases: ['flows'] })
  const { tailnet, service, api, clock } = await startWorld(t, { tailnet: { nodes: 10 }, speed: 60 })
  const { service: running, until } = service({
    'influx.url': database.url,
    'influx.api': 'v1',
    'influx.db': 'flows',
    'poll.lookback': '10m',
    'poll.interval': '30s',
  })
  const url = await running.start()
  const health = async () => {
    const answer = await fetch(`${url}/health`)
    return { answered: answer.status, components: ((await answer.json()) as HealthState).components }
  }
  const watermarkNs = () => BigInt(running.pipeline.status().watermarkNs ?? 0)
  await until((result) => result === 'caught_up')

  for (const [what, fault, code, remedy] of FAULTS) {
    await t.test(what, async () => {
      const end = api.setFault(fault)
      const source = () => running.health.state().components.find(({ component }) => component === 'source')
      await until(() => new RegExp(`^(${code})$`).test(source()?.code ?? ''))
      const beforeNs = watermarkNs()
      const { answered, components } = await health()
      const reported = components.find(({ component }) => component === 'source')
      assert.match(reported?.text ?? '', remedy)
      // What waits for a person is an error at once; what may pass by itself is a warning at first.
      const backoff = ['401', '403', 'feature off', '404'].includes(what)
      assert.deepEqual([reported?.status, answered], backoff ? ['error', 503] : ['warning', 200])
      // It is retried, in vain.
      const asked = api.count('logs')
      await until(() => api.count('logs') > asked)
      assert.equal(watermarkNs(), beforeNs)
      assert.deepEqual(running.pipeline.status().totals.rejected, 0)
      end()
      await until((result) => result === 'caught_up' && watermarkNs() > beforeNs)
      assert.equal((await health()).components.find(({ component }) => component === 'source')?.status, 'ok')
    })
  }

  const nowNs = clock.freeze()
  await until(() => watermarkNs() === nowNs - LAG_NS)
  const fromNs = originOf(api)
  assert.ok(fromNs > NOON + HOUR_NS / 2n)
  const points = await assertTruth(storedIn({ url: database.url, db: 'flows' }), tailnet.truth(fromNs, nowNs - LAG_NS))
  assert.deepEqual(running.pipeline.status().gaps, [])
  t.diagnostic(
    `${points} points, ${api.count('logs')} requests, ${Number(nowNs - NOON - HOUR_NS) / 60e9} minutes simulated`,
  )
})

test('a device list that never comes holds nothing up, with alerts neither', async (t) => {
  const { service, api } = await startWorld(t, { tailnet: { nodes: 5 }, speed: 60 })
  api.setFault({ kind: 'hang-head', route: 'devices' })
  const { service: running, until } = service({
    'poll.lookback': '10m',
    'alerts.rules': [{ name: 'many', distinctPeersAbove: 1000, window: '5m' }],
  })
  await running.start()
  await until((result) => result === 'caught_up')
})
