/** The way to the database: secrets that change in their files, whom to trust, and connections that do not pile up. */
import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { fileSecret } from '../../../src/secrets/secret.ts'
import { temporaryFolder } from '../../helpers/temporary-folder.ts'
import { startProxy } from '../../services/proxy.ts'
import { faultOf, influxWorld, live, someLines } from './influx-world.ts'
import { fault, hang, OK, startScriptedInflux } from './scripted-influx.ts'

const certificate = (name: string) =>
  fileURLToPath(new URL(`../../http-client/fixtures/tls/${name}.pem`, import.meta.url))
const tls = async (name: string) => ({
  key: await readFile(certificate('key'), 'utf8'),
  cert: await readFile(certificate(name), 'utf8'),
})

test('a token comes from its file with each request: with or without newline, and another one as soon as it is there', async (t) => {
  const server = await startScriptedInflux(t)
  const path = join(temporaryFolder(t), 'token')
  writeFileSync(path, 'old\n')
  server.script((asked) => (asked.headers.authorization === 'Token new' ? OK : fault(401, 'unauthorized access')))
  const { write, sink } = influxWorld({ url: server.url, api: 'v2', token: fileSecret(path), gzip: 'on' })
  const error = await faultOf(write(someLines(200)))
  assert.deepEqual([error.code, error.reaction], ['db_unauthorized', 'hold'])
  assert.equal(server.asked.at(-1)?.headers.authorization, 'Token old')
  assert.equal((await faultOf(sink.probe(live()))).code, 'db_unauthorized')
  writeFileSync(path, 'new\r\n')
  await sink.probe(live())
  assert.equal((await write(someLines(200))).written, 200)
})

test('a password comes from its file as well', async (t) => {
  const server = await startScriptedInflux(t)
  const path = join(temporaryFolder(t), 'password')
  writeFileSync(path, 'one')
  const { write } = influxWorld({ url: server.url, user: 'u', password: fileSecret(path) })
  await write(someLines(1))
  writeFileSync(path, 'two')
  await write(someLines(1))
  assert.deepEqual(
    server.asked.map(({ headers }) => Buffer.from(headers.authorization?.slice(6) ?? '', 'base64').toString()),
    ['u:one', 'u:two'],
  )
})

test('a secret file that vanishes, is empty or holds no header text is reported with the fix, and never ends the process', async (t) => {
  const server = await startScriptedInflux(t)
  const path = join(temporaryFolder(t), 'token')
  writeFileSync(path, 'good')
  const { write } = influxWorld({ url: server.url, api: 'v2', token: fileSecret(path), gzip: 'on' })
  for (const content of [undefined, '', '\n', 'two\nlines', ' padded', 'tök€n', '“quoted”', '\0']) {
    if (content === undefined) rmSync(path)
    else writeFileSync(path, content)
    const error = await faultOf(write(someLines(200)))
    assert.deepEqual([error.code, error.reaction], ['db_misconfigured', 'hold'], content ?? 'no file')
    assert.match(error.message, new RegExp(path))
    if (content) assert.ok(!error.message.includes(content))
  }
  assert.equal(server.asked.length, 0)
  writeFileSync(path, 'good again')
  assert.equal((await write(someLines(200))).written, 200)
})

test('a certificate that nobody vouches for is refused before anything is sent; caFile makes it trusted', async (t) => {
  const server = await startScriptedInflux(t, await tls('localhost'))
  const stranger = influxWorld({ url: server.url, token: 'secret' })
  const error = await faultOf(stranger.write(someLines(1)))
  assert.deepEqual([error.code, error.reaction], ['db_misconfigured', 'hold'])
  assert.match(error.message, /not trusted \(DEPTH_ZERO_SELF_SIGNED_CERT\).*caFile/)
  assert.equal(server.asked.length, 0)
  const friend = influxWorld({ url: server.url, caFile: certificate('localhost') })
  for (let times = 0; times < 3; times += 1) assert.equal((await friend.write(someLines(1))).written, 1)
  assert.equal(server.socketsSeen(), 2, 'one that was refused, one for all requests')
})

test('a certificate for another host, and one that has expired, are refused although their authority is trusted', async (t) => {
  for (const [name, code] of [
    ['other-host', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['expired', 'CERT_HAS_EXPIRED'],
  ] as const) {
    const server = await startScriptedInflux(t, await tls(name))
    const error = await faultOf(influxWorld({ url: server.url, caFile: certificate(name) }).write(someLines(1)))
    assert.equal(error.reaction, 'hold')
    assert.match(error.message, new RegExp(code))
  }
})

test('a caFile that cannot be used is told with its name, and mending it is enough', async (t) => {
  const server = await startScriptedInflux(t, await tls('localhost'))
  const caFile = join(temporaryFolder(t), 'ca.pem')
  const { write } = influxWorld({ url: server.url, caFile })
  for (const content of [undefined, '', 'no certificate', await readFile(certificate('other-host'), 'utf8')]) {
    if (content !== undefined) writeFileSync(caFile, content)
    const error = await faultOf(write(someLines(1)))
    assert.deepEqual([error.code, error.reaction], ['db_misconfigured', 'hold'])
    assert.match(error.message, /caFile/)
  }
  writeFileSync(caFile, await readFile(certificate('localhost')))
  assert.equal((await write(someLines(1))).written, 1)
})

test('http and https mixed up: the text says so', async (t) => {
  const plain = await startScriptedInflux(t)
  const secure = await startScriptedInflux(t, await tls('localhost'))
  const wrongly = [plain.url.replace('http:', 'https:'), secure.url.replace('https:', 'http:')]
  const errors = await Promise.all(
    wrongly.map((url) => faultOf(influxWorld({ url, giveUp: '10s' }).write(someLines(1)))),
  )
  assert.match(errors[0]?.message ?? '', /http or https/)
  // A TLS server just hangs up on a plain request.
  assert.equal(errors[1]?.code, 'db_unreachable')
})

test('fifteen timeouts leave no socket open, and never use up the connections', async (t) => {
  const server = await startScriptedInflux(t)
  server.script(...(Array.from({ length: 15 }, () => hang) as [typeof hang]), OK)
  const world = influxWorld({ url: server.url, inFlight: 1, giveUp: '1h' }, { timeoutMs: 100 })
  const writing = Promise.all(
    [1, 2, 3].map((part) =>
      world.sink.write({ bytes: Buffer.from(`m v=${part}i 1\n`), lineCount: 1, target: 'main' }, live()),
    ),
  )
  await world.pass(writing)
  await server.until(() => server.openSockets() <= 3)
  assert.equal(world.metrics.calls.get('retried')?.length, 15)
})

test('faults of the network: the batch arrives, and arrives with the same bytes', async (t) => {
  const server = await startScriptedInflux(t)
  const proxy = await startProxy(t, server.url)
  const lines = someLines(500)
  const { write } = influxWorld({ url: proxy.url, timeout: '2s' }, { random: () => 0.1 })
  for (const toxic of [
    { kind: 'cut', of: 'request', afterBytes: 9_000 },
    { kind: 'reset', of: 'request', afterBytes: 9_000 },
    { kind: 'cut', of: 'answer', afterBytes: 9 },
    { kind: 'reset', of: 'answer', afterBytes: 9 },
    { kind: 'lose-answer' },
  ] as const) {
    server.asked.length = 0
    await proxy.set(toxic, 2)
    assert.equal((await write(lines)).written, 500, toxic.kind)
    assert.ok(server.asked.length >= 1)
    for (const { body } of server.asked) assert.equal(body, `${lines.join('\n')}\n`)
  }
})

test('a refusal whose text has no end is broken off, and neither ends the process nor fills the memory', async (t) => {
  const server = await startScriptedInflux(t)
  const piece = Buffer.alloc(1 << 20, 'x')
  let sent = 0
  for (const headers of [{}, { 'content-encoding': 'gzip' }]) {
    server.script((_asked, response) => {
      response.writeHead(400, { 'content-type': 'application/json', ...headers })
      const more = () => {
        while (!response.destroyed) {
          sent += piece.length
          if (!response.write(piece)) return void response.once('drain', more)
        }
      }
      more()
      return undefined
    })
    const { sink } = influxWorld({ url: server.url, timeout: '60s' })
    const error = await faultOf(sink.probe(live()))
    assert.deepEqual([error.stage, error.reaction], ['sink', 'retry'])
    assert.match(
      error.message,
      'content-encoding' in headers ? /cannot be reached|bytes of text/ : /more than 67108864 bytes of text/,
    )
  }
  assert.ok(sent < 200 << 20, `${sent} bytes were taken`)
})
