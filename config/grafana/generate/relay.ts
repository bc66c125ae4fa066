/** How much goes through relays: panels that the overview, the paths and a device's own page share. Kind physical only, from rows of nodes. */

import { type Panel, type SeriesOptions, series, stat } from './panels.ts'
import { bitsPerSecond, bothPeriods, type Column, type From, overTime, select, share } from './query.ts'
import { BEFORE, PATH_COLORS } from './words.ts'

export const relayedShare = share('derp_tx_bytes', 'tx_bytes', 'share')
/** What went directly: the rest. */
export const direct = (per: string): Column => [`(sum("tx_bytes") - sum("derp_tx_bytes")) * ${per}`, 'direct']

export function relayShare(id: number, description: string, physical: From): Panel {
  return stat({
    id,
    title: 'Relay share',
    description: `${description} ${BEFORE}`,
    unit: 'percent',
    decimals: 1,
    color: 'orange',
    queries: bothPeriods((of) => select(relayedShare, of), physical),
  })
}

export function relayShareOverTime(id: number, title: string, description: string, physical: From): Panel {
  return series({
    id,
    title,
    description,
    unit: 'percent',
    max: 100,
    queries: [['relayed', overTime(relayedShare, physical, 'none')]],
    colors: { relayed: 'orange' },
  })
}

export function directAndRelayed(id: number, description: string, physical: From): SeriesOptions {
  return {
    id,
    title: 'Direct and relayed',
    description: `${description} Both parts are of the same kind, so they may be stacked.`,
    unit: 'bps',
    stacked: true,
    queries: [
      ['Direct', overTime(direct('8000.0 / $__interval_ms'), physical)],
      ['Relayed', overTime(bitsPerSecond('derp_tx_bytes', 'relayed'), physical)],
    ],
    colors: PATH_COLORS,
  }
}
