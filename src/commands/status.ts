/** `tailflux status`: the status page for a terminal. */
import { Command } from 'commander'
import { ageText, bitRateText, bytesText, countText, timeText } from '../base/format.ts'
import { headlineOf } from '../http/headline.ts'
import type { StatusAnswer } from '../http/status.ts'
import { EXIT } from './exit.ts'
import { createServiceClient } from './service-client.ts'
import { load } from './settings.ts'

const EVERY_MS = 2_000
const CLEAR = '\u001b[H\u001b[2J'
const COLOURS = { ok: 32, warning: 33, error: 31 } as const
const STAGE_NAMES = { api: 'Tailscale API', cut: 'Cut', fold: 'Fold', write: 'Write' } as const
const KINDS = ['virtual', 'subnet', 'exit', 'physical'] as const

export function statusCommand(): Command {
  return new Command('status')
    .description('Show how the running service is doing; in a terminal again every two seconds, until ctrl-C.')
    .option('--json', 'as JSON, once')
    .option('--once', 'once, also in a terminal')
    .option('--url <url>', 'where the service listens, if not where the settings say')
    .addHelpText('after', `\nExit codes: ${EXIT.ok} no error, ${EXIT.failed} an error, or nobody answers.`)
    .action(async (options: { json?: boolean; once?: boolean; url?: string }, command: Command) => {
      const client = createServiceClient(load(command).settings, options.url)
      const isLive = process.stdout.isTTY && !options.once && !options.json
      for (;;) {
        const status = await client.status()
        if (options.json) process.stdout.write(`${JSON.stringify(status, undefined, 2)}\n`)
        else process.stdout.write((isLive ? CLEAR : '') + statusText(status, process.stdout.hasColors?.() ?? false))
        process.exitCode = status.health.status === 'error' ? EXIT.failed : EXIT.ok
        if (!isLive) return
        await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
      }
    })
}

export function statusText(status: StatusAnswer, isColoured: boolean): string {
  const { live, now } = status
  const { status: how, word, text } = headlineOf(status)
  const since = (iso: string) => `${ageText((Date.parse(now) - Date.parse(iso)) / 1000)} ago`
  const lines = [
    `tailflux ${status.version}   tailnet ${plain(status.tailnet)} → ${plain(status.sink)}`,
    '',
    `${isColoured ? `\u001b[1;${COLOURS[how]}m${word}\u001b[0m` : word} ${plain(text)}`,
    '',
  ]
  for (const { stage, perSecond, bytesPerSecond, lastSuccess, lastError } of live?.stages ?? []) {
    const bytes = bytesPerSecond === null ? '' : `${bytesText(bytesPerSecond)}/s`
    const well = lastSuccess === null ? 'not yet' : since(lastSuccess)
    const fault = lastError === null ? '' : `   last error ${since(lastError.at)}: ${plain(lastError.text)}`
    lines.push(
      `${STAGE_NAMES[stage].padEnd(14)}${`${countText(perSecond)}/s`.padStart(10)}${bytes.padStart(13)}   well ${well}${fault}`,
    )
  }
  lines.push('', `complete up to  ${status.watermark === null ? 'nothing yet' : timeText(status.watermark)}`)
  if (status.backfill)
    lines.push(
      `backfill        ${Math.floor(status.backfill.share * 100)} % ${status.backfill.state}${etaOf(status.backfill.etaSeconds)}`,
    )
  for (const { ageSeconds, due, waiting } of status.passes ?? [])
    lines.push(
      `pass at ${ageText(ageSeconds).padEnd(8)}${due > 0 ? `${due} windows to read again` : `up to date, ${waiting} windows younger`}`,
    )
  const gaps = status.gaps.length === 0 ? 'none' : `${status.gaps.length}; tailflux ledger show tells them`
  lines.push(`gaps            ${gaps}`)
  for (const { state, name, severity, text: told } of status.alerts ?? [])
    lines.push(`alert           ${state} ${plain(name)} (${severity}): ${plain(told)}`)
  if (live)
    lines.push(
      '',
      `traffic now     ${KINDS.map((kind) => `${kind} ${bitRateText(newest(live.throughput.tx[kind]))}`).join('   ')}`,
    )
  if (live && live.talkers.top.length > 0) {
    lines.push('', `top talkers, last ${live.talkers.spanMinutes} minutes`)
    for (const { one, other, kind, txBytes, rxBytes, path } of live.talkers.top)
      lines.push(
        `${bytesText(txBytes + rxBytes).padStart(11)}  ${kind.padEnd(9)}${(path ?? '').padEnd(9)}${plain(one)} → ${plain(other)}`,
      )
  }
  return `${lines.join('\n')}\n`
}

function newest(values: readonly (number | null)[]): number {
  return values.findLast((value) => value !== null) ?? 0
}

function etaOf(seconds: number | null): string {
  return seconds === null ? '' : `, about ${ageText(seconds)} to go`
}

/** Names are chosen by others: what would move the cursor or turn text about is shown as a box. */
export function plain(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, '\ufffd')
}
