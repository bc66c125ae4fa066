/** Times on the page: the age as text, the exact time as tooltip and for machines. */
import { ageText, timeText } from '../base/format.ts'
import { type Html, html } from './html.ts'

/** `12 s ago`. Both RFC 3339. */
export function ago(iso: string, now: string): Html {
  const seconds = (Date.parse(now) - Date.parse(iso)) / 1000
  return html`<time datetime="${iso}" title="${timeText(iso)}">${ageText(seconds)} ago</time>`
}

export function at(iso: string): Html {
  return html`<time datetime="${iso}">${timeText(iso)}</time>`
}
