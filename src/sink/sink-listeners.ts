/** All listeners of a sink, as one listener. */
import type { SinkListener } from './sink.ts'

export interface SinkListeners extends SinkListener {
  /** Returns a function that removes the listener. */
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
