/** GET /api/flows: parameters, access and limits. What is found: test/query. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CollectorError } from '../../src/base/errors.ts'
import type { FlowsAnswer, FlowsRequest, FoundFlows } from '../../src/query/flows.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { bearer, serve, TOKEN } from './serve.ts'

const MINUTE = 60_000_000_000n

test('parameters become a request, and what is found an answer', async (t) => {
  const requests: FlowsRequest[] = []
  const counters = { txBytes: (1n << 60n) + 1n, rxBytes: 0n, txPkts: 0n, rxPkts: 0n }
  const ends = { src: 'a', dst: 'b', srcName: 'a', dstName: 'b', srcOwner: 'x', dstOwner: 'y' }
  const { get } = await serve(t, {
    clock: createFakeClock(NOON_NS),
    async flows(request) {
      requests.push(request)
      const { fromNs, toNs } = request
      const edge = { kind: 'virtual', proto: 'tcp', port: '22', path: 'none', ...ends, ...counters }
      return { tier: 'minutes', fromNs, toNs, flows: [edge] }
    },
  })
  const answer = (await (await get('/api/flows')).json()) as FlowsAnswer
  assert.equal(answer.tailnet, 'example.com')
  assert.deepEqual(
    [answer.tier, answer.from, answer.to],
    ['minutes', '2026-11-02T11:45:00.000Z', '2026-11-02T12:00:00.000Z'],
  )
  assert.equal(answer.flows[0]?.txBytes, '1152921504606846977')
  const more = 'from=2026-11-02&to=1h&node=a%20b&owner=tag:x&kind=exit&port=0443&proto=17&limit=1000&raw=1'
  assert.equal((await get(`/api/flows?${more}`)).status, 200)
  assert.equal((await get('/api/flows?from=&node=&raw=0')).status, 200)
  const unset = { node: undefined, owner: undefined, kind: undefined, port: undefined, proto: undefined }
  const plain = { fromNs: NOON_NS - 15n * MINUTE, toNs: NOON_NS, ...unset, limit: 20, isRaw: false }
  assert.deepEqual(requests, [
    plain,
    {
      fromNs: NOON_NS - 12n * 60n * MINUTE,
      toNs: NOON_NS - 60n * MINUTE,
      node: 'a b',
      owner: 'tag:x',
      kind: 'exit',
      port: '443',
      proto: 'udp',
      limit: 1000,
      isRaw: true,
    },
    plain,
  ])
})

test('a wrong parameter is 400 with the fix, and asks nothing', async (t) => {
  const { get } = await serve(t, {
    flows: async () => {
      throw new Error('nobody may ask')
    },
  })
  for (const [parameters, text] of [
    ['nod=a', /There is no parameter "nod"; there are from, to, node, owner,/],
    ['node=a&node=b', /"node" is there more than once/],
    ['from=yesterday', /must be times such as/],
    ['from=1h&to=2h', /"from" must be earlier than "to"/],
    ['kind=all', /one of virtual, subnet, exit, physical/],
    ['port=65536', /from 0 to 65535, or none/],
    ['proto=tpc', /a name such as tcp/],
    ['limit=1001', /from 1 to 1000/],
    ['limit=x', /from 1 to 1000/],
    ['raw=1&from=25h', /not be longer than 24 hours/],
  ] as const) {
    const answer = await get(`/api/flows?${parameters}`)
    assert.equal(answer.status, 400, parameters)
    assert.match(((await answer.json()) as { error: string }).error, text)
  }
})

test('it needs the token that the other data needs', async (t) => {
  const { get } = await serve(t, { token: TOKEN })
  assert.equal((await get('/api/flows')).status, 401)
  assert.equal((await get('/api/flows', bearer('wrong'))).status, 401)
  assert.equal((await get('/api/flows', bearer(TOKEN))).status, 200)
  assert.equal((await get('/api/flows', { method: 'HEAD', ...bearer(TOKEN) })).status, 404)
})

test('a database that cannot be read is 503 with its sentence; a fault inside is 500', async (t) => {
  const faults = [
    new CollectorError('The database is away; start it.', { stage: 'sink', code: 'db_unreachable', reaction: 'retry' }),
    new TypeError('a fault'),
  ]
  const { get } = await serve(t, {
    flows: async () => {
      throw faults.shift()
    },
  })
  const away = await get('/api/flows')
  assert.deepEqual([away.status, await away.json()], [503, { status: 503, error: 'The database is away; start it.' }])
  assert.equal((await get('/api/flows')).status, 500)
})

test('two at the same time, and a client that hangs up ends its query', async (t) => {
  const begun: { signal: AbortSignal; resolve: (found: FoundFlows) => void }[] = []
  const { promise: both, resolve: twoBegun } = Promise.withResolvers<void>()
  const { get } = await serve(t, {
    limits: { connectionTimeoutMs: 200 },
    flows: (_request, signal) =>
      new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
        if (begun.push({ signal, resolve }) === 2) twoBegun()
      }),
  })
  const hangUp = new AbortController()
  const first = get('/api/flows')
  const second = fetch((await get('/livez')).url.replace('livez', 'api/flows'), { signal: hangUp.signal })
  await both
  const third = await get('/api/flows')
  assert.deepEqual([third.status, third.headers.get('retry-after')], [503, '5'])
  assert.match(((await third.json()) as { error: string }).error, /2 requests of flows are in progress already/)

  // Longer than a connection may be silent.
  await new Promise((resolve) => setTimeout(resolve, 600))
  assert.equal(
    begun.some(({ signal }) => signal.aborted),
    false,
  )
  hangUp.abort()
  await assert.rejects(second)
  await new Promise((resolve) => setTimeout(resolve, 100))
  const [ended, lasting] = begun[0]!.signal.aborted ? begun : begun.toReversed()
  assert.equal(ended?.signal.aborted, true)
  lasting!.resolve({ tier: 'minutes', fromNs: 0n, toNs: 1n, flows: [] })
  assert.equal((await first).status, 200)
  // Both have made room.
  const fourth = get('/api/flows')
  await new Promise((resolve) => setTimeout(resolve, 100))
  begun[2]!.resolve({ tier: 'minutes', fromNs: 0n, toNs: 1n, flows: [] })
  assert.equal((await fourth).status, 200)
})
