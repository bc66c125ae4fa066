/** How far reading has come, what is still to read, and next steps. */
import { ageAdjective, ageText, bytesText, countText, timeText } from '../base/format.ts'
import type { PassView } from '../observe/line/status.ts'
import type { StatusAnswer } from '../observe/status.ts'
import { at } from './ago.ts'
import { type Html, html } from './html.ts'

const GAPS_SHOWN = 5
const HISTORY_SECONDS = 120

export function progress(status: StatusAnswer): Html {
  const { totals, live } = status
  const written = live.stages.find(({ stage }) => stage === 'write')?.total ?? 0
  const quarantined = totals.quarantined + totals.rejected
  return html`<section id="progress" class="card" aria-labelledby="progress-title">
<h2 id="progress-title">Progress</h2>
<dl>
<dt>Complete up to</dt><dd>${status.watermark === null ? 'no data yet' : at(status.watermark)}</dd>
<dt>Behind</dt><dd>${status.lagSeconds === null ? 'not known yet' : ageText(status.lagSeconds)}${skew(status)}</dd>
${history(status)}${backfill(status)}${status.passes.map(pass)}
<dt>Gaps</dt><dd>${gaps(status)}</dd>
<dt>Since start</dt><dd>${countText(written)} points written, from ${countText(totals.messages)} messages, ${bytesText(totals.bytes)} read, in ${ageText(status.uptimeSeconds)}</dd>
<dt>Late records</dt><dd>${totals.late === 0 ? 'none' : html`${countText(totals.late)} messages, found by a re-read`}</dd>
<dt>Quarantined</dt><dd>${quarantined === 0 ? 'none' : html`<span class="warning">${countText(quarantined)}</span>; see dead-letters/ for the reasons`}</dd>
</dl>
<p class="dim" id="now">As of ${timeText(status.now)}.</p>
</section>`
}

/** So that zero is not taken for silence. */
export function completeness({ rows, live, devicesKnown }: StatusAnswer): Html {
  const { newest = null } = rows ?? {}
  const { nodesReporting = null, gapMinutes = 0 } = live
  const warned = (count: number, text: string) =>
    count === 0 ? 'none' : html`<span class="warning">${countText(count)}</span> ${text}`
  return html`<section id="completeness" class="card" aria-labelledby="completeness-title">
<h2 id="completeness-title">Completeness</h2>
<dl>
<dt>Nodes</dt><dd>${nodesReporting === null ? 'none has reported yet' : `${countText(nodesReporting)} reported within 15 min`}; ${countText(devicesKnown)} names known</dd>
${
  newest &&
  html`<dt>Silent</dt><dd>${newest.nodes === null || newest.nodesSilent === null ? 'not known without a device list' : html`${countText(newest.nodesSilent)} of ${countText(newest.nodes)} connected nodes reported nothing for an hour`}</dd>
<dt>Both endpoints</dt><dd>${newest.edges === 0 ? 'no edges' : html`heard on ${countText(newest.edgesBoth)} of ${countText(newest.edges)} edges`} at ${newest.minute.slice(11, 16)} UTC</dd>
<dt>Clocks off</dt><dd>${warned(newest.clockOff, 'nodes, by more than a minute')}</dd>`
}
<dt>Waiting</dt><dd>${rows === undefined || rows.waitingMinutes === 0 ? 'none' : `${countText(rows.waitingMinutes)} minutes have no rows yet`}</dd>
<dt>Gaps</dt><dd>${warned(gapMinutes, 'minutes of the last day are not complete')}</dd>
</dl>
</section>`
}

/** Clock skew explains figures that would otherwise look wrong. */
function skew({ clockSkewSeconds }: StatusAnswer): Html | undefined {
  if (clockSkewSeconds === null || Math.abs(clockSkewSeconds) < 5) return undefined
  const which = clockSkewSeconds > 0 ? 'ahead of' : 'behind'
  return html` <span class="warning">(the clock of this machine is ${ageText(Math.abs(clockSkewSeconds))} ${which} the API's)</span>`
}

function history(status: StatusAnswer): Html | undefined {
  const { backlogSeconds, origin, horizon, etaSeconds } = status
  if (backlogSeconds < HISTORY_SECONDS || origin === null || horizon === null) return undefined
  const span = Math.max(1, (Date.parse(horizon) - Date.parse(origin)) / 1000)
  const share = Math.max(0, Math.min(1, 1 - backlogSeconds / span))
  const eta = etaSeconds !== null ? `, about ${ageText(etaSeconds)} left` : ''
  return html`<dt>History</dt><dd>${bar(share, 'history read')} ${ageText(backlogSeconds)} to read${eta}</dd>`
}

function backfill({ backfill: job }: StatusAnswer): Html | undefined {
  if (!job) return undefined
  const eta = job.etaSeconds !== null ? `, about ${ageText(job.etaSeconds)} left` : ''
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
      ? html`<span class="warning">${countText(due)} windows due</span>`
      : `up to date (${countText(waiting)} windows not due yet)`
  return html`<dt>${ageAdjective(ageSeconds)} re-read</dt><dd>${state}</dd>`
}

function gaps({ gaps: all }: StatusAnswer): Html | string {
  if (all.length === 0) return 'none'
  return html`<ul>${all
    .slice(0, GAPS_SHOWN)
    .map(
      (gap) =>
        html`<li><span class="${gap.state === 'lost' ? 'error' : 'warning'}">${gap.state}</span> ${timeText(gap.from)} to ${timeText(gap.to)}: ${gap.reason}${
          gap.next && html`, ${gap.attempts} attempts, next at ${timeText(gap.next)}`
        }</li>`,
    )}</ul>${all.length > GAPS_SHOWN && `and ${all.length - GAPS_SHOWN} more: tailflux ledger show`}`
}

export function nextSteps(status: StatusAnswer): Html {
  const isStored = status.sink.startsWith('embedded store')
  return html`<section id="next" class="card" aria-labelledby="next-title">
<h2 id="next-title">Next steps</h2>
<ul>
${status.demo && html`<li>This is a simulated tailnet. Set <code>TAILSCALE_OAUTH_CLIENT_ID</code> and <code>TAILSCALE_OAUTH_CLIENT_SECRET</code> and start <code>tailflux run</code> to see your own tailnet.</li>`}
${
  isStored
    ? html`<li>Points stay on this machine. Set <code>INFLUX_URL</code> to keep them longer and to see them in Grafana; <code>tailflux export</code> exports what is stored here.</li>`
    : html`<li>Grafana: dashboards and data source are in <code>config/grafana/</code>; <code>docs/grafana.md</code> explains how to install them.</li>`
}
<li><code>tailflux flows</code> lists flows in a terminal, <code>tailflux check</code> checks everything and tells you what to fix.</li>
</ul>
</section>`
}
