/** Traffic by kind in the last day: the plot, and a table that reads without it. */
import { bitRateText, bytesText } from '../base/format.ts'
import type { StatusAnswer } from '../observe/status.ts'
import type { ThroughputView } from '../observe/traffic/day.ts'
import type { TrafficView } from '../observe/traffic/traffic.ts'
import { type Html, html } from './html.ts'

const KINDS = ['virtual', 'subnet', 'exit', 'physical'] as const
type Kind = (typeof KINDS)[number]

const MEANS: Record<Kind, string> = {
  virtual: 'between nodes',
  subnet: 'through subnet routers',
  exit: 'through exit nodes',
  physical: 'the same traffic, encrypted, as sent on the wire',
}

export function traffic({ live: { throughput, loading } }: StatusAnswer): Html {
  if (throughput === undefined) return html`<section id="traffic" hidden></section>`
  const { fromSeconds, bucketSeconds, bytes } = throughput
  const first = firstShown(throughput)
  const shown = Object.fromEntries(KINDS.map((kind) => [kind, bytes[kind].slice(first)]))
  const data = JSON.stringify({ from: fromSeconds + first * bucketSeconds, step: bucketSeconds, ...shown })
  return html`<section id="traffic" class="card" aria-labelledby="traffic-title">
<div class="head"><h2 id="traffic-title">Traffic by kind, last day</h2><p class="dim" id="traffic-at"></p></div>
<div id="plot" data-keep="" data-series="${data}"></div>
<div class="scroll"><table>
<thead><tr><th scope="col">Kind</th><th scope="col" class="wide-only">Trend</th><th scope="col" class="number">Now</th><th scope="col" class="number wide-only">Peak minute</th><th scope="col" class="number">Last day</th></tr></thead>
<tbody>${KINDS.map((kind) => kindRow(kind, throughput))}
</tbody></table></div>
<p class="dim">Both directions together; each byte counts once, although both endpoints report it. Don't add kinds together.</p>
${loadingNote(loading)}
</section>`
}

/** While rows are read back after a start. */
export function loadingNote(loading: TrafficView['loading'] | undefined): Html | undefined {
  if (!loading) return undefined
  const { share, problem } = loading
  return html`<p class="dim">Reading the last day from the database: ${Math.floor(share * 100)} %.${
    problem !== null && html` <span class="warning">It is tried again. ${problem}</span>`
  }</p>`
}

/** A service that is new shows what it knows, and an hour at least: not a day that is empty. */
function firstShown({ bytes: { virtual } }: ThroughputView): number {
  const known = virtual.findIndex((value) => value !== null)
  return Math.min(known < 0 ? virtual.length : known, virtual.length - SHOWN_MIN)
}

function kindRow(kind: Kind, throughput: ThroughputView): Html {
  const { bytes, kinds } = throughput
  const { now, peak, total } = kinds[kind]
  const rate = (value: number | null) => (value === null ? 'not known' : bitRateText(value))
  return html`
<tr><th scope="row"><span class="key ${kind}"></span>${kind}<br><small class="dim">${MEANS[kind]}</small></th>
<td class="wide-only">${sparkline(kind, bytes[kind].slice(firstShown(throughput)))}</td>
<td class="number">${rate(now)}</td><td class="number wide-only">${rate(peak)}</td><td class="number">${bytesText(total)}</td></tr>`
}

const SHOWN_MIN = 12
const WIDTH = 240
const HEIGHT = 32

/** Each kind has its own scale: the line shows the shape, not the size. */
function sparkline(kind: Kind, values: readonly (number | null)[]): Html {
  const peak = Math.max(1, ...values.map((value) => value ?? 0))
  let path = ''
  for (const [index, value] of values.entries()) {
    if (value === null) continue
    const x = ((index / Math.max(1, values.length - 1)) * WIDTH).toFixed(0)
    const y = (HEIGHT - 2 - (value / peak) * (HEIGHT - 4)).toFixed(0)
    path += `${index === 0 || values[index - 1] === null ? 'M' : 'L'}${x} ${y}`
  }
  return html`<svg class="spark ${kind}" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${kind} over the last day"><path d="${path}"/></svg>`
}
