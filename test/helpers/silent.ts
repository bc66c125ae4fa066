/** Stand-ins for what a component reports: a log that is not read and metrics that count calls. */
import { type Logger, pino } from 'pino'
import type { DeadLetter, DeadLetters } from '../../src/sink/sink.ts'

export const silentLog = pino({ level: 'silent' })

/** A log that a test reads: its entries of level info and above, in order. */
export function keptLog(): {
  log: Logger
  entries: { level: number; msg: string; err?: { message: string }; node?: string }[]
} {
  const entries: { level: number; msg: string; err?: { message: string }; node?: string }[] = []
  return { log: pino({ level: 'info' }, { write: (line: string) => void entries.push(JSON.parse(line)) }), entries }
}

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

/** Dead letters in memory; each is new. */
export function keepIn(letters: DeadLetter[]): DeadLetters['append'] {
  return async (some) => {
    letters.push(...some)
    return some
  }
}
