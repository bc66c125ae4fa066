/** Sentences that descriptions share, links that panels share, and colours. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Grafana's own placeholders.
import { derpCity } from '../../../src/directory/derp-regions.ts'

/** Of rows of nodes. */
export const SENT_ONCE =
  'Bytes sent, by the report of the device that sent them: every byte is counted once. What devices that do not report sent is missing; the health dashboard shows how many there are.'
/** Of edges. */
export const EDGE_ONCE =
  'Both endpoints report a connection; here it is one row in which every byte is counted once: what a device sent by its own report, or by that of the receiver if the device does not report.'
/** Of tables of all edges. */
export const WHOLE_STEPS =
  'Over more than half a day in whole hours, over more than a week in whole days (UTC), so without the part of an hour or day in which the range begins.'
export const EDGE_WAYS = '"To" is the side that serves the port.'
export const CARRIED =
  'By the report of the device that carries the traffic: sent is what it sent to the clients (their download), received what it got from them (their upload). The clients report the same bytes once more, which is not added: every byte is counted once.'
export const ONE_KIND = 'One kind only; kinds are never added up.'
export const REPORTER_VIEW = "The reporting device's own view: sent is what it sent, received is what it received."
export const BEFORE = 'The previous period is as long as the one shown and ends where it begins.'
export const P95 =
  '95th percentile of means over $mean: five minutes, the way transit is billed, or a step of a longer tier.'
export const PHYSICAL =
  'Kind physical: the same traffic again, encrypted, on the real network. It is a different measure and is never added to the other kinds.'
export const RELAYED =
  'Relayed: through a DERP server. Direct includes peer relays, which flow logs do not distinguish.'
export const NO_TRAFFIC = 'No bytes are counted here.'

/** Every variable that other dashboards know, and the time range. */
const CARRY = '${ds:queryparam}&${tailnet:queryparam}&${__url_time_range}'
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
export const toOwner = (kind = '${kind:queryparam}') => ({
  title: 'Whom the devices of this owner talk to',
  url: `/d/tailflux-talkers?var-owner=${value}&${kind}&${CARRY}`,
})

/** The cities of Tailscale's own relays, by path. */
export const DERP_REGIONS: Readonly<Record<string, string>> = Object.fromEntries(
  Array.from({ length: 100 }, (_, region) => `derp-${region}`).flatMap((path) => {
    const city = derpCity(path)
    return city === undefined ? [] : [[path, `${path} ${city}`]]
  }),
)

export const KIND_COLORS = { virtual: 'blue', subnet: 'green', exit: 'orange', physical: 'purple' } as const
export const PATH_COLORS = { Direct: 'green', Relayed: 'orange' } as const
