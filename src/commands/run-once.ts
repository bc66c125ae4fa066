/** `tailflux run --once`: everything up to now, then the end. For cron, and for tests. */
import { setTimeout as sleep } from 'node:timers/promises'
import { countText } from '../base/format.ts'
import type { Loaded } from '../config/load.ts'
import { createService, type Service } from '../main.ts'
import type { TickResult } from '../observe/line/status.ts'
import { EXIT, onStopSignal } from './exit.ts'
import { withoutPromises } from './one-shot.ts'
import { warningsFor } from './settings.ts'

/** Between two polls, and between two looks at the rows. */
const LOOK_MS = 500
/** Without a window, or a row, that became done: then it is given up. A run that follows continues. */
const PATIENCE_MS = 30_000
/** What these report as an error does not pass by itself. */
const FATAL: ReadonlySet<string> = new Set(['source', 'sink', 'state'])

/** Returns the exit code: 0 when everything is in the database. Rejects with a CollectorError when the service cannot be created, as when another one
 * runs. */
export async function runOnce(loaded: Loaded): Promise<number> {
  const { log, secrets } = warningsFor(loaded)
  const broken = Promise.withResolvers<never>()
  // It is awaited together with the work; when the work has ended it is nobody's.
  broken.promise.catch(() => undefined)
  const stopping = new AbortController()
  const service = createService(loaded.settings, { log, secrets, onBroken: broken.reject })
  onStopSignal(() => stopping.abort(new Error('stopped')))
  let missing: string | undefined
  try {
    missing = await Promise.race([catchUp(service, PATIENCE_MS, stopping.signal), broken.promise])
  } finally {
    await service.stop()
  }
  if (missing === undefined) process.stdout.write(doneText(service))
  else process.stderr.write(`tailflux: ${missing} The next run continues.\n`)
  return missing === undefined ? EXIT.ok : EXIT.failed
}

/** Reads everything up to now and makes the rows that can be made. Returns what is missing as a sentence; undefined when nothing is. */
export async function catchUp(
  service: Pick<Service, 'begin' | 'finishRows' | 'pipeline' | 'health' | 'status'>,
  patienceMs: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  await service.begin()
  const result = await readAll(service, patienceMs, signal)
  if (signal.aborted) return 'Stopped before everything was read.'
  if (result !== 'caught_up')
    return `Not everything is in the database: ${withoutPromises(service.health.state().text ?? FALLBACK[result])}`
  const waiting = await makeRows(service, patienceMs, signal)
  const open = service.status().gaps.filter(({ state }) => state === 'open').length
  if (open > 0) return `${count(open, 'range')} could not be read; \`tailflux ledger show\` lists them.`
  if (waiting === 0) return undefined
  if (signal.aborted) return 'Everything is read, but it was stopped before all rows were made.'
  const { components } = service.health.state()
  const reason = components.find(({ component, status }) => component === 'rollup' && status !== 'ok')?.text
  const rows =
    waiting === undefined ? 'rows' : `rows of ${count(waiting, 'minute or longer tier', '', 'minutes, hours and days')}`
  return `Everything is read, but ${rows} could not be made. ${withoutPromises(reason ?? 'See the log for the cause.')}`
}

const FALLBACK: Readonly<Record<TickResult, string>> = {
  caught_up: '',
  db_down: 'The database does not answer. Check INFLUX_URL; `tailflux check` says more.',
  api_waiting: 'The Tailscale API does not answer. `tailflux check` says more.',
  state_failed: 'The state file cannot be written. Check the disk of TAILFLUX_DATA_DIR.',
  paused: 'The service is paused.',
  stopped: 'It was stopped.',
}

/** Polls until nothing is missing, or nothing becomes done any more. */
async function readAll(
  service: Pick<Service, 'pipeline' | 'health' | 'status'>,
  patienceMs: number,
  signal: AbortSignal,
): Promise<TickResult> {
  const stopped = new Promise<'stopped'>((resolve) =>
    signal.addEventListener('abort', () => resolve('stopped'), { once: true }),
  )
  const patience = createPatience(patienceMs)
  while (!signal.aborted) {
    const result = await Promise.race([service.pipeline.tick(), stopped])
    if (result === 'caught_up' || result === 'paused' || result === 'stopped') return result
    const isFatal = service.health.state().components.some((one) => FATAL.has(one.component) && one.status === 'error')
    if (isFatal || patience.isOver(service.status().totals.windows)) return result
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined)
  }
  return 'stopped'
}

/** Waits until all rows are made that can be. Returns what is left; undefined when that is not known. */
async function makeRows(
  service: Pick<Service, 'finishRows'>,
  patienceMs: number,
  signal: AbortSignal,
): Promise<number | undefined> {
  const patience = createPatience(patienceMs)
  for (;;) {
    const due = service.finishRows()
    if (due === 0 || signal.aborted || patience.isOver(due)) return due
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined)
  }
}

/** Over when what is counted has stayed the same for too long. */
function createPatience(ms: number): { isOver(counted: number | undefined): boolean } {
  let last: number | undefined
  let sinceMs = performance.now()
  return {
    isOver(counted) {
      if (counted !== last) sinceMs = performance.now()
      last = counted
      return performance.now() - sinceMs > ms
    },
  }
}

function doneText(service: Service): string {
  const { watermark, totals } = service.status()
  const { messages, points, windows, quarantined, rejected } = totals
  const aside = quarantined + rejected
  const left = aside === 0 ? '' : ` ${count(aside, 'entry', ' that cannot be stored', 'entries')}: see dead-letters/.`
  return `Done: everything up to ${watermark ?? 'now'} is in the database (${countText(messages)} messages, ${countText(points)} points in ${windows} windows).${left}\n`
}

function count(amount: number, one: string, rest = '', many = `${one}s`): string {
  return `${amount} ${amount === 1 ? one : many}${rest}`
}
