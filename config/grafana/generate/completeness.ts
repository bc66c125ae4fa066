/** How complete the rows are: what `tailflux_minute` says about each minute. Zero traffic is not the same as silence. */

import { type Panel, series, stat } from './panels.ts'
import { type Column, type From, overTime, select, share } from './query.ts'
import { NO_TRAFFIC } from './words.ts'

const minutes: From = { from: 'minutes', where: [] }
const REPORTING: Column = ['(sum("nodes") - sum("nodes_silent")) * 100.0 / sum("nodes")', 'reporting']
const BOTH = share('edges_both', 'edges', 'both')

/** Two numbers for the overview. */
export function completeness(id: number): Panel {
  return stat({
    id,
    title: 'Reporting, both endpoints',
    description: `Of the devices that were connected in each minute, those that reported; and of the edges of all minutes, those that both endpoints reported. What a device that does not report sent is known from its receivers alone. ${NO_TRAFFIC}`,
    unit: 'percent',
    decimals: 1,
    color: 'green',
    queries: [
      ['reporting', select(REPORTING, minutes)],
      ['both endpoints', select(BOTH, minutes)],
    ],
  })
}

type Panels = readonly (readonly [width: number, panel: Panel])[]

/** Numbers of the health dashboard, 24 columns wide. */
export function completenessNumbers(): Panels {
  return [
    [8, completeness(40)],
    [
      8,
      stat({
        id: 41,
        title: 'Devices',
        description: `Connected devices that do not report, and devices whose clock is off by more than a minute, as of the newest minute in the range. ${NO_TRAFFIC}`,
        unit: 'short',
        color: 'orange',
        queries: [
          ['silent', select(['last("nodes_silent")', 'silent'], minutes)],
          ['clock off', select(['last("clock_off")', 'off'], minutes)],
        ],
      }),
    ],
    [
      8,
      stat({
        id: 42,
        title: 'Minutes',
        description: `Minutes whose rows stand, and among them those that a gap touches: records of these may be missing. ${NO_TRAFFIC}`,
        unit: 'short',
        queries: [
          ['settled', select(['count("points")', 'minutes'], minutes)],
          ['with a gap', select(['count("points")', 'minutes'], { ...minutes, where: [{ isTrue: 'gap' }] })],
        ],
      }),
    ],
  ]
}

/** Graphs of the health dashboard, 24 columns wide. */
export function completenessGraphs(): Panels {
  return [
    [
      12,
      series({
        id: 43,
        title: 'Devices that report',
        description: `Connected devices by the device list, and how many of them do not report. A step down is a site that went dark, or nightfall. ${NO_TRAFFIC}`,
        unit: 'short',
        interval: '1m',
        queries: [
          ['connected', overTime(['max("nodes")', 'nodes'], minutes, 'none')],
          ['silent', overTime(['max("nodes_silent")', 'silent'], minutes, 'none')],
        ],
        colors: { silent: 'orange' },
      }),
    ],
    [
      12,
      series({
        id: 44,
        title: 'Seen from both endpoints',
        description: `Of the edges of each minute, the percentage that both endpoints reported. Where it falls, devices stopped reporting or records are late. ${NO_TRAFFIC}`,
        unit: 'percent',
        max: 100,
        interval: '1m',
        queries: [['both endpoints', overTime(BOTH, minutes, 'none')]],
      }),
    ],
  ]
}
