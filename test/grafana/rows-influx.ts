/** A real InfluxDB that holds what tailflux writes of a made-up tailnet: rows of three tiers in their places, raw points, devices, minutes, windows
 * and tiers. */
import { escapeTag } from '../../src/sink/line-protocol/escape.ts'
import type { Scope } from '../services/server-process.ts'
import { type Queried, startRowsServer } from './rows-server.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS, type Rows, type SimulatedRows, type StepMs, type Tags } from './simulated-rows.ts'

export const DB = 'tailflux'
export const TAILNET = 'demo'

/** [from, to) of what a tier holds, ms; several stretches where nothing else is asked for. */
export type Stretch = readonly [fromMs: number, toMs: number]
export interface Tier {
  readonly name: 'minutes' | 'hours' | 'days'
  readonly stepMs: StepMs
  readonly suffix: string
  /** The place; undefined for the main one. */
  readonly policy?: string
  readonly maxMs: number
  readonly step: string
  readonly mean: string
}
export const TIERS: readonly Tier[] = [
  { name: 'minutes', stepMs: MINUTE_MS, suffix: '', policy: 'minutes', maxMs: 2 * DAY_MS, step: '1m', mean: '5m' },
  { name: 'hours', stepMs: HOUR_MS, suffix: '_1h', maxMs: 30 * DAY_MS, step: '1h', mean: '1h' },
  { name: 'days', stepMs: DAY_MS, suffix: '_1d', maxMs: 3650 * DAY_MS, step: '1d', mean: '1d' },
]

export interface RowsInflux {
  readonly influx: Queried
  /** Writes the rows of a tier; returns how many. `each` sees them. */
  fill(tier: Tier, stretches: readonly Stretch[], each?: (rows: Rows) => void): Promise<number>
  /** Other points, of one measurement. */
  write(measurement: string, points: Iterable<Point>, policy?: string): Promise<void>
  /** Says which tiers there are, as tailflux does every hour. */
  announce(oldestMs: Readonly<Record<Tier['name'], number>>): Promise<void>
}
export interface Point {
  readonly timeMs: number
  readonly tags: Tags
  readonly fields: Readonly<Record<string, number | string | boolean>>
}

const BATCH_CHARACTERS = 2_000_000

export async function startRowsInflux(rows: SimulatedRows, scope?: Scope): Promise<RowsInflux> {
  const { influx, post } = await startRowsServer(DB, scope)

  async function write(measurement: string, points: Iterable<Point>, policy = 'autogen'): Promise<void> {
    let text = ''
    for (const point of points) {
      text += lineOf(measurement, point)
      if (text.length < BATCH_CHARACTERS) continue
      await post(text, policy)
      text = ''
    }
    if (text !== '') await post(text, policy)
  }

  return {
    influx,
    write,
    async fill({ stepMs, suffix, policy = 'autogen' }, stretches, each) {
      let count = 0
      let text = ''
      for (const [fromMs, toMs] of stretches)
        for (let timeMs = fromMs; timeMs < toMs; timeMs += stepMs) {
          const one = rows.at(timeMs, stepMs)
          each?.(one)
          for (const row of one.edges) text += lineOf(`tailnet_edge${suffix}`, row)
          for (const row of one.nodes) text += lineOf(`tailnet_node${suffix}`, row)
          count += one.edges.length + one.nodes.length
          if (text.length < BATCH_CHARACTERS) continue
          await post(text, policy)
          text = ''
        }
      if (text !== '') await post(text, policy)
      return count
    },
    async announce(oldestMs) {
      const points = TIERS.flatMap(({ name, suffix, policy, maxMs, step, mean }) => {
        const place = policy === undefined ? '' : `"${DB}"."${policy}".`
        const fields = {
          max_ms: maxMs,
          oldest_ms: oldestMs[name],
          edge: `${place}"tailnet_edge${suffix}"`,
          node: `${place}"tailnet_node${suffix}"`,
          flow: `"${DB}"."raw"."tailnet_flow"`,
          step,
          mean,
        }
        const now = Date.now()
        return [now - HOUR_MS, now].map((timeMs) => ({ timeMs, tags: { tailnet: TAILNET, tier: name }, fields }))
      })
      await write('tailflux_tier', points)
    },
  }
}

/** Rows of one edge share their tags. Times are ms. */
const texts = new WeakMap<Tags, string>()

export function lineOf(measurement: string, { tags, fields, timeMs }: Point): string {
  let tagText = texts.get(tags)
  if (tagText === undefined) {
    const names = Object.keys(tags).sort()
    tagText = names.map((name) => `${name}=${escapeTag(tags[name]!)}`).join()
    texts.set(tags, tagText)
  }
  const values = Object.entries(fields).map(([name, value]) => {
    if (typeof value === 'string') return `${name}="${value.replaceAll(/["\\]/g, '\\$&')}"`
    return typeof value === 'boolean' ? `${name}=${value}` : `${name}=${value}i`
  })
  return `${measurement},${tagText} ${values.join()} ${timeMs}\n`
}
