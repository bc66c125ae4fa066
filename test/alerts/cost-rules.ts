/** Two hundred rules as a large place may have them, in mixes of different cost. */

export const MIXES = ['nodes', 'mixed', 'pairs', 'scans'] as const
export type Mix = (typeof MIXES)[number]

const TEAMS = [
  'laptop-1*',
  'laptop-2*',
  'laptop-3*',
  'phone-*',
  'web-*',
  'db-*',
  'git-*',
  'files-*',
  'monitor-*',
  'backup-*',
]

/** Per team the same questions about other nodes: whatever needs no ends and ports. */
function byNode(team: string, index: number): object[] {
  return [
    ...['5m', '15m', '1h'].flatMap((window, i) => [
      { name: `egress-${index}-${i}`, above: '50GB', window, where: { node: team } },
      { name: `ingress-${index}-${i}`, above: '50GB', measure: 'rx_bytes', window, where: { node: team } },
      { name: `both-${index}-${i}`, above: '90GB', measure: 'bytes', window, where: { node: team } },
    ]),
    { name: `rate-${index}`, above: '5Gbps', window: '5m', for: '10m', where: { node: team } },
    { name: `packets-${index}`, above: 100_000_000, window: '5m', where: { node: team } },
    { name: `silent-${index}`, silentFor: '30m', within: '2h', where: { node: team } },
    { name: `relay-${index}`, relayShareAbove: 90, atLeast: '1GB', where: { node: team } },
    { name: `ratio-${index}`, ratioToPreviousAbove: 100, previous: 'hour', where: { node: team } },
    { name: `quota-${index}`, quotaAbove: '5TB', per: 'day', where: { node: team } },
    { name: `physical-${index}`, kind: 'physical', above: '90GB', window: '15m', where: { node: team } },
    { name: `subnet-${index}`, kind: 'subnet', above: '90GB', window: '15m', where: { node: team } },
    { name: `below-${index}`, below: '1B', window: '10m', within: '1h', where: { node: team } },
    { name: `exit-${index}`, kind: 'exit', above: '90GB', window: '15m', where: { node: team } },
    { name: `packets-in-${index}`, above: 100_000_000, measure: 'rx_pkts', window: '15m', where: { node: team } },
  ]
}

/** Each looks at every flow, in groups of its own. */
const FLOWS: object[] = [
  { name: 'exits', by: 'exitNode', above: '90GB', window: '15m' },
  { name: 'routers', by: 'subnetRouter', above: '90GB', window: '15m' },
  { name: 'pairs', by: 'pair', above: '90GB', window: '15m' },
  { name: 'ports', by: 'port', above: '900GB', window: '15m' },
  { name: 'owners', by: 'owner', above: '900GB', window: '15m' },
  { name: 'peers', distinctPeersAbove: 4000, window: '5m' },
  { name: 'scan', distinctPortsAbove: 1000, window: '5m' },
  { name: 'new', newFor: '7d' },
  { name: 'rejected', rejectedAbove: 100_000 },
  { name: 'total', by: 'total', above: '900TB', window: '15m' },
]

/** Per team a question about one port of its nodes. */
const ssh = (team: string, index: number): object => ({
  name: `ssh-${index}`,
  above: '90GB',
  window: '15m',
  where: { node: team, port: 22 },
  by: ['node'],
})

/** Two hundred thresholds and windows of pairs: some for all, some for what one team sends. */
function pairs(): object[] {
  const windows = ['5m', '15m', '30m', '1h']
  return TEAMS.flatMap((team, index) => [
    ...windows.flatMap((window, i) => [
      { name: `pair-${index}-${i}`, by: 'pair', above: `${index + 20}GB`, window },
      { name: `pair-rate-${index}-${i}`, by: 'pair', above: `${index + 2}Gbps`, window },
      { name: `pair-in-${index}-${i}`, by: 'pair', measure: 'rx_bytes', above: `${index + 20}GB`, window },
      { name: `pair-packets-${index}-${i}`, by: 'pair', above: 1_000_000_000 + index, window },
    ]),
    ...windows.map((window, i) => ({
      name: `sent-${index}-${i}`,
      by: 'pair',
      above: '90GB',
      window,
      where: { src: team },
    })),
  ])
}

/** Scans over peers and ports, for each team with another threshold. */
function scans(): object[] {
  const thresholds = [400, 600, 800, 1000, 1200]
  return TEAMS.flatMap((team, index) =>
    thresholds.flatMap((threshold, i) => [
      { name: `peers-${index}-${i}`, distinctPeersAbove: threshold * 4 + index, window: '5m' },
      { name: `ports-${index}-${i}`, distinctPortsAbove: threshold + index, window: '5m' },
      { name: `team-peers-${index}-${i}`, distinctPeersAbove: threshold, window: '5m', where: { node: team } },
      { name: `team-ports-${index}-${i}`, distinctPortsAbove: threshold, window: '5m', where: { src: team } },
    ]),
  )
}

export function costRules(mix: Mix): object[] {
  if (mix === 'nodes') return TEAMS.flatMap(byNode).slice(0, 200)
  if (mix === 'pairs') return pairs().slice(0, 200)
  if (mix === 'scans') return scans().slice(0, 200)
  return [...TEAMS.map(ssh), ...FLOWS, ...TEAMS.flatMap(byNode)].slice(0, 200)
}
