/** `tailflux backfill`: history on request, through the running service if one holds the data directory, otherwise by itself. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { CollectorError } from '../base/errors.ts'
import { ageText, countText, isoOf } from '../base/format.ts'
import type { Loaded } from '../config/load.ts'
import type { BackfillView } from '../http/status.ts'
import { createService, type Service } from '../main.ts'
import { EXIT } from './exit.ts'
import { createProgress } from './progress.ts'
import { createServiceClient, type ServiceClient } from './service-client.ts'
import { load, warningsFor } from './settings.ts'
import { timeArgument } from './time.ts'

interface BackfillOptions {
  readonly from?: bigint
  readonly to?: bigint
  readonly again?: boolean
  readonly cancel?: boolean
  readonly detach?: boolean
  readonly url?: string
}

const LOOK_EVERY_MS = 1_000

export function backfillCommand(): Command {
  return new Command('backfill')
    .description(
      'Read a stretch of history once more or for the first time, as far back as Tailscale keeps it (30 days). The present is not held up: history is read behind it, one window at a time.',
    )
    .option('--from <time>', 'begin here: RFC 3339, a day such as 2026-08-01 (UTC), or an age such as 7d', timeArgument)
    .option('--to <time>', 'end here; now without it', timeArgument)
    .option('--again', 'also what was read before: after points were lost in the database')
    .option('--detach', 'only ask the running service for it, and do not wait')
    .option('--cancel', 'forget what was asked for; what was read stays')
    .option('--url <url>', 'where the service listens, if not where the settings say')
    .addHelpText(
      'after',
      `
A running service does the work itself: ctrl-C then only ends the watching. Without one the command does it, and ctrl-C or a kill
ends it; asked again, or at the next start of the service, it goes on where it was. Reading twice never doubles anything.
Exit codes: ${EXIT.ok} done (or asked for, with --detach), ${EXIT.failed} failed or ended before.`,
    )
    .action(async (options: BackfillOptions, command: Command) => {
      const loaded = load(command)
      if (options.cancel) return await cancel(createServiceClient(loaded.settings, options.url))
      if (options.from === undefined) command.error("error: required option '--from <time>' not specified")
      const running = await runningService(loaded, options.url)
      if (running) return await watch(running, options)
      await runAlone(openAlone(loaded), options)
    })
}

/** The service that answers where the settings say, if there is one. */
async function runningService({ settings }: Loaded, url: string | undefined): Promise<ServiceClient | undefined> {
  if (url === undefined && settings.http.port === 0) return undefined
  const client = createServiceClient(settings, url)
  try {
    await client.status()
    return client
  } catch (error) {
    if (!(error instanceof CollectorError) || url !== undefined) throw error
    return undefined
  }
}

/** Throws a CollectorError: `state_locked` when a service runs that does not answer where the settings say. */
function openAlone(loaded: Loaded): Service {
  const { log, secrets } = warningsFor(loaded)
  return createService(loaded.settings, {
    log,
    secrets,
    onBroken(error) {
      throw error
    },
  })
}

async function watch(client: ServiceClient, options: BackfillOptions): Promise<void> {
  const query = new URLSearchParams({
    from: isoOf(options.from ?? 0n),
    to: isoOf(options.to ?? timeArgument('now')),
    ...(options.again ? { again: '1' } : {}),
  })
  const asked = (await client.order(`/api/backfill?${query}`)) as unknown as BackfillView
  tell(asked, `asked of the service at ${client.url}`)
  if (options.detach) return
  const progress = createProgress('backfill')
  const beganMs = performance.now()
  process.once('SIGINT', () => {
    progress.end()
    process.stderr.write(
      'The service goes on with it; `tailflux status` shows how far it is, `backfill --cancel` ends it.\n',
    )
    process.exit(EXIT.failed)
  })
  for (;;) {
    const { backfill, health } = await client.status()
    if (!backfill) return ended(progress, 'Somebody cancelled it.')
    progress.show(backfill.share, backfill.etaSeconds, noteOf(backfill, health.text))
    if (backfill.state === 'done') {
      progress.end()
      return summary(backfill, beganMs)
    }
    await sleep(LOOK_EVERY_MS)
  }
}

async function runAlone(service: Service, options: BackfillOptions): Promise<void> {
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort())
  const progress = createProgress('backfill')
  const beganMs = performance.now()
  const looking = setInterval(() => show(), LOOK_EVERY_MS)
  const show = () => {
    const { backfill } = service.status()
    if (backfill) progress.show(backfill.share, backfill.etaSeconds, noteOf(backfill, service.health.state().text))
  }
  const ending = new Promise<void>((resolve) =>
    stopping.signal.addEventListener('abort', () => resolve(), { once: true }),
  )
  try {
    const range = { fromNs: options.from ?? 0n, toNs: options.to ?? timeArgument('now') }
    tell(
      { ...service.pipeline.backfill(range, options.again ?? false), etaSeconds: null },
      'no service runs, so it is read here',
    )
    while (!stopping.signal.aborted && service.status().backfill?.state !== 'done') {
      const result = await Promise.race([service.pipeline.tick(), ending])
      if (result !== undefined && result !== 'caught_up')
        await sleep(LOOK_EVERY_MS, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  } finally {
    clearInterval(looking)
    show()
    progress.end()
    const { backfill } = service.status()
    await service.stop()
    if (backfill?.state === 'done') summary(backfill, beganMs)
    else if (stopping.signal.aborted) {
      process.stderr.write('Ended before it was done; the same command goes on from here.\n')
      process.exitCode = EXIT.failed
    }
  }
}

async function cancel(client: ServiceClient): Promise<void> {
  await client.order('/api/backfill/cancel')
  process.stdout.write('Nothing is asked for any more; what was read stays.\n')
}

function tell({ from, to, missingSeconds }: BackfillView, how: string): void {
  process.stderr.write(`${from} to ${to}: ${ageText(missingSeconds)} to read, ${how}.\n`)
}

function noteOf({ messages, points }: BackfillView, trouble: string | undefined): string {
  return trouble ?? `${countText(messages)} messages, ${countText(points)} points`
}

function ended(progress: { end(): void }, text: string): void {
  progress.end()
  process.stderr.write(`${text}\n`)
  process.exitCode = EXIT.failed
}

function summary(done: BackfillView, beganMs: number): void {
  const seconds = (performance.now() - beganMs) / 1000
  const whole = (Date.parse(done.to) - Date.parse(done.from)) / 1000
  const gaps =
    done.gapSeconds > 0 ? ` The API could not answer for ${ageText(done.gapSeconds)} of it: tailflux ledger show.` : ''
  process.stdout.write(
    `Done: ${done.from} to ${done.to} (${ageText(whole)}), ${done.messages} messages, ${done.points} points in ${done.windows} windows, in ${ageText(seconds)}.${gaps}\n`,
  )
}
