import assert from 'node:assert/strict'
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { test } from 'node:test'
import { eventually, inTime } from '../helpers/eventually.ts'
import { startHttpServer } from '../helpers/http-server.ts'
import { linesOf } from '../helpers/lines.ts'
import { type Reply, type Route, startScriptedApi } from '../helpers/scripted-api.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { startInfluxd } from '../services/influxd.ts'
import { promtool } from '../services/promtool.ts'
import { createSimulatedApi } from '../simulator/api.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { startChild } from './child.ts'

/** Signs that many encodings change. */
const CANARY = {
  oauthSecret: 'tskey-client-canary/oAuth+1=first"quoted',
  newOauthSecret: 'tskey-client-canary/oAuth+2=second"quoted',
  apiKey: 'tskey-api-canary/key+1=',
  idToken: 'eyJ.canary-id-token.sig',
  influxToken: 'canary/influx+token==',
  password: "canary pass/word+'1",
  httpToken: 'canary-http-token/1+=',
}

/** None of the secrets, in none of the forms in which they travel; nor any access token. */
function assertClean(text: string, where: string): void {
  for (const [name, secret] of Object.entries(CANARY)) {
    const forms = {
      plain: secret,
      json: JSON.stringify(secret).slice(1, -1),
      percent: encodeURIComponent(secret),
      form: new URLSearchParams({ v: secret }).toString().slice(2),
      basic: Buffer.from(`${secret}:`).toString('base64').replace(/=*$/, ''),
      user: Buffer.from(`writer:${secret}`).toString('base64').replace(/=*$/, ''),
    }
    for (const [form, value] of Object.entries(forms)) assert.ok(!text.includes(value), `${name} (${form}) in ${where}`)
  }
  assert.doesNotMatch(text, /tskey-demo-[0-9a-f]{8}/, `an access token in ${where}`)
}

test('a running service shows its secrets nowhere, takes a new one from its file, and its metrics are in order', async (t) => {
  const database = await startInfluxd(t, { auth: true, databases: ['flows'] })
  await database.query(`CREATE USER writer WITH PASSWORD '${CANARY.password.replace("'", "\\'")}'`)
  await database.query('GRANT ALL ON flows TO writer')
  const client = { id: 'canary-client', secret: CANARY.oauthSecret }
  const api = createSimulatedApi(createTailnet({ nodes: 5 }), { credentials: { oauthClients: [client] } })
  await api.start()
  t.after(() => api.stop())
  const dir = temporaryFolder(t)
  const secretFile = join(dir, 'client-secret')
  writeFileSync(secretFile, `${CANARY.oauthSecret}\n`)
  const child = await startChild(t, {
    TAILSCALE_API_URL: api.url,
    TAILSCALE_OAUTH_CLIENT_ID: client.id,
    TAILSCALE_OAUTH_CLIENT_SECRET_FILE: secretFile,
    INFLUX_URL: database.url,
    INFLUX_API: 'v1',
    INFLUX_DB: 'flows',
    INFLUX_USER: 'writer',
    INFLUX_PASSWORD: CANARY.password,
    TAILFLUX_HTTP_TOKEN: CANARY.httpToken,
    TAILFLUX_LOG_LEVEL: 'trace',
    TAILFLUX_DATA_DIR: join(dir, 'data'),
    TAILFLUX_POLL_LOOKBACK: '5m',
    TAILFLUX_POLL_INTERVAL: '5s',
    TAILFLUX_POLL_LAG: '5s',
  })
  const authorization = `Bearer ${CANARY.httpToken}`
  await child.until(({ watermarkNs }) => watermarkNs !== null, { authorization })

  // The file is replaced as Kubernetes and others do it, the old secret ends, and so do all tokens.
  writeFileSync(`${secretFile}.new`, `${CANARY.newOauthSecret}\n`)
  renameSync(`${secretFile}.new`, secretFile)
  client.secret = CANARY.newOauthSecret
  api.expireTokens()
  const tokens = api.count('token')
  const before = (JSON.parse((await child.get('/api/status', { authorization })).body) as { watermarkNs: string })
    .watermarkNs
  await child.until(({ watermarkNs }) => BigInt(watermarkNs ?? 0) > BigInt(before) && api.count('token') > tokens, {
    authorization,
  })

  assert.equal((await child.get('/metrics')).status, 401, 'only with the token')
  assert.equal((await child.get('/api/status', { authorization: 'Bearer wrong' })).status, 401)
  for (const path of ['/metrics', '/health', '/api/status', '/', '/readyz', '/no-such-page']) {
    assertClean((await child.get(path, { authorization })).body, path)
    assertClean((await child.get(path)).body, `${path} without a token`)
  }
  const metrics = await child.get('/metrics', { authorization })
  const { code, output } = await promtool(['check', 'metrics'], metrics.body)
  assert.deepEqual({ code, output }, { code: 0, output: '' })
  assert.equal(await inTime('an orderly end', child.kill('SIGTERM')), 0)
  assertClean(child.output(), 'the log')
  assert.ok(linesOf(child.output()).filter((line) => line.includes('"level":"debug"')).length > 10, 'it is a long log')
})

test('secrets that others throw back do not show either', async (t) => {
  // The worst of all answers: everything that was sent.
  const echo: Reply = (response, { headers, body }, request) => {
    const basic = Buffer.from(headers.authorization?.replace(/^Basic /, '') ?? '', 'base64').toString()
    response.writeHead(request.url?.includes('/oauth/') ? 400 : 401, { 'content-type': 'application/json' })
    response.end(
      JSON.stringify({ message: `refused: ${headers.authorization} ${basic} ${body} ${decodeURIComponent(body)}` }),
    )
  }
  const routes = ['logging/network', 'devices', 'settings', 'oauth/token', 'oauth/token-exchange'] as const
  const dir = temporaryFolder(t)
  const idTokenFile = join(dir, 'id-token')
  writeFileSync(idTokenFile, CANARY.idToken)
  const table: readonly (readonly [string, Record<string, string>, string])[] = [
    ['API key', { TAILSCALE_API_KEY: CANARY.apiKey }, 'source'],
    ['OAuth client', { TAILSCALE_OAUTH_CLIENT_ID: 'c', TAILSCALE_OAUTH_CLIENT_SECRET: CANARY.oauthSecret }, 'source'],
    ['workload identity', { TAILSCALE_OAUTH_CLIENT_ID: 'c', TAILSCALE_ID_TOKEN_FILE: idTokenFile }, 'source'],
    ['InfluxDB 2 token', { INFLUX_BUCKET: 'b', INFLUX_ORG: 'o', INFLUX_TOKEN: CANARY.influxToken }, 'sink'],
    ['InfluxDB 3 token', { INFLUX_API: 'v3', INFLUX_DB: 'b', INFLUX_TOKEN: CANARY.influxToken }, 'sink'],
    [
      'InfluxDB 1 password',
      { INFLUX_API: 'v1', INFLUX_DB: 'b', INFLUX_USER: 'writer', INFLUX_PASSWORD: CANARY.password },
      'sink',
    ],
  ]
  await Promise.all(
    table.map(([what, env, component], index) =>
      t.test(what, async (t) => {
        const api = await startScriptedApi()
        t.after(() => api.close())
        for (const route of routes) api.on(route, echo)
        for (const path of [
          '/api/v2/write',
          '/api/v3/write_lp',
          '/api/v3/query_sql',
          '/write',
          '/query',
          '/ping',
          '/health',
        ])
          api.on(path as Route, echo)
        const isSink = component === 'sink'
        const all = {
          TAILSCALE_API_URL: api.url,
          ...(isSink ? { TAILSCALE_API_KEY: CANARY.apiKey, INFLUX_URL: api.url } : {}),
          ...env,
          TAILFLUX_LOG_LEVEL: 'trace',
          TAILFLUX_DATA_DIR: join(dir, String(index)),
        }
        const child = await startChild(t, all)
        await child.until(({ health }) =>
          health.components.some((one) => one.component === component && one.status !== 'ok'),
        )
        assert.ok(api.asked().length > 0)
        const health = await child.get('/health')
        assert.ok(health.body.includes('[secret]'), `shown, but for the secret: ${health.body}`)
        for (const path of ['/metrics', '/health', '/api/status', '/']) assertClean((await child.get(path)).body, path)
        assert.equal(await inTime('an orderly end', child.kill('SIGTERM')), 0)
        assertClean(child.output(), 'the log')
      }),
    ),
  )
})

test('neither the printed settings nor a fault in them show a secret', async (t) => {
  const env = {
    TAILSCALE_API_KEY: CANARY.apiKey,
    INFLUX_URL: 'http://127.0.0.1:1',
    INFLUX_BUCKET: 'b',
    INFLUX_TOKEN: CANARY.influxToken,
    TAILFLUX_HTTP_TOKEN: CANARY.httpToken,
  }
  const printed = await startChild(t, env, ['print-config'])
  assert.equal(await inTime('the settings', printed.ended), 0)
  assertClean(printed.output(), 'print-config')
  const faulty = await startChild(
    t,
    { ...env, TAILSCALE_OAUTH_CLIENT_SECRET: CANARY.oauthSecret, TAILFLUX_PORTS: 'some' },
    ['run'],
  )
  assert.equal(await inTime('the end', faulty.ended), 2)
  assert.match(faulty.output(), /TAILFLUX_PORTS|ports/)
  assertClean(faulty.output(), 'the faults')
})

test('the path of a webhook and the topic of ntfy show nowhere, whatever the receivers answer', async (t) => {
  const hook = { path: 'services/T0CANARY/B0CANARY/canaryWebhookKey0123456789', token: 'canary+notify/token==' }
  const topic = 'canary-topic-4711'
  const assertHidden = (text: string, where: string) => {
    for (const part of [hook.path, 'T0CANARY', 'canaryWebhookKey', hook.token, topic, encodeURIComponent(hook.path)])
      assert.ok(!text.includes(part), `${part} in ${where}:\n${text.slice(0, 2000)}`)
    assertClean(text, where)
  }
  // The worst of all answers: everything that was sent.
  const asked: string[] = []
  const { url } = await startHttpServer(t, async (request, response) => {
    const body = await textOf(request)
    asked.push(request.url ?? '')
    response.writeHead(400)
    response.end(`refused: http://${request.headers.host}${request.url} ${request.headers.authorization} ${body}`)
  })
  const api = createSimulatedApi(createTailnet({ nodes: 6 }))
  await api.start()
  t.after(() => api.stop())
  const dir = temporaryFolder(t)
  const file = join(dir, 'tailflux.yaml')
  const settings = {
    tailscale: { apiUrl: api.url, apiKey: 'tskey-api-demo' },
    dataDir: join(dir, 'data'),
    log: { level: 'trace' },
    poll: { lookback: '10m', interval: '5s', lag: '5s' },
    alerts: {
      rules: [{ name: 'busy', by: 'node', above: '1kB', window: '1m' }],
      notify: [{ webhook: `${url}/${hook.path}`, token: hook.token }, { ntfy: `${url}/${topic}` }, { webhook: url }],
    },
  }
  writeFileSync(file, JSON.stringify(settings))
  const child = await startChild(t, {}, ['run', '-c', file])
  const failing = await eventually('three notifiers that fail', async () => {
    const { body } = await child.get('/api/status').catch(() => ({ body: '{}' }))
    const { alerting } = JSON.parse(body) as {
      alerting?: { notifiers: { notifier: string; status: string; error: string }[] }
    }
    const bad = alerting?.notifiers.filter(({ status }) => status === 'failing') ?? []
    return bad.length === 3 && bad
  })
  assert.deepEqual(
    failing.map(({ notifier }) => notifier),
    [`webhook ${url} (number 1 of alerts.notify)`, `ntfy ${url}`, `webhook ${url} (number 3 of alerts.notify)`],
  )
  for (const { error } of failing.slice(0, 2))
    assert.match(error, /does not take alerts \(400\): refused: .*\[secret\]/)
  assert.ok(asked.includes(`/${hook.path}`))
  for (const path of ['/metrics', '/health', '/api/status', '/', '/readyz'])
    assertHidden((await child.get(path)).body, path)

  // Another path at the same host is a change of settings all the same; without one there is nothing to do.
  child.process.kill('SIGHUP')
  await eventually('nothing to do', () => /settings unchanged/.test(child.output()))
  const [first, ...rest] = settings.alerts.notify
  const moved = { ...first, webhook: `${first?.webhook}/moved` }
  writeFileSync(file, JSON.stringify({ ...settings, alerts: { ...settings.alerts, notify: [moved, ...rest] } }))
  child.process.kill('SIGHUP')
  await eventually('the new path', () => asked.includes(`/${hook.path}/moved`))
  assert.equal(await inTime('an orderly end', child.kill('SIGTERM')), 0)
  assertHidden(child.output(), 'the log')

  for (const [args, code] of [
    [['print-config', '-c', file], 0],
    [['alerts', 'test', '-c', file], 1],
    [['check', '-c', file], undefined],
    [['export', '-c', file], 0],
    [['ledger', 'show', '-c', file], 0],
  ] as const) {
    const command = await startChild(t, {}, args)
    const ended = await inTime(args.join(' '), command.ended)
    if (code !== undefined) assert.equal(ended, code, command.output().slice(-2000))
    assertHidden(command.output(), args.join(' '))
    if (args[0] === 'print-config') assert.match(command.output(), new RegExp(`webhook: ${url}/\\[secret\\]`))
  }
})

test('a URL with a password in it is refused, and not repeated', async (t) => {
  const bad = (host: string) => `http://writer:${encodeURIComponent(CANARY.password)}@${host}`
  const file = join(temporaryFolder(t), 'tailflux.yaml')
  const settings = {
    tailscale: { apiUrl: bad('127.0.0.1:1'), apiKey: CANARY.apiKey },
    influx: { url: bad('127.0.0.1:2'), bucket: 'b' },
    alerts: { notify: [{ webhook: bad('127.0.0.1:3/hook') }, { ntfy: bad('127.0.0.1:4/topic') }], url: bad('here') },
  }
  writeFileSync(file, JSON.stringify(settings))
  for (const command of ['run', 'print-config', 'check', 'alerts test']) {
    const child = await startChild(t, {}, [...command.split(' '), '-c', file])
    assert.notEqual(await inTime('the end', child.ended), 0)
    assert.match(child.output(), /without user, password/)
    assertClean(child.output(), command)
  }
})
