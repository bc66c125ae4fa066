/** The same rows as in the InfluxDB of rows-influx.ts, in a VictoriaMetrics: what the service writes there, so no texts, devices and tiers. */
import type { VictoriaMetrics } from '../services/victoria-metrics.ts'
import type { Tables } from './model.ts'
import { lineOf, type Point, TIERS } from './rows-influx.ts'

const BATCH_CHARACTERS = 2_000_000

export async function fillVictoria(
  victoria: VictoriaMetrics,
  { tiers, flows, minutes, windows }: Tables,
): Promise<void> {
  let text = ''
  async function post(): Promise<void> {
    const answer = await fetch(`${victoria.url}/api/v2/write?precision=ms`, { method: 'POST', body: text })
    if (answer.status !== 204) throw new Error(`${answer.status} ${await answer.text()}`)
    text = ''
  }
  async function write(measurement: string, points: readonly Point[]): Promise<void> {
    for (const point of points) {
      text += lineOf(measurement, point)
      if (text.length >= BATCH_CHARACTERS) await post()
    }
  }
  for (const { name, suffix } of TIERS) {
    await write(`tailnet_edge${suffix}`, tiers[name].edges)
    await write(`tailnet_node${suffix}`, tiers[name].nodes)
  }
  await write('tailnet_flow', flows)
  await write('tailflux_minute', minutes.map(withoutTexts))
  await write('tailflux_window', windows)
  await post()
  await victoria.flush()
}

function withoutTexts(point: Point): Point {
  const fields = Object.entries(point.fields).filter(([, value]) => typeof value !== 'string')
  return { ...point, fields: Object.fromEntries(fields) }
}
