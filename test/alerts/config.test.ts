/** Settings of alerts: amounts, patterns, rules; all faults at once, each with the rule's name. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import { formatAmount, parseAmount, totalOf } from '../../src/alerts/amount.ts'
import { alertsFaults, alertsSchema } from '../../src/alerts/config.ts'
import { createMatcher, patternsSchema, toInfluxQL } from '../../src/alerts/patterns.ts'
import { periodStart } from '../../src/alerts/rules/rule.ts'
import { STARTER_NOTIFY, STARTER_RULES } from '../../src/alerts/rules/starter.ts'
import { T0 } from './world.ts'

test('amounts: volumes, rates and packets', () => {
  const minutes = 60_000
  const cases: [string | number, number | undefined][] = [
    ['10GB', 10e9],
    ['1 KiB', 1024],
    ['200Mbps', (200e6 / 8) * 60],
    ['25MB/s', 25e6 * 60],
    [5000, 5000],
    ['5000', 5000],
    ['2kpps', 2000 * 60],
    ['10', 10],
    ['', undefined],
    ['10 apples', undefined],
    ['-1GB', undefined],
    ['GB', undefined],
  ]
  for (const [text, total] of cases) {
    const amount = parseAmount(text)
    assert.equal(amount && totalOf(amount, minutes), total, String(text))
  }
  assert.equal(formatAmount(12.44e9, 'bytes'), '12.4 GB')
  assert.equal(formatAmount(25e6 * 60, 'bytes', 60_000), '200 Mbps')
  assert.equal(formatAmount(5200, 'pkts'), '5,200 packets')
  assert.equal(formatAmount(0, 'bytes'), '0 B')
})

test('patterns mean the same here and in InfluxQL', () => {
  const patterns = patternsSchema.parse(['exit-*', 'a.b?', '!exit-9'])
  const matches = createMatcher(patterns)
  for (const [name, wanted] of [
    ['exit-1', true],
    ['exit-9', false],
    ['a.bc', true],
    ['axbc', false],
    ['a.b', false],
    ['xexit-1', false],
  ] as const)
    assert.equal(matches(name), wanted, name)
  assert.deepEqual(toInfluxQL(patterns, ['node_name', 'node']), [
    '("node_name" =~ /^(?:exit-.*|a\\.b.)$/ OR "node" =~ /^(?:exit-.*|a\\.b.)$/)',
    '"node_name" !~ /^(?:exit-9)$/',
    '"node" !~ /^(?:exit-9)$/',
  ])
  assert.ok(createMatcher(patternsSchema.parse('!a'))('b'))
  // What would break out of a regular expression is only text.
  assert.deepEqual(toInfluxQL(patternsSchema.parse("a/ OR 1=1 -- '$(x)["), ['n']), [
    '"n" =~ /^(?:a\\/ OR 1=1 -- \'\\$\\(x\\)\\[)$/',
  ])
  for (const bad of ['', '!', 'a*b*c*d*e*f']) assert.equal(patternsSchema.safeParse(bad).success, false, bad)
})

test('all faults of all rules at once, with the name of each', () => {
  const parsed = alertsSchema.safeParse({
    rules: [
      { name: 'x', above: '5', by: 'pair', colour: 1, windows: '1h', where: { node: '!', nodes: 'a' } },
      { name: 'y' },
      7,
      { name: 'z', above: '1GB', below: '2GB' },
      { name: 'z', silentFor: '30m', within: '20m', window: '3m' },
      { name: 'w', above: '1GB', window: '25h1m', summary: 'a {foo}', labels: { 'a-b': 'x', severity: 'q' } },
      { name: 'v', above: '1GB', by: 'owner', measure: 'bytes' },
      { name: 'u', above: '1GB', kind: ['virtual', 'exit'] },
      { name: 't', above: '1GB', measure: 'tx_pkts' },
      { name: 's', above: '1GB', recoverBelow: '2GB' },
      { name: 'r', quotaAbove: '1GB' },
      { name: 'q', newFor: '7d', for: '5m' },
      { name: 'Bad Name', above: '1GB' },
    ],
    notify: [
      { webhook: 'ftp://x' },
      { ntfy: 'https://ntfy.sh/' },
      {},
      { webhook: 'http://x', tokenFile: '/nowhere/token' },
    ],
  })
  const told = (parsed.error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`)
  const wanted = [
    /^rules\.0\.colour: rule x: is no key of a rule; there are name, .*, per$/,
    /^rules\.0\.windows: rule x: is no key of a rule; did you mean window\?$/,
    /^rules\.0\.where\.nodes: rule x: is no key of where; did you mean node\?$/,
    /^rules\.0\.where\.node: rule x: must name something/,
    /^rules\.0\.above: rule x|^rules\.0\.where/,
    /^rules\.1\.name: rule y: a rule has exactly one of above, below/,
    /^rules\.2: rule 3: must be a list of keys/,
    /^rules\.3\.above: rule z: .*not above and below/,
    /^rules\.4\.window: rule z: has no meaning/,
    /^rules\.4\.within: rule z: must be longer than 30m/,
    /^rules\.4\.name: rule z: has the name of rule 4/,
    /^rules\.5\.labels\.a-b: rule w/,
    /^rules\.5\.labels\.severity: rule w: is a label that every alert has/,
    /^rules\.5\.window: rule w: cannot be divided/,
    /^rules\.5\.summary: rule w: has \{foo\}/,
    /^rules\.6\.measure: rule v: bytes would count traffic between two nodes twice/,
    /^rules\.7\.kind: rule u: must be one/,
    /^rules\.8\.above: rule t: must be a number of packets/,
    /^rules\.9\.recoverBelow: rule s: must be at most the threshold/,
    /^rules\.10\.per: rule r: is needed/,
    /^rules\.11\.for: rule q: has no meaning/,
    /^rules\.12\.name: rule Bad Name: must have 1 to 64/,
    /^notify\.0\.webhook: must be a URL/,
    /^notify\.1\.ntfy: must end with a topic/,
    /^notify\.2: must have exactly one of .* Slack.* a webhook with a body/,
    /^notify\.3\.tokenFile: The secret in the file \/nowhere\/token cannot be read/,
  ]
  // Faults of rules and of notifiers come in two parts when the first is structural; together they are all there.
  for (const one of wanted)
    assert.ok(
      told.some((text) => one.test(text)),
      `${one}\n${told.join('\n')}`,
    )
})

test('the starter set is good, and off', () => {
  const config = alertsSchema.parse({ ...parse(STARTER_RULES), rules: parse(STARTER_RULES).rules })
  assert.equal(config.rules.length, 10)
  assert.deepEqual(alertsFaults(config, { ports: 'service' }), [])
  assert.match(
    alertsFaults(config, { ports: 'none' })
      .map(({ text }) => text)
      .join(),
    /rule port-scan: needs ports/,
  )
  assert.equal(parse(STARTER_NOTIFY).notify.length, 3)
  assert.deepEqual(alertsSchema.parse({}).rules, [])
})

test('days and months begin at midnight UTC, and a step at midnight belongs to what ends', () => {
  const iso = (ns: bigint) => new Date(Number(ns / 1_000_000n)).toISOString()
  assert.equal(iso(periodStart(T0, 'day')), '2026-11-02T00:00:00.000Z')
  assert.equal(iso(periodStart(T0, 'month')), '2026-11-01T00:00:00.000Z')
  const midnight = BigInt(Date.parse('2026-12-01T00:00:00Z')) * 1_000_000n
  assert.equal(iso(periodStart(midnight, 'day')), '2026-11-30T00:00:00.000Z')
  assert.equal(iso(periodStart(midnight, 'month')), '2026-11-01T00:00:00.000Z')
})
