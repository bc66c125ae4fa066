/** What the sample settings show, commented out: a set of rules to begin with, and whom to tell. Numbers are guesses; `tailflux alerts suggest` makes
 * better ones from what was seen. */

export const STARTER_RULES = `rules:
  # A node sends more than usual. Totals of a node are its own reports, so nothing counts twice.
  - name: node-egress
    by: node
    above: 20GB
    window: 1h
    severity: info
  # An exit node is busy for ten minutes: both directions, at 80 % of a 250 Mbps line.
  - name: exit-node-busy
    by: exitNode
    above: 200Mbps
    recoverBelow: 150Mbps
    window: 5m
    for: 10m
  # A subnet router is down: it sends no flow logs. Laptops sleep, so name only devices that never should.
  - name: router-silent
    silentFor: 30m
    where: { node: [router-*] }
    severity: critical
  # Much of a node's traffic goes through relays instead of directly.
  - name: relayed
    relayShareAbove: 20
    atLeast: 100MB
    window: 1h
    severity: info
  # Three times as much through an exit node as in the same hour a week ago.
  - name: unusual-exit
    by: exitNode
    ratioToPreviousAbove: 3
    previous: week
    atLeast: 1GB
    window: 1h
  # Two devices talk that have not talked for a month (after a month of learning).
  - name: new-pair
    newFor: 30d
    severity: info
  # A port scan of one device, or of many devices. Name servers that talk to all as exceptions.
  - name: port-scan
    distinctPortsAbove: 100
    window: 5m
  - name: host-scan
    distinctPeersAbove: 50
    window: 5m
    where: { node: ['!dns-*', '!monitor-*'] }
  # A device rejects many connections: a scan, or a wrong ACL.
  - name: rejections
    rejectedAbove: 200
    window: 15m
  # A line with a monthly allowance.
  - name: monthly-quota
    by: exitNode
    quotaAbove: 900GB
    per: month
`

export const STARTER_NOTIFY = `notify:
  - alertmanager: http://alertmanager:9093
  - webhook: https://example.com/hook
    tokenFile: /run/secrets/webhook-token
  - ntfy: https://ntfy.sh/my-secret-topic
`
