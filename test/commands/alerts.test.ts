/** `tailflux alerts` as a process: a test alert to every notifier, and thresholds from what the database holds. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { parse, stringify } from 'yaml'
import { systemClock } from '../../src/base/clock.ts'
import { createTailnet } from '../alerts/demo-truth.ts'
import { rowLines } from '../alerts/rows.ts'
import { createStored } from '../alerts/stored.ts'
import { startListeners } from '../alerts/told-listeners.ts'
import { MIN } from '../alerts/world.ts'
import { runCli } from '../helpers/cli.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { LAG_NS, startWorld } from '../line/world.ts'
import { startInfluxd } from '../services/influxd.ts'
import { freePort } from '../services/server-process.ts'
import { missing } from '../services/servers.ts'

const SECRET = 'geheim-1234567890'

async function settingsFile(t: TestContext, settings: object): Promise<string> {
  const path = join(temporaryFolder(t), 'tailflux.yaml')
  await writeFile(path, stringify(settings))
  return path
}

test('alerts test notifies every receiver, firing and resolved', { skip: await missing('alertmanager') }, async (t) => {
  const listeners = await startListeners(t)
  listeners.use(systemClock)
  const { moved, webhook, ntfy, topic } = listeners
  const config = await settingsFile(t, {
    alerts: {
      notify: [
        { alertmanager: moved.url },
        { webhook: `${webhook.url}/hook`, token: SECRET },
        { ntfy: `${ntfy.url}/${topic}`, user: 'me', password: SECRET },
      ],
    },
  })
  const { code, stdout, stderr } = await runCli(t, ['alerts', 'test', '-c', config])
  assert.deepEqual([code, stderr], [0, ''])
  assert.equal(stdout, `sent   alertmanager ${moved.url}\nsent   webhook ${webhook.url}\nsent   ntfy ${ntfy.url}\n`)
  const labels = { alertname: 'tailflux-test', severity: 'info', tailnet: 'default' }
  assert.deepEqual(
    (await listeners.held('tailflux-test')).map((one) => [one.labels, one.status.state]),
    [[labels, 'active']],
  )
  assert.deepEqual(
    webhook.received.map(({ headers, body }) => [headers.authorization, body.status, body.alerts[0].labels]),
    [
      [`Bearer ${SECRET}`, 'firing', labels],
      [`Bearer ${SECRET}`, 'resolved', labels],
    ],
  )
  assert.deepEqual(
    (await ntfy.poll(topic)).map(({ title, message, priority }) => [
      title,
      message.replace(/ \(since.*/, ''),
      priority,
    ]),
    [
      ['Test of tailflux (firing)', 'This is a test; nothing happened.', 3],
      ['Test of tailflux (resolved)', 'The test is over.', 2],
    ],
  )
  const basic = ntfy.published[0]?.rawHeaders.findIndex((name) => name.toLowerCase() === 'authorization') ?? -1
  assert.equal(ntfy.published[0]?.rawHeaders[basic + 1], `Basic ${Buffer.from(`me:${SECRET}`).toString('base64')}`)
})

test('alerts test: a receiver that cannot be reached is named with the fix, the others are notified, and the process fails', {
  skip: await missing('alertmanager'),
}, async (t) => {
  const listeners = await startListeners(t)
  listeners.use(systemClock)
  const { moved, webhook, ntfy, topic } = listeners
  const unused = `http://127.0.0.1:${await freePort()}`
  const good = [{ alertmanager: moved.url }, { webhook: webhook.url }, { ntfy: `${ntfy.url}/${topic}` }]
  const bad: readonly [notify: object, message: RegExp][] = [
    [
      { alertmanager: unused },
      /alertmanager .* cannot be reached \(ECONNREFUSED\).*Check that it runs and that its URL/,
    ],
    [{ webhook: unused, token: SECRET }, /webhook .* cannot be reached \(ECONNREFUSED\).*Check that it runs/],
    // A path that is none of Alertmanager's, a server that wants a password, and one that is no ntfy.
    [{ alertmanager: `${webhook.url}/nowhere` }, /alertmanager .* does not take alerts \(404\).*Check its URL/],
    [{ webhook: `${webhook.url}/secret`, token: SECRET }, /webhook .* refuses the credentials \(401\).*Check token/],
    [{ ntfy: `${webhook.url}/topic` }, /ntfy .* does not take alerts \(302\).*redirects are not followed/],
  ]
  // ntfy is sent to the root of its server, which here is that of the webhook: distinguished by what is sent.
  webhook.answer(({ path, body }) => {
    if (path.startsWith('/nowhere')) return 404
    if (path === '/secret') return 401
    return body.topic === undefined ? 200 : 302
  })
  const results = await Promise.all(
    bad.map(async ([notify]) => {
      const config = await settingsFile(t, { alerts: { notify: [notify, ...good] } })
      return await runCli(t, ['alerts', 'test', '-c', config])
    }),
  )
  for (const [index, { code, stdout, stderr }] of results.entries()) {
    const [first = '', remedy = '', ...rest] = stdout.trimEnd().split('\n')
    assert.equal(code, 1, stdout)
    assert.match(first, /^FAILED \w+ http:\/\/127\.0\.0\.1:\d+/)
    assert.match(remedy, bad[index]![1])
    assert.deepEqual(
      rest.map((line) => line.split(' ')[0]),
      ['sent', 'sent', 'sent'],
      stdout,
    )
    assert.ok(!`${stdout}${stderr}`.includes(SECRET))
  }
})

test('alerts test without notifiers, or with a missing secret, says which setting to fix', async (t) => {
  const none = await runCli(t, ['alerts', 'test'])
  assert.deepEqual([none.code, none.stdout], [2, ''])
  assert.match(none.stderr, /No notifiers are configured: set alerts\.notify/)
  const config = await settingsFile(t, {
    alerts: { notify: [{ webhook: 'http://127.0.0.1:1', tokenFile: '/no/such' }] },
  })
  const secret = await runCli(t, ['alerts', 'test', '-c', config])
  assert.deepEqual([secret.code, secret.stdout], [2, ''])
  assert.match(secret.stderr, /alerts\.notify.*\/no\/such/)
})

test('alerts suggest proposes rules that the settings take, the same from the embedded store and from InfluxDB', {
  skip: await missing('influxd'),
}, async (t) => {
  const influx = await startInfluxd(t, { databases: ['flows'] })
  const nowNs = systemClock.now()
  const { service, clock } = await startWorld(t, {
    tailnet: { nodes: 30, seed: 5, disorder: false },
    startNs: nowNs - (nowNs % 60_000_000_000n),
    // What is made again waits for ten minutes.
    speed: 60,
  })
  const v1 = { 'influx.api': 'v1', 'influx.db': 'flows', 'influx.url': influx.url }
  const given = { 'poll.lookback': '1h' }
  const embedded = service(given)
  const stored = service({ ...given, ...v1 })
  const both = [embedded, stored]
  await Promise.all(both.map((one) => one.service.start()))
  const readToNs = String(clock.freeze() - LAG_NS)
  await Promise.all(both.map((one) => one.until(() => one.service.pipeline.status().watermarkNs === readToNs)))
  await Promise.all(both.map((one) => one.rowsMade()))
  await Promise.all(both.map((one) => one.service.stop()))

  const inInflux = { INFLUX_API: 'v1', INFLUX_DB: 'flows', INFLUX_URL: influx.url }
  const [fromStore, fromInflux] = await Promise.all([
    runCli(t, ['alerts', 'suggest'], { TAILFLUX_DATA_DIR: embedded.dataDir }),
    runCli(t, ['alerts', 'suggest', '--days', '1'], inInflux),
  ])
  for (const { code, stderr } of [fromStore, fromInflux]) assert.deepEqual([code, stderr], [0, ''])
  const { alerts } = parse(fromInflux.stdout) as { alerts: { rules: { name: string }[] } }
  assert.deepEqual(parse(fromStore.stdout), { alerts })
  const names = alerts.rules.map(({ name }) => name)
  for (const name of ['node-egress', 'pair-volume', 'tailnet-volume'])
    assert.ok(names.includes(name), fromInflux.stdout)
  assert.match(fromInflux.stdout, /^# From the last day: [\s\S]*\n {4}# the most in 1h: \S+ [\d.]+[kMG]?B/)
  const config = join(temporaryFolder(t), 'suggested.yaml')
  await writeFile(config, fromStore.stdout)
  const printed = await runCli(t, ['print-config', '-c', config])
  assert.equal(printed.code, 0, printed.stderr)
  for (const name of names) assert.ok(printed.stdout.includes(name))
})

test('alerts suggest says what to fix where there is no data', {
  skip: await missing('influxd'),
}, async (t) => {
  const dir = temporaryFolder(t)
  const influx = await startInfluxd(t, { databases: ['empty'] })
  const at = (url: string, db: string) => ({ INFLUX_API: 'v1', INFLUX_DB: db, INFLUX_URL: url })
  const cases: [args: string[], env: Record<string, string>, code: number, message: RegExp][] = [
    [
      [],
      { TAILFLUX_DATA_DIR: dir },
      2,
      /There is no embedded store at .*store\.db; check TAILFLUX_DATA_DIR, or set INFLUX_URL/,
    ],
    [[], at(influx.url, 'empty'), 1, /no traffic found in the last 7 days; let tailflux run for a while first/],
    [[], at(influx.url, 'nowhere'), 1, /nowhere/],
    [[], at(`http://127.0.0.1:${await freePort()}`, 'empty'), 1, /cannot be reached|ECONNREFUSED/],
    [['--days', 'many'], at(influx.url, 'empty'), 2, /whole number of days from 1 to 365/],
    [['--days', '0'], at(influx.url, 'empty'), 2, /whole number of days from 1 to 365/],
  ]
  await Promise.all(
    cases.map(async ([args, env, code, message]) => {
      const result = await runCli(t, ['alerts', 'suggest', ...args], env)
      assert.deepEqual([result.code, result.stdout], [code, ''], result.stderr)
      assert.match(result.stderr, message)
      assert.doesNotMatch(result.stderr, /\n {4}at /, 'no stack')
    }),
  )
})

const RULES = [
  { name: 'node-egress', above: '2MB', window: '5m' },
  { name: 'node-ingress', above: '100GB', measure: 'rx_bytes', window: '5m', paused: true },
  { name: 'pair', by: 'pair', above: '1MB', window: '5m' },
]

test('alerts test --days shows when rules would have fired, the same from the embedded store, InfluxDB and VictoriaMetrics', {
  skip: await missing('influxd', 'victoria-metrics'),
}, async (t) => {
  const toNs = (systemClock.now() / MIN) * MIN - 10n * MIN
  const fromNs = toNs - 60n * MIN
  const tailnet = createTailnet({ seed: 7, nodes: 14, oldClients: 0 })
  const records = Array.from(
    { length: 60 },
    (_, i) =>
      `tailflux_minute,tailnet=default digest="1",points=1i,rows=1i,writer="w",gap=false ${fromNs + BigInt(i) * MIN}`,
  )
  // At night nobody may use an exit node: one does here at any time.
  const exits = Array.from(
    { length: 60 },
    (_, i) =>
      `tailnet_node,kind=exit,node=n1CNTRL,node_name=exit-9,os=linux,owner=tag:exit,role=exit,tailnet=default tx_bytes=40000000i,rx_bytes=2000000i,tx_pkts=30000i,rx_pkts=9000i,flows=20i,peers=3i,derp_tx_bytes=0i,derp_rx_bytes=0i ${fromNs + BigInt(i) * MIN}`,
  )
  const { env } = await createStored(t, [...rowLines(tailnet, tailnet.truth(fromNs, toNs)), ...exits, ...records])
  const config = await settingsFile(t, { alerts: { rules: RULES } })
  const run = (args: string[], where: Record<string, string>) =>
    runCli(t, ['alerts', 'test', '-c', config, ...args], where)
  const all = [env.embedded, env.influx, env.victoria]
  const [embedded, ...others] = await Promise.all(all.map((where) => run(['--days', '1'], where)))
  assert.ok(embedded)
  for (const { code, stderr } of [embedded, ...others]) assert.equal(code, 0, stderr)
  // The present is not the same for all.
  const [head = '', ...rest] = embedded.stdout.split('\n')
  assert.match(head, /^Replayed \d{4}-\d\d-\d\d \d\d:\d\d:00 UTC to \d{4}-\d\d-\d\d \d\d:\d\d:00 UTC$/)
  const changes = (lines: readonly string[]) => lines.filter((line) => !/have no complete rows/.test(line)).join('\n')
  for (const { stdout } of others) assert.equal(changes(rest), changes(stdout.split('\n').slice(1)))
  const text = rest.join('\n')
  assert.match(
    text,
    /\nnode-egress: would have fired \d+ times\n {2}\d{4}-\S+ \S+ UTC {2}firing {4}\S+ sent [\d.]+ MB in 5 min \(limit 2 MB\)\n/,
  )
  assert.match(text, /UTC {2}resolved {2}\S+ is back below the limit \(was [\d.]+ MB in 5 min, limit 2 MB\)\n/)
  assert.match(text, /\nnode-ingress: would not have fired \(it is paused\)\n/)
  assert.match(text, /\npair: would have fired /)
  const one = await run(['--rule', 'pair'], env.embedded)
  assert.equal(one.code, 0, one.stderr)
  assert.doesNotMatch(one.stdout, /node-/)
  const [, pair = ''] = /\n(pair: [\s\S]*)$/.exec(text) ?? []
  assert.ok(one.stdout.endsWith(pair), one.stdout)

  const suggested = await Promise.all(all.map((where) => runCli(t, ['alerts', 'suggest', '--days', '1'], where)))
  for (const { code, stdout, stderr } of suggested)
    assert.deepEqual([code, stderr, stdout], [0, '', suggested[0]?.stdout])
  for (const text of ['name: exit-node-busy', 'the most in 5m: exit-9 '])
    assert.ok(suggested[0]?.stdout.includes(text), text)
})

test('alerts test --rule: what is wrong is told with the fix', async (t) => {
  const dir = temporaryFolder(t)
  const config = await settingsFile(t, { alerts: { rules: RULES } })
  const none = await settingsFile(t, {})
  const at = { TAILFLUX_DATA_DIR: dir }
  const cases: [args: string[], message: RegExp][] = [
    [
      ['-c', config, '--rule', 'node-egres'],
      /There is no rule node-egres in alerts\.rules; did you mean node-egress\?/,
    ],
    [
      ['-c', config, '--rule', 'quite-another'],
      /no rule quite-another in alerts\.rules; there are node-egress, node-ingress, pair\./,
    ],
    [['-c', none, '--days', '2'], /There are no rules: set alerts\.rules\./],
    [['-c', config, '--days', '0'], /whole number of days from 1 to 365/],
    [['-c', config, '--send', '--days', '1'], /'--send' cannot be used with '--rule' or '--days'/],
    [
      ['-c', config, '--days', '1'],
      /There is no embedded store at .*store\.db; check TAILFLUX_DATA_DIR, or set INFLUX_URL/,
    ],
  ]
  await Promise.all(
    cases.map(async ([args, message]) => {
      const { code, stdout, stderr } = await runCli(t, ['alerts', 'test', ...args], at)
      assert.deepEqual([code, stdout], [2, ''], stderr)
      assert.match(stderr, message)
      assert.doesNotMatch(stderr, /\n {4}at /, 'no stack')
    }),
  )
})
