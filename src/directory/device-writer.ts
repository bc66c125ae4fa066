/** Writes `tailnet_device`: each change once, and now and then every device again, so that retention never drops one that is still known. What the
 * database does not take waits here and is tried again; the line never waits. */
import type { Logger } from 'pino'
import { backoffAfter } from '../base/backoff.ts'
import { type Clock, MINUTE } from '../base/clock.ts'
import { CollectorError } from '../base/errors.ts'
import { encodeLine } from '../sink/line-protocol/encode-line.ts'
import type { Sink } from '../sink/sink.ts'
import type { DeviceHistory } from './device-history.ts'
import type { DeviceVersion } from './device-version.ts'

export interface DeviceWriter {
  add(versions: readonly DeviceVersion[]): void
  /** Writes what is valid in this minute of every device, as a point of that minute. */
  addAll(minute: number): void
  /** The database has the newest version of this node. */
  isWritten(node: string): boolean
  /** Writes what waits, unless the database failed a short while ago. `acknowledged` gets the nodes whose changes are written. Never rejects. */
  write(signal: AbortSignal, acknowledged: (nodes: readonly string[]) => void): Promise<void>
}

const LINES_PER_BATCH = 1_000
const BACKOFF = { minMs: 5_000, maxMs: 300_000 }
/** Changes that wait, for each device that is known; more are only made by a database that is away while devices change again and again. */
const WAITING_PER_DEVICE = 2
const WAITING_MIN = 10_000

export function createDeviceWriter(
  tailnet: string,
  deps: {
    readonly history: Pick<DeviceHistory, 'at' | 'nodes' | 'count'>
    readonly sink: Pick<Sink, 'write'>
    readonly health: {
      set(component: 'names', status: 'ok' | 'warning', code?: string, text?: string, condition?: string): void
    }
    readonly clock: Pick<Clock, 'monotonicMs'>
    readonly log: Logger
  },
): DeviceWriter {
  const { history, clock, health, log } = deps
  /** By minute and node, oldest first. */
  const waiting = new Map<string, DeviceVersion>()
  const waitingOf = new Map<string, number>()
  let all: { readonly nodes: Iterator<string>; readonly minute: number } | undefined
  let unsent: DeviceVersion[] = []
  let failures = 0
  let dueMs = Number.NEGATIVE_INFINITY
  let isFull = false

  function count(node: string, change: number): void {
    const left = (waitingOf.get(node) ?? 0) + change
    if (left > 0) waitingOf.set(node, left)
    else waitingOf.delete(node)
  }

  function remove(key: string, version: DeviceVersion): void {
    if (waiting.get(key) !== version) return
    waiting.delete(key)
    count(version.node, -1)
  }

  function add(version: DeviceVersion): void {
    const key = keyOf(version)
    if (!waiting.delete(key)) count(version.node, 1)
    waiting.set(key, version)
    if (waiting.size <= Math.max(WAITING_MIN, WAITING_PER_DEVICE * history.count)) return
    const [oldest] = waiting
    if (oldest !== undefined) remove(...oldest)
    if (!isFull)
      log.warn(
        { changeCount: waiting.size },
        'the database takes no devices: the oldest changes are left out from now on',
      )
    isFull = true
  }

  /** The next devices that are only written again. What changed since is written as a change. */
  function someOfAll(): DeviceVersion[] {
    while (all !== undefined && unsent.length < LINES_PER_BATCH) {
      const next = all.nodes.next()
      if (next.done === true) all = undefined
      else {
        const valid = history.at(next.value, all.minute, false)
        if (valid !== undefined) unsent.push({ ...valid, from: all.minute })
      }
    }
    return unsent
  }

  async function send(versions: readonly DeviceVersion[], signal: AbortSignal): Promise<void> {
    const lines = versions.map((version) => deviceLine(tailnet, version))
    const bytes = Buffer.concat(lines)
    await deps.sink.write({ bytes, lineCount: lines.length, target: 'main', isBestEffort: true }, signal)
    failures = 0
    isFull = false
    health.set('names', 'ok', undefined, undefined, 'tailnet_device')
  }

  function failed(error: unknown): void {
    failures += 1
    const retryMs = backoffAfter(failures, BACKOFF)
    dueMs = clock.monotonicMs() + retryMs
    const isKnown = error instanceof CollectorError
    const code = isKnown ? error.code : 'names_failed'
    const reason = isKnown
      ? error.message
      : 'an error inside tailflux (see the log line "devices cannot be written"); if this continues, update tailflux, or report that log line'
    const text = `Names of devices cannot be written to the database (tailnet_device) and are tried again; points are written all the same: ${reason}`
    health.set('names', 'warning', code, text, 'tailnet_device')
    log.warn({ code, retryMs, waitingCount: waiting.size, err: error }, 'devices cannot be written')
  }

  return {
    add: (versions) => versions.forEach(add),
    addAll(minute) {
      all = { nodes: [...history.nodes()].values(), minute }
      unsent = []
    },
    isWritten: (node) => !waitingOf.has(node),
    async write(signal, acknowledged) {
      if (clock.monotonicMs() < dueMs) return
      try {
        while (waiting.size > 0 && !signal.aborted) {
          const some = [...waiting.entries().take(LINES_PER_BATCH)]
          await send(
            some.map(([, version]) => version),
            signal,
          )
          for (const [key, version] of some) remove(key, version)
          acknowledged(some.map(([, { node }]) => node))
        }
        while (!signal.aborted && someOfAll().length > 0) {
          const sent = unsent
          await send(sent, signal)
          if (unsent === sent) unsent = []
        }
      } catch (error) {
        if (!signal.aborted) failed(error)
      }
    },
  }
}

function keyOf({ node, from }: DeviceVersion): string {
  return `${from} ${node}`
}

function deviceLine(tailnet: string, version: DeviceVersion): Uint8Array {
  const { node, name, owner, os, addresses, source, loggedNs: logged, from } = version
  const fields = { addresses: addresses.join(' '), logged, name, os, owner, source }
  return encodeLine('tailnet_device', { node, tailnet }, fields, BigInt(from) * MINUTE)
}
