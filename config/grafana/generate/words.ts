/** Sentences that descriptions share, links that panels share, and colours. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Grafana's own placeholders.

export const SENT_ONCE =
  'Bytes sent, each reported by its sender. Both endpoints of a connection report it, so what they received is not added: every byte is counted once.'
export const ONE_KIND = 'One kind only; kinds are never added up.'
export const REPORTER_VIEW = "The reporting device's own view: sent is what it sent, received is what it received."
export const BEFORE = 'The previous period is as long as the one shown and ends where it begins.'
export const P95 = '95th percentile of five-minute means, the way transit is billed.'
export const PHYSICAL =
  'Kind physical: the same traffic again, encrypted, on the real network. It is a different measure and is never added to the other kinds.'
export const RELAYED =
  'Relayed: through a DERP server. Direct includes peer relays, which flow logs do not distinguish.'

/** Every variable that other dashboards know, and the time range. */
const CARRY = '${ds:queryparam}&${nodes_ds:queryparam}&${tailnet:queryparam}&${__url_time_range}'
const value = '${__value.raw:percentencode}'
const field = (name: string) => `\${__data.fields.${name}:percentencode}`

export const toNode = { title: 'Open this node', url: `/d/tailflux-node?var-node=${value}&${CARRY}` }
/** For a column that is not a name itself. */
export const toNodeOf = (name: string) => ({
  title: 'Open this node',
  url: `/d/tailflux-node?var-node=${field(name)}&${CARRY}`,
})
export const toPair = {
  title: 'Throughput of this pair',
  url: `/d/tailflux-talkers?var-src=${field('src_name')}&var-dst=${field('dst_name')}&\${kind:queryparam}&${CARRY}`,
}
export const toTalkersOf = (name: string) => ({
  title: 'Whom it talks to',
  url: `/d/tailflux-talkers?var-node=${field(name)}&\${kind:queryparam}&${CARRY}`,
})

export const KIND_COLORS = { virtual: 'blue', subnet: 'green', exit: 'orange', physical: 'purple' } as const
export const PATH_COLORS = { Direct: 'green', Relayed: 'orange' } as const
