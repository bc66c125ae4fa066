/** Diagnoses versions and default limits of InfluxDB that matter to what tailflux promises. Pure. */

import type { Greeting } from '../sink/influxdb/server.ts'
import { type Finding, findingsOf, type Outcome } from './finding.ts'
import type { SeriesLimits } from './probe-influx.ts'

const { ok, warning, skipped } = findingsOf('database')

/** Defaults of InfluxDB 1.x; both apply only with an index in memory, which is also the default. */
const VALUES_DEFAULT = 100_000
const SERIES_DEFAULT = 1_000_000

/** Limits of InfluxDB 1.x that one node which scans addresses can reach. */
export function diagnoseLimits(outcome: Outcome<SeriesLimits> | undefined): Finding {
  const check = 'limits of series'
  if (outcome === undefined) return skipped(check, 'skipped: writing does not work yet')
  if ('error' in outcome) {
    return skipped(
      check,
      `only administrators can read them; by default (index-version = "inmem") InfluxDB accepts ${shown(VALUES_DEFAULT)} values per tag and ${shown(SERIES_DEFAULT)} series`,
    )
  }
  const { valuesPerTag, series, index } = outcome.value
  if (index !== undefined && index !== 'inmem') return ok(check, `The index is on disk (${index}), without limits.`)
  const text = `InfluxDB accepts ${amount(valuesPerTag)} values per tag (max-values-per-tag) and ${amount(series)} series (max-series-per-database)`
  const isLow = (value: number, byDefault: number) => value !== 0 && value <= byDefault
  if (!isLow(valuesPerTag, VALUES_DEFAULT) && !isLow(series, SERIES_DEFAULT)) return ok(check, `${text}.`)
  const doubt = index === undefined ? ', unless its index-version is "tsi1", which this version does not report' : ''
  return warning(
    check,
    `${text}${doubt}. One node that scans addresses can reach these limits; new series beyond them are not stored until the limit is raised.`,
    'In the configuration of InfluxDB set index-version = "tsi1" and both limits to 0 (no limit), or write fewer series: TAILFLUX_PORTS=none.',
  )
}

/** Known bugs of InfluxDB 3 that can lose acknowledged writes; undefined for other products. */
export function diagnoseVersion({ product, version }: Greeting): Finding | undefined {
  const check = 'version'
  if (product !== 'v3') return undefined
  if (version === undefined) return skipped(check, 'InfluxDB 3 reports its version only to credentials that it knows')
  const [major = 3, minor = 0, patch = 0] = (version.match(/\d+/g) ?? []).map(Number)
  const isBelow = (...than: readonly [number, number, number]) =>
    (major - than[0] || minor - than[1] || patch - than[2]) < 0
  const faults: string[] = []
  if (isBelow(3, 11, 7) || (minor === 12 && isBelow(3, 12, 1))) {
    faults.push('it can lose acknowledged writes after a forced snapshot and a restart')
  }
  if (isBelow(3, 11, 4)) faults.push('when a point is written twice, it keeps an arbitrary one of the two')
  if (faults.length === 0) return ok(check, `InfluxDB ${version} has no known bugs that matter here.`)
  return warning(
    check,
    `InfluxDB ${version} has known bugs: ${faults.join('; and ')}.`,
    'Update it to 3.12.1 or newer, or to 3.11.7.',
  )
}

const shown = (count: number) => count.toLocaleString('en-US')
const amount = (count: number) => (count === 0 ? 'any number of' : shown(count))
