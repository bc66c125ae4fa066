/** `tailflux check` as a process: what it prints, how it ends, and that it leaves a running service alone. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { runCli, startCli } from '../helpers/cli.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'

test('faulty settings are a finding, with every fault', async (t) => {
  const { code, stdout, stderr } = await runCli(t, ['check'], { TAILFLUX_HTTP_PORT: 'many', TAILFLUX_NO_SUCH: '1' })
  assert.deepEqual([code, stderr], [1, ''])
  assert.match(stdout, /✗ settings {2}The settings have 2 errors/)
  assert.match(stdout, /unknown variable TAILFLUX_NO_SUCH/)
})

test('without credentials the table says which to set, and nothing is made in the data directory', async (t) => {
  const dir = join(temporaryFolder(t), 'data')
  const env = { TAILFLUX_DATA_DIR: dir, TAILFLUX_HTTP_PORT: '0' }
  const text = await runCli(t, ['check'], env)
  assert.equal(text.code, 1)
  assert.match(text.stdout, /✗ credentials .*no credentials/)
  assert.match(text.stdout, /1 problem must be fixed before tailflux can run \(✗\)\.\n$/)
  const json = await runCli(t, ['check', '--json'], env)
  assert.equal(json.code, 1)
  const { ok, summary, findings } = JSON.parse(json.stdout)
  assert.equal(ok, false)
  assert.equal(summary.error, 1)
  assert.match(findings.find((one: { check: string }) => one.check === 'data directory').text, /does not exist yet/)
})

test('beside a running service nothing is in its way, and it goes on', async (t) => {
  const dir = temporaryFolder(t)
  const token = join(dir, 'token')
  await writeFile(token, 'canary-http-token-0123456789\n')
  const env = {
    TAILFLUX_DATA_DIR: dir,
    TAILFLUX_HTTP_PORT: '0',
    TAILFLUX_HTTP_TOKEN_FILE: token,
    TAILFLUX_POLL_LOOKBACK: '5m',
  }
  const demo = startCli(t, ['demo', '--nodes', '8'], env)
  const [, url] = await demo.until(/Status page: (http:\S+)\//, 'stderr')
  await demo.until(/"msg":"window done"/)
  const { stdout } = await runCli(t, ['check', '--json'], { ...env, TAILFLUX_HTTP_PORT: new URL(url ?? '').port })
  const { findings } = JSON.parse(stdout) as { findings: { check: string; status: string; text: string }[] }
  const of = (check: string) => findings.find((finding) => finding.check === check)
  assert.match(of('port')?.text ?? '', /is in use by the running tailflux \d/)
  assert.match(of('state file')?.text ?? '', /is in use by the running tailflux/)
  assert.match(of('sample point')?.text ?? '', /written and read back/)
  assert.doesNotMatch(stdout, /canary/)
  await demo.until(/"msg":"window done"/)
  demo.child.kill('SIGTERM')
  assert.equal(await demo.ended, 0)
})
