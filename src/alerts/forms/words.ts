/** Parts of sentences about a rule's traffic. */
import { formatDuration } from '../../base/units.ts'
import { isBytes } from '../amount.ts'
import { isBothWays, type Scope } from '../rules/scope.ts'

type Traffic = Pick<Scope, 'by' | 'measure' | 'where'>

/** `10 min`, `24 h`, `7 d`. */
export function lengthText(ms: number): string {
  if (ms === 86_400_000) return '24 h'
  return formatDuration(ms)
    .replace(/m$/, 'min')
    .replace(/(?<=\d)(?=[a-z])/, ' ')
}

/** What tells the groups apart beside who it is. */
function detailsOf({ by }: Pick<Scope, 'by'>): string {
  return [
    ...(by.includes('port') ? [' on port {port}'] : []),
    ...(by.includes('proto') ? [' over {proto}'] : []),
    ...(by.includes('kind') ? [' of {kind} traffic'] : []),
  ].join('')
}

/** Who did what, and what else tells the groups apart. */
export function partsOf(traffic: Traffic) {
  const { by, measure, where } = traffic
  const isRejecting = where.proto?.length === 1 && where.proto[0] === 'tsmp' && !isBytes(measure)
  const rejected = isRejecting ? ' that reject connections' : ''
  const details = detailsOf(traffic)
  const isPair = by.includes('src') && by.includes('dst')
  const actor = by.includes('node') ? '{node}' : by.includes('owner') ? '{owner}' : undefined
  if (isPair && isBothWays(traffic)) {
    return { who: '{src} and {dst}', details, what: (value: string) => `exchanged ${value}${rejected}` }
  }
  const to = by.includes('dst') ? ' to {dst}' : ''
  const from = by.includes('src') ? ' from {src}' : ''
  // Whatever the measure, a source is who sent, and a destination is who received.
  const one = from !== '' ? '{src}' : to !== '' ? '{dst}' : by.includes('network') ? '{network}' : 'the tailnet'
  const network = by.includes('network') ? (measure.startsWith('rx_') ? ' from {network}' : ' to {network}') : ''
  const ends = actor === undefined ? '' : from + to + network
  const both = measure === 'bytes' || measure === 'pkts'
  // What was sent to a destination or a network, that it received.
  const isFarEnd = actor === undefined && from === '' && (to !== '' || by.includes('network'))
  const isReceived = measure.startsWith('rx_') !== isFarEnd
  const verb = both ? 'sent and received' : isReceived ? 'received' : 'sent'
  return { who: actor ?? one, details, what: (value: string) => `${verb} ${value}${rejected}${ends}` }
}

/** Every row of a node counts, not only traffic with one endpoint or of one port. */
export function isAboutNodes({ by, where }: Pick<Scope, 'by' | 'where'>): boolean {
  return (
    by.includes('node') &&
    by.every((dim) => dim === 'node' || dim === 'owner') &&
    !(where.src || where.dst || where.port || where.proto || where.network)
  )
}

/** `limit`: below which limit it is. */
export function backText(limit: string, over = 'in'): string {
  return `{group} is back ${limit} (was {value} ${over} {window}, limit {threshold})`
}
