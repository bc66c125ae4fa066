/** https: the certificate of the settings, and the new one when its files change. The certificates are those of test/http-client/fixtures/tls. */
import assert from 'node:assert/strict'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect as connectPlain } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { CollectorError } from '../../src/base/errors.ts'
import { ask } from '../../src/http-client/ask.ts'
import { eventually, inTime } from '../helpers/eventually.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { serve, TOKEN } from './serve.ts'

const at = (name: string) => fileURLToPath(new URL(`../http-client/fixtures/tls/${name}.pem`, import.meta.url))
const fingerprintOf = (name: string) => new X509Certificate(readFileSync(at(name))).fingerprint256
const FILES = { cert: at('localhost'), key: at('key') }

async function askPath(url: string, path: string, headers: Record<string, string> = {}) {
  const answer = await ask({ url: url + path, headers, caFile: at('localhost') }, AbortSignal.timeout(10_000))
  return { status: answer.status, text: (await answer.text(1 << 20)).text }
}

/** The certificate that a new connection gets. */
async function servedBy(port: number): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const { fingerprint256 } = socket.getPeerCertificate()
  socket.destroy()
  return fingerprint256
}

/** Kubernetes mounts a Secret so: the files are links through `..data`, which is exchanged. */
function mount(dir: string, version: string, cert: string): void {
  mkdirSync(join(dir, version))
  copyFileSync(at(cert), join(dir, version, 'tls.crt'))
  copyFileSync(at('key'), join(dir, version, 'tls.key'))
  symlinkSync(version, join(dir, `..data_${version}`))
  renameSync(join(dir, `..data_${version}`), join(dir, '..data'))
}

async function serveFrom(t: TestContext, dir: string) {
  const tls = { cert: join(dir, 'tls.crt'), key: join(dir, 'tls.key') }
  return await serve(t, { config: { tls }, limits: { certificateLookMs: 20 } })
}

test('pages, data, probes and commands answer by https', async (t) => {
  const { url } = await serve(t, { config: { tls: FILES }, token: TOKEN })
  assert.match(url, /^https:\/\/127\.0\.0\.1:\d+$/)
  const bearer = { authorization: `Bearer ${TOKEN}` }
  for (const path of ['/livez', '/readyz', '/health']) assert.equal((await askPath(url, path)).status, 200, path)
  for (const path of ['/', '/metrics', '/api/status', '/api/flows']) {
    assert.equal((await askPath(url, path)).status, 401, path)
    assert.equal((await askPath(url, path, bearer)).status, 200, path)
  }
  const events = await ask(
    { url: `${url}/api/events`, headers: bearer, caFile: at('localhost') },
    AbortSignal.timeout(10_000),
  )
  for await (const chunk of events.chunks()) {
    assert.match(Buffer.from(chunk).toString(), /retry: 3000/)
    break
  }
})

test('files that are written again, and links that are exchanged, give new connections the new certificate', async (t) => {
  const dir = temporaryFolder(t)
  mount(dir, 'first', 'localhost')
  symlinkSync('..data/tls.crt', join(dir, 'tls.crt'))
  symlinkSync('..data/tls.key', join(dir, 'tls.key'))
  const { url, port } = await serveFrom(t, dir)
  const old: TLSSocket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  await once(old, 'secureConnect')
  t.after(() => old.destroy())
  assert.equal(await servedBy(port), fingerprintOf('localhost'))

  mount(dir, 'second', 'other-host')
  await eventually(
    'the certificate of the second mount',
    async () => (await servedBy(port)) === fingerprintOf('other-host'),
  )
  // What is connected stays.
  old.write('GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n')
  assert.match(String((await once(old, 'data'))[0]), /^HTTP\/1\.1 200 /)

  rmSync(join(dir, 'tls.crt'))
  copyFileSync(at('localhost'), join(dir, 'tls.crt'))
  await eventually(
    'the certificate that was written',
    async () => (await servedBy(port)) === fingerprintOf('localhost'),
  )
  assert.equal((await askPath(url, '/livez')).status, 200)
})

test('a new certificate that cannot be used leaves the old one in force; health says why until it is replaced', async (t) => {
  const dir = temporaryFolder(t)
  const [cert, key] = [join(dir, 'tls.crt'), join(dir, 'tls.key')]
  copyFileSync(at('localhost'), cert)
  copyFileSync(at('key'), key)
  const { port, health } = await serveFrom(t, dir)
  const ofHttp = () => health.state().components.find(({ component }) => component === 'http')
  assert.equal(ofHttp()?.status, 'ok')
  const bad: [() => void, RegExp][] = [
    [
      () => writeFileSync(cert, 'no certificate'),
      /tls\.crt holds no certificate.*Until then the old certificate stays in use/,
    ],
    [() => rmSync(cert), /The certificate in .*tls\.crt cannot be read \(ENOENT\).*Until then/],
    [() => copyFileSync(at('other-host'), cert), /The key in .*tls\.key does not belong to the certificate/],
  ]
  writeFileSync(join(dir, 'other-key'), anotherKey())
  for (const [spoil, text] of bad) {
    if (text.source.includes('belong')) copyFileSync(join(dir, 'other-key'), key)
    spoil()
    await eventually(
      () => `${text} instead of ${ofHttp()?.text}`,
      () => text.test(ofHttp()?.text ?? ''),
    )
    assert.deepEqual([ofHttp()?.status, health.state().status], ['warning', 'warning'])
    assert.equal(await servedBy(port), fingerprintOf('localhost'))
  }
  copyFileSync(at('key'), key)
  await eventually('the new certificate', async () => (await servedBy(port)) === fingerprintOf('other-host'))
  await eventually('health', () => ofHttp()?.status === 'ok')

  copyFileSync(at('expired'), cert)
  await eventually('what expired', () => /expired on 2020-.*clients refuse it\. Renew it\./.test(ofHttp()?.text ?? ''))
})

function anotherKey(): string {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  }) as string
}

test('files that cannot be used at the start end it with the fix', async (t) => {
  const dir = temporaryFolder(t)
  const [wrongKey, encrypted, none] = ['wrong', 'encrypted', 'none'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ]
  writeFileSync(wrongKey, anotherKey())
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  writeFileSync(encrypted, privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }))
  writeFileSync(none, 'nothing')
  const cases: [{ cert: string; key: string }, RegExp][] = [
    [{ cert: '/nowhere', key: at('key') }, /The certificate in \/nowhere cannot be read \(ENOENT\); check http\.tls/],
    [{ cert: at('localhost'), key: '/nowhere' }, /The key in \/nowhere cannot be read/],
    [{ cert: at('localhost'), key: wrongKey }, /does not belong to the certificate.*comes first in its file/],
    [{ cert: at('localhost'), key: encrypted }, /is encrypted; http\.tls\.key must be a PEM file without a passphrase/],
    [{ cert: none, key: at('key') }, /holds no certificate/],
    [{ cert: at('localhost'), key: none }, /holds no private key/],
    [{ cert: at('key'), key: at('localhost') }, /holds no certificate/],
  ]
  for (const [tls, text] of cases) {
    await assert.rejects(serve(t, { config: { tls } }), (error) => {
      assert.ok(error instanceof CollectorError)
      assert.equal(error.code, 'config_invalid')
      assert.match(error.message, text)
      return true
    })
  }
})

test('plain http, noise and handshakes that never end are closed and keep nobody out', async (t) => {
  const { url, port } = await serve(t, {
    config: { tls: FILES },
    limits: { connectionsMax: 16, requestTimeoutMs: 60_000, connectionTimeoutMs: 60_000 },
  })
  for (const text of ['GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n', 'noise\r\n\r\n']) {
    const socket = connectPlain(port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write(text)
    await once(socket.resume(), 'close')
  }
  const held = Array.from({ length: 64 }, () => connectPlain(port, '127.0.0.1').on('error', () => undefined))
  t.after(() => held.forEach((socket) => void socket.destroy()))
  await Promise.all(held.map((socket) => once(socket, 'connect')))
  for (const path of ['/livez', '/readyz', '/health', '/metrics'])
    assert.equal((await askPath(url, path)).status, 200, path)
  const idle = Array.from({ length: 64 }, () =>
    connect({ port, host: '127.0.0.1', rejectUnauthorized: false }).on('error', () => undefined),
  )
  t.after(() => idle.forEach((socket) => void socket.destroy()))
  for (const path of ['/livez', '/readyz', '/health', '/metrics'])
    assert.equal((await askPath(url, path)).status, 200, path)
})

test('a handshake in progress does not hold up the end', async (t) => {
  const { server, port } = await serve(t, { config: { tls: FILES }, limits: { requestTimeoutMs: 60_000 } })
  const socket = connectPlain(port, '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  // The server has taken it: a later connection is served.
  await servedBy(port)
  const closed = once(socket.resume(), 'close')
  const beganMs = performance.now()
  await inTime('the end of the server', server.stop())
  await closed
  assert.ok(performance.now() - beganMs < 30_000, 'it waited for the end of the handshake')
})
