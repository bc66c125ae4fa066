/** What all dashboards share: looks, links between them, and the way panels are laid out. */

import type * as cog from '@grafana/grafana-foundation-sdk/cog'
import {
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  RowBuilder,
  TimePickerBuilder,
  type VariableModel,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { marks } from './annotations.ts'
import type { PanelBuilder } from './panels.ts'

const COLUMNS = 24
const TAG = 'tailflux'

/** Panels side by side, all of one height. */
export interface Band {
  /** Begins a section. */
  readonly title?: string
  readonly height: number
  readonly panels: readonly (readonly [width: number, panel: PanelBuilder])[]
}

export interface Frame {
  readonly uid: string
  readonly title: string
  readonly description: string
  readonly variables: readonly cog.Builder<VariableModel>[]
  readonly bands: readonly Band[]
}

/** Ids of section headings begin here, out of the way of panels. */
const ROW_ID = 900

export function dashboardOf({ uid, title, description, variables, bands }: Frame): Dashboard {
  const dashboard = new DashboardBuilder(title)
    .uid(uid)
    .description(description)
    .tags([TAG])
    .readonly()
    .timezone('browser')
    .time({ from: 'now-6h', to: 'now' })
    .refresh('1m')
    .tooltip(DashboardCursorSync.Crosshair)
    // The newest two minutes are not in the database yet: a graph that falls to zero at its right end would lie.
    .timepicker(new TimePickerBuilder().nowDelay('2m').refreshIntervals(['30s', '1m', '5m', '15m', '1h']))
    .annotations(marks())
    .variables([...variables])
    .link(
      new DashboardLinkBuilder('Tailnet dashboards')
        .type(DashboardLinkType.Dashboards)
        .tags([TAG])
        .asDropdown(true)
        .includeVars(true)
        .keepTime(true)
        .icon('external link')
        .tooltip('The other dashboards, with the same time range and variables'),
    )
  let y = 0
  for (const [index, band] of bands.entries()) {
    if (band.title !== undefined) {
      dashboard.withRow(new RowBuilder(band.title).id(ROW_ID + index).gridPos({ x: 0, y, w: COLUMNS, h: 1 }))
      y += 1
    }
    let x = 0
    for (const [w, panel] of band.panels) {
      dashboard.withPanel(panel.gridPos({ x, y, w, h: band.height }))
      x += w
    }
    if (x > COLUMNS) throw new RangeError(`${title}: band ${index} is ${x} columns wide`)
    y += band.height
  }
  const built = dashboard.build()
  // The SDK would tuck links, and the switches of annotations, away into a menu.
  for (const one of [...(built.links ?? []), ...(built.annotations?.list ?? [])]) delete one.placement
  return built
}
