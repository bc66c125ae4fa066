/** `tailflux alerts`: proposes thresholds from past traffic, shows when rules would have fired, and sends a test alert to every notifier. */
import { Command, InvalidArgumentError } from 'commander'
import { stringify } from 'yaml'
import { testNotifiers } from '../alerts/notify/notifiers.ts'
import { suggest } from '../alerts/rules/suggest.ts'
import { systemClock } from '../base/clock.ts'
import type { Loaded } from '../config/load.ts'
import { tailnetTag } from '../config/settings.ts'
import { createSecretRegistry } from '../secrets/redactor.ts'
import { EXIT } from './exit.ts'
import { replayRules } from './replay-rules.ts'
import { load } from './settings.ts'
import { daysText, invalid, noTraffic, withRows } from './stored-rows.ts'

const DAYS = 7

export function alertsCommand(): Command {
  return new Command('alerts')
    .description('Alerts on traffic: propose thresholds, replay rules over the past, send a test alert.')
    .addCommand(suggestCommand())
    .addCommand(testCommand())
}

function suggestCommand(): Command {
  return new Command('suggest')
    .description('Propose alert rules, with thresholds well above the traffic of the last days in the database.')
    .option('--days <days>', 'how many days to look back', days, DAYS)
    .action(async (options: { days: number }, command: Command) => {
      const { settings } = load(command)
      const range = { nowNs: systemClock.now(), days: options.days }
      const suggestions = await withRows(settings, (rows) => suggest(rows, range, new AbortController().signal))
      if (suggestions.length === 0) throw noTraffic(options.days)
      process.stdout.write(
        `# From the last ${daysText(options.days)}: twice the 99th percentile, and above the peak.\nalerts:\n  rules:\n`,
      )
      for (const { rule, text } of suggestions) {
        const [first = '', ...rest] = stringify(rule, { lineWidth: 0 }).trimEnd().split('\n')
        process.stdout.write([`    # ${text}`, `    - ${first}`, ...rest.map((line) => `      ${line}`), ''].join('\n'))
      }
    })
}

interface TestOptions {
  readonly send?: boolean
  readonly rule?: string
  readonly days?: number
}

function testCommand(): Command {
  return new Command('test')
    .description(
      'Send a test alert, firing and then resolved, to every notifier in alerts.notify; or, with --rule or --days, show when rules would have fired in the past.',
    )
    .option('--send', 'send a test alert (the default)')
    .option('--rule <name>', 'replay this rule over the stored past')
    .option(
      '--days <days>',
      `replay all rules, or the one of --rule, over this number of days (default: ${DAYS})`,
      days,
    )
    .addHelpText(
      'after',
      `
A replay reads rows of minutes from InfluxDB, VictoriaMetrics or the embedded store and sends no notifications. It can run while the
service runs.`,
    )
    .action(async ({ send, rule, days: count }: TestOptions, command: Command) => {
      const isReplay = rule !== undefined || count !== undefined
      if (send && isReplay) command.error("error: option '--send' cannot be used with '--rule' or '--days'")
      const loaded = load(command)
      if (isReplay) await replayRules(loaded.settings, rule, count ?? DAYS)
      else await sendTest(loaded)
    })
}

async function sendTest({ settings, secrets }: Loaded): Promise<void> {
  if (settings.alerts.notify.length === 0) throw invalid('No notifiers are configured: set alerts.notify.')
  const results = await testNotifiers(settings.alerts, tailnetTag(settings), {
    clock: systemClock,
    secrets: createSecretRegistry(secrets),
  })
  for (const { label, error } of results)
    process.stdout.write(
      `${error === undefined ? 'sent  ' : 'FAILED'} ${label}${error === undefined ? '' : `\n       ${error}`}\n`,
    )
  if (results.some(({ error }) => error !== undefined)) process.exitCode = EXIT.failed
}

function days(text: string): number {
  const count = Number(text)
  if (Number.isInteger(count) && count >= 1 && count <= 365) return count
  throw new InvalidArgumentError('It must be a whole number of days from 1 to 365.')
}
