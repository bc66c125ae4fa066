/** The environment: variables of Kubernetes Services are passed over, near misses of settings are told, quotation marks too. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CollectorError } from '../../src/base/errors.ts'
import { loadSettings } from '../../src/config/load.ts'
import { VARIABLES } from '../../src/config/variables.ts'

function faultsOf(env: Record<string, string>): string {
  try {
    loadSettings({ env })
  } catch (error) {
    assert.ok(error instanceof CollectorError)
    return error.message
  }
  return ''
}

/** What Kubernetes sets for a Service with these ports, as its documentation has it. */
function serviceVariables(service: string, host: string, ports: readonly { name?: string; port: number }[]) {
  const prefix = service.toUpperCase().replaceAll('-', '_')
  const at = (port: number) => `tcp://${host.includes(':') ? `[${host}]` : host}:${port}`
  const [first] = ports
  const env: Record<string, string> = {
    [`${prefix}_SERVICE_HOST`]: host,
    [`${prefix}_SERVICE_PORT`]: String(first?.port),
    [`${prefix}_PORT`]: at(first?.port ?? 0),
  }
  for (const { name, port } of ports) {
    if (name) env[`${prefix}_SERVICE_PORT_${name.toUpperCase().replaceAll('-', '_')}`] = String(port)
    env[`${prefix}_PORT_${port}_TCP`] = at(port)
    env[`${prefix}_PORT_${port}_TCP_PROTO`] = 'tcp'
    env[`${prefix}_PORT_${port}_TCP_PORT`] = String(port)
    env[`${prefix}_PORT_${port}_TCP_ADDR`] = host
  }
  return env
}

test('the variables of a Service are no settings, whatever it is called and however many ports it has', () => {
  const services = [
    'tailflux',
    'tailflux-influxdb',
    'tailflux-http',
    'tailflux-postgres-replicas',
    'tailscale-operator',
    'influx-db',
  ]
  for (const service of services) {
    for (const host of ['10.96.0.7', 'fd00:10:96::7']) {
      const env = serviceVariables(service, host, [{ name: 'http-api', port: 8086 }, { port: 8088 }])
      const { settings, origins, passedOver } = loadSettings({ env })
      assert.deepEqual(passedOver.toSorted(), Object.keys(env).toSorted(), service)
      assert.deepEqual([settings.http.port, origins.size], [9464, 0], service)
    }
  }
  const others = loadSettings({ env: serviceVariables('influxdb', '10.96.0.7', [{ port: 8086 }]) })
  assert.deepEqual(others.passedOver, [], 'not our prefix, so nothing to tell')
})

test('no setting is taken for one of a Service, nor a wrong name for it', () => {
  const env = { ...serviceVariables('tailflux-http', '10.96.0.7', [{ port: 9464 }]), TAILFLUX_HTTP_PORT: '8080' }
  assert.equal(loadSettings({ env }).settings.http.port, 8080)
  for (const [name, value] of [
    ['TAILFLUX_PORT', '9464'],
    ['TAILFLUX_SERVICE_PORT', '9464'],
    ['TAILFLUX_SERVICE_HOST', 'tailflux.example.com'],
    ['TAILFLUX_HTTP_PORT', 'tcp://influxdb'],
    ['TAILFLUX_PORT_8086_TCP_ADDR', 'influxdb'],
  ] as const)
    assert.match(faultsOf({ [name]: value }), new RegExp(name), name)
  // Whatever settings are called, a value that is one is read.
  for (const variable of VARIABLES) {
    const { passedOver } = (() => {
      try {
        return loadSettings({ env: { [variable]: '1' } })
      } catch {
        return { passedOver: [] }
      }
    })()
    assert.deepEqual(passedOver, [])
  }
})

test('names that people, other tools and other versions use are told with the right one', () => {
  const near: Record<string, string> = {
    TAILSCALE_APIKEY: 'TAILSCALE_API_KEY',
    TAILSCALE_APIKEY_FILE: 'TAILSCALE_API_KEY_FILE',
    TAILSCALE_TOKEN: 'TAILSCALE_API_KEY',
    TAILSCALE_CLIENT_ID: 'TAILSCALE_OAUTH_CLIENT_ID',
    TAILSCALE_CLIENT_SECRET_FILE: 'TAILSCALE_OAUTH_CLIENT_SECRET_FILE',
    INFLUX_DATABASE: 'INFLUX_DB',
    INFLUX_HOST: 'INFLUX_URL',
    INFLUX_USERNAME: 'INFLUX_USER',
    INFLUX_BUKET: 'INFLUX_BUCKET',
    TAILFLUX_LOGLEVEL: 'TAILFLUX_LOG_LEVEL',
    // Not our prefix.
    INFLUXDB_URL: 'INFLUX_URL',
    INFLUXDB_TOKEN_FILE: 'INFLUX_TOKEN_FILE',
    INFLUXDB3_AUTH_TOKEN: 'INFLUX_TOKEN',
    TAILFLUXHTTP_PORT: 'TAILFLUX_HTTP_PORT',
    TAIL_SCALE_TAILNET: 'TAILSCALE_TAILNET',
    TAILSACLE_API_KEY: 'TAILSCALE_API_KEY',
    INFUX_BUCKET: 'INFLUX_BUCKET',
    tailscale_api_key: 'TAILSCALE_API_KEY',
    TS_API_KEY: 'TAILSCALE_API_KEY',
  }
  for (const [given, meant] of Object.entries(near))
    assert.match(faultsOf({ [given]: 'x' }), new RegExp(`${given}\\b.*did you mean ${meant}\\?`, 'i'), given)
  assert.match(faultsOf({ TAILSCALE_AUTHKEY: 'tskey-auth-x' }), /is an auth key.*set TAILSCALE_API_KEY/)
  assert.match(faultsOf({ TAILFLUX_HTTP_TLS_CERT: 'x' }), /set TAILFLUX_HTTP_TLS to \{cert: /)
  assert.match(faultsOf({ INFLUX_ZZZ: 'x' }), /unknown variable INFLUX_ZZZ; remove or rename it/)
})

test('variables of other programs are theirs', () => {
  const env = {
    TS_AUTHKEY: 'tskey-auth-x',
    TS_CLIENT_ID: 'k',
    FLUX_URL: 'http://x',
    DOCKER_INFLUXDB_INIT_BUCKET: 'b',
    INFLUXDB3_NODE_IDENTIFIER_PREFIX: 'a',
    INFLUXDB_HTTP_AUTH_ENABLED: 'true',
    // Beside the setting that it looks like.
    INFLUX_URL: 'http://influxdb:8086',
    INFLUX_BUCKET: 'tailflux',
    INFLUXDB_URL: 'http://other:8086',
    // Passed on by a compose file, without a value.
    TAILSCALE_APIKEY: '',
  }
  assert.equal(faultsOf(env), '')
})

test('quotation marks around a value are told, for every kind of setting, and nothing else is wrong then', () => {
  const text = faultsOf({
    TAILSCALE_API_KEY: '"tskey-api-kX-1"',
    INFLUX_URL: "'http://influxdb:8086'",
    INFLUX_BUCKET: '"tailflux"',
    TAILFLUX_HTTP_PORT: '"80"',
    INFLUX_TOKEN: '"t"',
  })
  assert.match(text, /^The settings have 5 errors:/)
  assert.ok(!text.includes('tskey-api-kX-1'))
  for (const name of ['TAILSCALE_API_KEY', 'INFLUX_URL', 'INFLUX_BUCKET', 'TAILFLUX_HTTP_PORT', 'INFLUX_TOKEN'])
    assert.match(text, new RegExp(`${name} is in quotation marks, which are part of the value here; remove them`))
  assert.match(text, /put it into a file and set INFLUX_TOKEN_FILE/)
  assert.equal(faultsOf({ TAILFLUX_TAILNET_NAME: 'the "big" one' }), '')
})
