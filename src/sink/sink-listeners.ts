/** Those who listen to a sink, as one listener. */
import type { SinkListener } from './sink.ts'

export interface SinkListeners extends SinkListener {
  /** Returns what ends the listening. */
  add(listener: SinkListener): () => void
}

export function createSinkListeners(): SinkListeners {
  const listeners = new Set<SinkListener>()
  return {
    add(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    failed(error) {
      for (const listener of listeners) listener.failed(error)
    },
    succeeded(written) {
      if (written > 0) for (const listener of listeners) listener.succeeded(written)
    },
  }
}
