/** `tailflux alerts`: proposes thresholds from past traffic, and sends a test alert to every notifier. */
import { existsSync } from 'node:fs'
import { Command, InvalidArgumentError } from 'commander'
import { stringify } from 'yaml'
import { testNotifiers } from '../alerts/notify/notifiers.ts'
import { suggest } from '../alerts/rules/suggest.ts'
import { systemClock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { pathsIn } from '../config/data-dir.ts'
import { type Settings, tailnetTag } from '../config/settings.ts'
import { openRows } from '../query/open-rows.ts'
import type { StoredRows } from '../query/stored-rows.ts'
import { createSecretRegistry } from '../secrets/redactor.ts'
import { EXIT } from './exit.ts'
import { load } from './settings.ts'

export function alertsCommand(): Command {
  return new Command('alerts')
    .description('Alerts on traffic: propose thresholds, send a test alert.')
    .addCommand(suggestCommand())
    .addCommand(testCommand())
}

function suggestCommand(): Command {
  return new Command('suggest')
    .description('Propose alert rules, with thresholds well above the traffic of the last days in the database.')
    .option('--days <days>', 'how many days to look back', days, 7)
    .action(async (options: { days: number }, command: Command) => {
      const { settings } = load(command)
      const range = { nowNs: systemClock.now(), days: options.days }
      const suggestions = await withRows(settings, (rows) => suggest(rows, range, new AbortController().signal))
      if (suggestions.length === 0) {
        process.stderr.write(
          `tailflux: no traffic found in the last ${daysText(options.days)}; let tailflux run for a while first.\n`,
        )
        process.exitCode = EXIT.failed
        return
      }
      process.stdout.write(
        `# From the last ${daysText(options.days)}: twice the 99th percentile, and above the peak.\nalerts:\n  rules:\n`,
      )
      for (const { rule, text } of suggestions) {
        const [first = '', ...rest] = stringify(rule, { lineWidth: 0 }).trimEnd().split('\n')
        process.stdout.write([`    # ${text}`, `    - ${first}`, ...rest.map((line) => `      ${line}`), ''].join('\n'))
      }
    })
}

function testCommand(): Command {
  return new Command('test')
    .description('Send a test alert, firing and then resolved, to every notifier in alerts.notify.')
    .action(async (_options: unknown, command: Command) => {
      const { settings, secrets } = load(command)
      if (settings.alerts.notify.length === 0) {
        throw invalid('No notifiers are configured: set alerts.notify.')
      }
      const results = await testNotifiers(settings.alerts, tailnetTag(settings), {
        clock: systemClock,
        secrets: createSecretRegistry(secrets),
      })
      for (const { label, error } of results)
        process.stdout.write(
          `${error === undefined ? 'sent  ' : 'FAILED'} ${label}${error === undefined ? '' : `\n       ${error}`}\n`,
        )
      if (results.some(({ error }) => error !== undefined)) process.exitCode = EXIT.failed
    })
}

/** Rows as they are stored. */
async function withRows<T>(settings: Settings, work: (rows: StoredRows) => Promise<T>): Promise<T> {
  const { influx, retention, dataDir } = settings
  const { store: storePath } = pathsIn(dataDir)
  if (influx.url === undefined && !existsSync(storePath)) {
    throw invalid(`There is no embedded store at ${storePath}; check TAILFLUX_DATA_DIR, or set INFLUX_URL.`)
  }
  const config = { influx, retention, storePath, tailnet: tailnetTag(settings) }
  const { rows, stop } = openRows(config, { clock: systemClock })
  try {
    return await work(rows)
  } finally {
    stop()
  }
}

function invalid(text: string): CollectorError {
  return new CollectorError(text, { stage: 'config', code: 'config_invalid', reaction: 'hold' })
}

function daysText(count: number): string {
  return count === 1 ? 'day' : `${count} days`
}

function days(text: string): number {
  const count = Number(text)
  if (Number.isInteger(count) && count >= 1 && count <= 365) return count
  throw new InvalidArgumentError('It must be a whole number of days from 1 to 365.')
}
