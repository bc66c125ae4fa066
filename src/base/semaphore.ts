/** Limits how many batches are in flight at the same time. */
export interface Semaphore {
  /** Resolves with a release function when fewer than the maximum are in flight; rejects with the signal's reason. First come, first served. */
  take(signal: AbortSignal): Promise<() => void>
  readonly taken: number
}

export function createSemaphore(count: number): Semaphore {
  let taken = 0
  const waiting: (() => void)[] = []
  function release(): void {
    const next = waiting.shift()
    if (next) next()
    else taken -= 1
  }
  function once(): () => void {
    let released = false
    return () => {
      if (!released) release()
      released = true
    }
  }
  return {
    async take(signal) {
      signal.throwIfAborted()
      if (taken < count) {
        taken += 1
        return once()
      }
      await new Promise<void>((resolve, reject) => {
        const onAbort = () => {
          waiting.splice(waiting.indexOf(go), 1)
          reject(signal.reason)
        }
        const go = () => {
          signal.removeEventListener('abort', onAbort)
          resolve()
        }
        signal.addEventListener('abort', onAbort, { once: true })
        waiting.push(go)
      })
      return once()
    },
    get taken() {
      return taken
    },
  }
}
