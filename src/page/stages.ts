/** The ingestion stages, from the API to the database. */
import { bytesText, countText } from '../base/format.ts'
import type { ComponentHealth } from '../observe/health.ts'
import type { StageName, StageView } from '../observe/stages.ts'
import type { StatusAnswer } from '../observe/status.ts'
import { ago } from './ago.ts'
import { type Html, html } from './html.ts'

const TITLES: Record<StageName, { readonly title: string; readonly does: string; readonly counts: string }> = {
  api: { title: 'Tailscale API', does: 'requests for flow logs', counts: 'requests' },
  parse: { title: 'Parse', does: 'responses into messages', counts: 'messages' },
  aggregate: { title: 'Aggregate', does: 'messages into points', counts: 'points' },
  write: { title: 'Write', does: 'points to the database', counts: 'points' },
}
/** The component whose health a stage shows. */
const COMPONENT_OF: Partial<Record<StageName, ComponentHealth['component']>> = {
  api: 'source',
  aggregate: 'line',
  write: 'sink',
}

export function line(status: StatusAnswer): Html {
  const { stages } = status.live
  return html`<ol id="line" class="line" aria-label="Ingestion stages">${stages.map((one) => stage(one, status))}</ol>`
}

function stage(view: StageView, { health, now }: StatusAnswer): Html {
  const { title, does, counts } = TITLES[view.stage]
  const how = health.components.find(({ component }) => component === COMPONENT_OF[view.stage])?.status ?? 'ok'
  const { lastError, durationMs, bytesPerSecond, perSecond } = view
  const amounts = [
    bytesPerSecond === null ? undefined : `${bytesText(bytesPerSecond)}/s`,
    durationMs === null ? undefined : `median ${milliseconds(durationMs.p50)}, p95 ${milliseconds(durationMs.p95)}`,
  ].filter((text) => text !== undefined)
  return html`
<li class="stage ${how}">
<h2>${title}</h2>
<p class="dim does">${does}</p>
<p class="big">${countText(perSecond)} <small>${counts}/s</small></p>
<p class="dim">${amounts.join(' · ') || 'in memory'}</p>
<p>${view.lastSuccess === null ? 'no success yet' : html`last success ${ago(view.lastSuccess, now)}`}</p>
<p class="${lastError ? 'fault' : 'dim'}">${lastError ? html`${ago(lastError.at, now)}: ${lastError.text}` : 'no errors since start'}</p>
</li>`
}

function milliseconds(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`
}
