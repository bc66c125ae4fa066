/** What is known about a version or a default configuration of InfluxDB, and matters to what tailflux promises. Pure. */
import type { Greeting, SeriesLimits } from './ask-influx.ts'
import { type Finding, findingsOf, type Outcome } from './finding.ts'

const { ok, warning, skipped } = findingsOf('database')

/** Defaults of InfluxDB 1.x; both count only with an index in memory, which is its default as well. */
const VALUES_DEFAULT = 100_000
const SERIES_DEFAULT = 1_000_000

/** Limits of InfluxDB 1.x that one node which scans addresses can reach. */
export function diagnoseLimits(outcome: Outcome<SeriesLimits> | undefined): Finding {
  const check = 'limits of series'
  if (outcome === undefined) return skipped(check, 'not asked, because writing does not work yet')
  if ('error' in outcome) {
    return skipped(
      check,
      `the database tells them to administrators only; with index-version = "inmem", its default, it takes ${shown(VALUES_DEFAULT)} values of a tag and ${shown(SERIES_DEFAULT)} series unless it is set up otherwise`,
    )
  }
  const { valuesPerTag, series, index } = outcome.value
  if (index !== undefined && index !== 'inmem')
    return ok(check, `It keeps its index on disk (${index}), without limits.`)
  const text = `It takes ${amount(valuesPerTag)} values of a tag (max-values-per-tag) and ${amount(series)} series (max-series-per-database)`
  const isLow = (value: number, byDefault: number) => value !== 0 && value <= byDefault
  if (!isLow(valuesPerTag, VALUES_DEFAULT) && !isLow(series, SERIES_DEFAULT)) return ok(check, `${text}.`)
  const doubt = index === undefined ? ', unless its index-version is "tsi1", which it does not tell' : ''
  return warning(
    check,
    `${text}${doubt}. One node that scans addresses can reach that, and what is new beyond it is not stored until the limit is raised.`,
    'In the configuration of InfluxDB set index-version = "tsi1", and both limits to 0, which means none; or write fewer series: TAILFLUX_PORTS=none.',
  )
}

/** Faults of InfluxDB 3 that make its acknowledgement worth less; undefined for other products. */
export function diagnoseVersion({ product, version }: Greeting): Finding | undefined {
  const check = 'version'
  if (product !== 'v3') return undefined
  const [major = 3, minor = 0, patch = 0] = (version?.match(/\d+/g) ?? []).map(Number)
  const isBelow = (...than: readonly [number, number, number]) =>
    (major - than[0] || minor - than[1] || patch - than[2]) < 0
  const faults: string[] = []
  if (isBelow(3, 11, 7) || (minor === 12 && isBelow(3, 12, 1))) {
    faults.push('it can lose writes that it acknowledged, after a forced snapshot and a restart')
  }
  if (isBelow(3, 11, 4)) faults.push('of two writes of one point an arbitrary one stays')
  if (faults.length === 0) return ok(check, `No fault of InfluxDB ${version} is known that matters here.`)
  return warning(
    check,
    `InfluxDB ${version} has known faults: ${faults.join('; and ')}.`,
    'Update it to 3.12.1 or newer, or to 3.11.7.',
  )
}

const shown = (count: number) => count.toLocaleString('en-US')
const amount = (count: number) => (count === 0 ? 'any number of' : shown(count))
