/** `tailflux backfill`: reads history on request, through the running service if there is one, otherwise by itself. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { CollectorError } from '../base/errors.ts'
import { ageText, countText, isoOf } from '../base/format.ts'
import type { Loaded } from '../config/load.ts'
import { createService, type Service } from '../main.ts'
import type { BackfillProgress } from '../observe/status.ts'
import { EXIT, onStopSignal } from './exit.ts'
import { urlArgument } from './healthcheck.ts'
import { createProgress } from './progress.ts'
import { createServiceClient, type ServiceClient } from './service-client.ts'
import { load, warningsFor } from './settings.ts'
import { timeArgument } from './time.ts'

interface BackfillOptions {
  readonly from?: bigint
  readonly to?: bigint
  readonly again?: boolean
  readonly oldPointsDeleted?: boolean
  readonly cancel?: boolean
  readonly detach?: boolean
  readonly url?: string
}

const REFRESH_MS = 1_000

export function backfillCommand(): Command {
  return new Command('backfill')
    .description(
      'Read a range of history, as far back as Tailscale keeps it (30 days). New flow logs come first: history is read in between, one window at a time.',
    )
    .option('--from <time>', 'start: RFC 3339, a day such as 2026-08-01 (UTC), or an age such as 7d', timeArgument)
    .option('--to <time>', 'end; default: now', timeArgument)
    .option('--again', 'also re-read what was read before, for example after the database lost points')
    .option(
      '--old-points-deleted',
      'with --again: the points of tailflux 0.1.0 were deleted from the database, see docs/upgrade.md',
    )
    .option('--detach', 'only send the request to the running service; do not wait')
    .option('--cancel', 'cancel the backfill; what was read is kept')
    .option('--url <url>', 'address of the service, if not the configured one', urlArgument)
    .addHelpText(
      'after',
      `
A running service does the work itself; ctrl-C then only stops the display. Without a running service the command does the work,
and ctrl-C or a kill stops it; run it again, or start the service, to resume. Reading twice never counts anything twice.
Exit codes: ${EXIT.ok} done (or requested, with --detach), ${EXIT.failed} failed or stopped early.`,
    )
    .action(async (options: BackfillOptions, command: Command) => {
      if (options.from !== undefined && options.from >= (options.to ?? timeArgument('now')))
        command.error("error: option '--from <time>' must be earlier than '--to <time>'")
      const loaded = load(command)
      if (options.cancel) return await cancel(createServiceClient(loaded.settings, options.url))
      if (options.from === undefined) command.error("error: required option '--from <time>' not specified")
      const running = await runningService(loaded, options.url)
      if (running) return await watch(running, options)
      await runAlone(openAlone(loaded), options)
    })
}

/** The service at the configured address, if it answers. */
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

/** Throws a CollectorError: `state_locked` when a service runs that does not answer at the configured address. */
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
    ...(options.oldPointsDeleted ? { oldPointsDeleted: '1' } : {}),
  })
  const requested = (await client.post(`/api/backfill?${query}`)) as unknown as BackfillProgress
  printRange(requested, `by the service at ${client.url}`)
  if (options.detach) return
  const progress = createProgress('backfill')
  const beganMs = performance.now()
  process.once('SIGINT', () => {
    progress.end()
    process.stderr.write(
      'The service continues; `tailflux status` shows the progress, `tailflux backfill --cancel` cancels it.\n',
    )
    process.exit(EXIT.failed)
  })
  for (;;) {
    const { backfill, health } = await client.status()
    if (!backfill) return ended(progress, 'The backfill was cancelled.')
    progress.show(backfill.share, backfill.etaSeconds, noteOf(backfill, health.text))
    if (backfill.state === 'done') {
      progress.end()
      return summary(backfill, beganMs)
    }
    await sleep(REFRESH_MS)
  }
}

async function runAlone(service: Service, options: BackfillOptions): Promise<void> {
  const stopping = new AbortController()
  onStopSignal(() => stopping.abort())
  const progress = createProgress('backfill')
  const beganMs = performance.now()
  const timer = setInterval(() => show(), REFRESH_MS)
  const show = () => {
    const { backfill } = service.status()
    if (backfill) progress.show(backfill.share, backfill.etaSeconds, noteOf(backfill, service.health.state().text))
  }
  const ending = new Promise<void>((resolve) =>
    stopping.signal.addEventListener('abort', () => resolve(), { once: true }),
  )
  try {
    const range = { fromNs: options.from ?? 0n, toNs: options.to ?? timeArgument('now') }
    printRange(
      { ...service.pipeline.backfill(range, options.again ?? false, options.oldPointsDeleted), etaSeconds: null },
      'by this command, because no service is running',
    )
    while (!stopping.signal.aborted && service.status().backfill?.state !== 'done') {
      const result = await Promise.race([service.pipeline.tick(), ending])
      if (result !== undefined && result !== 'caught_up')
        await sleep(REFRESH_MS, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  } finally {
    clearInterval(timer)
    show()
    progress.end()
    const { backfill } = service.status()
    await service.stop()
    if (backfill?.state === 'done') summary(backfill, beganMs)
    else if (stopping.signal.aborted) {
      process.stderr.write('Stopped before the end; run the same command again to resume.\n')
      process.exitCode = EXIT.failed
    }
  }
}

async function cancel(client: ServiceClient): Promise<void> {
  await client.post('/api/backfill/cancel')
  process.stdout.write('Backfill cancelled; what was read is kept.\n')
}

function printRange({ from, to, missingSeconds }: BackfillProgress, how: string): void {
  process.stderr.write(`${from} to ${to}: ${ageText(missingSeconds)} to read ${how}.\n`)
}

function noteOf({ messages, points }: BackfillProgress, problem: string | undefined): string {
  return problem ?? `${countText(messages)} messages, ${countText(points)} points`
}

function ended(progress: { end(): void }, text: string): void {
  progress.end()
  process.stderr.write(`${text}\n`)
  process.exitCode = EXIT.failed
}

function summary(done: BackfillProgress, beganMs: number): void {
  const seconds = (performance.now() - beganMs) / 1000
  const whole = (Date.parse(done.to) - Date.parse(done.from)) / 1000
  const gaps =
    done.gapSeconds > 0
      ? ` The API did not answer for ${ageText(done.gapSeconds)} of it: see tailflux ledger show.`
      : ''
  process.stdout.write(
    `Done: ${done.from} to ${done.to} (${ageText(whole)}), ${done.messages} messages, ${done.points} points in ${done.windows} windows, in ${ageText(seconds)}.${gaps}\n`,
  )
}
