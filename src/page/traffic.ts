/** Traffic by kind over the last hour, and the top talkers. */
import { bitRateText, bytesText } from '../base/format.ts'
import type { Talker, TalkersView } from '../live/talkers.ts'
import type { ThroughputView } from '../live/throughput.ts'
import type { StatusAnswer } from '../observe/status.ts'
import { type Html, html } from './html.ts'

const KINDS = ['virtual', 'subnet', 'exit', 'physical'] as const
type Kind = (typeof KINDS)[number]

const MEANS: Record<Kind, string> = {
  virtual: 'between nodes',
  subnet: 'through subnet routers',
  exit: 'through exit nodes',
  physical: 'the same traffic, encrypted, as sent on the wire',
}

export function traffic(status: StatusAnswer): Html {
  const throughput = status.live?.throughput
  if (throughput === undefined) return html`<section id="traffic" hidden></section>`
  const data = JSON.stringify({
    from: throughput.fromSeconds,
    step: throughput.bucketSeconds,
    ...Object.fromEntries(KINDS.map((kind) => [kind, throughput.tx[kind]])),
  })
  return html`<section id="traffic" class="card wide" aria-labelledby="traffic-title">
<div class="head"><h2 id="traffic-title">Traffic by kind, last hour</h2><p class="dim" id="traffic-at"></p></div>
<div id="plot" data-keep="" data-series="${data}"></div>
<div class="scroll"><table>
<thead><tr><th scope="col">Kind</th><th scope="col" class="wide-only">Trend</th><th scope="col" class="number">Now</th><th scope="col" class="number wide-only">Peak</th><th scope="col" class="number">Last hour</th></tr></thead>
<tbody>${KINDS.map((kind) => kindRow(kind, throughput))}
</tbody></table></div>
<p class="dim">Bytes sent, as reported by the nodes; traffic between two nodes counts once per direction. Don't add kinds together.</p>
</section>`
}

function kindRow(kind: Kind, { tx, bucketSeconds }: ThroughputView): Html {
  const known = tx[kind].filter((value) => value !== null)
  const total = known.reduce((sum, value) => sum + value, 0) * bucketSeconds
  return html`
<tr><th scope="row"><span class="key ${kind}"></span>${kind}<br><small class="dim">${MEANS[kind]}</small></th>
<td class="wide-only">${sparkline(kind, tx[kind])}</td>
<td class="number">${bitRateText(known.at(-1) ?? 0)}</td><td class="number wide-only">${bitRateText(Math.max(0, ...known))}</td><td class="number">${bytesText(total)}</td></tr>`
}

const WIDTH = 240
const HEIGHT = 32

/** Each kind has its own scale: the line shows the shape, not the size. */
function sparkline(kind: Kind, values: readonly (number | null)[]): Html {
  const peak = Math.max(1, ...values.map((value) => value ?? 0))
  const runs: string[] = []
  let run = ''
  for (const [index, value] of values.entries()) {
    if (value === null) {
      if (run !== '') runs.push(run)
      run = ''
      continue
    }
    const x = ((index / Math.max(1, values.length - 1)) * WIDTH).toFixed(1)
    run += `${run === '' ? 'M' : 'L'}${x} ${(HEIGHT - 2 - (value / peak) * (HEIGHT - 4)).toFixed(1)}`
  }
  if (run !== '') runs.push(run)
  return html`<svg class="spark ${kind}" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${kind} over the last hour"><path d="${runs.join('')}"/></svg>`
}

export function talkers(status: StatusAnswer): Html {
  const view = status.live?.talkers
  if (view === undefined) return html`<section id="talkers" hidden></section>`
  const body =
    view.top.length === 0
      ? html`<p class="dim">No data for the last ${view.spanMinutes} minutes yet.</p>`
      : html`<div class="scroll"><table>
<thead><tr><th scope="col">Between</th><th scope="col">Path</th><th scope="col" class="number">Bytes</th><th scope="col" class="wide-only">Share</th></tr></thead>
<tbody>${view.top.map((talker) => talkerRow(talker, view))}
</tbody></table></div>`
  const estimate = view.isEstimate ? ' Small flows are sampled, so the figures are estimates.' : ''
  return html`<section id="talkers" class="card wide" aria-labelledby="talkers-title">
<h2 id="talkers-title">Top talkers, last ${view.spanMinutes} minutes</h2>
${body}
<p class="dim">Both directions together; each byte counts once.${estimate}</p>
</section>`
}

function talkerRow({ one, other, kind, txBytes, rxBytes, path }: Talker, { top, totalBytes }: TalkersView): Html {
  const bytes = txBytes + rxBytes
  const share = (100 * bytes) / Math.max(1, totalBytes)
  // Bars are relative to the first row: relative to the total they would be too short to see.
  const first = Math.max(1, ...top.map((talker) => talker.txBytes + talker.rxBytes))
  return html`
<tr><th scope="row"><b>${one}</b> <span class="dim" aria-hidden="true">→</span><span class="hidden">to</span> <b>${other}</b><br>
<small><span class="key ${kind}"></span>${kind}<span class="wide-only">: ${bytesText(txBytes)} sent, ${bytesText(rxBytes)} received</span></small></th>
<td>${pathBadge(path)}</td>
<td class="number">${bytesText(bytes)}</td>
<td class="wide-only share"><meter min="0" max="100" value="${((100 * bytes) / first).toFixed(1)}" aria-label="share">${percent(share)}</meter> <small>${percent(share)}</small></td></tr>`
}

function percent(share: number): string {
  return share < 1 ? '< 1 %' : `${share.toFixed(0)} %`
}

function pathBadge(path: string | null): Html {
  if (path === null) return html`<span class="dim">unknown</span>`
  if (path === 'direct') return html`<span class="badge direct">direct</span>`
  if (path === 'mixed') return html`<span class="badge mixed">mixed</span>`
  return html`<span class="badge relayed">DERP ${path.replace('derp-', '')}</span>`
}
