/** The status page, rendered here so that it reads without JavaScript; page.js only puts newer parts in their place. */

import { ageText, bytesText, countText, timeText } from '../format.ts'
import type { RoomHealth, Status } from '../observe/health.ts'
import { type Html, html } from './html.ts'
import type { StatusAnswer } from './status.ts'

const ROOM_NAMES: Record<RoomHealth['room'], string> = {
  source: 'Tailscale API',
  sink: 'Database',
  state: 'State file',
  names: 'Device names',
  line: 'Poll loop',
}
const WORDS: Record<Status, string> = { ok: 'OK', warning: 'Warning', error: 'Error' }
const GAPS_SHOWN = 20

/** The whole document. */
export function page(status: StatusAnswer): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>tailflux</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/page.css">
<script src="/page.js" defer></script>
</head>
<body>
<header><h1>tailflux</h1><p>tailnet <b>${status.tailnet}</b> → ${status.sink}</p></header>
${status.demo && html`<p class="note">This is a simulated tailnet. Set TAILSCALE_* credentials and start again to see your own.</p>`}
<main>
${parts(status)}
</main>
<footer><a href="/api/status">status as JSON</a> · <a href="/health">health</a> · <a href="/metrics">metrics</a> · version ${status.version}</footer>
</body>
</html>
`.text
}

/** The parts that change: each has an id by which page.js finds it. */
export function parts(status: StatusAnswer): Html {
  return html`${verdict(status)}
${figures(status)}
${rooms(status)}
${gaps(status)}
<p id="now" class="dim">As of ${timeText(status.now)}; running since ${timeText(status.startedAt)}.</p>`
}

function verdict(status: StatusAnswer): Html {
  const { health } = status
  return html`<p id="verdict" class="verdict ${health.status}" role="status"><b>${WORDS[health.status]}</b> ${
    health.text ?? position(status)
  }</p>`
}

function position(status: StatusAnswer): string {
  if (status.lagSeconds === null) return 'Nothing was read yet.'
  const lag = `${ageText(status.lagSeconds)} behind the present`
  if (status.backlogSeconds < 120) return `${lag}, ${countText(status.rates.points)} points/s.`
  return `${lag}, catching up on ${ageText(status.backlogSeconds)} of history.`
}

function figures(status: StatusAnswer): Html {
  const { rates, totals, lastWindow } = status
  const rows: [string, string, string][] = [
    [
      'Complete up to',
      status.watermark === null ? 'unknown yet' : timeText(status.watermark),
      'everything before this is in the database',
    ],
    [
      'Behind',
      status.lagSeconds === null ? 'unknown yet' : ageText(status.lagSeconds),
      'the newest minute is left to settle (poll.lag)',
    ],
    ['Still to read', ageText(status.backlogSeconds), 'of history'],
    ['Points', `${countText(rates.points)}/s`, `${countText(totals.points)} since the start`],
    ['Messages', `${countText(rates.messages)}/s`, `${countText(totals.messages)} since the start`],
    ['Read', `${bytesText(rates.bytes)}/s`, `${bytesText(totals.bytes)} since the start`],
    [
      'Set aside',
      countText(totals.quarantined + totals.rejected),
      'could not be taken; kept in dead-letters/ with the reason',
    ],
    ['Late', countText(totals.late), 'messages that only a later reading found'],
    ['Devices', countText(status.devicesKnown), 'with known names'],
    [
      'Last window',
      lastWindow === null ? 'none yet' : `${countText(lastWindow.points)} points`,
      lastWindow === null ? '' : `up to ${timeText(lastWindow.to)}, in ${Math.round(lastWindow.durationMs)} ms`,
    ],
  ]
  return html`<table id="figures"><caption>The line</caption><tbody>${rows.map(
    ([name, value, note]) => html`
<tr><th scope="row">${name}</th><td class="value">${value}</td><td class="dim">${note}</td></tr>`,
  )}
</tbody></table>`
}

function rooms(status: StatusAnswer): Html {
  return html`<table id="rooms"><caption>Health</caption><tbody>${status.health.rooms.map(
    (room) => html`
<tr><th scope="row">${ROOM_NAMES[room.room]}</th><td class="value ${room.status}">${WORDS[room.status]}</td><td class="dim">since ${timeText(
      room.since,
    )}${room.text && html`<br>${room.text}`}${room.code && html` <code>${room.code}</code>`}</td></tr>`,
  )}
</tbody></table>`
}

function gaps(status: StatusAnswer): Html {
  if (status.gaps.length === 0) return html`<p id="gaps" class="dim">No gaps.</p>`
  const more = status.gaps.length - GAPS_SHOWN
  return html`<section id="gaps"><table><caption>Gaps: ${status.gaps.length}</caption><tbody>${status.gaps
    .slice(0, GAPS_SHOWN)
    .map(
      (gap) => html`
<tr><th scope="row">${timeText(gap.from)} to ${timeText(gap.to)}</th><td class="value ${gap.state === 'lost' ? 'error' : 'warning'}">${
        gap.state
      }</td><td class="dim">${gap.reason}, ${gap.attempts} attempts${gap.next && html`, next at ${timeText(gap.next)}`}</td></tr>`,
    )}
</tbody></table>${more > 0 && html`<p class="dim">and ${more} more</p>`}</section>`
}
