/** Bodies of webhooks from the settings: the samples of the docs on a real HTTP server, with whatever devices call themselves; and their faults. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { alertsFaults, alertsSchema } from '../../src/alerts/config.ts'
import type { Notification } from '../../src/alerts/notify/notifier.ts'
import { createNotifiers } from '../../src/alerts/notify/notifiers.ts'
import { systemClock } from '../../src/base/clock.ts'
import { createSecretRegistry } from '../../src/secrets/redactor.ts'
import { temporaryFolder } from '../helpers/temporary-folder.ts'
import { type Receiver, startReceiver } from './receiver.ts'

const HOSTILE = '</b>"; {value} <!channel> \\ @everyone [x](http://evil)\n日本 🦀'
const PAGE = 'https://tailflux.example/'
const DEPS = {
  clock: systemClock,
  random: () => 0,
  onAttempt: () => undefined,
  pageUrl: PAGE,
  secrets: createSecretRegistry(),
}

function alert(node: string, status: 'firing' | 'resolved' = 'firing'): Notification {
  const value = `${node.length} MB`
  return {
    fingerprint: node,
    status,
    labels: { alertname: 'loud', severity: 'critical', tailnet: 'default', node, node_name: node },
    title: 'Too loud',
    summary: `${node} sent ${value} in 2 min (limit 1 MB)`,
    edges: `${node} to db-1 tcp 5432 4 MB`,
    annotations: { value, threshold: '1 MB', window: '2 min' },
    startsNs: BigInt(Date.parse('2026-11-02T12:00:00Z')) * 1_000_000n,
    endsNs: status === 'firing' ? 0n : BigInt(Date.parse('2026-11-02T12:04:00Z')) * 1_000_000n,
  }
}

/** Sends as a service with this entry of `alerts.notify` does. */
async function send(receiver: Receiver, given: object, alerts: readonly Notification[], path = '/hook'): Promise<void> {
  const { notify } = alertsSchema.parse({ notify: [{ ...given, webhook: `${receiver.url}${path}` }] })
  const [notifier] = createNotifiers(notify, DEPS)
  for (const portion of notifier?.portions(alerts) ?? []) await notifier?.send(portion, AbortSignal.timeout(5_000))
}

const docs = readFileSync(new URL('../../docs/alerts.md', import.meta.url), 'utf8')
const samples = [...docs.matchAll(/\*\*(Slack|Discord|Microsoft Teams)\*\*[\s\S]*?```yaml\n([\s\S]*?)```/g)].map(
  ([, name = '', text = '']) => ({ name, entry: parse(text).notify[0] }),
)

test('the samples of the docs are taken as they stand, and say what a device calls itself as text', async (t) => {
  assert.deepEqual(
    samples.map(({ name }) => name),
    ['Slack', 'Discord', 'Microsoft Teams'],
  )
  for (const { name, entry } of samples) {
    await t.test(name, async () => {
      const config = alertsSchema.parse({ notify: [entry], url: PAGE })
      assert.deepEqual(alertsFaults(config, { ports: 'service' }), [])
      assert.ok(!JSON.stringify(config.notify).includes('XXXX'), 'the address is a secret')
      await using receiver = await startReceiver()
      await send(receiver, entry, [alert(HOSTILE)])
      await send(receiver, entry, [alert('a', 'resolved')])
      const [one, other] = receiver.received
      assert.equal(one?.headers['content-type'], 'application/json')
      // The same keys, and what was put in is text within them.
      const shape = (value: unknown): unknown =>
        typeof value === 'object' && value !== null
          ? Object.entries(value).map(([key, inner]) => [key, shape(inner)])
          : typeof value
      assert.deepEqual(shape(one?.body), shape(entry.body))
      const text = JSON.stringify(one?.body)
      for (const wanted of [
        'Too loud (firing)',
        `${HOSTILE} sent ${HOSTILE.length} MB in 2 min`,
        `Largest: ${HOSTILE} to db-1`,
      ])
        assert.ok(text.includes(JSON.stringify(wanted).slice(1, -1)), `${wanted}\n${text}`)
      assert.ok(text.includes(`${PAGE}#alerts`) && text.includes('critical, since 2026-11-02 12:00 UTC'), text)
      assert.ok(JSON.stringify(other?.body).includes('Too loud (resolved)'))
    })
  }
})

test('a body may be JSON as text, or plain text; an address may have a query', async () => {
  await using receiver = await startReceiver()
  await send(
    receiver,
    { body: '{"t": "{title}", "n": {"{labels.node}": ["{value}"]}}' },
    [alert('a"b')],
    '/h?sig=x&y=%2F',
  )
  await send(receiver, { body: '[tailflux] {severity}: {summary}; {labels.nothing}{ended}{count}' }, [alert('a"b')])
  const [one, other] = receiver.received
  assert.deepEqual([one?.path, one?.body], ['/h?sig=x&y=%2F', { t: 'Too loud', n: { 'a"b': ['3 MB'] } }])
  assert.equal(other?.headers['content-type'], 'text/plain; charset=utf-8')
  assert.equal(other?.body, '[tailflux] critical: a"b sent 3 MB in 2 min (limit 1 MB); 1')
})

test('one request per change, one for more than three; values differ in it and are bounded', async () => {
  await using receiver = await startReceiver()
  const body = { text: '{count} {state} {summary}', edges: '{edges}', nodes: '{labels.node}', ended: '{ended}' }
  await send(receiver, { body }, [alert('a'), alert('b', 'resolved'), alert('c')])
  assert.deepEqual(
    receiver.received.map(({ body }) => [body.nodes, body.text.split(' ')[1], body.ended]),
    [
      ['a', 'firing', ''],
      ['b', 'resolved', '2026-11-02 12:04 UTC'],
      ['c', 'firing', ''],
    ],
  )
  await send(
    receiver,
    { body },
    [...Array(12)].map((_, i) => alert(`n${i}`)),
  )
  const { text, nodes, edges } = receiver.received.at(-1)?.body ?? {}
  assert.match(text, /^12 firing firing: n0 sent[\s\S]*\nand 2 more$/)
  assert.match(nodes, /^n0, n1, [\s\S]*, and 2 more$/)
  assert.match(edges, /^Largest: n0 to db-1 tcp 5432 4 MB, n1 to/)
  await send(receiver, { body }, [alert('🦀'.repeat(5_000))])
  assert.ok(Buffer.byteLength(receiver.received.at(-1)?.body.nodes) <= 1_800)
  assert.equal(receiver.received.length, 5)
})

test('faults of a body, an address and a token come at the start, with the fix', () => {
  const webhook = 'https://example.com/hook'
  const cases: [object, RegExp][] = [
    [
      { webhook, body: '{"text": "{sumary}"}' },
      /notify\.0\.body: has \{sumary\}, but there are only \{title\} \{summary\}.*\{labels\.NAME\}/,
    ],
    [
      { webhook, body: '{"text": {summary}}' },
      /notify\.0\.body: is no JSON \(.*\); check commas and quotes, and put each placeholder into double quotes/,
    ],
    [{ webhook, body: '{"text": "a",}' }, /notify\.0\.body: is no JSON/],
    [
      { webhook, body: { text: { summary: null } } },
      /notify\.0\.body: has \{summary\} without quotes; write '\{summary\}'/,
    ],
    [{ webhook, body: 7 }, /notify\.0\.body: must be a text, or keys and values/],
    [
      { ntfy: 'https://ntfy.sh/topic', body: 'x' },
      /notify\.0\.body: has no meaning for ntfy: only a webhook has a body/,
    ],
    [
      { webhook: 'https://a:b@example.com/' },
      /notify\.0\.webhook: must be a URL such as .*without user, password and fragment/,
    ],
    [
      { alertmanager: 'https://example.com/?a=b' },
      /notify\.0\.alertmanager: must be a URL .*without user, password, query/,
    ],
    [
      { webhook, token: 'schlüssel' },
      /notify\.0\.token: must be ASCII: a token is sent in an HTTP header.*copy it again/,
    ],
  ]
  for (const [entry, wanted] of cases) {
    const { error } = alertsSchema.safeParse({ notify: [entry] })
    assert.match((error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n'), wanted)
  }
  const config = alertsSchema.parse({ notify: [{ webhook, body: { text: '{url}' } }] })
  assert.deepEqual(alertsFaults(config, { ports: 'service' }), [
    { path: ['notify', 0, 'body'], text: 'has {url}, and alerts.url is not set: set it to the status page' },
  ])
})

test('a token whose file holds other characters later is reported, and sent nowhere', async (t) => {
  await using receiver = await startReceiver()
  const tokenFile = join(temporaryFolder(t), 'token')
  writeFileSync(tokenFile, 'good')
  const { notify } = alertsSchema.parse({ notify: [{ webhook: receiver.url, tokenFile }] })
  const [notifier] = createNotifiers(notify, DEPS)
  writeFileSync(tokenFile, 'schlüssel')
  await assert.rejects(
    async () => await notifier?.send([alert('a')], AbortSignal.timeout(5_000)),
    /^CollectorError: The token in the file .*token must be ASCII.*copy it again\.$/,
  )
  assert.equal(receiver.received.length, 0)
})

test('a contact point of Grafana is for a webhook without a body: Grafana sends JSON of its own', () => {
  const chat = { webhook: 'https://chat.example/hook', body: 'x' }
  const grafana = { receiver: 'net', contactPoint: true }
  const faults = alertsFaults(alertsSchema.parse({ notify: [chat], grafana }), { ports: 'service' })
  assert.match(faults.map(({ text }) => text).join(), /a webhook without body in alerts\.notify/)
  const config = alertsSchema.parse({ notify: [chat, { webhook: 'https://example.com/hook' }], grafana })
  assert.deepEqual(alertsFaults(config, { ports: 'service' }), [])
})
