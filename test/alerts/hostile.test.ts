/** Names that try to break out of a label, a template, a page, a header or a command reach everybody as the text that they are. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { inTime } from '../helpers/eventually.ts'
import { missing } from '../services/servers.ts'
import { HOSTILE_NAMES } from '../simulator/hostile.ts'
import { createPresentWorld } from './present.ts'
import { startListeners } from './told-listeners.ts'
import { MIN, messageText, SEC } from './world.ts'

const NAMES: readonly string[] = [
  'alpha',
  '{{ $labels }}',
  '</b><script>alert(1)</script>',
  '"; DROP TABLE alerts; --{node}{value}$labels',
  '日本 \u202eevil 🦀 ünï',
  'Title: other\r\nPriority: 5\r\n\r\nX',
  '"}],"topic":"other","message":"',
  '{{ template "slack.default.title" . }}{{ .ExternalURL }}',
  ...HOSTILE_NAMES,
]

/** A device's name as a tag holds it: up to the first dot, without control characters and backslashes, at most 256 bytes of whole characters. */
function storedAs(name: string, otherwise: string): string {
  const [label = ''] = name.split('.')
  let stored = ''
  for (const character of label) {
    const isOdd = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\\]/.test(character)
    const next = stored + (isOdd ? '_' : /[\ud800-\udfff]/u.test(character) ? '\ufffd' : character)
    if (Buffer.byteLength(next) > 256) break
    stored = next
  }
  return stored === '' ? otherwise : stored
}

test('hostile names of devices, owners and rules are text for Alertmanager, webhook and ntfy', {
  skip: await missing('alertmanager'),
}, async (t) => {
  const listeners = await startListeners(t)
  listeners.use(systemClock)
  const nodes = NAMES.map((name, index) => ({
    id: `n${index}CNTRL`,
    rule: `loud-${index}`,
    stored: storedAs(name, `n${index}CNTRL`),
    // A title in the settings, and a label: whatever fits, and can be written in a file.
    title: name.slice(0, 180).toWellFormed() || 'none',
    owner: `${name.slice(0, 60).toWellFormed()}@example.com`,
  }))
  // The directory keeps names as tags hold them.
  const stored = new Map(nodes.map((node) => [node.id, node.stored]))
  const directory = { nameOf: (id: string) => stored.get(id), nodeOf: () => undefined }
  const settings = {
    rules: nodes.flatMap(({ id, rule, title }) => [
      { name: rule, title, above: '1MB', window: '2m', where: { node: id }, labels: { note: title } },
      {
        name: `${rule}-owner`,
        by: 'owner',
        above: '1MB',
        window: '2m',
        where: { node: id },
        summary: '<{owner}> {{owner}} {value}',
      },
    ]),
    notify: [
      { alertmanager: listeners.moved.url },
      { webhook: `${listeners.webhook.url}/hook` },
      { ntfy: `${listeners.ntfy.url}/${listeners.topic}` },
    ],
  }
  const { world, fromNs } = await createPresentWorld(settings, {
    names: directory,
    owners: new Map(nodes.map(({ id, owner }) => [id, owner])),
  })
  t.after(() => world.close())
  world.read(
    { fromNs, toNs: fromNs + 3n * MIN },
    nodes.map(({ id }, index) =>
      messageText({ node: id, name: NAMES[index]!, start: fromNs + MIN + 5n * SEC, tx: 5_000_000 }),
    ),
  )
  await world.judge()
  await inTime(
    'everybody to hear of every node',
    Promise.all([
      listeners.webhook.until((all) => all.length === 2 * nodes.length),
      listeners.ntfy.until((all) => all.length === 2 * nodes.length),
      listeners.behind.until((all) => all.length === 2 * nodes.length),
    ]),
  )

  const since = new Date(Number((fromNs + 2n * MIN) / 1_000_000n)).toISOString().slice(0, 16).replace('T', ' ')
  const hooked = listeners.webhook.received.flatMap(({ body }) => body.alerts)
  const behind = listeners.behind.received.flatMap(({ body }) => body.alerts)
  const phone = await listeners.ntfy.poll(listeners.topic)
  for (const { id, rule, stored, title, owner } of nodes) {
    const edges = `. Largest: ${stored} to 100.64.0.2 tcp 443 5 MB`
    const summary = `${stored} sent 5 MB in 2 min (limit 1 MB)${edges}`
    // A backslash before a comma does not come back from a tag, so that no edge is of this owner.
    const byOwner = `<${owner}> {${owner}} 5 MB${/\\[,= ]/.test(owner) ? '' : edges}`
    const labels = {
      alertname: rule,
      severity: 'warning',
      tailnet: 'default',
      node: id,
      node_name: stored,
      note: title,
    }
    const ownerLabels = { alertname: `${rule}-owner`, severity: 'warning', tailnet: 'default', owner }
    for (const [where, some] of [
      ['webhook', hooked],
      ['Alertmanager', await listeners.held(rule)],
      ['behind Alertmanager', behind],
    ] as const) {
      const one = some.find((other) => other.labels['alertname'] === rule)
      assert.deepEqual(
        [one?.labels, one?.annotations['summary'], one?.annotations['title']],
        [labels, summary, title],
        where,
      )
    }
    for (const some of [hooked, await listeners.held(`${rule}-owner`), behind]) {
      const one = some.find((other) => other.labels['alertname'] === `${rule}-owner`)
      assert.deepEqual([one?.labels, one?.annotations['summary']], [ownerLabels, byOwner])
    }
    assert.ok(
      phone.some((one) => one.title === `${title} (firing)` && one.message === `${summary} (since ${since} UTC)`),
      `ntfy: ${summary}`,
    )
    assert.ok(
      phone.some((one) => one.message === `${byOwner} (since ${since} UTC)`),
      `ntfy: ${byOwner}`,
    )
  }
  assert.equal(phone.length, 2 * nodes.length)

  // Whatever the names, every request has the same headers but for its length, the same path, and the same few fields.
  const shapes = listeners.ntfy.published.map(({ rawHeaders, path, message }) => {
    const headers = rawHeaders.map((text, index) =>
      rawHeaders[index - 1]?.toLowerCase() === 'content-length' ? 'n' : text,
    )
    const { topic, priority, tags } = message
    return JSON.stringify({ headers, path, topic, priority, tags, fields: Object.keys(message).toSorted() })
  })
  assert.equal(new Set(shapes).size, 1, [...new Set(shapes)].join('\n'))
  const { headers } = JSON.parse(shapes[0] ?? '') as { headers: string[] }
  const names = headers.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase())
  for (const name of ['title', 'message', 'priority', 'tags', 'click', 'actions', 'attach', 'email', 'delay'])
    for (const one of [name, `x-${name}`]) assert.ok(!names.includes(one), `${one} is a header`)
  t.diagnostic(`${nodes.length} names, as node, owner, title and label`)
})
