/** What alerts cost beside the line: 5,000 nodes and 200 rules, CPU as a share of reading, flattening and writing lines, and memory. Windows are
 * those that the pipeline would read: polls of 30 s, cut at `poll.windowBytesTarget`. Each poll is walked twice, with and without alerts, in
 * turn; both are CPU time of the whole process, so what alerts leave to the garbage collector is theirs.
 *
 *   node --expose-gc test/alerts/cost.ts [mix] [polls]      a mix: nodes, mixed (default), pairs, scans
 *   node --expose-gc test/alerts/cost.ts [mix] memory       the same traffic for 90 minutes of its own time, and what is kept of it */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAlerts } from '../../src/alerts/alerts.ts'
import { alertsSchema } from '../../src/alerts/config.ts'
import type { AlertsMetrics } from '../../src/alerts/metrics.ts'
import type { Points } from '../../src/flatten/points.ts'
import { createLedger } from '../../src/ledger/sqlite/sqlite-ledger.ts'
import { openStateFile } from '../../src/ledger/sqlite/state-file.ts'
import type { WindowResult } from '../../src/pipeline/deliver-window.ts'
import type { PlannedWindow } from '../../src/pipeline/planner.ts'
import { createSecretRegistry } from '../../src/secrets/redactor.ts'
import { createLineWriter } from '../../src/sink/line-protocol/line-writer.ts'
import { createMessageReader } from '../../src/source/parse/message-reader.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { flattenerOf } from '../helpers/flattener.ts'
import { silentLog } from '../helpers/silent.ts'
import { namesOf } from '../simulator/names.ts'
import { createTailnet } from '../simulator/tailnet.ts'
import { costRules, MIXES } from './cost-rules.ts'
import { MIN, SEC, T0 } from './world.ts'

const mix = MIXES.find((name) => name === process.argv[2]) ?? 'mixed'
const MEMORY = process.argv[3] === 'memory'
const POLLS = MEMORY ? 0 : Number(process.argv[3] ?? 8)
/** Polls that only warm up. */
const WARM = 4
const NODES = 5_000
const POLL = 30n * SEC
const WINDOW_BYTES = 8 * 2 ** 20

const dir = mkdtempSync(join(tmpdir(), 'tailflux-cost-'))
const tailnet = createTailnet({ seed: 3, nodes: NODES, activity: 3 })
const config = alertsSchema.parse({ rules: costRules(mix), seriesMax: 100_000 })
const clock = createFakeClock(T0)
let passedMs = 0
// Polls follow each other at once, but the state is saved as if half a minute lay between them.
const paced = { ...clock, monotonicMs: () => performance.now() + passedMs }
const stateFile = openStateFile({ path: join(dir, 'state.db') }, { clock, log: silentLog })
const ledger = createLedger(stateFile, 'default')
ledger.setOrigin(T0)
const nothing = () => undefined
const metrics: AlertsMetrics = {
  rules: nothing,
  rule: nothing,
  evaluated: nothing,
  position: nothing,
  ignored: nothing,
  attempt: nothing,
  notified: nothing,
  kept: nothing,
  stateWriteFailed: nothing,
}
const alerts = createAlerts(
  config,
  { tailnet: 'default', normalLagMs: 90_000 },
  {
    stateFile,
    ledger,
    sink: { write: async (batch) => ({ written: batch.lineCount, rejected: 0, expired: 0, sentMs: 0 }) },
    names: namesOf(tailnet),
    clock: paced,
    log: silentLog,
    metrics,
    secrets: createSecretRegistry(),
    random: Math.random,
    onBroken(error) {
      throw error
    },
  },
)
await alerts.start()
const flattener = flattenerOf()
const writer = createLineWriter({ batchLinesMax: 20_000, batchBytesMax: 4_000_000 })

interface Answer {
  readonly window: PlannedWindow
  readonly body: Buffer
}

/** One poll as the pipeline reads it. */
function answersOf(fromNs: bigint): Answer[] {
  const all = [...tailnet.messages(fromNs, fromNs + POLL)]
  const bytes = all.reduce((sum, text) => sum + text.length + 1, 0)
  const count = BigInt(Math.ceil(bytes / WINDOW_BYTES))
  const texts: string[][] = Array.from({ length: Number(count) }, () => [])
  for (const text of all) {
    const logged = /"logged":"([^"]*)"/.exec(text)?.[1] ?? ''
    const place = Math.floor(((Date.parse(logged) - Number(fromNs / 1_000_000n)) * Number(count)) / 30_000)
    texts[Math.min(Math.max(place, 0), texts.length - 1)]?.push(text)
  }
  return texts.map((some, index) => ({
    window: {
      fromNs: fromNs + (POLL * BigInt(index)) / count,
      toNs: fromNs + (POLL * BigInt(index + 1)) / count,
      queue: 'live',
      pass: 1,
    },
    body: Buffer.from(`{"logs":[${some.join()}]}`),
  }))
}

let messages = 0
let entries = 0
let longestMs = 0

async function walk(answers: readonly Answer[], withAlerts: boolean): Promise<number> {
  globalThis.gc?.()
  const before = process.cpuUsage()
  for (const { window, body } of answers) {
    const reader = createMessageReader({ answerBytesMax: 2 ** 40, messageBytesMax: 1 << 24, depthMax: 16 })
    for (const message of reader.push(body)) {
      if (message.entryCount === 0) continue
      const points = flattener.flatten(message)
      if (withAlerts) alerts.observer.points(window, points, message)
      writer.append(points)
      for (let batch = writer.full(); batch; batch = writer.full()) writer.release(batch)
      messages += 1
      entries += message.entryCount
    }
    for (const batch of writer.rest()) writer.release(batch)
    if (withAlerts) await finish(window)
  }
  const spent = process.cpuUsage(before)
  return (spent.user + spent.system) / 1000
}

async function finish(window: PlannedWindow): Promise<void> {
  const { fromNs, toNs } = window
  ledger.done({ fromNs, toNs }, { pass: 1, digest: '', messages: 0, entries: 0, points: 0, atNs: toNs })
  const beganMs = performance.now()
  alerts.observer.done(window, { doneToNs: toNs } as WindowResult)
  longestMs = Math.max(longestMs, performance.now() - beganMs)
  await alerts.evaluate()
}

function heldMB(): number {
  globalThis.gc?.()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return Math.round((heapUsed + arrayBuffers) / 1e6)
}

const round = (value: number) => Math.round(value * 10) / 10
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

async function measureCpu(): Promise<void> {
  const line: number[] = []
  const both: number[] = []
  const walks: ((answers: Answer[]) => Promise<unknown>)[] = [
    async (answers) => line.push(await walk(answers, false)),
    async (answers) => both.push(await walk(answers, true)),
  ]
  let windows = 0
  for (let poll = 0; poll < POLLS + WARM; poll++) {
    const answers = answersOf(T0 + BigInt(poll) * POLL)
    windows += answers.length
    const [first, second] = poll % 2 === 0 ? walks : walks.toReversed()
    await first?.(answers)
    await second?.(answers)
    passedMs += 30_000
  }
  const lineMs = sum(line.slice(WARM)) / POLLS
  const alertsMs = sum(both.slice(WARM)) / POLLS - lineMs
  const status = alerts.status()
  console.log({
    mix,
    rules: status.rules.length,
    nodes: NODES,
    polls: POLLS,
    windowsPerPoll: round(windows / (POLLS + WARM)),
    messagesPerPoll: Math.round(messages / 2 / (POLLS + WARM)),
    entriesPerPoll: Math.round(entries / 2 / (POLLS + WARM)),
    lineMsPerPoll: round(lineMs),
    alertsMsPerPoll: round(alertsMs),
    shareOfIngestion: `${round((100 * alertsMs) / lineMs)} %`,
    shareOfOneCore: `${round((100 * alertsMs) / 30_000)} %`,
    byPoll: both
      .slice(WARM)
      .map((ms, index) => `${Math.round((100 * ms) / (line[index + WARM] ?? 0) - 100)} %`)
      .join(' '),
    longestTapDoneMs: round(longestMs),
    toldMB: round(status.memoryBytes / 1e6),
  })
}

/** The same half minute, told again as every minute of an hour and a half. */
async function measureMemory(): Promise<void> {
  const answers = answersOf(T0)
  const windows = BigInt(answers.length)
  const beforeMB = heldMB()
  for (let minute = 0n; minute < 90n; minute++) {
    const shiftNs = minute * MIN
    for (const [index, { body }] of answers.entries()) {
      const fromNs = T0 + shiftNs + (MIN * BigInt(index)) / windows
      const window: PlannedWindow = { fromNs, toNs: fromNs + MIN / windows + 1n, queue: 'live', pass: 1 }
      const reader = createMessageReader({ answerBytesMax: 2 ** 40, messageBytesMax: 1 << 24, depthMax: 16 })
      for (const message of reader.push(body)) {
        if (message.entryCount > 0) alerts.observer.points(window, later(flattener.flatten(message), shiftNs), message)
      }
      await finish(window)
    }
    passedMs += 60_000
  }
  const heldNowMB = heldMB() - beforeMB
  const status = alerts.status()
  console.log({
    mix,
    rules: status.rules.length,
    minutes: 90,
    heldMB: heldNowMB,
    toldMB: round(status.memoryBytes / 1e6),
    rssMB: Math.round(process.memoryUsage().rss / 1e6),
    groups: Math.max(...status.rules.map(({ series }) => series)),
    overflowed: sum(status.rules.map(({ overflowed }) => overflowed)),
  })
}

function later(points: Points, shiftNs: bigint): Points {
  return Object.create(points, {
    startNs: { value: points.startNs + shiftNs },
    loggedNs: { value: points.loggedNs + shiftNs },
    digest: { value: BigInt.asUintN(64, points.digest + shiftNs) },
  }) as Points
}

await (MEMORY ? measureMemory() : measureCpu())
await alerts.stop()
stateFile.close()
rmSync(dir, { recursive: true })
