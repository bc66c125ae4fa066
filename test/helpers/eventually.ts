/** Waiting for what must come, with an end for the case that it does not. */
import { setTimeout as sleep } from 'node:timers/promises'

export const PATIENCE_MS = 120_000

/** Asks again and again until the answer is not undefined or false. `what` completes "waited in vain for". */
export async function eventually<T>(
  what: string | (() => string),
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  everyMs = 25,
): Promise<T> {
  const deadlineMs = performance.now() + PATIENCE_MS
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    if (performance.now() > deadlineMs) throw vain(what)
    await sleep(everyMs)
  }
}

/** The promise's value, if it comes in time. */
export async function inTime<T>(what: string | (() => string), promise: Promise<T>): Promise<T> {
  const over = new AbortController()
  const late = sleep(PATIENCE_MS, undefined, { signal: over.signal }).then(
    () => Promise.reject(vain(what)),
    () => new Promise<never>(() => undefined),
  )
  try {
    return await Promise.race([promise, late])
  } finally {
    over.abort()
  }
}

function vain(what: string | (() => string)): Error {
  return new Error(`waited in vain for ${typeof what === 'string' ? what : what()}`)
}
