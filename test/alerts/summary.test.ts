/** What people read about an alert of each form: while it fires, and when it is over. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alertsSchema } from '../../src/alerts/config.ts'
import { FORM_NAMES } from '../../src/alerts/rules/rule-keys.ts'
import { renderSummary } from '../../src/alerts/summary.ts'
import { MINUTE } from '../../src/base/clock.ts'

const NODE = { node: 'n1CNTRL', node_name: 'exit-1' }
const PAIR = { src: 'laptop-anna', dst: 'files' }
const FIRED = 1_000n * MINUTE

const CASES: readonly [rule: object, group: object, value: number, firing: string, resolved: string][] = [
  [
    { above: '20GB', window: '1h' },
    NODE,
    21.44e9,
    'exit-1 sent 21.4 GB in 1 h (limit 20 GB)',
    'exit-1 is back below the limit (was 21.4 GB in 1 h, limit 20 GB)',
  ],
  [
    { by: 'exitNode', above: '200Mbps', window: '5m' },
    NODE,
    (312e6 / 8) * 300,
    'exit-1 sent and received 312 Mbps over 5 min (limit 200 Mbps)',
    'exit-1 is back below the limit (was 312 Mbps over 5 min, limit 200 Mbps)',
  ],
  [
    { by: 'pair', above: '1GB' },
    PAIR,
    2e9,
    'laptop-anna and files exchanged 2 GB in 15 min (limit 1 GB)',
    'laptop-anna to files is back below the limit (was 2 GB in 15 min, limit 1 GB)',
  ],
  [
    { by: ['dst', 'port'], above: '1GB' },
    { dst: 'files', port: '443' },
    2e9,
    'files received 2 GB on port 443 in 15 min (limit 1 GB)',
    'to files port 443 is back below the limit (was 2 GB in 15 min, limit 1 GB)',
  ],
  [
    { by: 'owner', above: 5000, measure: 'rx_pkts' },
    { owner: 'anna@example.com' },
    5200,
    'anna@example.com received 5,200 packets in 15 min (limit 5,000 packets)',
    'anna@example.com is back below the limit (was 5,200 packets in 15 min, limit 5,000 packets)',
  ],
  [
    { by: ['node', 'dst'], above: '1GB' },
    { ...NODE, dst: 'files' },
    2e9,
    'exit-1 sent 2 GB to files in 15 min (limit 1 GB)',
    'exit-1 to files is back below the limit (was 2 GB in 15 min, limit 1 GB)',
  ],
  [
    { by: 'network', kind: 'subnet', above: '1GB' },
    { network: 'office' },
    2e9,
    'office received 2 GB in 15 min (limit 1 GB)',
    'office is back below the limit (was 2 GB in 15 min, limit 1 GB)',
  ],
  [
    { by: ['node', 'network'], kind: 'subnet', measure: 'rx_bytes', above: '1GB' },
    { ...NODE, network: 'office' },
    2e9,
    'exit-1 received 2 GB from office in 15 min (limit 1 GB)',
    'exit-1 office is back below the limit (was 2 GB in 15 min, limit 1 GB)',
  ],
  [
    { by: 'total', above: '1TB' },
    {},
    1.5e12,
    'the tailnet sent 1.5 TB in 15 min (limit 1 TB)',
    'the tailnet is back below the limit (was 1.5 TB in 15 min, limit 1 TB)',
  ],
  [
    { below: '10GB', window: '24h' },
    NODE,
    1.2e9,
    'exit-1 sent only 1.2 GB in 24 h (minimum 10 GB)',
    'exit-1 is back above the minimum (was 1.2 GB in 24 h, minimum 10 GB)',
  ],
  [
    { silentFor: '10m' },
    NODE,
    0,
    'exit-1 has sent no flow logs for 10 min',
    'exit-1 is reporting again (was silent 15 min)',
  ],
  // A router with nothing to route sends flow logs.
  [
    { by: 'subnetRouter', silentFor: '10m' },
    NODE,
    0,
    'exit-1 has routed no traffic for 10 min',
    'exit-1 routes traffic again (there was none for 15 min)',
  ],
  [
    { kind: 'virtual', silentFor: '10m' },
    NODE,
    0,
    'exit-1: no matching traffic for 10 min',
    'exit-1: matching traffic again (there was none for 15 min)',
  ],
  [
    { silentFor: '10m', kind: 'virtual', where: { port: 22 } },
    NODE,
    0,
    'exit-1: no matching traffic for 10 min',
    'exit-1: matching traffic again (there was none for 15 min)',
  ],
  [
    { relayShareAbove: 20 },
    NODE,
    35.25,
    'exit-1 sent 35.3 % of its traffic through relays (DERP) in 1 h (limit 20 %)',
    'exit-1 is back below the limit of relayed traffic (was 35.3 % in 1 h, limit 20 %)',
  ],
  [
    { by: 'exitNode', ratioToPreviousAbove: 3, previous: 'week' },
    NODE,
    4.2,
    'exit-1 sent and received 4.2 times as much in 1 h as a week earlier (limit 3 times)',
    'exit-1 is back below the limit (was 4.2 times as much in 1 h, limit 3 times)',
  ],
  [
    { newFor: '30d' },
    PAIR,
    0,
    'laptop-anna and files exchanged traffic for the first time in 30 d',
    'laptop-anna to files is no longer new',
  ],
  [{ newFor: '30d', by: 'node' }, NODE, 0, 'exit-1 was seen for the first time in 30 d', 'exit-1 is no longer new'],
  [
    { distinctPortsAbove: 100 },
    PAIR,
    121,
    'laptop-anna contacted 121 ports on files in 5 min (limit 100)',
    'laptop-anna to files is back below the limit (was 121 ports in 5 min, limit 100)',
  ],
  [
    { distinctPeersAbove: 50 },
    NODE,
    51,
    'exit-1 contacted 51 peers in 5 min (limit 50)',
    'exit-1 is back below the limit (was 51 peers in 5 min, limit 50)',
  ],
  [
    { rejectedAbove: 200 },
    NODE,
    1210,
    'exit-1 sent 1,210 packets that reject connections in 15 min (limit 200 packets)',
    'exit-1 is back below the limit (was 1,210 packets in 15 min, limit 200 packets)',
  ],
  [
    { by: 'exitNode', quotaAbove: '900GB', per: 'month' },
    NODE,
    912e9,
    'exit-1 sent and received 912 GB since the month began (limit 900 GB)',
    'exit-1: a new month began (was 912 GB, limit 900 GB)',
  ],
]

function ruleOf(given: object) {
  const [one] = alertsSchema.parse({ rules: [{ name: 'r', ...given }] }).rules
  assert.ok(one)
  return one.rule
}

test('each form has its own sentence while it fires, and another one when it is over', () => {
  const over = { firedNs: FIRED, resolvedNs: FIRED + 5n * MINUTE }
  for (const [given, group, value, firing, resolved] of CASES) {
    const rule = ruleOf(given)
    assert.equal(renderSummary(rule, { tailnet: 'default', group, value }), firing)
    assert.equal(renderSummary(rule, { tailnet: 'default', group, value, over }), resolved)
  }
  const forms = FORM_NAMES.filter((name) => CASES.some(([given]) => name in given))
  assert.deepEqual(forms, FORM_NAMES)
})

test('an alert that late records disprove says so, and is not over', () => {
  const over = { firedNs: 0n, resolvedNs: 0n }
  assert.equal(
    renderSummary(ruleOf({ above: '20GB' }), { tailnet: 'default', group: NODE, value: 21e9, over }),
    'exit-1: alert retracted, because records that arrived late disprove it (limit 20 GB)',
  )
})

test("a rule's own summary is used for both, and placeholders mean what they say", () => {
  const rule = ruleOf({
    above: '20GB',
    window: '1h',
    summary: '{node} ({node_id}): {value} of {threshold} in {window}',
  })
  const text = 'exit-1 (n1CNTRL): 21 GB of 20 GB in 1 h'
  for (const over of [undefined, { firedNs: FIRED, resolvedNs: FIRED }, { firedNs: 0n, resolvedNs: 0n }])
    assert.equal(renderSummary(rule, { tailnet: 'default', group: NODE, value: 21e9, over }), text)
})

test('what a rule has by default has no placeholder that it does not know', () => {
  for (const [given, group, value] of CASES) {
    const rule = ruleOf(given)
    assert.deepEqual(rule.summaries, rule.form.summaries)
    for (const over of [undefined, { firedNs: FIRED, resolvedNs: FIRED }, { firedNs: 0n, resolvedNs: 0n }])
      assert.doesNotMatch(renderSummary(rule, { tailnet: 'default', group, value, over }), /[{}]|undefined|NaN/)
  }
})
