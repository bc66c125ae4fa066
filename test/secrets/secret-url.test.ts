import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { createSecretRegistry } from '../../src/secrets/redactor.ts'
import { SecretUrl } from '../../src/secrets/secret-url.ts'

test('a secret URL shows scheme and host only when it is printed', () => {
  const url = new SecretUrl('https://hooks.example.com:8443/services/T0/B0/x7Gk2Qcanary')
  for (const text of [`${url}`, inspect(url, { depth: 9, showHidden: true }), JSON.stringify({ url })]) {
    assert.ok(!/canary|T0/.test(text), text)
    assert.match(text, /https:\/\/hooks\.example\.com:8443\/\[secret\]/)
  }
  assert.equal(url.reveal(), 'https://hooks.example.com:8443/services/T0/B0/x7Gk2Qcanary')
  assert.equal(`${new SecretUrl('http://127.0.0.1:9093')}`, 'http://127.0.0.1:9093')
})

test('what tells something of a path is kept out of texts, ordinary words are not', () => {
  const table: readonly (readonly [url: string, text: string, clean: string])[] = [
    ['https://h.example/services/T0/B0/x7Gk2Qcanary', 'POST /services/T0/B0/x7Gk2Qcanary', 'POST /[secret]'],
    ['https://h.example/services/T0/B0/x7Gk2Qcanary', 'key x7Gk2Qcanary of services', 'key [secret] of services'],
    ['https://h.example/a%2Fb-canary/', 'a/b-canary and a%2Fb-canary', '[secret] and [secret]'],
    ['https://ntfy.example/net-4711', '{"topic":"net-4711"}', '{"topic":"[secret]"}'],
    [
      'https://ntfy.example/alerts',
      'component alerts, https://ntfy.example/alerts',
      'component alerts, https://[secret]',
    ],
    [
      'https://h.example/run?api-version=1&sig=Canary%2F4711',
      'POST /run?api-version=1&sig=Canary%2F4711 with Canary/4711',
      'POST /run?[secret] with [secret]',
    ],
    ['http://am.example/alertmanager', 'alertmanager http://am.example', 'alertmanager http://am.example'],
    ['http://am.example', 'http://am.example', 'http://am.example'],
  ]
  for (const [url, text, clean] of table)
    assert.equal(createSecretRegistry(new SecretUrl(url).secrets).scrub(text), clean)
})
