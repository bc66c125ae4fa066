/** `tailflux replay`: reads saved flow logs through the same steps as the service, so they become the same points. */
import { Command } from 'commander'
import type { Logger } from 'pino'
import { systemClock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { countText } from '../base/format.ts'
import { createSemaphore } from '../base/semaphore.ts'
import { VERSION } from '../base/version.ts'
import { pathsIn } from '../config/data-dir.ts'
import type { Settings } from '../config/settings.ts'
import { createFlattener } from '../flatten/flatten.ts'
import { createMetrics } from '../observe/metrics.ts'
import { NO_OBSERVERS } from '../observers/observers.ts'
import { type DeliverWindowDeps, deliverWindow, type WindowResult } from '../pipeline/deliver-window.ts'
import { createPrivacy } from '../privacy/privacy.ts'
import { lineLimits } from '../sink/config.ts'
import { createSink } from '../sink/create-sink.ts'
import { createDeadLetters } from '../sink/dead-letters.ts'
import { createLineWriter } from '../sink/line-protocol/line-writer.ts'
import { type Findings, openArchive } from '../source/archive.ts'
import { EXIT, onStopSignal } from './exit.ts'
import { createProgress } from './progress.ts'
import { createPrinter } from './replay-printer.ts'
import { readSettingsHistory, replayState } from './replay-state.ts'
import { load, warningsFor } from './settings.ts'

interface ReplayOptions {
  readonly print?: boolean
}

const REFRESH_MS = 500
/** All of time: a file is one window. */
const EVER = { fromNs: -(1n << 63n), toNs: (1n << 63n) - 1n, queue: 'backfill', pass: 1 } as const

export function replayCommand(): Command {
  return new Command('replay')
    .description(
      'Write saved flow logs to the database: API responses, lists of messages, NDJSON and log streaming bodies (HEC), also inside container logs; plain, gzip or zstd.',
    )
    .argument('<file...>', 'files, or - for standard input')
    .option('--print', 'print the lines to standard output instead of writing them; can run while the service runs')
    .addHelpText(
      'after',
      `
The points are the same as when polled from the API, so nothing is counted twice, however often you replay. Rows with names, which dashboards
read, are made of them when the service runs again; stop it first, because it uses the same data directory. No credentials are needed.
Damaged lines are left out and quarantined; the other lines and files are taken.
Exit codes: ${EXIT.ok} everything written (quarantined lines are reported), ${EXIT.failed} a file has no flow logs or breaks off, or the database failed, ${EXIT.locked} a service is running.`,
    )
    .action(async (files: string[], options: ReplayOptions, command: Command) => {
      const loaded = load(command, { withoutCredentials: true })
      const { log } = warningsFor(loaded)
      await using parts = new AsyncDisposableStack()
      const stopping = stopOnSignal()
      const target = options.print ? printTarget(loaded.settings, log) : databaseTarget(loaded.settings, log, parts)
      await target.sink.start(stopping.signal)
      for (const file of files) {
        try {
          await replayOne(file, loaded.settings, target, stopping.signal)
        } catch (error) {
          // The next file may be good.
          if (!(error instanceof CollectorError) || error.stage !== 'source') throw error
          failed(error)
        }
      }
    })
}

type Parts = Parameters<typeof deliverWindow>[1]

/** Where the lines go, and what is needed to make them. */
interface Target {
  readonly sink: Pick<ReturnType<typeof createSink>, 'start' | 'write'>
  readonly worker: Parts
  readonly deps: Omit<DeliverWindowDeps, 'source'>
  /** Where quarantined messages and lines are kept, for people. */
  readonly kept: string
}

function databaseTarget(settings: Settings, log: Logger, parts: AsyncDisposableStack): Target {
  const clock = systemClock
  const paths = pathsIn(settings.dataDir)
  const { history, mustMake } = parts.use(replayState(settings, { clock, log }))
  const metrics = createMetrics({ version: VERSION, clock })
  parts.defer(() => metrics.stop())
  const deadLetters = createDeadLetters(
    { dir: paths.deadLetters, maxBytes: settings.deadLetters.maxBytes },
    { clock, log },
  )
  parts.defer(() => deadLetters.stop())
  const { influx, retention, poll } = settings
  const sink = createSink(
    { influx, retention, storePath: paths.store, lastPassMs: poll.latePasses.at(-1) ?? 0 },
    { clock, log, metrics: metrics.sink, deadLetters },
  )
  parts.defer(() => sink.stop())
  // A file proves nothing about what it does not contain, so nothing is done; but rows must be made of what it contains.
  const done: Target['deps']['ledger']['done'] = (_window, _record, _attempt, minutes = []) => mustMake(minutes)
  return {
    sink,
    worker: workerFor(settings, history),
    deps: depsFor(settings, log, { sink, deadLetters, metrics: metrics.pipeline, done }),
    kept: paths.deadLetters,
  }
}

/** Prints the lines, and changes nothing on this machine. */
function printTarget(settings: Settings, log: Logger): Target {
  const metrics = createMetrics({ version: VERSION, clock: systemClock })
  metrics.stop()
  const sink = createPrinter()
  const deadLetters: Target['deps']['deadLetters'] = { append: async (letters) => letters }
  return {
    sink,
    worker: workerFor(settings, readSettingsHistory(settings, { clock: systemClock, log })),
    deps: depsFor(settings, log, { sink, deadLetters, metrics: metrics.pipeline, done: () => undefined }),
    kept: 'not kept, because of --print',
  }
}

function workerFor(settings: Settings, history: ReturnType<typeof readSettingsHistory>): Parts {
  const flattener = createFlattener({
    tailnetAt: (startNs) => history.at(startNs).tailnet,
    portsAt: (startNs) => history.at(startNs).ports,
  })
  return {
    flattener: createPrivacy(settings.privacy, history.at).flattener(flattener),
    lines: createLineWriter(lineLimits(settings.influx)),
  }
}

function depsFor(
  settings: Settings,
  log: Logger,
  {
    done,
    ...others
  }: Pick<DeliverWindowDeps, 'sink' | 'deadLetters' | 'metrics'> & {
    readonly done: DeliverWindowDeps['ledger']['done']
  },
): Target['deps'] {
  return {
    ...others,
    ledger: { beginAttempt: (window) => window, endAttempt: () => undefined, done },
    semaphore: createSemaphore(settings.influx.inFlight),
    observers: NO_OBSERVERS,
    clock: systemClock,
    log,
    lagNs: 0n,
    safeNowNs: () => EVER.toNs,
    passAt: () => 1,
    recovery: { nextAckNs: () => systemClock.now(), wasAwaySince: () => false, mayInterrupt: () => false },
    heldBytesMax: 0,
  }
}

async function replayOne(file: string, settings: Settings, target: Target, signal: AbortSignal): Promise<void> {
  const archive = await openArchive(file, settings.tailscale)
  const { answer } = archive
  const progress = createProgress(file)
  const show = () => progress.show(archive.share(), null, `${countText(answer.bytesRead())}B read`)
  const timer = setInterval(show, REFRESH_MS)
  let result: WindowResult
  try {
    const source = { open: async () => answer }
    result = await deliverWindow(EVER, target.worker, { ...target.deps, source }, signal)
    const [limit] = result.limits
    if (limit !== undefined) throw limit
  } finally {
    clearInterval(timer)
    progress.end()
  }
  const findings = archive.findings()
  if (findings.fault === undefined || result.messages + result.quarantined > 0)
    printResult(file, result, findings, target.kept)
  if (findings.fault !== undefined) failed(findings.fault)
}

function failed(error: CollectorError): void {
  process.stderr.write(`tailflux: ${error.message}\n`)
  process.exitCode = EXIT.failed
}

function stopOnSignal(): AbortController {
  const stopping = new AbortController()
  const stopped = new CollectorError('Stopped before everything was written; run it again, nothing is counted twice.', {
    stage: 'config',
    code: 'service_unreachable',
    reaction: 'retry',
  })
  onStopSignal(() => stopping.abort(stopped))
  return stopping
}

function printResult(file: string, result: WindowResult, findings: Findings, kept: string): void {
  const { messages, entries, points, quarantined, rejected, expired } = result
  const { others, damage, damageCount } = findings
  for (const one of damage) process.stderr.write(`${file}: ${one}; left out\n`)
  if (damageCount > damage.length)
    process.stderr.write(`${file}: ${damageCount - damage.length} more damaged places were left out\n`)
  const more = [
    quarantined > 0 ? `${quarantined} quarantined (${kept})` : undefined,
    rejected > 0 ? `${rejected} lines rejected by the database (${kept})` : undefined,
    expired > 0 ? `${expired} older than the retention of the database` : undefined,
    others > 0 ? (others === 1 ? '1 value was not a flow log' : `${others} values were not flow logs`) : undefined,
  ].filter((text) => text !== undefined)
  const rest = more.length === 0 ? '' : `; ${more.join(', ')}`
  process.stderr.write(`${file}: ${messages} messages, ${entries} entries, ${points} points${rest}.\n`)
}
