/** What all dashboards share: looks, links between them, and the way panels are laid out. */

import type * as cog from '@grafana/grafana-foundation-sdk/cog'
import {
  type AnnotationQuery,
  AnnotationQueryBuilder,
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  RowBuilder,
  TimePickerBuilder,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { DS, type Language } from './language.ts'
import type { Panel } from './panels.ts'
import type { Variable } from './variables.ts'

const COLUMNS = 24
const TAG = 'tailflux'

/** Panels side by side, all of one height. */
export interface Band {
  /** Begins a section. */
  readonly title?: string
  readonly height: number
  readonly panels: readonly (readonly [width: number, panel: Panel])[]
}

export interface Frame {
  readonly uid: string
  readonly title: string
  readonly description: string
  readonly variables: readonly Variable[]
  readonly bands: readonly Band[]
}

/** Ids of section headings begin here, out of the way of panels. */
const ROW_ID = 900

/** A dashboard as it is defined, for either language. */
export type Definition = (language: Language) => Dashboard

export function dashboardOf(frame: Frame): Definition {
  return (language) => dashboardIn(language, frame)
}

function dashboardIn(language: Language, { uid, title, description, variables, bands }: Frame): Dashboard {
  const dashboard = new DashboardBuilder(title)
    .uid(uid)
    .description(description)
    .tags([TAG])
    .readonly()
    .timezone('browser')
    .time({ from: 'now-6h', to: 'now' })
    .refresh('1m')
    .tooltip(DashboardCursorSync.Crosshair)
    // The newest minutes are not in the database yet: a graph that falls to zero at its right end would lie.
    .timepicker(new TimePickerBuilder().nowDelay(language.nowDelay).refreshIntervals(['30s', '1m', '5m', '15m', '1h']))
    .annotations(annotations(language))
    .variables(variables.map((one) => one(language)).filter((one) => one !== undefined))
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
      dashboard.withPanel(panel(language).gridPos({ x, y, w, h: band.height }))
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

function annotations({ type, marks }: Language): cog.Builder<AnnotationQuery>[] {
  return marks().map(({ name, color, target, also }) => {
    const builder = new AnnotationQueryBuilder()
      .name(name)
      .datasource({ type, uid: DS })
      .enable(true)
      .iconColor(color)
      .target({ build: () => target as unknown as cog.Dataquery })
    // The SDK knows nothing of what a data source asks for annotations.
    return also === undefined ? builder : { build: () => ({ ...builder.build(), ...also }) }
  })
}
