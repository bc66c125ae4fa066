/** Small typed stand-ins for the components around pipeline/: an API and a database in memory, faults as a test wants them. A "message" here
 * has one entry and becomes one line; what is tested is the walking, not the flattening. */

import { max } from '../../src/base/bigint.ts'
import { CollectorError } from '../../src/base/errors.ts'
import type { Flattener } from '../../src/flatten/flatten.ts'
import type { Points } from '../../src/flatten/points.ts'
import type { WorkerParts } from '../../src/pipeline/deliver-window.ts'
import type { LineWriter } from '../../src/sink/line-protocol/line-writer.ts'
import type {
  Batch,
  CheckpointAnswer,
  CheckpointPoint,
  CheckpointState,
  CheckpointStatesAnswer,
  Receipt,
  Sink,
  TimeRange,
} from '../../src/sink/sink.ts'
import { createSinkListeners, type SinkListeners } from '../../src/sink/sink-listeners.ts'
import type { Message } from '../../src/source/parse/message.ts'
import type { Answer, Source, Window } from '../../src/source/source.ts'
import { parseLine } from '../sink/line-protocol/parse-lines.ts'
import { linesOf } from './lines.ts'

export interface FakeRecord {
  readonly id: string
  readonly loggedNs: bigint
  /** Its `logged` when absent. */
  readonly startNs?: bigint
  /** When the API begins to return it; its `logged` when absent. */
  readonly visibleNs?: bigint
  readonly value?: number
  readonly quarantined?: boolean
}

export interface FakeApi extends Pick<Source, 'open'> {
  records: FakeRecord[]
  /** Windows asked for, in order. */
  readonly asked: Window[]
  /** Throws or waits to make a request fail. */
  fault: ((window: Window, signal: AbortSignal) => Promise<void> | void) | undefined
  /** Called before each group of messages. */
  midway: (() => Promise<void> | void) | undefined
}

export function createFakeApi(serverNow: () => bigint | undefined): FakeApi {
  const api: FakeApi = {
    records: [],
    asked: [],
    fault: undefined,
    midway: undefined,
    async open(window, signal): Promise<Answer> {
      signal.throwIfAborted()
      api.asked.push({ fromNs: window.fromNs, toNs: window.toNs })
      await api.fault?.(window, signal)
      const serverNs = serverNow()
      const found = api.records.filter(
        (one) =>
          one.loggedNs >= window.fromNs &&
          one.loggedNs <= window.toNs &&
          (serverNs === undefined || (one.visibleNs ?? one.loggedNs) <= serverNs),
      )
      let bytes = 0
      return {
        serverNs,
        bytesRead: () => bytes,
        groups: (async function* groups() {
          for (let index = 0; index < found.length; index += 10) {
            await api.midway?.()
            signal.throwIfAborted()
            bytes += 1_000
            yield found.slice(index, index + 10).map(toMessage)
          }
        })(),
      }
    },
  }
  return api
}

interface FakeMessage extends Message {
  readonly record: FakeRecord
}
function toMessage(record: FakeRecord): Message {
  const message: FakeMessage = {
    record,
    nodeId: record.id,
    startNs: record.startNs ?? record.loggedNs,
    loggedNs: record.loggedNs,
    hasLogged: true,
    json: Buffer.from(record.id),
    jsonStart: 0,
    jsonEnd: record.id.length,
    entryCount: record.quarantined ? 0 : 1,
    quarantined: record.quarantined ? [{ reason: 'bad_json', text: record.id }] : [],
  } as unknown as FakeMessage
  return message
}

interface FakePoints extends Points {
  readonly line: string
}

/** Worker parts that make one line `id value loggedNs` per message. */
export function createFakeWorker(batchLines = 3): WorkerParts {
  const flattener = {
    flatten(message: Message) {
      const { record } = message as FakeMessage
      const value = record.value ?? 1
      let hash = 7n
      for (const letter of `${record.id}=${value}`)
        hash = (hash * 1_000_003n + BigInt(letter.charCodeAt(0))) & ((1n << 64n) - 1n)
      return { count: 1, digest: hash, quarantined: [], line: `${record.id} ${value}\n` } as unknown as Points
    },
  } as Flattener
  let waiting: string[] = []
  const cut = (count: number): Batch => {
    const lines = waiting.splice(0, count)
    return { bytes: Buffer.from(lines.join('')), lineCount: lines.length, target: 'main' }
  }
  const lines: LineWriter = {
    append: (points) => void waiting.push((points as FakePoints).line),
    hasFull: () => waiting.length >= batchLines,
    full: () => (waiting.length >= batchLines ? cut(batchLines) : undefined),
    rest: () => (waiting.length > 0 ? [cut(waiting.length)] : []),
    release: () => undefined,
    reset() {
      waiting = []
    },
  }
  return { flattener, lines }
}

/** A point of tailflux_window, with what it carries. */
export interface FakeWindow extends CheckpointPoint, Partial<Omit<CheckpointState, keyof CheckpointPoint>> {
  /** Shown under every name when absent. */
  readonly tailnet?: string | undefined
}

export interface FakeDb extends Sink {
  /** Lines of the service's flows, by id: the last value wins, as in the database. */
  readonly rows: Map<string, string>
  /** Points of tailflux_window, by identity. */
  windows: Map<string, FakeWindow>
  /** The highest of them. */
  readonly highest: { readonly watermarkNs: bigint; readonly ackedNs: bigint }
  /** Puts a point of tailflux_window there as if another writer had written it. */
  show(point: Partial<FakeWindow> & { timeNs: bigint }): void
  /** Questions for the checkpoint, in order, and what they are answered instead of the truth. */
  readonly questions: TimeRange[]
  answer: ((range: TimeRange) => CheckpointAnswer | undefined) | undefined
  /** The same for what points carry. */
  stateAnswer: CheckpointStatesAnswer | undefined
  /** Makes a write or probe fail: throw. */
  fault: ((batch: Batch | undefined) => Promise<void> | void) | undefined
  /** Those who hear of each request; a test may report an outage to them that `write` got over by itself. */
  readonly listeners: SinkListeners
  /** Write requests of flow lines. */
  writes: number
}

/** `nowMs`: monotonic time. */
export function createFakeDb(nowMs: () => number = () => 0): FakeDb {
  const listeners = createSinkListeners()
  const windowsOf = (name: string) =>
    [...db.windows.values()].filter(({ tailnet }) => tailnet === undefined || tailnet === name)
  const db: FakeDb = {
    label: 'fake database',
    rows: new Map(),
    windows: new Map(),
    get highest() {
      return {
        watermarkNs: [...db.windows.values()].reduce((most, { watermarkNs = 0n }) => max(most, watermarkNs), 0n),
        ackedNs: [...db.windows.values()].reduce((most, { ackedNs = 0n }) => max(most, ackedNs), 0n),
      }
    },
    show(point) {
      const whole = {
        pass: '1',
        writer: undefined,
        ackedNs: undefined,
        watermarkNs: undefined,
        passedNs: undefined,
        ...point,
      }
      db.windows.set(`${whole.timeNs} ${whole.pass} ${whole.writer} ${whole.tailnet}`, whole)
    },
    questions: [],
    answer: undefined,
    stateAnswer: undefined,
    fault: undefined,
    writes: 0,
    listeners,
    listen: listeners.add,
    start: async () => undefined,
    stop: async () => undefined,
    async probe() {
      await db.fault?.(undefined)
    },
    async write(batch, signal): Promise<Receipt> {
      signal.throwIfAborted()
      const sentMs = nowMs()
      try {
        await db.fault?.(batch)
      } catch (error) {
        if (error instanceof CollectorError) listeners.failed(error)
        throw error
      }
      const lines = linesOf(batch.bytes)
      for (const line of lines) {
        if (line.startsWith('tailflux_window')) {
          const { tags, fields, texts, timestampNs } = parseLine(line)
          db.show({
            timeNs: timestampNs,
            tailnet: tags['tailnet'],
            pass: tags['pass'] ?? '',
            writer: tags['writer'],
            ackedNs: fields['acked'],
            watermarkNs: fields['watermark'],
            passedNs: fields['passed'],
            unsettled: texts?.['unsettled'],
            settings: texts?.['settings'],
          })
          continue
        }
        const [id = '', value = ''] = line.split(' ')
        db.rows.set(id, value)
      }
      if (!lines[0]?.startsWith('tailflux_window')) db.writes += 1
      listeners.succeeded(lines.length)
      return { written: lines.length, rejected: 0, expired: 0, sentMs }
    },
    async checkpoint(tailnet, range, signal) {
      signal.throwIfAborted()
      db.questions.push(range)
      const isIn = ({ timeNs }: CheckpointPoint) => timeNs >= range.fromNs && timeNs <= range.toNs
      return db.answer?.(range) ?? { points: windowsOf(tailnet).filter(isIn) }
    },
    async checkpointStates(tailnet, timeNs, signal) {
      signal.throwIfAborted()
      const states = windowsOf(tailnet)
        .filter((one) => one.timeNs === timeNs)
        .map(({ pass, writer, unsettled, settings }) => ({ pass, writer, unsettled, settings }))
      return db.stateAnswer ?? { states }
    },
  }
  return db
}
