import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileSecret } from '../../src/secrets/secret.ts'
import { tailscaleSchema } from '../../src/source/config.ts'

type Input = Record<string, unknown>
const faults = (input: Input) => {
  const parsed = tailscaleSchema.safeParse(input)
  return parsed.success ? [] : parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
}

test('defaults are those of a tailnet in the cloud', () => {
  assert.deepEqual(tailscaleSchema.parse({}), {
    tailnet: '-',
    apiUrl: 'https://api.tailscale.com',
    allowHttp: false,
    headTimeout: 60_000,
    idleTimeout: 60_000,
    totalTimeout: 600_000,
    answerBytesMax: 1 << 30,
    messageBytesMax: 8 << 20,
    depthMax: 8,
    clockBehindMax: 31 * 86_400_000,
    clockAheadMax: 3_600_000,
  })
})

test('every setting has a sentence', () => {
  for (const [name, schema] of Object.entries(tailscaleSchema.shape))
    assert.match(schema.description ?? '', /\.$/, name)
})

test('credentials: one kind, complete', () => {
  const good: Input[] = [
    {},
    { apiKey: 'k' },
    { apiKey: fileSecret('/run/secrets/key', () => 'k') },
    { oauthClientId: 'i', oauthClientSecret: 's' },
    { oauthClientId: 'i', idTokenFile: '/run/id' },
  ]
  for (const input of good) assert.deepEqual(faults(input), [])
  const bad: [Input, RegExp][] = [
    [
      { apiKey: 'k', oauthClientId: 'i', oauthClientSecret: 's' },
      /^apiKey: two kinds.*oauthClientId and oauthClientSecret/,
    ],
    [{ apiKey: 'k', idTokenFile: 'f' }, /^apiKey: two kinds.*idTokenFile/],
    [{ oauthClientId: 'i', oauthClientSecret: 's', idTokenFile: 'f' }, /^idTokenFile: two kinds/],
    [{ oauthClientSecret: 's' }, /^oauthClientId: is missing; oauthClientSecret needs it/],
    [{ idTokenFile: 'f' }, /^oauthClientId: is missing; idTokenFile needs it/],
    [{ oauthClientId: 'i' }, /^oauthClientId: needs oauthClientSecret, or idTokenFile/],
    [{ apiKey: 'tskey-client-a-b' }, /^apiKey: is the secret of an OAuth client: set oauthClientId/],
    [{ apiKey: fileSecret('/run/secrets/key', () => 'tskey-auth-a-b') }, /^apiKey: is an auth key/],
    [
      { apiKey: fileSecret('/run/secrets/key', () => '"tskey-api-a-b"') },
      /^apiKey: is in quotation marks.*remove them/,
    ],
    [
      { oauthClientId: 'tskey-client-k1-x', oauthClientSecret: 'k1' },
      /^oauthClientId: holds the secret, and oauthClientSecret the id; exchange them/,
    ],
    [{ oauthClientId: 'tskey-api-a-b' }, /^oauthClientId: is a secret or a key.*copy the client id/],
    [
      { oauthClientId: 'k1', oauthClientSecret: 'tskey-api-a-b' },
      /^oauthClientSecret: is no secret of an OAuth client.*set apiKey alone/,
    ],
    [{ apiKey: 'tskey-api-\u043a\u043b' }, /^apiKey: has characters that no key contains; copy it again/],
    [{ apiKey: 7 }, /^apiKey: /],
    [{ apiToken: 'k' }, /apiToken/],
  ]
  for (const [input, message] of bad) {
    assert.match(faults(input).join('\n'), message)
    assert.equal(faults(input).length, 1)
  }
})

test('a secret given as text is read like one from a file', async () => {
  assert.equal(await tailscaleSchema.parse({ apiKey: 'tskey-api-x\n' }).apiKey?.read(), 'tskey-api-x')
})

test('plain http stays on this machine unless it is allowed', () => {
  const apiUrls: [string, boolean][] = [
    ['https://api.example.com', true],
    ['https://api.example.com:8443/tailscale/', true],
    ['http://localhost:1234', true],
    ['http://api.localhost', true],
    ['http://127.0.0.1', true],
    ['http://127.8.8.8:80', true],
    ['http://[::1]:80', true],
    ['http://api.example.com', false],
    ['http://127.0.0.1.example.com', false],
    ['http://localhost.example.com', false],
    ['http://10.0.0.1', false],
    ['http://0.0.0.0', false],
  ]
  for (const [apiUrl, isGood] of apiUrls) {
    assert.equal(faults({ apiUrl }).length === 0, isGood, apiUrl)
    assert.deepEqual(faults({ apiUrl, allowHttp: true }), [], apiUrl)
  }
  assert.match(faults({ apiUrl: 'http://api.example.com' })[0] ?? '', /^apiUrl: must begin with https/)
})

test('an API URL holds nothing but scheme, host and path', () => {
  const wrong = [
    '',
    'api.tailscale.com',
    'ftp://x',
    'file:///etc/passwd',
    'https://u:p@x',
    'https://tskey@x',
    'https://x/?a=b',
    'https://x/#y',
    'https://x?',
  ]
  for (const apiUrl of wrong) assert.equal(faults({ apiUrl }).length, 1, apiUrl)
  assert.equal(tailscaleSchema.parse({ apiUrl: 'https://x.example//' }).apiUrl, 'https://x.example')
})

test('a tailnet is a name', () => {
  for (const tailnet of ['-', 'T1234CNTRL', 'example.com', 'user@example.com', 'a/b', '...'])
    assert.deepEqual(faults({ tailnet }), [])
  for (const tailnet of ['', '.', '..', 'a\nb', 'a\u0000', '\ud800', 'x'.repeat(256)])
    assert.equal(faults({ tailnet }).length, 1, tailnet)
})

test('limits have bounds', () => {
  for (const [name, value] of [
    ['headTimeout', '0s'],
    ['idleTimeout', '2h'],
    ['totalTimeout', '90'],
    ['answerBytesMax', '1B'],
    ['messageBytesMax', '1TB'],
    ['depthMax', 1],
    ['oauthScope', 'a  b'],
  ] as const) {
    assert.equal(faults({ [name]: value }).length, 1, name)
  }
})
