/** The requests that the simulated API received, for tests to look at and to wait for. */
import type { RequestedWindow, Route } from './faults.ts'

/** A request and how far its response is. */
export interface ApiRequest {
  readonly route: Route
  readonly method: string
  readonly path: string
  readonly window: RequestedWindow | undefined
  /** 0 until the head of the response is sent, or without a response. */
  status: number
  /** Bytes (before compression) and messages sent so far. */
  bytes: number
  messages: number
  /** `broken`: the connection ended before the response did. */
  outcome: 'open' | 'done' | 'broken'
}

export interface ApiRequests {
  /** The newest 10,000, oldest first. */
  readonly requests: readonly ApiRequest[]
  /** Number of requests so far, by route. */
  count(route: Route): number
  /** Resolves with the next request from now on (that matches). */
  nextRequest(matches?: (request: ApiRequest) => boolean): Promise<ApiRequest>
}

const REQUESTS_MAX = 10_000

export function createRequests(): ApiRequests & { add(request: ApiRequest): void } {
  const requests: ApiRequest[] = []
  const counts = new Map<Route, number>()
  const waiting = new Set<(request: ApiRequest) => void>()
  return {
    requests,
    add(request) {
      requests.push(request)
      if (requests.length > REQUESTS_MAX) requests.shift()
      counts.set(request.route, (counts.get(request.route) ?? 0) + 1)
      for (const wake of waiting) wake(request)
    },
    count: (route) => counts.get(route) ?? 0,
    nextRequest(matches = () => true) {
      const { promise, resolve } = Promise.withResolvers<ApiRequest>()
      const wake = (request: ApiRequest) => {
        if (!matches(request)) return
        waiting.delete(wake)
        resolve(request)
      }
      waiting.add(wake)
      return promise
    },
  }
}
