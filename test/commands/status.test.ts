/** `tailflux status`: what a terminal shows. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { statusText } from '../../src/commands/status.ts'
import type { StatusAnswer } from '../../src/observe/status.ts'
import { runCli } from '../helpers/cli.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { someStatus, someTraffic } from '../http/serve.ts'

const answer: StatusAnswer = {
  ...someStatus,
  service: 'tailflux',
  version: '1.2.3',
  now: '2026-11-02T12:00:38.000Z',
  startedAt: '2026-11-02T11:00:00.000Z',
  uptimeSeconds: 3_600,
  nextPoll: '2026-11-02T12:00:50.000Z',
  health: { status: 'ok', components: [] },
  live: { ...someStatus.live, ...someTraffic },
}

test('the headline first, then the stages, the progress and the traffic', () => {
  const text = statusText(answer, false)
  assert.match(
    text,
    /^tailflux 1\.2\.3 {3}tailnet example\.com → influxdb v2 .*\n\nOK 38 s behind, 744 k points\/min, next poll in 12 s\.\n/,
  )
  for (const line of [
    /^Tailscale API .*no success yet$/m,
    /^complete up to {2}2026-11-02 12:00:00 UTC$/m,
    /^gaps +none$/m,
    /^traffic now +virtual 2.0 kbps/m,
    /^top talkers, last hour\n +15.0 kB {2}virtual {2}direct {3}laptop → db$/m,
    /^top owners, last hour\n +15.0 kB {2}virtual {11}alice@example.com → tag:db$/m,
  ])
    assert.match(text, line)
})

test('trouble is in the first words, in colour where there is any', () => {
  const health = { status: 'error', text: 'The key has ended; make a new one.', components: [] } as const
  assert.match(statusText({ ...answer, health }, false), /\nError The key has ended; make a new one\.\n/)
  assert.match(statusText({ ...answer, health }, true), /\u001b\[1;31mError\u001b\[0m The key/)
  assert.match(statusText({ ...answer, health, paused: true }, false), /\nPaused Reading is paused/)
})

test('while something is tried again, when', () => {
  const component = { component: 'sink', status: 'error', since: answer.now } as const
  const health = { status: 'error', text: 'The database is away; start it.', components: [component] } as const
  const database = { state: 'open', code: 'db_unreachable', next: '2026-11-02T12:01:18.000Z' } as const
  assert.match(
    statusText({ ...answer, health, database }, false),
    /\nError The database is away; start it\. \(next try in 40 s\)\n/,
  )
})

test('names cannot move the cursor or turn text about', () => {
  const evil = 'a\u001b[2J\u202eb\nc'
  const alert = {
    name: evil,
    state: 'firing',
    severity: 'critical',
    text: evil,
    value: '1',
    threshold: '2',
    labels: { node_name: evil },
    since: answer.now,
    until: null,
  } as const
  const text = statusText({ ...answer, tailnet: evil, sink: evil, alerts: [alert] }, false)
  assert.doesNotMatch(text, /[\u001b\u202e]/)
  assert.equal(text.split('\n').filter((line) => line === 'c').length, 0)
})

test('no answer: the fix, and exit code 1', async (t) => {
  const { code, stderr } = await runCli(t, ['status'], {
    TAILFLUX_HTTP_PORT: '1',
    TAILFLUX_DATA_DIR: temporaryFolder(t),
  })
  assert.equal(code, 1)
  assert.match(stderr, /No answer from tailflux at http:\/\/127\.0\.0\.1:1 .*Is it running\?/)
})
