/** Commands that ask a service by https. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runCli, startCli } from '../helpers/cli.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'

const at = (name: string) => fileURLToPath(new URL(`../http-client/fixtures/tls/${name}.pem`, import.meta.url))

test('a certificate for another name serves the commands of this machine; an address that is given must be in it', async (t) => {
  const dir = temporaryFolder(t)
  const tls = (cert: string) => `{cert: ${at(cert)}, key: ${at('key')}}`
  const env = { TAILFLUX_DATA_DIR: dir, TAILFLUX_HTTP_TLS: tls('other-host'), TAILFLUX_POLL_LOOKBACK: '5m' }
  const demo = startCli(t, ['demo', '--nodes', '5'], { ...env, TAILFLUX_HTTP_PORT: '0', TAILFLUX_HTTP_HOST: '0.0.0.0' })
  const [, port = ''] = await demo.until(/Status page: https:\/\/0\.0\.0\.0:(\d+)\//, 'stderr')
  const beside = { ...env, TAILFLUX_HTTP_PORT: port, TAILFLUX_HTTP_HOST: '0.0.0.0' }
  const [health, status, pause, given, check] = await Promise.all([
    runCli(t, ['healthcheck'], beside),
    runCli(t, ['status', '--json'], beside),
    runCli(t, ['resume'], beside),
    runCli(t, ['status', '--once', '--url', `https://127.0.0.1:${port}/`], beside),
    runCli(t, ['check', '--json'], { ...beside, TAILSCALE_API_URL: 'http://127.0.0.1:1' }),
  ])
  assert.deepEqual([health.code, JSON.parse(health.stdout).ready], [0, true])
  assert.deepEqual([status.code, JSON.parse(status.stdout).demo], [0, true])
  assert.deepEqual([pause.code, pause.stdout], [0, 'Resumed.\n'])
  assert.equal(given.code, 1)
  assert.match(given.stderr, /certificate is not trusted: set NODE_EXTRA_CA_CERTS/)
  const findings = JSON.stringify(JSON.parse(check.stdout))
  assert.match(findings, /is in use by the running tailflux/)
  assert.match(findings, /other-host\.pem is valid until 2\d{3}-/)
  const trusted = await runCli(t, ['status', '--once', '--url', `https://localhost:${port}`], {
    ...beside,
    TAILFLUX_HTTP_TLS: tls('localhost'),
  })
  assert.match(trusted.stderr, /certificate is not trusted/, 'the service has the other one')
  demo.child.kill('SIGTERM')
  assert.equal(await demo.ended, 0)

  const wrong = await runCli(t, ['demo'], {
    ...env,
    TAILFLUX_HTTP_PORT: '0',
    TAILFLUX_HTTP_TLS: '{cert: /nowhere, key: /nowhere}',
  })
  assert.equal(wrong.code, 2)
  assert.match(wrong.stderr, /The certificate in \/nowhere cannot be read \(ENOENT\); check http\.tls/)
  const half = await runCli(t, ['print-config'], { TAILFLUX_HTTP_TLS: '{cert: /tls.crt}' })
  assert.deepEqual([half.code, /TAILFLUX_HTTP_TLS \(http\.tls\.key\): is missing; set it/.test(half.stderr)], [2, true])
})
