/** Stand-ins for what a room tells others: a log that nobody reads and metrics that count calls. */
import { pino } from 'pino'

export const silentLog = pino({ level: 'silent' })

/** Any metrics interface: counts the calls of each method, and keeps their arguments. */
export function countingMetrics<T>(): T & { calls: Map<string, unknown[][]> } {
  const calls = new Map<string, unknown[][]>()
  return new Proxy({ calls } as T & { calls: Map<string, unknown[][]> }, {
    get(target, name) {
      if (name === 'calls') return target.calls
      return (...args: unknown[]) => {
        const list = calls.get(String(name)) ?? []
        list.push(args)
        calls.set(String(name), list)
      }
    },
  })
}
