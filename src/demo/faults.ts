/** Faults that tests switch on and off. */
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'

const ROUTES = ['logs', 'devices', 'settings', 'token', 'token-exchange', 'other'] as const
export type Route = (typeof ROUTES)[number]

/** What goes wrong. Bytes are decoded bytes of the body. */
type Effect =
  /** Another status; `retryAfter` as it goes into the header. */
  | { readonly kind: 'status'; readonly status: number; readonly retryAfter?: string; readonly body?: string }
  /** A web page with status 200, as portals and proxies send it. */
  | { readonly kind: 'html' }
  /** The body ends too early; `clean`: with a proper end of the transfer, otherwise the connection breaks. */
  | { readonly kind: 'truncate'; readonly afterBytes?: number; readonly fraction?: number; readonly clean?: boolean }
  | { readonly kind: 'hang-head' }
  | { readonly kind: 'hang-body'; readonly afterBytes: number }
  | { readonly kind: 'drip'; readonly bytes: number; readonly everyMs: number }
  /** Something that is not JSON comes after some of the body, and then its rest. */
  | { readonly kind: 'garbage'; readonly afterBytes: number }
  /** The connection breaks before the head. */
  | { readonly kind: 'reset' }
  /** Network flow logs are switched off: 403, and the settings say so. */
  | { readonly kind: 'feature-off' }
  /** Another Date header; undefined for none. */
  | { readonly kind: 'date'; readonly value: string | undefined }

/** When it goes wrong. All conditions must hold; without any, always. */
export type Fault = Effect & {
  /** `logs` unless told otherwise. */
  readonly route?: Route
  /** Only so many times. */
  readonly times?: number
  /** Only windows longer than this. */
  readonly longerThanMs?: number
  /** Only windows that have a moment in common with this one, both ends inclusive. */
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
    /** Returns how to end it. */
    set(fault: Fault): () => void {
      faults.set(fault, { left: fault.times ?? Infinity })
      return () => void faults.delete(fault)
    },
    clear(): void {
      faults.clear()
    },
    /** All that apply, oldest first; counts down those that happen a number of times. */
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

/** The connection is to break here. */
export class Broken extends Error {
  override readonly name = 'Broken'
}

/** A body with its fault. `signal` ends waiting when the connection is gone. */
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
      throw new Broken('the connection breaks here')
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

/** Lets other work happen. */
export function breathe(): Promise<void> {
  return setImmediate()
}
