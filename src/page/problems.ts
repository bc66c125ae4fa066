/** Problems besides the headline: every component with a warning or an error. */
import { nextTry } from '../observe/headline.ts'
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

export function problems(status: StatusAnswer): Html {
  const { health, now } = status
  const components = health.components.filter(({ status }) => status !== 'ok')
  if (components.length === 0) return html`<ul id="problems" hidden></ul>`
  return html`<ul id="problems" class="problems">${components.map(
    ({ component, status: how, since, code, text }) => html`
<li><b class="${how}">${COMPONENT_NAMES[component]}: ${WORDS[how]}</b> <span class="dim">since ${ago(since, now)}</span>${
      code && html` <code>${code}</code>`
    }${text !== health.text && text && html`<br>${text} <small>${nextTry(status, component)}</small>`}</li>`,
  )}</ul>`
}
