/** Whom the source trusts. The certificates are described in fixtures/tls/README.md. */
import assert from 'node:assert/strict'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { json } from '../helpers/scripted-api.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { apiAndSource, faultOf, runWorkers, WINDOW } from '../source/api-and-source.ts'

const at = (name: string) => fileURLToPath(new URL(`./fixtures/tls/${name}.pem`, import.meta.url))
const server = async (name: string) => ({
  key: await readFile(at('key'), 'utf8'),
  cert: await readFile(at(name), 'utf8'),
})

test('a certificate that nobody vouches for is refused, and the request is never sent', async (t) => {
  const { api, source, signal } = await apiAndSource(t, {}, {}, await server('localhost'))
  api.on('logging/network', json(200, { logs: [] }))
  const fault = await faultOf(source.open(WINDOW, signal))
  assert.deepEqual([fault.code, fault.reaction], ['api_unreachable', 'retry'])
  assert.match(fault.message, /not trusted.*caFile.*DEPTH_ZERO_SELF_SIGNED_CERT/)
  assert.equal(api.asked().length, 0)
})

test('with caFile it is trusted, and one connection serves many requests', async (t) => {
  const { api, source, signal } = await apiAndSource(t, { caFile: at('localhost') }, {}, await server('localhost'))
  api.on('logging/network', json(200, { logs: [] }))
  for (let i = 0; i < 3; i++) await runWorkers(await source.open(WINDOW, signal))
  assert.equal(api.socketsSeen(), 1)
})

test('a certificate for another host is refused although its authority is trusted', async (t) => {
  const { api, source, signal } = await apiAndSource(t, { caFile: at('other-host') }, {}, await server('other-host'))
  assert.match((await faultOf(source.open(WINDOW, signal))).message, /another host.*ERR_TLS_CERT_ALTNAME_INVALID/)
  assert.equal(api.asked().length, 0)
})

test('an expired certificate is refused, and the text thinks of the clock', async (t) => {
  const { source, signal } = await apiAndSource(t, { caFile: at('expired') }, {}, await server('expired'))
  assert.match((await faultOf(source.open(WINDOW, signal))).message, /expired.*clock.*CERT_HAS_EXPIRED/)
})

test('https to a server that speaks http says so', async (t) => {
  const { api } = await apiAndSource(t)
  const { source, signal } = await apiAndSource(t, { apiUrl: api.url.replace('http:', 'https:') })
  assert.match((await faultOf(source.open(WINDOW, signal))).message, /http or https/)
})

test('a caFile that cannot be used is an error with its name, and mending it is enough', async (t) => {
  const folder = temporaryFolder(t)
  const caFile = join(folder, 'ca.pem')
  const { api, source, signal } = await apiAndSource(t, { caFile }, {}, await server('localhost'))
  api.on('logging/network', json(200, { logs: [] }))
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
  for (const content of [undefined, '', 'no certificate', broken]) {
    if (content !== undefined) await writeFile(caFile, content)
    const fault = await faultOf(source.open(WINDOW, signal))
    assert.deepEqual([fault.code, fault.reaction, fault.stage], ['config_invalid', 'hold', 'config'])
    assert.ok(fault.message.includes(caFile))
  }
  // Readable, but the wrong authority; then the right one.
  await copyFile(at('other-host'), caFile)
  assert.equal((await faultOf(source.open(WINDOW, signal))).code, 'api_unreachable')
  await copyFile(at('localhost'), caFile)
  await runWorkers(await source.open(WINDOW, signal))
})
