/** `tailflux status`: the status page for a terminal. */
import { Command } from 'commander'
import { ageAdjective, ageText, bitRateText, bytesText, countText, timeText } from '../base/format.ts'
import { headlineOf } from '../observe/headline.ts'
import type { StatusAnswer } from '../observe/status.ts'
import { EXIT } from './exit.ts'
import { urlArgument } from './healthcheck.ts'
import { createServiceClient } from './service-client.ts'
import { load } from './settings.ts'

const EVERY_MS = 2_000
const CLEAR = '\u001b[H\u001b[2J'
const COLOURS = { ok: 32, warning: 33, error: 31 } as const
const STAGE_NAMES = { api: 'Tailscale API', parse: 'Parse', aggregate: 'Aggregate', write: 'Write' } as const
const KINDS = ['virtual', 'subnet', 'exit', 'physical'] as const

export function statusCommand(): Command {
  return new Command('status')
    .description('Show the status of the running service; in a terminal it refreshes every two seconds until ctrl-C.')
    .option('--json', 'as JSON, once')
    .option('--once', 'print once, also in a terminal')
    .option('--url <url>', 'address of the service, if not the configured one', urlArgument)
    .addHelpText('after', `\nExit codes: ${EXIT.ok} no error, ${EXIT.failed} an error, or no answer.`)
    .action(async (options: { json?: boolean; once?: boolean; url?: string }, command: Command) => {
      const client = createServiceClient(load(command, { withoutCredentials: true }).settings, options.url)
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
  const { status: how, word, text, next } = headlineOf(status)
  const since = (iso: string) => `${ageText((Date.parse(now) - Date.parse(iso)) / 1000)} ago`
  const lines = [
    `tailflux ${status.version}   tailnet ${plain(status.tailnet)} → ${plain(status.sink)}`,
    '',
    `${isColoured ? `\u001b[1;${COLOURS[how]}m${word}\u001b[0m` : word} ${plain(text)}${next === undefined ? '' : ` (${next})`}`,
    '',
  ]
  for (const { stage, perSecond, bytesPerSecond, lastSuccess, lastError } of live.stages) {
    const bytes = bytesPerSecond === null ? '' : `${bytesText(bytesPerSecond)}/s`
    const success = lastSuccess === null ? 'no success yet' : `last success ${since(lastSuccess)}`
    const fault = lastError === null ? '' : `   last error ${since(lastError.at)}: ${plain(lastError.text)}`
    lines.push(
      `${STAGE_NAMES[stage].padEnd(14)}${`${countText(perSecond)}/s`.padStart(10)}${bytes.padStart(13)}   ${success}${fault}`,
    )
  }
  lines.push('', `complete up to  ${status.watermark === null ? 'no data yet' : timeText(status.watermark)}`)
  if (status.backfill)
    lines.push(
      `backfill        ${Math.floor(status.backfill.share * 100)} % ${status.backfill.state}${etaOf(status.backfill.etaSeconds)}`,
    )
  for (const { ageSeconds, due, waiting } of status.passes)
    lines.push(
      `${`${ageAdjective(ageSeconds)} re-read:`.padEnd(19)}${due > 0 ? `${due} windows due` : `up to date (${waiting} windows not due yet)`}`,
    )
  const gaps = status.gaps.length === 0 ? 'none' : `${status.gaps.length}; see tailflux ledger show`
  lines.push(`gaps            ${gaps}`)
  for (const { state, name, severity, text: sentence } of status.alerts ?? [])
    lines.push(`alert           ${state} ${plain(name)} (${severity}): ${plain(sentence)}`)
  const { throughput, talkers } = live
  if (throughput)
    lines.push(
      '',
      `traffic now     ${KINDS.map((kind) => `${kind} ${bitRateText(throughput.kinds[kind].now ?? 0)}`).join('   ')}`,
    )
  for (const [what, top] of [
    ['talkers', talkers?.top ?? []],
    ['owners', talkers?.owners ?? []],
  ] as const) {
    if (top.length > 0) lines.push('', `top ${what}, last hour`)
    for (const { one, other, kind, txBytes, rxBytes, path } of top)
      lines.push(
        `${bytesText(txBytes + rxBytes).padStart(11)}  ${kind.padEnd(9)}${(path ?? '').padEnd(9)}${plain(one)} → ${plain(other)}`,
      )
  }
  return `${lines.join('\n')}\n`
}

function etaOf(seconds: number | null): string {
  return seconds === null ? '' : `, about ${ageText(seconds)} left`
}

/** Device names are chosen by other people: characters that move the cursor or change the text direction are replaced. */
export function plain(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, '\ufffd')
}
