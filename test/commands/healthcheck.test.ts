/** `tailflux healthcheck`, as containers run it. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { runCli } from '../helpers/cli.ts'
import { startHttpServer } from '../helpers/http-server.ts'

/** Answers `/readyz` with this on this port. */
async function startReady(t: TestContext, port: number, status: number, body: string): Promise<void> {
  await startHttpServer(
    t,
    (request, response) => {
      const isStrict = request.url === '/readyz?strict=1'
      response.writeHead(request.url === '/readyz' ? status : isStrict ? 503 : 404).end(body)
    },
    { port },
  )
}

test('a healthy service is healthy on every port, also on those that browsers refuse', async (t) => {
  for (const port of [6666, 10080]) {
    await startReady(t, port, 200, 'ready')
    // A proxy of the environment is for others, not for this machine.
    const env = { TAILFLUX_HTTP_PORT: String(port), HTTP_PROXY: 'http://127.0.0.1:1' }
    assert.deepEqual(await runCli(t, ['healthcheck'], env), { code: 0, stdout: 'ready\n', stderr: '' })
    const strict = await runCli(t, ['healthcheck', '--strict', '--url', `http://127.0.0.1:${port}/`])
    assert.deepEqual([strict.code, strict.stdout], [1, 'ready\n'])
  }
})

test('a service that is not ready, and one that is not there, are reported', async (t) => {
  await startReady(t, 6667, 302, '')
  const away = await runCli(t, ['healthcheck', '--url', 'http://127.0.0.1:6667'])
  assert.deepEqual([away.code, away.stdout], [1, 'It answered 302.\n'])
  const unanswered = await runCli(t, ['healthcheck', '--url', 'http://127.0.0.1:1'])
  assert.notEqual(unanswered.code, 0)
  assert.match(
    unanswered.stderr,
    /127\.0\.0\.1:1\/readyz does not answer \(connect ECONNREFUSED 127\.0\.0\.1:1\)\. Check that tailflux is running/,
  )
})
