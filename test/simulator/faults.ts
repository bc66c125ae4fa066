/** Faults of the simulated API. Tests switch them on and off. */
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'

const ROUTES = ['logs', 'devices', 'settings', 'token', 'token-exchange', 'other'] as const
export type Route = (typeof ROUTES)[number]

/** What a fault does. Bytes are those of the body before compression. */
type Effect =
  /** Responds with this status; `retryAfter` is the value of the header. */
  | { readonly kind: 'status'; readonly status: number; readonly retryAfter?: string; readonly body?: string }
  /** Responds with a web page and status 200, as portals and proxies do. */
  | { readonly kind: 'html' }
  /** The body ends early. `clean`: the transfer ends as usual; otherwise the connection breaks. */
  | { readonly kind: 'truncate'; readonly afterBytes?: number; readonly fraction?: number; readonly clean?: boolean }
  | { readonly kind: 'hang-head' }
  | { readonly kind: 'hang-body'; readonly afterBytes: number }
  | { readonly kind: 'drip'; readonly bytes: number; readonly everyMs: number }
  /** Inserts bytes that are not JSON into the body. */
  | { readonly kind: 'garbage'; readonly afterBytes: number }
  /** Resets the connection before the response. */
  | { readonly kind: 'reset' }
  /** Network flow logs are off: 403, and the tailnet's settings say so. */
  | { readonly kind: 'feature-off' }
  /** Changes the Date header; undefined removes it. */
  | { readonly kind: 'date'; readonly value: string | undefined }

/** A fault and its conditions. All of them must hold; without any, the fault applies to every request for logs. */
export type Fault = Effect & {
  /** Default: `logs`. */
  readonly route?: Route
  /** Maximum number of requests. */
  readonly times?: number
  /** Applies to windows longer than this. */
  readonly longerThanMs?: number
  /** Applies to windows that overlap this one, both ends inclusive. */
  readonly overlaps?: { readonly fromNs: bigint; readonly toNs: bigint }
}

export interface RequestedWindow {
  readonly fromNs: bigint
  readonly toNs: bigint
}

export function createFaults() {
  const faults = new Map<Fault, { left: number }>()

  function matches(fault: Fault, route: Route, window: RequestedWindow | undefined): boolean {
    if (fault.kind === 'feature-off') {
      if (route !== 'logs' && route !== 'settings') return false
    } else if ((fault.route ?? 'logs') !== route) return false
    const { longerThanMs, overlaps } = fault
    if (longerThanMs !== undefined) {
      if (window === undefined || window.toNs - window.fromNs <= BigInt(Math.round(longerThanMs * 1e6))) return false
    }
    if (overlaps === undefined) return true
    return window !== undefined && window.fromNs <= overlaps.toNs && window.toNs >= overlaps.fromNs
  }

  return {
    /** Switches a fault on; returns what switches it off. */
    set(fault: Fault): () => void {
      faults.set(fault, { left: fault.times ?? Infinity })
      return () => void faults.delete(fault)
    },
    clear(): void {
      faults.clear()
    },
    /** The faults that apply to this request, oldest first. Counts down `times`. */
    take(route: Route, window: RequestedWindow | undefined): readonly Fault[] {
      const found: Fault[] = []
      for (const [fault, state] of faults) {
        if (!matches(fault, route, window)) continue
        found.push(fault)
        state.left -= 1
        if (state.left <= 0) faults.delete(fault)
      }
      return found
    },
  }
}

/** A fault breaks the connection here. */
export class ConnectionBroken extends Error {
  override readonly name = 'ConnectionBroken'
}

/** A body with a fault. `signal` aborts when the connection is closed. */
export async function* faultyBody(
  body: AsyncIterable<Buffer>,
  fault: Fault,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  if (fault.kind === 'drip') {
    for await (const chunk of body) {
      for (let at = 0; at < chunk.length; at += fault.bytes) {
        yield chunk.subarray(at, at + fault.bytes)
        await sleep(fault.everyMs, undefined, { signal })
      }
    }
    return
  }
  if (fault.kind !== 'truncate' && fault.kind !== 'hang-body' && fault.kind !== 'garbage') {
    yield* body
    return
  }
  let left = fault.afterBytes ?? 0
  let happened = false
  for await (const chunk of body) {
    if (happened || chunk.length < left) {
      left -= chunk.length
      yield chunk
      continue
    }
    happened = true
    if (left > 0) yield chunk.subarray(0, left)
    if (fault.kind === 'truncate') {
      if (fault.clean) return
      throw new ConnectionBroken('a fault breaks the connection')
    }
    if (fault.kind === 'hang-body') {
      await aborted(signal)
      return
    }
    yield Buffer.from('\u0000\u0001}}]]not json"\\')
    yield chunk.subarray(left)
  }
}

export function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  if (signal.aborted) resolve()
  signal.addEventListener('abort', () => resolve(), { once: true })
  return promise
}

/** Lets other work run. */
export function nextTurn(): Promise<void> {
  return setImmediate()
}
