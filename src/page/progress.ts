/** How far the reading is, what is still to come, and what one may do next. */
import { ageText, bytesText, countText, timeText } from '../base/format.ts'
import type { StatusAnswer } from '../http/status.ts'
import type { PassView } from '../pipeline/passes.ts'
import { at } from './ago.ts'
import { type Html, html } from './html.ts'

const GAPS_SHOWN = 5
const HISTORY_SECONDS = 120

export function position(status: StatusAnswer): Html {
  const { totals, devicesKnown, live } = status
  const aside = totals.quarantined + totals.rejected
  return html`<section id="position" class="card" aria-labelledby="position-title">
<h2 id="position-title">Position</h2>
<dl>
<dt>Complete up to</dt><dd>${status.watermark === null ? 'nothing yet' : at(status.watermark)}</dd>
<dt>Behind</dt><dd>${status.lagSeconds === null ? 'unknown yet' : ageText(status.lagSeconds)}${skew(status)}</dd>
${history(status)}${backfill(status)}${(status.passes ?? []).map(pass)}
<dt>Gaps</dt><dd>${gaps(status)}</dd>
<dt>Nodes</dt><dd>${live ? html`${countText(live.nodesReporting)} reported within 15 min; ` : ''}${countText(devicesKnown)} names known</dd>
<dt>Since the start</dt><dd>${countText(totals.points)} points of ${countText(totals.messages)} messages, ${bytesText(totals.bytes)} read, in ${ageText(status.uptimeSeconds)}</dd>
<dt>Late</dt><dd>${totals.late === 0 ? 'no message' : countText(totals.late)} found by a later pass</dd>
<dt>Set aside</dt><dd>${aside === 0 ? 'nothing' : html`<span class="warning">${countText(aside)}</span>, with the reason in dead-letters/`}</dd>
</dl>
<p class="dim" id="now">As of ${timeText(status.now)}.</p>
</section>`
}

/** Clocks that differ explain figures that one would not believe otherwise. */
function skew({ clockSkewSeconds }: StatusAnswer): Html | undefined {
  if (clockSkewSeconds === null || Math.abs(clockSkewSeconds) < 5) return undefined
  const which = clockSkewSeconds > 0 ? 'ahead of' : 'behind'
  return html` <span class="warning">(this clock is ${ageText(Math.abs(clockSkewSeconds))} ${which} the API's)</span>`
}

function history(status: StatusAnswer): Html | undefined {
  const { backlogSeconds, origin, horizon, etaSeconds } = status
  if (backlogSeconds < HISTORY_SECONDS || origin === null || horizon === null) return undefined
  const span = Math.max(1, (Date.parse(horizon) - Date.parse(origin)) / 1000)
  const share = Math.max(0, Math.min(1, 1 - backlogSeconds / span))
  const eta = typeof etaSeconds === 'number' ? `, about ${ageText(etaSeconds)} to go` : ''
  return html`<dt>History</dt><dd>${bar(share, 'history read')} ${ageText(backlogSeconds)} to read${eta}</dd>`
}

function backfill({ backfill: job }: StatusAnswer): Html | undefined {
  if (!job) return undefined
  const eta = typeof job.etaSeconds === 'number' ? `, about ${ageText(job.etaSeconds)} to go` : ''
  const gaps = job.gapSeconds > 0 ? `, gaps of ${ageText(job.gapSeconds)}` : ''
  return html`<dt>Backfill</dt><dd>${bar(job.share, 'backfill')} ${job.state}${eta}<br><small class="dim">${timeText(job.from)} to ${timeText(job.to)}, ${countText(job.points)} points${gaps}</small></dd>`
}

function bar(share: number, label: string): Html {
  const percent = Math.floor(share * 100)
  return html`<progress max="100" value="${percent}" aria-label="${label}">${percent} %</progress> ${percent} %`
}

function pass({ ageSeconds, due, waiting }: PassView): Html {
  const state =
    due > 0
      ? html`<span class="warning">${countText(due)} windows to read again</span>`
      : `up to date, ${countText(waiting)} windows younger`
  return html`<dt>Pass at ${ageText(ageSeconds)}</dt><dd>${state}</dd>`
}

function gaps({ gaps: all }: StatusAnswer): Html | string {
  if (all.length === 0) return 'none'
  return html`<ul>${all
    .slice(0, GAPS_SHOWN)
    .map(
      (gap) =>
        html`<li><span class="${gap.state === 'lost' ? 'error' : 'warning'}">${gap.state}</span> ${timeText(gap.from)} to ${timeText(gap.to)}: ${gap.reason}${
          gap.next && html`, tried ${gap.attempts} times, next at ${timeText(gap.next)}`
        }</li>`,
    )}</ul>${all.length > GAPS_SHOWN && `and ${all.length - GAPS_SHOWN} more: tailflux ledger show`}`
}

export function nextSteps(status: StatusAnswer): Html {
  const isStored = status.sink.startsWith('embedded store')
  return html`<section id="next" class="card" aria-labelledby="next-title">
<h2 id="next-title">Next</h2>
<ul>
${status.demo && html`<li>This is a simulated tailnet. Set <code>TAILSCALE_OAUTH_CLIENT_ID</code> and <code>TAILSCALE_OAUTH_CLIENT_SECRET</code> and start <code>tailflux run</code> to see your own.</li>`}
${
  isStored
    ? html`<li>Points stay on this machine. Set <code>INFLUX_URL</code> to keep them longer and to see them in Grafana; <code>tailflux export</code> takes along what is here.</li>`
    : html`<li>Grafana: dashboards and data source are in <code>config/grafana/</code>; <code>docs/grafana.md</code> says how to bring them in.</li>`
}
<li><code>tailflux flows</code> shows single flows in a terminal, <code>tailflux check</code> looks at everything once and says what to remedy.</li>
</ul>
</section>`
}

export function peek({ live }: StatusAnswer): Html {
  if (live === undefined) return html`<div id="peek" hidden></div>`
  return html`<div id="peek" class="card">
<h2 id="peek-title">Last points written</h2>
<pre tabindex="0" role="region" aria-labelledby="peek-title">${live.peek.length === 0 ? 'none yet' : live.peek.map((one) => html`<code>${one}</code>\n`)}</pre>
</div>`
}
