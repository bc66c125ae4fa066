/** Settings: one file and the environment, faults all at once, secrets from files, and nothing secret in what is printed. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { inspect } from 'node:util'
import { documents } from '../../config/write-docs.ts'
import { CollectorError } from '../../src/base/errors.ts'
import { KEYS } from '../../src/config/keys.ts'
import { loadSettings } from '../../src/config/load.ts'
import { printSettings, sampleSettings } from '../../src/config/print.ts'
import { hasCredentials, tailnetTag } from '../../src/config/settings.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'

async function fileWith(t: TestContext, text: string, name = 'tailflux.yaml'): Promise<string> {
  const dir = temporaryFolder(t)
  const path = join(dir, name)
  await writeFile(path, text)
  return path
}

function faultsOf(options: Parameters<typeof loadSettings>[0]): string[] {
  try {
    loadSettings(options)
  } catch (error) {
    assert.ok(error instanceof CollectorError)
    assert.deepEqual([error.code, error.stage], ['config_invalid', 'config'])
    return error.message.split('\n').slice(1)
  }
  return []
}

test('without anything there are defaults, and no credentials', () => {
  const { settings, origins, path, secrets } = loadSettings({ env: {} })
  assert.equal(settings.http.port, 9464)
  assert.deepEqual(settings.poll.latePasses, [900_000, 86_400_000])
  assert.equal(tailnetTag(settings), 'default')
  assert.equal(hasCredentials(settings), false)
  assert.deepEqual([origins.size, path, secrets], [0, undefined, []])
})

test('there are at most 70 keys, each with a sentence and a variable of its own', () => {
  assert.ok(KEYS.length <= 70, `${KEYS.length}`)
  for (const { name, description } of KEYS) assert.match(description, /\.$/, name)
  const variables = KEYS.flatMap((key) => key.variables)
  assert.equal(new Set(variables).size, variables.length)
})

test('the names that people have in their environment work as they are', () => {
  const env = {
    TAILSCALE_TAILNET: 'T1234CNTRL',
    TAILSCALE_OAUTH_CLIENT_ID: 'kClient',
    TAILSCALE_OAUTH_CLIENT_SECRET: 'tskey-client-x',
    TAILSCALE_API_URL: 'http://127.0.0.1:1',
    INFLUX_URL: 'http://influxdb:8086',
    INFLUX_API: 'v1',
    INFLUX_DB: 'telemetry',
    INFLUX_USER: 'writer',
    INFLUX_PASSWORD: 'p:w d',
    INFLUX_RP: 'week',
    TAILFLUX_HTTP_HOST: '0.0.0.0',
    TAILFLUX_HTTP_PORT: '80',
    TAILFLUX_DATA_DIR: '/data',
    TAILFLUX_PORTS: 'none',
    TAILFLUX_LOG_LEVEL: 'debug',
    TAILFLUX_POLL_LATE_PASSES: '10m, 20h',
    TAILFLUX_INFLUX_CREATE_DATABASE: 'true',
    TAILFLUX_INFLUX_BATCH_BYTES_MAX: '1 MB',
    INFLUX_TOKEN: '',
    TAILFLUX_SERVICE_HOST: '10.0.0.1',
    TAILFLUX_PORT: 'tcp://10.0.0.1:9464',
    TAILFLUX_PORT_9464_TCP: 'tcp://10.0.0.1:9464',
  }
  const { settings, origins, secrets } = loadSettings({ env })
  assert.equal(tailnetTag(settings), 'T1234CNTRL')
  assert.ok(hasCredentials(settings))
  assert.equal(settings.influx.password?.reveal(), 'p:w d')
  assert.deepEqual(
    [settings.influx.rp, settings.influx.batchBytesMax, settings.influx.createDatabase, settings.poll.latePasses],
    ['week', 1_000_000, true, [600_000, 72_000_000]],
  )
  assert.equal(origins.get('influx.password'), 'INFLUX_PASSWORD')
  assert.equal(secrets.length, 2)
})

test('the environment wins over the file, the command line over both', async (t) => {
  const path = await fileWith(t, 'ports: none\npoll:\n  lag: 30s\n  # commented out\nhttp:\n')
  const env = { TAILFLUX_CONFIG: path, TAILFLUX_POLL_LAG: '2m' }
  const loaded = loadSettings({ env, changes: { dataDir: '/elsewhere' } })
  assert.deepEqual(
    [loaded.settings.ports, loaded.settings.poll.lag, loaded.settings.dataDir],
    ['none', 120_000, '/elsewhere'],
  )
  assert.deepEqual(
    ['ports', 'poll.lag', 'dataDir', 'http.port'].map((name) => loaded.origins.get(name)),
    [`the file ${path}`, 'TAILFLUX_POLL_LAG', 'the command line', undefined],
  )
})

test('all faults are told at once, each with its line or variable and a near name', async (t) => {
  const path = await fileWith(
    t,
    `ports: some
poll:
  intervall: 3s
  lag: 1
http:
  port: 99999999
tailscale:
  apiKeyFile: /nowhere
`,
  )
  const faults = faultsOf({
    path,
    env: {
      TAILFLUX_HTTP_PRT: '1',
      TAILFLUX_PORT: '9464',
      TAILFLUX_LOG_LEVEL: 'loud',
      INFLUX_URL: 'influx',
      INFLUX_TOKEN: 'one',
      TAILFLUX_INFLUX_TOKEN_FILE: '/two',
    },
  })
  const wanted = [
    /tailscale\.apiKey: The secret in the file \/nowhere cannot be read \(ENOENT\)/,
    /INFLUX_TOKEN and TAILFLUX_INFLUX_TOKEN_FILE set the same/,
    /unknown variable TAILFLUX_PORT; did you mean TAILFLUX_PORTS\?/,
    /unknown variable TAILFLUX_HTTP_PRT; did you mean TAILFLUX_HTTP_PORT\?/,
    /line 1: ports: /,
    /line 3: poll\.intervall: unknown setting; did you mean interval\?/,
    /line 4: poll\.lag: must be a duration with unit/,
    /line 6: http\.port: /,
    /INFLUX_URL \(influx\.url\): must be a URL/,
    /TAILFLUX_LOG_LEVEL \(log\.level\): /,
  ]
  for (const one of wanted)
    assert.ok(
      faults.some((fault) => one.test(fault)),
      `${one}\n${faults.join('\n')}`,
    )
})

test('settings of earlier versions are errors that name what replaces them', async (t) => {
  const path = await fileWith(t, 'store:\n  retention: 7d\ninflux:\n  nodesBucket: long\n')
  const env = { TAILFLUX_STORE_RETENTION: '7d', TAILFLUX_INFLUX_NODES_BUCKET: 'long' }
  const text = faultsOf({ path, env }).join('\n')
  for (const wanted of [
    /line 1: store is replaced by retention\.raw, retention\.minutes and retention\.rest; remove it/,
    /line 4: influx\.nodesBucket is replaced by retention\.raw and retention\.minutes, .*; remove it/,
    /TAILFLUX_STORE_RETENTION is replaced by retention\.raw/,
    /TAILFLUX_INFLUX_NODES_BUCKET is replaced by retention\.raw/,
  ])
    assert.match(text, wanted)
})

test('retention that is too short is an error with the fix', () => {
  const text = faultsOf({ env: { TAILFLUX_RETENTION_RAW: '2d' } }).join()
  assert.match(
    text,
    /TAILFLUX_RETENTION_RAW \(retention\.raw\): must be at least 3d.*Raise it, or shorten poll\.latePasses/,
  )
})

test('a file that is none says why', async (t) => {
  assert.match(
    faultsOf({ path: '/nowhere/tailflux.yaml', env: {} }).join(),
    /cannot be read \(ENOENT\); check --config/,
  )
  assert.match(faultsOf({ path: await fileWith(t, 'a: [1\nb: 2'), env: {} }).join(), /line \d/)
  assert.match(faultsOf({ path: await fileWith(t, '- 1'), env: {} }).join(), /must contain keys and values/)
  assert.match(faultsOf({ path: await fileWith(t, 'ports: none\nports: full'), env: {} }).join(), /unique/)
  assert.deepEqual(faultsOf({ path: await fileWith(t, ''), env: {} }), [])
})

test('a YAML bomb and names of the prototype are no settings', async (t) => {
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x,x]\n${[...'bcdefgh'].map((name, i) => `${name}: &${name} [${Array(10).fill(`*${'abcdefgh'[i]}`)}]`).join('\n')}`
  assert.throws(() => loadSettings({ path: '/dev/null', env: { TAILFLUX_POLL_LATE_PASSES: '[1, {' } }), CollectorError)
  await assert.rejects(async () => loadSettings({ path: await fileWith(t, bomb), env: {} }))
  const path = await fileWith(t, '__proto__:\n  polluted: yes\nconstructor: 1\n')
  assert.ok(faultsOf({ path, env: {} }).length > 0)
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
})

test('secrets in files: of the YAML file and of variables, without their last newline', async (t) => {
  const secret = await fileWith(t, 'tskey-api-CANARY\n', 'key')
  const yaml = await fileWith(t, `tailscale:\n  apiKeyFile: ${secret}\n`)
  for (const options of [{ path: yaml, env: {} }, { env: { TAILSCALE_API_KEY_FILE: secret } }]) {
    const loaded = loadSettings(options)
    assert.equal(await loaded.settings.tailscale.apiKey?.read(), 'tskey-api-CANARY')
    assert.equal(loaded.origins.get('tailscale.apiKey'), `the file ${secret}`)
    assert.ok(!printSettings(loaded).includes('CANARY'))
    assert.ok(!inspect(loaded, { depth: 10, showHidden: true }).includes('CANARY'))
    assert.ok(!JSON.stringify(loaded.settings).includes('CANARY'))
  }
  const both = await fileWith(t, `tailscale:\n  apiKey: a\n  apiKeyFile: ${secret}\n`)
  assert.match(faultsOf({ path: both, env: {} }).join(), /apiKey and tailscale.apiKeyFile are both set/)
})

test('what print-config prints can be loaded again, and means the same', async (t) => {
  const env = { TAILFLUX_POLL_LAG: '90s', TAILFLUX_TAILNET_NAME: 'a: b', TAILFLUX_POLL_LATE_PASSES: '' }
  const loaded = loadSettings({ env })
  const text = printSettings(loaded)
  assert.match(text, /lag: 90s # TAILFLUX_POLL_LAG/)
  assert.deepEqual(loadSettings({ path: await fileWith(t, text), env: {} }).settings, loaded.settings)
})

test('poll.interval stands for what cron keeps evenly; anything else is refused with the nearest and with poll.schedule', async (t) => {
  const scheduleOf = (env: Record<string, string>) => loadSettings({ env }).settings.poll.schedule
  assert.equal(scheduleOf({}), '*/30 * * * * *')
  assert.equal(scheduleOf({ TAILFLUX_POLL_INTERVAL: '5s' }), '*/5 * * * * *')
  assert.equal(scheduleOf({ TAILFLUX_POLL_INTERVAL: '120s' }), '0 */2 * * * *')
  assert.equal(scheduleOf({ TAILFLUX_POLL_INTERVAL: '1h' }), '0 0 * * * *')
  assert.equal(scheduleOf({ TAILFLUX_POLL_SCHEDULE: '*/10 6-20 * * *' }), '*/10 6-20 * * *')
  for (const [interval, nearest] of [
    ['45s', '30s or 1m'],
    ['90s', '1m or 2m'],
    ['7m', '6m or 10m'],
    ['25m', '20m or 30m'],
  ]) {
    assert.match(
      faultsOf({ env: { TAILFLUX_POLL_INTERVAL: interval ?? '' } }).join(),
      new RegExp(`TAILFLUX_POLL_INTERVAL.*: cannot be kept evenly .*; use ${nearest}, or set poll.schedule`),
    )
  }
  assert.match(
    faultsOf({ env: { TAILFLUX_POLL_SCHEDULE: '61 * * * *' } }).join(),
    /TAILFLUX_POLL_SCHEDULE.*: must be a cron expression .*61 is a invalid expression for minute/,
  )
  assert.match(
    faultsOf({ env: { TAILFLUX_POLL_SCHEDULE: '0 * * * *', TAILFLUX_POLL_INTERVAL: '1m' } }).join(),
    /both set, but only one of them is allowed; remove one/,
  )
  assert.match(
    faultsOf({ env: { TAILFLUX_POLL_WINDOW_MAX: '30s' } }).join(),
    /must be at least 1m, twice the time between two polls/,
  )
  assert.deepEqual(faultsOf({ env: { TAILFLUX_POLL_SCHEDULE: '0 3 * * *' } }), [], 'an hour is always long enough')
  const printed = printSettings(loadSettings({ env: { TAILFLUX_POLL_INTERVAL: '1m' } }))
  assert.match(printed, /schedule: 0 \*\/1 \* \* \* \*/)
  assert.deepEqual(faultsOf({ path: await fileWith(t, printed), env: {} }), [], 'what is printed says it twice')
})

test('the sample file and the documents are those that the schema makes, and the sample loads to the defaults', async (t) => {
  for (const [name, text] of await documents()) {
    const committed = await readFile(new URL(`../../${name}`, import.meta.url), 'utf8')
    assert.equal(committed, text, `${name} is out of date: npm run docs`)
  }
  const sample = sampleSettings()
  const { settings } = loadSettings({ path: await fileWith(t, sample), env: {} })
  assert.deepEqual(settings, loadSettings({ env: {} }).settings)
  // The same with every default put in force.
  const inForce = sample.replace(/^( *)# ([A-Za-z]+:.*)$/gm, (_, indent, line) =>
    line.endsWith(':') ? '' : indent + line,
  )
  assert.deepEqual(loadSettings({ path: await fileWith(t, inForce), env: {} }).settings, settings)
})
