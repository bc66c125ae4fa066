/** The status page, rendered here so that it reads without JavaScript; page.js only replaces the parts that changed and draws the plot. */

import { headlineOf } from '../observe/headline.ts'
import type { StatusAnswer } from '../observe/status.ts'
import { alerts } from './alerts.ts'
import { type Html, html } from './html.ts'
import { problems } from './problems.ts'
import { completeness, nextSteps, progress } from './progress.ts'
import { line } from './stages.ts'
import { owners, talkers } from './talkers.ts'
import { traffic } from './traffic.ts'

/** The whole document. Every address in it is relative, so that it works below a path of a reverse proxy. */
export function page(status: StatusAnswer): string {
  const { word } = headlineOf(status)
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${word} · tailflux</title>
<link rel="icon" href="icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="uplot.css">
<link rel="stylesheet" href="page.css">
<script src="uplot.js" defer></script>
<script src="page.js" defer></script>
</head>
<body>
<header>
<h1>tailflux</h1>
<p>tailnet <b>${status.tailnet}</b> → ${status.sink}</p>
</header>
<main>
${parts(status)}
</main>
<footer>
<a href="api/status">status as JSON</a> <a href="health">health</a> <a href="metrics">metrics</a>
<span class="version">tailflux ${status.version}</span>
</footer>
</body>
</html>
`.text
}

/** The parts that change: each has an id by which page.js finds it. */
export function parts(status: StatusAnswer): Html {
  return html`${headline(status)}
${problems(status)}
${line(status)}
<div class="columns">
<div class="stack">
${traffic(status)}
${talkers(status)}
${nextSteps(status)}
</div>
<div class="stack">
${progress(status)}
${completeness(status)}
${alerts(status)}
${owners(status)}
</div>
</div>`
}

/** Only the word is a live region: a screen reader should not read out every new figure. */
function headline(status: StatusAnswer): Html {
  const { status: how, word, text, next } = headlineOf(status)
  return html`<p id="headline" class="headline ${how}"><b role="status">${word}</b> <span>${text}</span>${next && html` <small>${next}</small>`}</p>`
}
