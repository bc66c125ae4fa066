/** The InfluxDB sink with a clock that the test owns, its dead letters and metrics at hand, and batches made from lines. */
import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { CollectorError } from '../../../src/base/errors.ts'
import {
  type InfluxApi,
  type InfluxConfig,
  influxSchema,
  type Retention,
  retentionSchema,
} from '../../../src/sink/config.ts'
import { createInfluxSink } from '../../../src/sink/influxdb/influxdb-sink.ts'
import type { Batch, DeadLetter, DeadLetters, Receipt, Sink, SinkMetrics, Target } from '../../../src/sink/sink.ts'
import { createFakeClock, type FakeClock } from '../../helpers/fake-clock.ts'
import { countingMetrics, keepIn, silentLog } from '../../helpers/silent.ts'
import { countsOf } from '../counts-of.ts'

export interface InfluxWorld {
  readonly sink: Sink
  readonly clock: FakeClock
  readonly letters: DeadLetter[]
  readonly metrics: SinkMetrics & { calls: Map<string, unknown[][]> }
  /** Writes while time passes as fast as the sink sleeps. */
  write(lines: readonly string[], signal?: AbortSignal, target?: Target): Promise<Omit<Receipt, 'sentMs'>>
  /** Lets time pass as fast as the code sleeps, until the promise is settled. */
  pass<T>(promise: Promise<T>): Promise<T>
}

export const live = () => new AbortController().signal

export function influxWorld(
  settings: Record<string, unknown> & { url: string },
  deps: {
    random?: () => number
    append?: DeadLetters['append']
    /** Shorter than the settings allow. */
    timeoutMs?: number
  } = {},
): InfluxWorld {
  const config = configOf(settings)
  const clock = createFakeClock()
  const letters: DeadLetter[] = []
  const metrics = countingMetrics<SinkMetrics>()
  const sink = createInfluxSink(
    { ...config, url: settings.url, timeout: deps.timeoutMs ?? config.timeout },
    {
      clock,
      metrics,
      log: silentLog,
      random: deps.random ?? (() => 0.5),
      deadLetters: { append: deps.append ?? keepIn(letters) },
    },
  )
  async function pass<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false
    const settle = () => {
      isSettled = true
    }
    promise.then(settle, settle)
    while (!isSettled) {
      const wakeMs = clock.nextWakeMs()
      if (wakeMs === undefined) await pause(1)
      else await clock.advance(wakeMs)
    }
    return await promise
  }
  return {
    sink,
    clock,
    letters,
    metrics,
    pass,
    write: (lines, signal = live(), target = 'main') => pass(sink.write(batchOf(lines, target), signal).then(countsOf)),
  }
}

/** `retention` in days. */
export function configOf({
  retention = {},
  ...settings
}: Record<string, unknown> & { retention?: { raw?: number; minutes?: number; rest?: number } }): InfluxConfig & {
  api: InfluxApi
  retention: Retention
} {
  const places = { v1: { db: 'telemetry' }, v2: { org: 'home', bucket: 'telemetry' }, v3: { bucket: 'telemetry' } }
  const api = (settings['api'] ?? 'v1') as InfluxApi
  const days = Object.entries(retention).map(([name, count]) => [name, `${count}d`])
  return {
    ...influxSchema.parse({ api, ...places[api], ...settings }),
    api,
    retention: retentionSchema.parse(Object.fromEntries(days)),
  }
}

export function batchOf(lines: readonly string[], target: Target = 'main'): Batch {
  return { bytes: Buffer.from(lines.map((line) => `${line}\n`).join('')), lineCount: lines.length, target }
}

/** The CollectorError that a promise rejects with. */
export async function faultOf(promise: Promise<unknown>): Promise<CollectorError> {
  try {
    await promise
  } catch (error) {
    assert.ok(error instanceof CollectorError, `no CollectorError: ${error}`)
    assert.equal(error.stage, 'sink')
    return error
  }
  throw new assert.AssertionError({ message: 'it did not reject' })
}

/** `count` lines of one series, ten seconds apart. */
export function someLines(count: number, first = 0): string[] {
  return Array.from(
    { length: count },
    (_, index) =>
      `tailnet_flow,node=n1CNTRL,src=100.64.0.1 v=${first + index}i ${1_793_620_000_000_000_001n + BigInt(first + index) * 10_000_000_000n}`,
  )
}
