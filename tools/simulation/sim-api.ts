/** The API of a simulated tailnet as a `Source`: it answers with bytes that the real message reader cuts, and fails on request. */
import { SECOND } from '../../src/base/clock.ts'
import { type Code, CollectorError, type Reaction } from '../../src/base/errors.ts'
import { createMessageReader } from '../../src/source/parse/message-reader.ts'
import type { Answer, Source, Window } from '../../src/source/source.ts'
import type { SimRecord } from './sim-records.ts'

export const API_FAULTS = [
  'unreachable',
  'timeout',
  'unauthorized',
  'forbidden',
  'limited',
  'unavailable',
  'gateway',
  'cut',
  'not_json',
  'empty_object',
  'slow',
  'no_date',
  'date_ahead',
  'date_behind',
] as const
export type ApiFault = (typeof API_FAULTS)[number]

const REFUSALS: Partial<Record<ApiFault, [Code, Reaction, number?]>> = {
  unreachable: ['api_unreachable', 'retry'],
  unauthorized: ['api_unauthorized', 'hold'],
  forbidden: ['api_forbidden', 'hold'],
  limited: ['api_rate_limited', 'retry', 45_000],
  unavailable: ['api_unavailable', 'retry'],
  gateway: ['api_gateway', 'split'],
}

export interface SimApi extends Pick<Source, 'open'> {
  readonly records: SimRecord[]
  /** Ranges of `logged` that it cannot answer for, as long as they are here. */
  readonly poisons: Set<Window>
  fault: ApiFault | undefined
  /** The clock of the service is fast: then the API's must not be, or the time could not be known. */
  isClientFast: boolean
  /** Requests so far. */
  asked: number
}

export interface SimApiDeps {
  /** The API's own clock. */
  readonly nowNs: () => bigint
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  readonly latencyMs: () => number
  readonly bite: (name: string) => void
}

const LIMITS = {
  answerBytesMax: 1 << 30,
  messageBytesMax: 1 << 20,
  depthMax: 16,
  clockBehindMax: 31 * 86_400_000,
  clockAheadMax: 3_600_000,
}
const CHUNK_BYTES = 1_500
const EMPTY = Buffer.from('{"logs":[]}\n')

async function* nothing(): AsyncGenerator<never> {}

export function createSimApi(deps: SimApiDeps): SimApi {
  const api: SimApi = {
    records: [],
    poisons: new Set(),
    fault: undefined,
    isClientFast: false,
    asked: 0,
    async open(window, signal): Promise<Answer> {
      signal.throwIfAborted()
      api.asked += 1
      const { fault } = api
      const latencyMs = fault === 'slow' ? 20_000 : fault === 'timeout' ? 60_000 : deps.latencyMs()
      if (latencyMs > 0) await deps.sleep(latencyMs, signal)
      for (const poison of api.poisons) {
        if (poison.fromNs > window.toNs || window.fromNs > poison.toNs) continue
        deps.bite('api poison')
        throw failure('api_gateway', 'split')
      }
      if (fault !== undefined) deps.bite(`api ${fault}`)
      if (fault === 'timeout') throw failure('api_timeout', 'split')
      const refusal = fault && REFUSALS[fault]
      if (refusal) throw failure(...refusal)
      const nowNs = deps.nowNs()
      return answerOf(bodyOf(window, nowNs, fault), dateOf(nowNs, fault), fault, signal)
    },
  }

  function bodyOf(window: Window, nowNs: bigint, fault: ApiFault | undefined): Buffer {
    if (fault === 'not_json') return Buffer.from('<!doctype html><title>Sign in</title>')
    if (fault === 'empty_object') return Buffer.from('{}')
    const shown = api.records.filter(
      (one) => one.loggedNs >= window.fromNs && one.loggedNs <= window.toNs && one.visibleNs <= nowNs,
    )
    shown.sort((one, other) => (one.loggedNs < other.loggedNs ? -1 : one.loggedNs > other.loggedNs ? 1 : 0))
    if (shown.length === 0 && fault !== 'cut') return EMPTY
    return Buffer.from(`{"logs":[${shown.map((one) => one.text).join(',')}]}\n`)
  }

  function dateOf(nowNs: bigint, fault: ApiFault | undefined): bigint | undefined {
    if (fault === 'no_date' && !api.isClientFast) return undefined
    const wholeNs = (nowNs / SECOND) * SECOND
    if (fault === 'date_ahead' && !api.isClientFast) return wholeNs + 7_200n * SECOND
    return fault === 'date_behind' ? wholeNs - 7_200n * SECOND : wholeNs
  }

  function answerOf(
    body: Buffer,
    serverNs: bigint | undefined,
    fault: ApiFault | undefined,
    signal: AbortSignal,
  ): Answer {
    // Most windows are empty; a reader with its buffers for each would take most of the time.
    if (body === EMPTY) return { serverNs, bytesRead: () => EMPTY.length, groups: nothing() }
    const reader = createMessageReader(LIMITS)
    const end = fault === 'cut' ? Math.floor(body.length * 0.7) : body.length
    return {
      serverNs,
      bytesRead: () => reader.bytesRead(),
      groups: (async function* groups() {
        for (let at = 0; at < end; at += CHUNK_BYTES) {
          signal.throwIfAborted()
          yield reader.push(body.subarray(at, Math.min(end, at + CHUNK_BYTES)))
          const latencyMs = deps.latencyMs()
          if (latencyMs > 0) await deps.sleep(latencyMs, signal)
        }
        reader.end()
      })(),
    }
  }
  return api
}

function failure(code: Code, reaction: Reaction, retryAfterMs?: number): CollectorError {
  return new CollectorError(`${code}: simulated`, { stage: 'source', code, reaction, retryAfterMs })
}
