/** Whoever is told: a real Alertmanager, asked what it holds; a real HTTP receiver behind it and beside it; a scripted ntfy server. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../helpers/eventually.ts'
import { startAlertmanager } from '../services/alertmanager.ts'
import { missing } from '../services/servers.ts'
import { createPresentWorld } from './present.ts'
import { startReceiver } from './receiver.ts'
import { MIN, SEC, type Traffic } from './world.ts'

const NAMES = {
  // What devices may call themselves; the wire has them, so do tags, apart from control characters and backslashes.
  nA: 'alpha',
  nB: '{{ $labels }}',
  nC: '</b><script>alert(1)</script>',
  nD: '"; DROP TABLE alerts; --{node}{value}$labels',
  nE: '日本 \u202eevil 🦀 ünï',
}

function minute(startNs: bigint, bytes: Readonly<Record<string, number>>): Traffic[] {
  return Object.entries(bytes).map(([node, tx]) => ({
    node,
    name: NAMES[node as keyof typeof NAMES] ?? node,
    start: startNs + 5n * SEC,
    tx,
  }))
}

const LOUD = {
  rules: [
    { name: 'loud', title: 'Too loud', above: '1MB', window: '2m', labels: { team: 'net' }, severity: 'critical' },
  ],
}

test('a real Alertmanager holds what fires, under its name, and lets go of what is over', {
  skip: await missing('alertmanager'),
}, async (t) => {
  await using receiver = await startReceiver()
  const manager = await startAlertmanager(t, {
    config: `
route: { receiver: hook, group_by: [alertname, node], group_wait: 0s, group_interval: 1s, repeat_interval: 1h }
receivers: [{ name: hook, webhook_configs: [{ url: '${receiver.url}/am', send_resolved: true }] }]
`,
  })
  const { world, fromNs } = await createPresentWorld({
    ...LOUD,
    notify: [{ alertmanager: manager.url }],
    url: 'https://tailflux.example',
  })
  t.after(() => world.close())
  const loud = Object.fromEntries(Object.keys(NAMES).map((node) => [node, 5_000_000]))
  world.read({ fromNs, toNs: fromNs + 3n * MIN }, minute(fromNs + MIN, loud))
  await world.judge()
  await receiver.until((all) => fired(all).size === 5)

  const held = (await (await fetch(`${manager.url}/api/v2/alerts`)).json()) as {
    labels: Record<string, string>
    annotations: Record<string, string>
    startsAt: string
    endsAt: string
    generatorURL: string
  }[]
  assert.equal(held.length, 5)
  for (const one of held) {
    const node = one.labels['node'] as keyof typeof NAMES
    assert.deepEqual(one.labels, {
      alertname: 'loud',
      team: 'net',
      severity: 'critical',
      tailnet: 'default',
      node,
      node_name: NAMES[node],
    })
    const edges = `${NAMES[node]} to 100.64.0.2 tcp 443 5 MB`
    assert.equal(one.annotations['summary'], `${NAMES[node]} sent 5 MB in 2 min (limit 1 MB). Largest: ${edges}`)
    assert.equal(one.annotations['edges'], edges)
    assert.equal(BigInt(Date.parse(one.startsAt)) * 1_000_000n, fromNs + 2n * MIN)
    assert.ok(Date.parse(one.endsAt) > Date.now() + 180_000, 'it lives on for minutes without us')
    assert.equal(one.generatorURL, 'https://tailflux.example/#alerts')
  }

  // One node stays loud; the others are over.
  world.read(
    { fromNs: fromNs + 3n * MIN, toNs: fromNs + 6n * MIN },
    [3n, 4n].flatMap((at) => minute(fromNs + at * MIN, { nA: 5_000_000 })),
  )
  await world.judge()
  await receiver.until((all) => resolved(all).size === 4)
  assert.ok(!resolved(receiver.received).has('nA'))
  assert.equal(((await (await fetch(`${manager.url}/api/v2/alerts`)).json()) as unknown[]).length, 1)
  // A restart does not page again: same labels, same start.
  const pages = receiver.received.length
  await world.restart('killed')
  await world.judge()
  world.read({ fromNs: fromNs + 6n * MIN, toNs: fromNs + 8n * MIN }, minute(fromNs + 6n * MIN, { nB: 9_000_000 }))
  await world.judge()
  await receiver.until((all) =>
    all
      .slice(pages)
      .some(({ body }) => body.alerts.some(({ labels }: { labels: { node: string } }) => labels.node === 'nB')),
  )
  const again = receiver.received
    .slice(pages)
    .flatMap(({ body }) => body.alerts)
    .filter(
      ({ labels, status }: { labels: { node: string }; status: string }) => labels.node === 'nA' && status === 'firing',
    )
  assert.deepEqual(again, [])
})

// biome-ignore lint/suspicious/noExplicitAny: JSON of a webhook
const nodesOf = (all: readonly { body: any }[], status: string) =>
  new Set(
    all.flatMap(({ body }) =>
      body.alerts
        .filter((one: { status: string }) => one.status === status)
        .map((one: { labels: { node: string } }) => one.labels.node),
    ),
  )
// biome-ignore lint/suspicious/noExplicitAny: JSON of a webhook
const fired = (all: readonly { body: any }[]) => nodesOf(all, 'firing')
// biome-ignore lint/suspicious/noExplicitAny: JSON of a webhook
const resolved = (all: readonly { body: any }[]) => nodesOf(all, 'resolved')

test('a webhook gets version 4, each change once, one request per rule', async (t) => {
  await using receiver = await startReceiver()
  const { world, fromNs } = await createPresentWorld({
    rules: [...LOUD.rules, { name: 'busy', above: '2MB', window: '2m' }],
    notify: [{ webhook: `${receiver.url}/hook`, token: 'geheim' }],
  })
  t.after(() => world.close())
  world.read({ fromNs, toNs: fromNs + 3n * MIN }, minute(fromNs + MIN, { nA: 5_000_000, nC: 1_500_000 }))
  await world.judge()
  await receiver.arrived(2)
  const [first] = receiver.received.filter(({ body }) => body.groupLabels.alertname === 'loud')
  assert.equal(first?.path, '/hook')
  assert.equal(first?.headers.authorization, 'Bearer geheim')
  const { alerts, ...envelope } = first.body
  assert.deepEqual(envelope, {
    version: '4',
    groupKey: '{}:{alertname="loud"}',
    truncatedAlerts: 0,
    status: 'firing',
    receiver: 'tailflux',
    groupLabels: { alertname: 'loud' },
    commonLabels: { alertname: 'loud', severity: 'critical', tailnet: 'default', team: 'net' },
    commonAnnotations: { threshold: '1 MB', title: 'Too loud', window: '2 min' },
    externalURL: '',
  })
  assert.deepEqual(
    alerts
      .map(({ annotations, status, endsAt }: { annotations: { summary: string }; status: string; endsAt: string }) => [
        annotations.summary,
        status,
        endsAt,
      ])
      .toSorted(),
    [
      [
        `${NAMES.nC} sent 1.5 MB in 2 min (limit 1 MB). Largest: ${NAMES.nC} to 100.64.0.2 tcp 443 1.5 MB`,
        'firing',
        '0001-01-01T00:00:00Z',
      ],
      [
        'alpha sent 5 MB in 2 min (limit 1 MB). Largest: alpha to 100.64.0.2 tcp 443 5 MB',
        'firing',
        '0001-01-01T00:00:00Z',
      ],
    ],
  )
  assert.equal(new Set(alerts.map((one: { fingerprint: string }) => one.fingerprint)).size, 2)
  world.read({ fromNs: fromNs + 3n * MIN, toNs: fromNs + 8n * MIN }, [])
  await world.judge()
  await receiver.arrived(4)
  const last = receiver.received.slice(2)
  assert.deepEqual(
    last.map(({ body }) => body.status),
    ['resolved', 'resolved'],
  )
  const [over] = last.flatMap(({ body }) => body.alerts)
  assert.equal(over.annotations.summary.includes('is back below the limit (was '), true)
  assert.equal(BigInt(Date.parse(over.endsAt)) * 1_000_000n, fromNs + 4n * MIN)
  await world.judge()
  assert.equal(receiver.received.length, 4)
})

test('ntfy gets a message per change, and one for many', async (t) => {
  await using receiver = await startReceiver()
  const { world, fromNs } = await createPresentWorld({
    ...LOUD,
    notify: [{ ntfy: `${receiver.url}/my-topic` }],
    url: 'https://tailflux.example',
  })
  t.after(() => world.close())
  world.read({ fromNs, toNs: fromNs + 3n * MIN }, minute(fromNs + MIN, { nE: 5_000_000 }))
  await world.judge()
  await receiver.arrived(1)
  const [one] = receiver.received
  assert.equal(one?.path, '/')
  assert.equal(one?.body.topic, 'my-topic')
  assert.equal(one?.body.title, 'Too loud (firing)')
  const line = `${NAMES.nE} sent 5 MB in 2 min (limit 1 MB). Largest: ${NAMES.nE} to 100.64.0.2 tcp 443 5 MB (since 20`
  assert.ok(one?.body.message.startsWith(line), one?.body.message)
  assert.deepEqual(
    [one?.body.priority, one?.body.tags, one?.body.click],
    [5, ['warning'], 'https://tailflux.example/#alerts'],
  )
  const many = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`n${i}`, 2_000_000]))
  world.read({ fromNs: fromNs + 3n * MIN, toNs: fromNs + 6n * MIN }, minute(fromNs + 4n * MIN, many))
  await world.judge()
  await receiver.arrived(2)
  const { title, message } = receiver.received[1]!.body
  assert.equal(title, 'Too loud (30 firing)')
  assert.equal(message.split('\n').length, 11)
  assert.match(message, /and 21 more$/)
})

test('a notifier that fails is tried again, holds up no other, and hears of everything in the end', async (t) => {
  await using good = await startReceiver()
  await using bad = await startReceiver()
  const { world, fromNs } = await createPresentWorld({ ...LOUD, notify: [{ webhook: good.url }, { webhook: bad.url }] })
  t.after(() => world.close())
  bad.always(503)
  world.read({ fromNs, toNs: fromNs + 3n * MIN }, minute(fromNs + MIN, { nA: 5_000_000, nB: 5_000_000 }))
  await world.judge()
  await good.arrived(1)
  await bad.arrived(2)
  // nA is over and nC begins while the bad one is away.
  world.read(
    { fromNs: fromNs + 3n * MIN, toNs: fromNs + 7n * MIN },
    [3n, 4n, 5n, 6n].flatMap((at) => minute(fromNs + at * MIN, { nB: 5_000_000, nC: 5_000_000 })),
  )
  await world.judge()
  await good.arrived(2)
  bad.always(200)
  await bad.until((all) => {
    const some = all.filter(({ status }) => status === 200)
    return fired(some).has('nC') && resolved(some).has('nA')
  })
  const taken = bad.received.filter(({ status }) => status === 200)
  const told = taken.flatMap(({ body }) =>
    body.alerts.map((one: { labels: { node: string }; status: string }) => `${one.labels.node} ${one.status}`),
  )
  assert.equal(new Set(told).size, told.length, 'nothing twice')
  const last = Object.fromEntries(told.map((one: string) => one.split(' ')))
  assert.deepEqual(last, { nA: 'resolved', nB: 'firing', nC: 'firing' }, 'nothing missed')
  assert.equal(
    world.alerts.status().notifiers.every(({ status }) => status === 'ok'),
    true,
  )
})

test('faults of receivers are reported with the fix', async (t) => {
  const cases: [number | 'hang up', RegExp][] = [
    [401, /refuses the credentials \(401\): answer 401\. Check token/],
    [404, /does not take alerts \(404\): answer 404\. Check its URL/],
    [302, /does not take alerts \(302\).*redirects are not followed/],
    ['hang up', /cannot be reached.*tried again by itself/],
  ]
  for (const [answer, wanted] of cases) {
    await t.test(String(answer), async (t) => {
      await using receiver = await startReceiver()
      receiver.always(answer === 'hang up' ? (response) => response.destroy() : answer)
      const { world, fromNs } = await createPresentWorld({
        ...LOUD,
        notify: [{ webhook: receiver.url, token: 'geheim' }],
      })
      t.after(() => world.close())
      world.read({ fromNs, toNs: fromNs + 3n * MIN }, minute(fromNs + MIN, { nA: 5_000_000 }))
      await world.judge()
      const failed = () => world.alerts.status().notifiers[0]?.error
      await eventually('an error of the notifier', () => failed() !== null)
      assert.match(failed() ?? '', wanted)
      assert.ok(!JSON.stringify(world.alerts.status()).includes('geheim'))
    })
  }
})
