/** Problems besides the headline: every component with a warning or an error, and alerts. */

import type { ComponentHealth, Status } from '../observe/health.ts'
import type { StatusAnswer } from '../observe/status.ts'
import { ago } from './ago.ts'
import { type Html, html } from './html.ts'

const COMPONENT_NAMES: Record<ComponentHealth['component'], string> = {
  source: 'Tailscale API',
  sink: 'Database',
  state: 'State file',
  names: 'Device names',
  line: 'Ingestion',
  clock: 'Clock',
  rollup: 'Rollup',
  alerts: 'Alerts',
  page: 'Status page',
  metrics: 'Metrics',
  directory: 'Directory',
  http: 'HTTPS certificate',
  log: 'Log',
}
const WORDS: Record<Status, string> = { ok: 'OK', warning: 'Warning', error: 'Error' }
const ALERTS_SHOWN = 8

export function problems({ health, now }: StatusAnswer): Html {
  const components = health.components.filter(({ status }) => status !== 'ok')
  if (components.length === 0) return html`<ul id="problems" hidden></ul>`
  return html`<ul id="problems" class="problems">${components.map(
    ({ component, status, since, code, text }) => html`
<li><b class="${status}">${COMPONENT_NAMES[component]}: ${WORDS[status]}</b> <span class="dim">since ${ago(since, now)}</span>${
      code && html` <code>${code}</code>`
    }${text !== health.text && text && html`<br>${text}`}</li>`,
  )}</ul>`
}

export function alerts({ alerts: all, now }: StatusAnswer): Html {
  if (all === undefined) return html`<section id="alerts" hidden></section>`
  const firing = all.filter(({ state }) => state === 'firing').length
  const body =
    all.length === 0
      ? html`<p class="dim">None.</p>`
      : html`<ul class="plain">${all.slice(0, ALERTS_SHOWN).map((one) => alert(one, now))}</ul>`
  const more = all.length - ALERTS_SHOWN
  return html`<section id="alerts" class="card" aria-labelledby="alerts-title">
<h2 id="alerts-title">Alerts${firing > 0 && html` <span class="badge firing">${firing} firing</span>`}</h2>
${body}${more > 0 && html`<p class="dim">and ${more} more</p>`}
</section>`
}

function alert(
  { name, state, severity, text, value, threshold, since }: NonNullable<StatusAnswer['alerts']>[number],
  now: string,
): Html {
  return html`
<li><span class="badge ${state}">${state}</span> <b>${name}</b> <span class="dim">${severity}, ${ago(since, now)}</span><br>${text}${
    !text.includes(value) && html` <small>${value} of ${threshold}</small>`
  }</li>`
}
