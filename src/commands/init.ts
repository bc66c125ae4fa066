/** `tailflux init`: makes what tailflux needs in its database. */
import { Command } from 'commander'
import { MS, systemClock } from '../base/clock.ts'
import type { Loaded } from '../config/load.ts'
import { type Provisioned, type ProvisionOptions, provision } from '../provision/provision.ts'
import { createInfluxHttp } from '../sink/influxdb/transport.ts'
import { EXIT } from './exit.ts'
import { load } from './settings.ts'

/** Of each request; the timeout of the service is too long for a person at a terminal. */
const ANSWER_MS_MAX = 20_000

interface InitOptions {
  readonly dryRun?: boolean
  readonly shorten?: boolean
  readonly grafanaToken?: string
}

export function initCommand(): Command {
  return new Command('init')
    .description(
      'Make what tailflux needs in InfluxDB: database or bucket, the places of retention.*, mappings for InfluxQL, the order of tags. Twice is harmless.',
    )
    .option('--dry-run', 'only say what would be made or changed')
    .option('--shorten', 'let places keep points for a shorter time than now: the server then removes the older ones')
    .option('--grafana-token <file>', '2.x: make a token for Grafana that may only read, and keep it in this file')
    .addHelpText(
      'after',
      `
Needs credentials that may create databases or buckets: an administrator of 1.x, an all-access token of 2.x, an admin token of 3.x. The service itself
may run with less. How long points are kept is said by retention.raw, retention.minutes and retention.rest.
Exit codes: ${EXIT.ok} everything is there (with --dry-run: could be read), ${EXIT.failed} something is missing or wrong, ${EXIT.usage} invalid settings.`,
    )
    .action(async (options: InitOptions, command: Command) => {
      const { text, isGood } = await init(load(command, { withoutCredentials: true }), {
        isDry: options.dryRun ?? false,
        mayShorten: options.shorten ?? false,
        tokenFile: options.grafanaToken,
      })
      process.stdout.write(text)
      if (!isGood) process.exitCode = EXIT.failed
    })
}

/** Rejects with a CollectorError when the server cannot be read at all. */
export async function init(
  { settings }: Pick<Loaded, 'settings'>,
  options: ProvisionOptions & { readonly isDry: boolean },
): Promise<{ readonly text: string; readonly isGood: boolean }> {
  const { influx, retention } = settings
  const { url } = influx
  if (url === undefined) {
    const text =
      'Without INFLUX_URL points go to the embedded store, which makes everything it needs at the first start.\n'
    return { text, isGood: true }
  }
  const config = { ...influx, url, retention, timeout: Math.min(influx.timeout, ANSWER_MS_MAX) }
  const label = `The database at ${url}`
  const http = createInfluxHttp(config, label)
  try {
    const deps = { http, label, clock: systemClock, nowMs: () => Number(systemClock.now() / MS) }
    // Every request has its own timeout; only a signal to the process ends this early.
    const done = await provision(config, options, deps, new AbortController().signal)
    return { text: reportText(done, { url, isDry: options.isDry }), isGood: isGood(done) }
  } finally {
    http.stop()
  }
}

function isGood({ items, failure }: Provisioned): boolean {
  return failure === undefined && !items.some((item) => item.kind === 'left' && item.isError)
}

function reportText(done: Provisioned, { url, isDry }: { url: string; isDry: boolean }): string {
  const { greeting, steps, items, failure } = done
  const server =
    greeting.product === 'victoria-metrics' ? 'VictoriaMetrics' : `InfluxDB ${greeting.version ?? ''}`.trim()
  const lines = [`${server} at ${url}`, '']
  for (const item of items) if (item.kind === 'right') lines.push(`  ✓ ${item.text}`)
  for (const { text, byHand } of steps) {
    lines.push(`  + ${text}`)
    if (isDry) lines.push(...indented(byHand))
  }
  for (const item of items)
    if (item.kind === 'left') lines.push(`  ${item.isError ? '✗' : '!'} ${item.text}`, `      → ${item.fix}`)
  if (failure !== undefined) {
    lines.push(`  ✗ ${failure.step.text}`, `      → ${failure.error.message}`, '', 'By hand, as someone who may:')
    for (const { byHand } of [failure.step, ...failure.rest]) lines.push(...indented(byHand))
  }
  return `${[...lines, '', headline(done, isDry)].join('\n')}\n`
}

function indented(text: string): string[] {
  return text.split('\n').map((line) => `      ${line}`)
}

function headline(done: Provisioned, isDry: boolean): string {
  const { steps, failure } = done
  const count = `${steps.length} ${steps.length === 1 ? 'change' : 'changes'}`
  if (failure !== undefined) return `${count} made, then it failed. Nothing that was there was removed.`
  if (!isGood(done)) return 'Something must be fixed first (✗).'
  if (steps.length === 0) return 'Everything is there; nothing to do.'
  return isDry
    ? `${count} would be made (--dry-run: nothing was changed).`
    : `${count} made. \`tailflux check\` looks at the rest.`
}
