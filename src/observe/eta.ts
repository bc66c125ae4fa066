/** When a backlog will be read, from how it shrank within the last minute. */

export interface Eta {
  /** Notes the backlog of this moment; seconds until it is gone, null while it is not known. */
  of(backlogSeconds: number): number | null
}

const SPAN_MS = 60_000
/** Below it a guess would jump about. */
const SPAN_MIN_MS = 3_000
const SAMPLES_MAX = 64

export function createEta(monotonicMs: () => number): Eta {
  let samples: { readonly ms: number; readonly backlog: number }[] = []
  return {
    of(backlogSeconds) {
      const ms = monotonicMs()
      samples = samples.filter((sample) => sample.ms > ms - SPAN_MS).slice(-SAMPLES_MAX)
      // It grew: more was requested than before.
      if ((samples.at(-1)?.backlog ?? backlogSeconds) < backlogSeconds) samples = []
      const last = samples.at(-1)
      if (last === undefined || ms - last.ms >= SPAN_MS / SAMPLES_MAX) samples.push({ ms, backlog: backlogSeconds })
      const first = samples[0]
      if (backlogSeconds === 0 || first === undefined || ms - first.ms < SPAN_MIN_MS) return null
      const perMs = (first.backlog - backlogSeconds) / (ms - first.ms)
      return perMs > 0 ? backlogSeconds / perMs / 1000 : null
    },
  }
}
