/** `tailflux replay`: reads saved flow logs through the same steps as the service, so they become the same points. */
import { Command } from 'commander'
import { systemClock } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { countText } from '../base/format.ts'
import { createSemaphore } from '../base/semaphore.ts'
import { VERSION } from '../base/version.ts'
import { pathsIn } from '../config/data-dir.ts'
import { tailnetSource, tailnetTag } from '../config/settings.ts'
import { settingsShape } from '../config/settings-in-force.ts'
import { createFlattener } from '../flatten/flatten.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { createSettingsHistory } from '../ledger/sqlite/settings-table.ts'
import { createLedger } from '../ledger/sqlite/sqlite-ledger.ts'
import { openStateFile } from '../ledger/sqlite/state-file.ts'
import { findLedger } from '../ledger/sqlite/tailnets.ts'
import { createMetrics } from '../observe/metrics.ts'
import { NO_OBSERVERS } from '../observers/observers.ts'
import { deliverWindow, type WindowResult } from '../pipeline/deliver-window.ts'
import { createPrivacy } from '../privacy/privacy.ts'
import { lineLimits } from '../sink/config.ts'
import { createSink } from '../sink/create-sink.ts'
import { createDeadLetters } from '../sink/dead-letters.ts'
import { createLineWriter } from '../sink/line-protocol/line-writer.ts'
import type { Sink } from '../sink/sink.ts'
import { openArchive } from '../source/archive.ts'
import { EXIT } from './exit.ts'
import { createProgress } from './progress.ts'
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
      'Write saved flow logs to the database: API responses, lists of messages, NDJSON and log streaming bodies (HEC); plain, gzip or zstd.',
    )
    .argument('<file...>', 'files, or - for standard input')
    .option('--print', 'print the lines to standard output instead of writing them')
    .addHelpText(
      'after',
      `
The points are the same as when polled from the API, so nothing is counted twice, however often you replay. Rows with names, which dashboards
read, are made of them when the service runs again; stop it first, because it uses the same data directory.
Exit codes: ${EXIT.ok} everything written (quarantined lines are reported), ${EXIT.failed} a file or the database failed, ${EXIT.locked} a service is running.`,
    )
    .action(async (files: string[], options: ReplayOptions, command: Command) => {
      const loaded = load(command)
      const { settings } = loaded
      const { log } = warningsFor(loaded)
      await using parts = new AsyncDisposableStack()
      const clock = systemClock
      const paths = pathsIn(settings.dataDir)
      const state = openStateFile({ path: paths.state }, { clock, log })
      parts.defer(() => state.close())
      const tailnetId = findLedger(state, { source: tailnetSource(settings), name: tailnetTag(settings) }, log)
      const ledger = createLedger(state, tailnetId)
      const history = createSettingsHistory(state, tailnetId, settingsShape(settings))
      const privacy = createPrivacy(settings.privacy, history.at)
      const metrics = createMetrics({ version: VERSION, clock })
      parts.defer(() => metrics.stop())
      const deadLetters = createDeadLetters(
        { dir: paths.deadLetters, maxBytes: settings.deadLetters.maxBytes },
        { clock, log },
      )
      parts.defer(() => deadLetters.stop())
      const sink = options.print
        ? printer()
        : createSink(
            {
              influx: settings.influx,
              retention: settings.retention,
              storePath: paths.store,
              lastPassMs: settings.poll.latePasses.at(-1) ?? 0,
            },
            { clock, log, metrics: metrics.sink, deadLetters },
          )
      parts.defer(() => sink.stop())
      const stopping = new AbortController()
      for (const signal of ['SIGINT', 'SIGTERM'] as const)
        process.once(signal, () =>
          stopping.abort(
            new CollectorError(
              'Stopped before everything was written; run it again, nothing is counted twice.',
              STOPPED,
            ),
          ),
        )
      await sink.start(stopping.signal)
      const worker = {
        flattener: privacy.flattener(
          createFlattener({
            tailnetAt: (startNs) => history.at(startNs).tailnet,
            portsAt: (startNs) => history.at(startNs).ports,
          }),
        ),
        lines: createLineWriter(lineLimits(settings.influx)),
      }
      const listMinutes: Ledger['done'] = (_window, _record, _attempt, minutes = []) => {
        if (options.print) return
        const listed = minutes.map((startNs) => ({ tier: 'minute', startNs }) as const)
        ledger.unsettled.must(listed, clock.now())
      }
      for (const file of files) await replayOne(file)

      async function replayOne(file: string): Promise<void> {
        const { answer, counts } = await openArchive(file, settings.tailscale)
        const progress = createProgress(file)
        const show = () =>
          progress.show(
            counts.fileBytes === 0 ? 0 : counts.readBytes / counts.fileBytes,
            null,
            `${countText(answer.bytesRead())}B read`,
          )
        const timer = setInterval(show, REFRESH_MS)
        let result: WindowResult
        try {
          result = await deliverWindow(
            EVER,
            worker,
            {
              source: { open: async () => answer },
              sink,
              // A file proves nothing about what it does not contain, so nothing is done; but rows must be made of what it contains.
              ledger: { beginAttempt: (window) => window, endAttempt: () => undefined, done: listMinutes },
              deadLetters,
              semaphore: createSemaphore(settings.influx.inFlight),
              observers: NO_OBSERVERS,
              metrics: metrics.pipeline,
              clock,
              log,
              lagNs: 0n,
              safeNowNs: () => EVER.toNs,
              passAt: () => 1,
              recovery: { nextAckNs: () => clock.now(), wasAwaySince: () => false, mayInterrupt: () => false },
              heldBytesMax: 0,
            },
            stopping.signal,
          )
        } finally {
          clearInterval(timer)
          progress.end()
        }
        printResult(file, result, counts.others)
      }
    })
}

const STOPPED = { stage: 'config', code: 'service_unreachable', reaction: 'retry' } as const

function printResult(file: string, result: WindowResult, others: number): void {
  const { messages, entries, points, quarantined, rejected, expired } = result
  const more = [
    quarantined > 0 ? `${quarantined} quarantined (dead-letters/)` : undefined,
    rejected > 0 ? `${rejected} lines rejected by the database (dead-letters/)` : undefined,
    expired > 0 ? `${expired} older than the retention of the database` : undefined,
    others > 0 ? (others === 1 ? '1 value was not a flow log' : `${others} values were not flow logs`) : undefined,
  ].filter((text) => text !== undefined)
  const rest = more.length === 0 ? '' : `; ${more.join(', ')}`
  process.stderr.write(`${file}: ${messages} messages, ${entries} entries, ${points} points${rest}.\n`)
}

/** A sink that prints what would be written. */
function printer(): Pick<Sink, 'start' | 'write' | 'stop'> {
  return {
    start: async () => undefined,
    write(batch) {
      const { promise, resolve, reject } = Promise.withResolvers<{
        written: number
        rejected: number
        expired: number
        sentMs: number
      }>()
      process.stdout.write(batch.bytes, (error) =>
        error ? reject(error) : resolve({ written: batch.lineCount, rejected: 0, expired: 0, sentMs: 0 }),
      )
      return promise
    },
    stop: async () => undefined,
  }
}
