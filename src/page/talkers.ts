/** Who talks most with whom: by name, and by owner. */
import { bytesText } from '../base/format.ts'
import type { StatusAnswer } from '../observe/status.ts'
import type { Talker, TalkersView } from '../observe/traffic/talkers.ts'
import { type Html, html } from './html.ts'
import { loadingNote } from './traffic.ts'

export function talkers({ live }: StatusAnswer): Html {
  const { talkers: view, loading } = live
  if (view === undefined) return html`<section id="talkers" hidden></section>`
  const unnamed =
    view.unnamedBytes > 0 &&
    html` The smallest pairs, ${bytesText(view.unnamedBytes)} in all, are counted without their names.`
  return html`<section id="talkers" class="card" aria-labelledby="talkers-title">
<h2 id="talkers-title">Top talkers, last hour</h2>
${
  view.top.length === 0
    ? nothing(live)
    : html`<div class="scroll"><table>
<thead><tr><th scope="col">Between</th><th scope="col">Path</th><th scope="col" class="number">Bytes</th><th scope="col" class="wide-only">Share</th></tr></thead>
<tbody>${view.top.map((one) => row(one, nameText, html`<td class="path">${pathBadge(one)}</td>`, share(one, view)))}
</tbody></table></div>`
}
<p class="dim">The hour to ${view.to.slice(11, 16)} UTC. Both directions together; each byte counts once.${unnamed}</p>
${loadingNote(loading)}
</section>`
}

export function owners({ live }: StatusAnswer): Html {
  const { talkers: view } = live
  if (view === undefined) return html`<section id="owners" hidden></section>`
  return html`<section id="owners" class="card" aria-labelledby="owners-title">
<h2 id="owners-title">Top owners, last hour</h2>
${
  view.owners.length === 0
    ? nothing(live)
    : html`<table>
<thead><tr><th scope="col">Between</th><th scope="col" class="number">Bytes</th></tr></thead>
<tbody>${view.owners.map((one) => row(one, ownerText))}
</tbody></table>`
}
</section>`
}

/** No traffic is not the same as not known yet. */
function nothing({ loading, throughput }: StatusAnswer['live']): Html | undefined {
  if (loading) return undefined
  return throughput?.kinds.virtual.now === null
    ? html`<p class="dim">No minute is final yet; the first one will be about two minutes after its end.</p>`
    : html`<p class="dim">No traffic.</p>`
}

function row(talker: Talker, textOf: (name: string, kind: string) => string, path?: Html, share?: Html): Html {
  const { one, other, kind, txBytes, rxBytes } = talker
  return html`
<tr><th scope="row"><b>${textOf(one, kind)}</b> <span class="dim" aria-hidden="true">→</span><span class="hidden">to</span> <b>${textOf(other, kind)}</b><br>
<small><span class="key ${kind}"></span>${kind}<span class="wide-only">: ${bytesText(txBytes)} sent, ${bytesText(rxBytes)} received</span></small></th>
${path}<td class="number">${bytesText(txBytes + rxBytes)}</td>${share}</tr>`
}

function nameText(name: string, kind: string): string {
  return name !== 'none' ? name : kind === 'exit' ? 'the internet' : 'unknown'
}

function ownerText(owner: string): string {
  return owner === 'none' ? 'no owner' : owner.replaceAll(',', ', ')
}

/** Bars are relative to the first row: relative to the total they would be too short to see. */
function share({ txBytes, rxBytes }: Talker, { top, totalBytes }: TalkersView): Html {
  const bytes = txBytes + rxBytes
  const text = percent((100 * bytes) / Math.max(1, totalBytes))
  const bar = (100 * bytes) / Math.max(1, top[0]!.txBytes + top[0]!.rxBytes)
  return html`
<td class="wide-only share"><meter min="0" max="100" value="${bar.toFixed(1)}" aria-label="share">${text}</meter> <small>${text}</small></td>`
}

function percent(share: number): string {
  return share < 1 ? '< 1 %' : `${share.toFixed(0)} %`
}

/** Only between two nodes. */
function pathBadge({ kind, path }: Talker): Html | undefined {
  if (kind !== 'virtual') return undefined
  if (path === null) return html`<span class="dim">unknown</span>`
  if (path === 'direct') return html`<span class="badge direct">direct</span>`
  if (path === 'mixed') return html`<span class="badge mixed">mixed</span>`
  return html`<span class="badge relayed">DERP ${path.replace('derp-', '')}</span>`
}
