/** Alerts: every rule with its state and last value, and what is pending or fires. */
import type { StatusAnswer } from '../observe/status.ts'
import { ago } from './ago.ts'
import { type Html, html } from './html.ts'

const ALERTS_SHOWN = 8
const RULES_SHOWN = 50

type Rule = NonNullable<StatusAnswer['alerting']>['rules'][number]
type Alert = NonNullable<StatusAnswer['alerts']>[number]

export function alerts({ alerts: all, alerting, now }: StatusAnswer): Html {
  if (all === undefined || alerting === undefined) return html`<section id="alerts" hidden></section>`
  const firing = all.filter(({ state }) => state === 'firing').length
  return html`<section id="alerts" class="card" aria-labelledby="alerts-title">
<h2 id="alerts-title">Alerts${firing > 0 && html` <span class="badge firing">${firing} firing</span>`}</h2>
${all.length > 0 && html`<ul class="plain">${all.slice(0, ALERTS_SHOWN).map((one) => alert(one, now))}</ul>`}
${more(all.length - ALERTS_SHOWN)}
<table><thead><tr><th scope="col">Rule</th><th scope="col">State</th><th scope="col" class="number">Last value</th></tr></thead>
<tbody>${alerting.rules.slice(0, RULES_SHOWN).map(rule)}
</tbody></table>
${more(alerting.rules.length - RULES_SHOWN)}
</section>`
}

function more(count: number): Html | undefined {
  return count > 0 ? html`<p class="dim">and ${count} more</p>` : undefined
}

function alert({ name, state, severity, text, value, threshold, since }: Alert, now: string): Html {
  return html`
<li><span class="badge ${state}">${state}</span> <b>${name}</b> <span class="dim">${severity}, ${ago(since, now)}</span><br>${text}${
    !text.includes(value) && html` <small>${value} of ${threshold}</small>`
  }</li>`
}

function rule({ name, state, value }: Rule): Html {
  return html`
<tr><th scope="row">${name}</th><td><span class="badge ${state}">${state}</span></td><td class="number">${value ?? 'none yet'}</td></tr>`
}
