/** The component around the rules: real points from real JSON, rows by the real function, a real state file with ledger, a clock that the test owns. Windows
 * are read as the pipeline reads them: points, then the ledger's receipt, then done; or failed. What is final then is told as a minute. */

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import type { Logger } from 'pino'
import { type Alerts, createAlerts } from '../../src/alerts/alerts.ts'
import { alertsSchema } from '../../src/alerts/config.ts'
import type { Transition } from '../../src/alerts/judge.ts'
import type { AlertsMetrics } from '../../src/alerts/metrics.ts'
import { type Clock, MS } from '../../src/base/clock.ts'
import { CollectorError } from '../../src/base/errors.ts'
import type { NodeNames } from '../../src/directory/node-names.ts'
import type { DirectoryView } from '../../src/directory/view.ts'
import type { Ports } from '../../src/flatten/ports.ts'
import type { Ledger } from '../../src/ledger/ledger.ts'
import { createLedger } from '../../src/ledger/sqlite/sqlite-ledger.ts'
import { openStateFile, type StateFile } from '../../src/ledger/sqlite/state-file.ts'
import type { PlannedWindow } from '../../src/pipeline/planner.ts'
import { createSecretRegistry } from '../../src/secrets/redactor.ts'
import type { Batch } from '../../src/sink/sink.ts'
import { createMessageReader } from '../../src/source/parse/message-reader.ts'
import { createFakeClock, NOON_NS } from '../helpers/fake-clock.ts'
import { flattenerOf } from '../helpers/flattener.ts'
import { linesOf } from '../helpers/lines.ts'
import { countingMetrics, silentLog } from '../helpers/silent.ts'
import { createMinutes, type Minutes } from './minutes.ts'

export const MIN = 60_000_000_000n
export const SEC = 1_000_000_000n
export const T0 = NOON_NS
const NODE = 'nACNTRL'
const ADDRESS = '100.64.0.1'

export interface Traffic {
  readonly node?: string
  /** ns; the node's clock. */
  readonly start: bigint
  readonly kind?: 'virtual' | 'subnet' | 'exit' | 'physical'
  readonly src?: string
  readonly dst?: string
  readonly proto?: number
  readonly tx?: number
  readonly rx?: number
  readonly txPkts?: number
  /** Its name as the message tells it. */
  readonly name?: string
}

export interface Read {
  readonly fromNs: bigint
  readonly toNs: bigint
  readonly pass?: number
  readonly queue?: PlannedWindow['queue']
}

export interface World {
  readonly clock: Clock
  readonly ledger: Ledger
  readonly alerts: Alerts
  readonly metrics: AlertsMetrics & { calls: Map<string, unknown[][]> }
  /** Lines of `tailflux_event`, and when they came. */
  readonly events: string[]
  readonly eventTimes: bigint[]
  stateFile: StateFile
  readonly settings: Record<string, unknown>
  /** What was told of health. */
  readonly health: readonly unknown[][]
  /** What the database has of minutes. */
  readonly minutes: Minutes
  /** Points of a window pass by; ends with `done` or `fail`. */
  open(window: Read, messages: readonly Traffic[] | Iterable<string>): { done(): void; fail(): void }
  read(window: Read, messages: readonly Traffic[] | Iterable<string>): void
  /** Judges now. */
  judge(): Promise<readonly Transition[]>
  /** Ends the process, in order or not, and begins another; `lost`: without the state file, and what was read is known from elsewhere. */
  restart(how?: 'stopped' | 'killed' | 'lost', settings?: Record<string, unknown>, tailnet?: string): Promise<void>
  close(): Promise<void>
}

export interface WorldOptions {
  readonly settings: Record<string, unknown>
  readonly ports?: Ports
  /** Instead of what messages tell. */
  readonly names?: NodeNames
  readonly owners?: ReadonlyMap<string, string>
  /** Names of networks, by address. */
  readonly networks?: ReadonlyMap<string, string>
  readonly tailnet?: string
  /** T0 unless told otherwise; `later`: a first installation that asks where reading begins when it has started. */
  readonly originNs?: bigint | 'later'
  readonly clock?: Clock
  readonly random?: () => number
  readonly log?: Logger
  /** Called before rows are read back; it may throw. */
  readonly onRequest?: () => void
  /** The database takes events when this resolves. */
  readonly takes?: (batch: Batch) => Promise<void>
}

export async function createWorld(options: WorldOptions): Promise<World> {
  // Hundreds of histories write a few hundred times each: in memory where there is such a place.
  const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'tailflux-alerts-'))
  const clock = options.clock ?? createFakeClock()
  const metrics = countingMetrics<AlertsMetrics>()
  const events: string[] = []
  const eventTimes: bigint[] = []
  let stateFile = openStateFile({ path: join(dir, 'state.db') }, { clock, log: silentLog })
  let ledger = createLedger(stateFile, 'default')
  if (options.originNs !== 'later') ledger.setOrigin(options.originNs ?? T0)
  let settings = options.settings
  /** What the messages of these worlds tell: their own name, and whose address it is. */
  const told = new Map<string, string>()
  const names = options.names ?? { nameOf: (key) => told.get(key), nodeOf: () => undefined }
  const flattener = flattenerOf(options.ports)
  let ackNs = 1n
  let life = { isOver: false }
  const directory: DirectoryView = {
    nodeOf: (address) => names.nodeOf(address),
    device: (node) => ({
      name: names.nameOf(node) ?? node,
      owner: options.owners?.get(node) ?? 'none',
      os: 'none',
    }),
    networkOf(address) {
      const name = options.networks?.get(address)
      return name === undefined ? undefined : { name, isFolded: false }
    },
  }
  const minutes = createMinutes(
    () => ledger,
    directory,
    () => options.onRequest?.(),
  )

  let tailnetName = options.tailnet ?? 'default'
  const health: unknown[][] = []

  function make(): Alerts {
    life = { isOver: false }
    return createAlerts(
      alertsSchema.parse(settings),
      {
        tailnet: tailnetName,
        tailnetId: 'default',
        normalLagMs: 90_000,
        networks: [...new Set(options.networks?.values())],
      },
      {
        stateFile: mortal(stateFile, life),
        ledger,
        rows: minutes.database,
        isNode: (id) => names.nameOf(id) !== undefined,
        health: { set: (...call) => void health.push(call) },
        sink: {
          async write(batch: Batch) {
            await options.takes?.(batch)
            for (const line of linesOf(batch.bytes)) {
              events.push(line)
              eventTimes.push(clock.now())
            }
            return { written: batch.lineCount, rejected: 0, expired: 0, sentMs: 0 }
          },
        },
        clock,
        log: options.log ?? silentLog,
        metrics,
        secrets: createSecretRegistry(),
        random: options.random ?? (() => 0.5),
        onBroken(error) {
          throw error
        },
      },
    )
  }
  let alerts = make()
  await alerts.start()

  function open(read: Read, messages: readonly Traffic[] | Iterable<string>) {
    const window: PlannedWindow = {
      fromNs: read.fromNs,
      toNs: read.toNs,
      queue: read.queue ?? 'backlog',
      pass: read.pass ?? 1,
    }
    const reader = createMessageReader({ answerBytesMax: 2 ** 40, messageBytesMax: 1 << 24, depthMax: 16 })
    const all = [...messages]
    for (const one of all) {
      if (typeof one === 'string' || one.name === undefined) continue
      told.set(one.node ?? NODE, one.name)
      told.set(ADDRESS, one.name)
    }
    const texts = all.map((one) => (typeof one === 'string' ? one : messageText(one)))
    const staged = minutes.begin()
    for (const message of reader.push(Buffer.from(`{"logs":[${texts.join()}]}`)))
      if (message.entryCount > 0) staged.put(flattener.flatten(message))
    reader.end()
    return {
      done() {
        ledger.done(
          { fromNs: read.fromNs, toNs: read.toNs },
          { pass: window.pass, digest: '', messages: 0, entries: 0, points: 0, atNs: ackNs++ },
        )
        staged.done()
        minutes.step(alerts)
      },
      fail: () => undefined,
    }
  }

  /** As the rollup tells it after each step. */
  async function judge(): Promise<readonly Transition[]> {
    minutes.step(alerts)
    while (alerts.status().waiting && options.onRequest === undefined && ledger.originNs() !== undefined) await turn()
    return await alerts.evaluate()
  }

  const world: World = {
    clock,
    get ledger() {
      return ledger
    },
    get alerts() {
      return alerts
    },
    metrics,
    events,
    eventTimes,
    stateFile,
    get settings() {
      return settings
    },
    open,
    read: (window, messages) => open(window, messages).done(),
    minutes,
    health,
    judge,
    async restart(how = 'stopped', changed, renamed) {
      if (how === 'stopped') await alerts.stop()
      else {
        life.isOver = true
        await alerts.giveUp()
      }
      const known = how === 'lost' ? ledger.settled() : []
      stateFile.close()
      if (how === 'lost') rmSync(join(dir, 'state.db'))
      settings = changed ?? settings
      tailnetName = renamed ?? tailnetName
      stateFile = openStateFile({ path: join(dir, 'state.db') }, { clock, log: silentLog })
      ledger = createLedger(stateFile, 'default')
      // As the checkpoint in the database says it.
      if (how === 'lost') ledger.setOrigin(known.at(-1)?.toNs ?? T0)
      world.stateFile = stateFile
      alerts = make()
      await alerts.start()
    },
    async close() {
      await alerts.stop()
      stateFile.close()
      rmSync(dir, { recursive: true })
    },
  }
  return world
}

/** A state file that takes nothing any more once its process is over. */
function mortal(stateFile: StateFile, life: { isOver: boolean }): StateFile {
  return {
    ...stateFile,
    transaction(work) {
      if (!life.isOver) return stateFile.transaction(work)
      throw new CollectorError('the process is gone', { stage: 'ledger', code: 'state_failed', reaction: 'retry' })
    },
  }
}

export function messageText(one: Traffic): string {
  const { node = NODE, kind = 'virtual', name } = one
  const entry = {
    proto: one.proto ?? 6,
    src: one.src ?? `${ADDRESS}:40000`,
    dst: one.dst ?? '100.64.0.2:443',
    txPkts: one.txPkts ?? 1,
    txBytes: one.tx ?? 0,
    rxPkts: 1,
    rxBytes: one.rx ?? 0,
  }
  return JSON.stringify({
    logged: rfc3339(one.start + 7n * SEC),
    nodeId: node,
    start: rfc3339(one.start),
    end: rfc3339(one.start + 5n * SEC),
    ...(name === undefined ? {} : { srcNode: { nodeId: node, name: `${name}.tail1234.ts.net`, addresses: [ADDRESS] } }),
    [`${kind}Traffic`]: [entry],
  })
}

export function rfc3339(ns: bigint): string {
  const seconds = new Date(Number(ns / MS)).toISOString().slice(0, 19)
  return `${seconds}.${String(ns % SEC).padStart(9, '0')}Z`
}
