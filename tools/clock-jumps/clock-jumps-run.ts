/** The service as people run it, in a process of its own under libfaketime, while its wall clock jumps: how long its probe is silent, what
 * memory and log it takes, and when it polls next. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { START_ENV, START_FLAGS } from '../../bench/start-flags.ts'
import { parseSchedule } from '../../src/schedule/poll-times.ts'
import { linesOf } from '../../test/helpers/lines.ts'
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts'
import { freePort, type Scope } from '../../test/services/server-process.ts'
import { ensure } from '../../test/services/servers.ts'
import { createSimulatedApi } from '../../test/simulator/api.ts'
import { createTailnet } from '../../test/simulator/tailnet.ts'

export interface ClockJump {
  /** By how much the wall clock of the service jumps, s. */
  readonly seconds: number
  /** The machine was suspended: the clock of the API is on by as much. Otherwise only the local clock is wrong. */
  readonly isSuspended: boolean
}

export interface JumpReport extends ClockJump {
  /** The longest time between two answers of /livez, from just before the jump, ms. */
  readonly silenceMs: number
  /** Resident memory just before and the most after it, MiB. */
  readonly rssBeforeMiB: number
  readonly rssMostMiB: number
  readonly logLines: number
  readonly logBytes: number
  /** Lines that are not JSON. */
  readonly foreignLines: number
  /** From the jump to the next poll, ms. */
  readonly firstPollMs: number
  /** How long after a time of the schedule, by the new clock, each later poll came, ms. */
  readonly laterPollsMs: readonly number[]
  /** The one that the first poll should have come at, ms after the jump: at once when the jump passed over a poll. */
  readonly expectedFirstMs: number
}

export interface JumpWorld {
  jump(by: ClockJump, watchMs: number): Promise<JumpReport>
  status(): Promise<Record<string, unknown>>
  output(): string
}

const ROOT = join(import.meta.dirname, '../..')
const LOOK_MS = 50
/** What comes within so long belongs to one poll. */
const POLL_MS = 2_000
const PATIENCE_MS = 300_000

/** Starts an API and the service; resolves when the service has caught up. */
export async function startJumpWorld(
  scope: Scope,
  options: { readonly schedule: string; readonly nodes?: number; readonly env?: Readonly<Record<string, string>> },
): Promise<JumpWorld> {
  const times = parseSchedule(options.schedule)
  let apiAheadMs = 0
  const tailnet = createTailnet({ seed: 5, nodes: options.nodes ?? 5, activity: 0.2 })
  const api = createSimulatedApi(tailnet, { nowNs: () => BigInt(Math.round(Date.now() + apiAheadMs)) * 1_000_000n })
  await api.start()
  scope.after(() => api.stop())
  const home = temporaryFolder(scope)
  const timeFile = join(home, 'time')
  let offsetSeconds = 0
  const setOffset = () => writeFileSync(timeFile, `${offsetSeconds < 0 ? '' : '+'}${offsetSeconds}\n`)
  setOffset()
  const { path: faketime } = await ensure('libfaketime')
  const port = await freePort()
  const child = spawn(process.execPath, [...START_FLAGS, join(ROOT, 'src/cli.js'), 'run'], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'] ?? '',
      ...START_ENV,
      LD_PRELOAD: faketime,
      FAKETIME_TIMESTAMP_FILE: timeFile,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      TAILSCALE_API_URL: api.url,
      TAILSCALE_API_KEY: 'tskey-api-demo',
      TAILFLUX_DATA_DIR: join(home, 'data'),
      TAILFLUX_HTTP_PORT: String(port),
      TAILFLUX_POLL_LOOKBACK: '5m',
      TAILFLUX_POLL_SCHEDULE: options.schedule,
      ...options.env,
    },
  })
  scope.after(() => end(child))
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (piece: string) => {
      output += piece
    })
  const url = `http://127.0.0.1:${port}`
  /** When each poll began, by the clock of this machine, ms. */
  const polls: number[] = []
  let lastRequestMs = Number.NEGATIVE_INFINITY
  let isOver = false
  scope.after(async () => {
    isOver = true
  })
  void (async () => {
    while (!isOver) {
      await api.nextRequest((request) => request.route === 'logs')
      const nowMs = Date.now()
      if (nowMs - lastRequestMs > POLL_MS) polls.push(nowMs)
      lastRequestMs = nowMs
    }
  })()

  async function status(): Promise<Record<string, unknown>> {
    const answer = await fetch(`${url}/api/status`, { signal: AbortSignal.timeout(PATIENCE_MS) })
    return (await answer.json()) as Record<string, unknown>
  }

  /** The longest time without an answer of /livez, ms, until `done`. */
  async function watchProbe(isDone: () => boolean, see: () => void): Promise<number> {
    let longestMs = 0
    let answeredMs = performance.now()
    while (!isDone()) {
      const answer = await fetch(`${url}/livez`, { signal: AbortSignal.timeout(PATIENCE_MS) })
      await answer.text()
      if (!answer.ok) throw new Error(`/livez answers ${answer.status}`)
      const nowMs = performance.now()
      longestMs = Math.max(longestMs, nowMs - answeredMs)
      answeredMs = nowMs
      see()
      await sleep(LOOK_MS)
    }
    return longestMs
  }

  const deadlineMs = performance.now() + PATIENCE_MS
  while (!((await status().catch(() => ({}))) as { lastTick?: { result: string } })?.lastTick?.result) {
    if (child.exitCode !== null || performance.now() > deadlineMs) throw new Error(`it does not start:\n${output}`)
    await sleep(200)
  }

  return {
    status,
    output: () => output,
    async jump(by, watchMs) {
      // Not beside a poll, or polls could not be told apart.
      const serviceNow = () => Date.now() + 1000 * offsetSeconds
      const isNearPoll = () =>
        times.next(serviceNow()) - serviceNow() < 3_500 ||
        sinceSlot(serviceNow()) < POLL_MS + 500 ||
        Date.now() - lastRequestMs < POLL_MS + 500
      while (isNearPoll()) await sleep(100)
      const rssBeforeMiB = rssOf(child)
      const from = { output: output.length, polls: polls.length }
      offsetSeconds += by.seconds
      if (by.isSuspended) apiAheadMs += 1000 * by.seconds
      const jumpedMs = Date.now()
      setOffset()
      let rssMostMiB = rssBeforeMiB
      const silenceMs = await watchProbe(
        () => Date.now() - jumpedMs >= watchMs,
        () => {
          rssMostMiB = Math.max(rssMostMiB, rssOf(child))
        },
      )
      const said = output.slice(from.output)
      const lines = linesOf(said)
      const [firstMs, ...laterMs] = polls.slice(from.polls)
      const newMs = jumpedMs + 1000 * offsetSeconds
      return {
        ...by,
        silenceMs,
        rssBeforeMiB,
        rssMostMiB,
        logLines: lines.length,
        logBytes: Buffer.byteLength(said),
        foreignLines: lines.filter((line) => !isJson(line)).length,
        firstPollMs: (firstMs ?? Number.POSITIVE_INFINITY) - jumpedMs,
        expectedFirstMs: by.seconds > 0 ? 0 : times.next(newMs) - newMs,
        laterPollsMs: laterMs.map((ms) => sinceSlot(ms + 1000 * offsetSeconds)),
      }
    },
  }

  function sinceSlot(ms: number): number {
    let slotMs = times.next(ms - times.gapMs - 1)
    while (times.next(slotMs) <= ms) slotMs = times.next(slotMs)
    return ms - slotMs
  }
}

/** What of the report breaks the promise; empty when it holds. */
export function faultsOf(report: JumpReport): string[] {
  const faults: string[] = []
  const check = (isGood: boolean, text: string) => void (isGood || faults.push(text))
  check(report.silenceMs < 3_000, `/livez was silent for ${Math.round(report.silenceMs)} ms`)
  check(report.foreignLines === 0, `${report.foreignLines} lines of the log are not JSON`)
  // After a sleep up to 30 days of history are read in the first poll, with a line for each window: that many, however long the sleep was.
  const [linesMax, laterMin] = report.isSuspended ? [5_000, 0] : [100, 1]
  check(report.logLines < linesMax, `${report.logLines} lines of log`)
  check(report.rssMostMiB < 220, `memory grew to ${report.rssMostMiB} MiB`)
  const lateMs = report.firstPollMs - report.expectedFirstMs
  check(lateMs > -100 && lateMs < 2_500, `the first poll came ${Math.round(lateMs)} ms after its time`)
  check(report.laterPollsMs.length >= laterMin, 'no later poll was seen')
  for (const ms of report.laterPollsMs) check(ms < 2_500, `a later poll came ${Math.round(ms)} ms after its time`)
  return faults
}

function rssOf(child: ChildProcess): number {
  const [, kib] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8')) ?? []
  return Math.round(Number(kib) / 1024)
}

function isJson(line: string): boolean {
  try {
    JSON.parse(line)
    return true
  } catch {
    return false
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'close')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 15_000)
  await ended
  clearTimeout(timer)
}
